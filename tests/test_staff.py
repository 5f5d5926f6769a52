"""Staff: their keys, their rights, and what is recorded as theirs."""

import asyncio
import json
from typing import Any

import pytest

from giftgql.app import callers
from giftgql.errors import InvalidInput, NotFound
from giftgql.permissions import ROLES, Permission
from giftgql.staff import service as staff
from giftgql.store import Store
from tests.client import Client, Server
from tests.conftest import RunCommand
from tests.factories import code_of, find, funded, movements, trans
from tests.signing_in import person

VIEWER = "{ viewer { id name roles permissions } }"


async def test_a_staff_key_is_a_bearer_token_with_the_rights_of_its_owner(
    server: Server, store: Store, admin: Client
) -> None:
    anna = await person(store, Permission.VIEW_REPORTS, role="clerk")
    clerk = server.client(anna.key)
    viewer = (await clerk.run(VIEWER))["viewer"]
    assert (viewer["id"], viewer["name"], viewer["roles"]) == (anna.staff_id, "Anna", ["clerk"])
    held = {each.value for each in ROLES["clerk"] | {Permission.VIEW_REPORTS}}
    assert set(viewer["permissions"]) == held
    assert (await clerk.run("{ giftcard { results { id } } }")).code == "PERMISSION_DENIED"
    assert (await admin.run(VIEWER)).code == "PERMISSION_DENIED", "a client is nobody of the staff"


async def test_what_staff_do_is_recorded_as_theirs_and_needs_no_pin(
    server: Server, store: Store, admin: Client
) -> None:
    card = await funded(admin, "10.00", physicalCode="GC0001", physicalPin="1234")
    anna = await person(store, role="manager")
    manager = server.client(anna.key)
    taken = await trans(manager, code=code_of(card), transType="USE", amount="-1.00")
    assert taken["giftcardTransAdd"]["caller"] == f"staff:{anna.staff_id}"
    [use] = await movements(manager, giftcardId=card["id"], transType="USE")
    assert use["caller"] == f"staff:{anna.staff_id}"
    blocked = 'mutation ($id: ID!) { giftcardBlock(giftcard: {id: $id, reason: "lost"}) { id } }'
    assert (await manager.run(blocked, id=card["id"]))["giftcardBlock"]
    async with store.read() as reading:
        _, event = await reading.audit.find_by_subject(f"card:{card['id']}")
    assert event.caller == f"staff:{anna.staff_id}"


async def test_a_generated_code_is_masked_but_for_staff_with_the_right_to_see_it(
    server: Server, store: Store, admin: Client
) -> None:
    await admin.run('mutation { memberAdd(member: {id: "C1"}) { id } }')
    made = await admin.run(
        'mutation { giftcardAdd(giftcard: {memberId: "C1", addPersonalCode: true, '
        'physicalCode: "GC0001"}) { id } }'
    )
    assert made["giftcardAdd"]
    seen = {}
    for more in ([], [Permission.VIEW_UNMASKED_GIFT_CARD_CODES]):
        anna = await person(store, *more, role="manager")
        [card] = (await find(server.client(anna.key), "GC0001"))["giftcard"]["results"]
        [code] = [each for each in card["codes"] if each["codeType"] == "PERSONAL"]
        seen[code["isMasked"]] = code["code"]
    assert seen[True].startswith("*")
    assert seen[False].endswith(seen[True][-4:])
    assert "*" not in seen[False]


async def test_an_administrator_mints_no_tokens_of_members(server: Server, store: Store) -> None:
    """A member's token ends with the client that minted it; a person is none."""
    anna = await person(store, role="administrator")
    root = server.client(anna.key)
    await root.run('mutation { memberAdd(member: {id: "C1"}) { id } }')
    answer = await root.run('mutation { memberTokenAdd(member: {id: "C1"}) { token } }')
    assert answer.code == "PERMISSION_DENIED"


async def test_keys_are_rotated_revoked_and_end_with_their_owner(
    server: Server, store: Store, later: list[float]
) -> None:
    anna = await person(store, role="clerk")
    keys = [anna.key]

    async def statuses() -> list[int]:
        later[0] += callers.RIGHTS_SECONDS * 2
        return [(await server.client(key).run(VIEWER)).status for key in keys]

    for _ in range(2):
        async with store.write() as tx:
            keys.append((await staff.new_key(tx, anna.staff_id)).key)
    assert await statuses() == [401, 200, 200]
    async with store.write() as tx:
        await staff.revoke_keys(tx, anna.staff_id)
        keys.append((await staff.new_key(tx, anna.staff_id)).key)
    assert await statuses() == [401, 401, 401, 200]
    async with store.write() as tx:
        await staff.disable(tx, anna.staff_id)
    assert await statuses() == [401] * 4
    async with store.write() as tx:
        with pytest.raises(NotFound):
            await staff.disable(tx, anna.staff_id)
        for change in (staff.new_key, staff.revoke_keys):
            with pytest.raises(NotFound):
                await change(tx, "ggp_nobody")
        for wrong in ({"roles": ["boss"]}, {"permissions": ["All"]}):
            with pytest.raises(InvalidInput):
                await staff.add(tx, "Bob", **wrong)
            facts: Any = {"roles": [], "permissions": [], **wrong}
            with pytest.raises(InvalidInput):
                await staff.set_rights(tx, anna.staff_id, **facts)
        for name in ("", "x" * 101, "a\nb"):
            with pytest.raises(InvalidInput):
                await staff.add(tx, name)


async def test_what_becomes_of_staff_is_on_the_audit_trail_without_a_key(store: Store) -> None:
    anna = await person(store, role="clerk")
    async with store.write() as tx:
        await staff.set_rights(tx, anna.staff_id, roles=["manager"], permissions=["ViewAudit"])
        await staff.sign_in(tx, anna.key)
        await staff.revoke_keys(tx, anna.staff_id)
        await staff.disable(tx, anna.staff_id)
        events = await tx.audit.find_by_subject(f"staff:{anna.staff_id}")
    assert [each.event.value.removeprefix("STAFF_") for each in events] == [
        *("ADDED", "KEY_ADDED", "RIGHTS_SET", "SIGNED_IN", "KEYS_REVOKED", "DISABLED")
    ]
    assert events[2].facts == {"roles": ["manager"], "permissions": ["ViewAudit"]}
    assert anna.key not in str([each.model_dump() for each in events])
    assert anna.key not in repr(anna)


async def test_two_first_sign_ins_at_once_are_of_one_person(store: Store) -> None:
    async def sign_in() -> str | None:
        async with store.write() as tx:
            return await staff.sign_in_by_provider(
                tx, "https://login.example", "u1", name="Anna", roles=["clerk"]
            )

    secrets = await asyncio.gather(*(sign_in() for _ in range(4)))
    async with store.read() as reading:
        [person] = await reading.staff.page()
        found = [await staff.signed_in(reading, secret) for secret in secrets if secret]
        events = await reading.audit.find_by_subject(f"staff:{person.public_id}")
    assert {each.caller.id for each in found if each} == {person.public_id}
    assert (len(found), len(events)) == (4, 5)


def test_staff_are_managed_on_the_command_line(command: RunCommand) -> None:
    code, said = command("staff", "add", "Anna", "--role", "manager", "--json")
    made = json.loads(said)
    assert code == 0
    assert made["key"].startswith("ggs_")
    anna = made["staff_id"]
    assert command("staff", "list")[1].split() == [anna, "key", "Anna", "(manager)"]
    granted = ("--role", "clerk", "--permission", "ViewUnmaskedGiftCardCodes")
    assert command("staff", "rights", anna, *granted)[0] == 0
    code, said = command("staff", "rotate", anna)
    assert code == 0
    assert "ggs_" in said
    assert made["key"] not in said
    assert command("staff", "revoke", anna)[0] == 0
    assert command("staff", "disable", anna)[0] == 0
    [listed] = json.loads(command("staff", "list", "--json")[1])
    assert listed == {
        "staff_id": anna,
        "name": "Anna",
        "roles": ["clerk"],
        "permissions": ["ViewUnmaskedGiftCardCodes"],
        "provider": None,
        "disabled": True,
    }
    assert command("staff", "add", "Bob", "--role", "boss")[0] == 1
    assert command("staff", "disable", anna) == (1, "There is no such enabled staff member.\n")
    assert "disabled" in command("staff", "list")[1]
