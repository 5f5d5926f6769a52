"""giftcardEdit: codes added, replaced and revoked; the owner; all or nothing."""

from typing import Any

import pytest

from giftgql.permissions import Permission
from giftgql.store import Store
from tests.client import Client
from tests.conftest import MakeClient, SetClock
from tests.factories import add, card, digital, edit, find, listed, member


async def read(caller: Client, card_id: str) -> dict[str, Any]:
    """The card as it is now."""
    return dict((await listed(caller, id=card_id))["giftcard"]["results"][0])


async def finds(caller: Client, code: str, kind: str | None = None) -> list[str]:
    return [each["id"] for each in (await find(caller, code, kind))["giftcard"]["results"]]


def kinds(made: dict[str, Any]) -> list[str]:
    return [code["codeType"] for code in made["codes"]]


def history(made: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(each["codeType"], each["code"], each["ending"]) for each in made["codeHistory"]]


async def pins(store: Store, card_id: str) -> list[bool]:
    """Which of the card's live codes have a PIN, which no answer tells."""
    async with store.read() as reading:
        return [bool(code.pin_verifier) for code in await reading.cards.live_codes([int(card_id)])]


async def test_a_code_of_another_type_is_added(admin: Client, clock: SetClock) -> None:
    made = await card(admin, physicalCode="GC4928")
    clock.forward(hours=1)
    edited = (await edit(admin, made["id"], externalCode="EX34802"))["giftcardEdit"]
    assert kinds(edited) == ["PHYSICAL", "EXTERNAL"]
    assert edited["codes"][0] == made["codes"][0]
    assert edited["codeHistory"] == []
    assert (edited["createdAt"], edited["modifiedAt"]) == (
        "2026-11-21T12:00:00+00:00",
        "2026-11-21T13:00:00+00:00",
    )
    assert edited == await read(admin, made["id"])
    assert await finds(admin, "EX34802") == await finds(admin, "GC4928") == [made["id"]]


async def test_a_code_of_a_type_the_card_has_replaces_it(admin: Client, clock: SetClock) -> None:
    made = await card(admin, physicalCode="GC4928", externalCode="EX34802")
    clock.forward(hours=1)
    edited = (await edit(admin, made["id"], physicalCode="GC4929"))["giftcardEdit"]
    assert [code["code"] for code in edited["codes"]] == ["GC4929", "EX34802"]
    assert history(edited) == [("PHYSICAL", "GC4928", "REPLACED")]
    assert edited["codeHistory"][0]["endedAt"] == "2026-11-21T13:00:00+00:00"
    assert await finds(admin, "GC4928") == []
    assert await finds(admin, "GC4929") == [made["id"]]


async def test_a_replaced_code_takes_its_pin_and_its_expiry_with_it(
    admin: Client, store: Store
) -> None:
    made = await card(
        admin, physicalCode="GC4928", physicalPin="1234", physicalExpiresOn="2999-01-01"
    )
    assert await pins(store, made["id"]) == [True]
    edited = (await edit(admin, made["id"], physicalCode="GC4929"))["giftcardEdit"]
    assert edited["codes"][0]["expiresOn"] is None
    assert await pins(store, made["id"]) == [False]
    await edit(admin, made["id"], physicalCode="GC4930", physicalPin="1234")
    assert await pins(store, made["id"]) == [True]


async def test_a_revoked_code_stops_working_at_once_and_stays_in_history(admin: Client) -> None:
    owner = await member(admin)
    made = await card(
        admin,
        physicalCode="GC4928",
        externalCode="EX34802",
        addPersonalCode=True,
        memberId=owner,
    )
    left = ["PHYSICAL", "PERSONAL", "EXTERNAL"]
    for kind in ("PERSONAL", "PHYSICAL", "EXTERNAL"):
        answer = await edit(admin, made["id"], **{f"revoke{kind.title()}Code": True})
        left.remove(kind)
        assert kinds(answer["giftcardEdit"]) == left
        ended = answer["giftcardEdit"]["codeHistory"][0]
        assert (ended["codeType"], ended["ending"]) == (kind, "REVOKED")
    assert await finds(admin, "GC4928") == await finds(admin, "EX34802") == []
    after = await read(admin, made["id"])
    assert [each["codeType"] for each in after["codeHistory"]] == [
        "EXTERNAL",
        "PHYSICAL",
        "PERSONAL",
    ]


async def test_a_digital_code_can_be_revoked(admin: Client, store: Store) -> None:
    card_id = await digital(store)
    edited = (await edit(admin, card_id, revokeDigitalCode=True))["giftcardEdit"]
    assert edited["codes"] == []
    assert [each["ending"] for each in edited["codeHistory"]] == ["REVOKED"]


async def test_revoking_what_is_not_there_is_refused(admin: Client) -> None:
    made = await card(admin, physicalCode="GC4928")
    for kind in ("Personal", "External", "Digital"):
        answer = await edit(admin, made["id"], **{f"revoke{kind}Code": True})
        assert (answer.code, answer.field) == ("NOT_FOUND", f"revoke{kind}Code")
    await edit(admin, made["id"], revokePhysicalCode=True)
    answer = await edit(admin, made["id"], revokePhysicalCode=True)
    assert (answer.code, answer.field) == ("NOT_FOUND", "revokePhysicalCode")


async def test_revoking_and_adding_a_type_replaces_it(admin: Client) -> None:
    made = await card(admin, physicalCode="GC4928")
    answer = await edit(admin, made["id"], revokePhysicalCode=True, physicalCode="GC4929")
    assert history(answer["giftcardEdit"]) == [("PHYSICAL", "GC4928", "REPLACED")]
    assert [code["code"] for code in answer["giftcardEdit"]["codes"]] == ["GC4929"]


async def test_a_code_is_never_used_again(admin: Client) -> None:
    """Neither live, replaced nor revoked; by no card, its own included; however it is written."""
    made = await card(admin, physicalCode="GC4928", externalCode="EX34802")
    other = await card(admin, physicalCode="GC0001")

    async def assert_taken(field: str, *texts: str) -> None:
        for text in texts:
            for card_id in (made["id"], other["id"]):
                answer = await edit(admin, card_id, **{field: text})
                assert (answer.code, answer.field) == ("CODE_TAKEN", field)
            answer = await add(admin, **{field: text})
            assert (answer.code, answer.field) == ("CODE_TAKEN", field)

    await assert_taken("physicalCode", "GC4928", "gc-49 28")
    await edit(admin, made["id"], physicalCode="GC4929", revokeExternalCode=True)
    await assert_taken("physicalCode", "GC4928", "gc-49 28")
    await assert_taken("externalCode", "EX34802", "ex 34802")
    await edit(admin, made["id"], revokePhysicalCode=True)
    await assert_taken("physicalCode", "GC4929")
    assert (await read(admin, made["id"]))["codes"] == []
    assert (await read(admin, other["id"])) == other


async def test_an_ended_code_may_become_one_of_another_type(admin: Client) -> None:
    made = await card(admin, physicalCode="GC4928")
    answer = await edit(admin, made["id"], revokePhysicalCode=True, externalCode="GC4928")
    assert kinds(answer["giftcardEdit"]) == ["EXTERNAL"]
    assert await finds(admin, "GC4928") == [made["id"]]
    assert await finds(admin, "GC4928", "PHYSICAL") == []


@pytest.mark.parametrize(
    ("bad", "code", "field"),
    [
        ({"externalCode": "TAKEN"}, "CODE_TAKEN", "externalCode"),
        ({"externalCode": "🎁🎁🎁🎁"}, "INVALID_INPUT", "externalCode"),
        ({"externalCode": "*" * 12 + "1234"}, "INVALID_INPUT", "externalCode"),
        ({"externalExpiresOn": "2999-01-01"}, "INVALID_INPUT", "externalExpiresOn"),
        ({"personalExpiresOn": "2026-11-20"}, "PAST_EXPIRATION", "personalExpiresOn"),
        ({"physicalPin": "1234"}, "INVALID_INPUT", "physicalPin"),
        ({"physicalExpiresOn": "2999-01-01"}, "INVALID_INPUT", "physicalExpiresOn"),
        ({"revokeExternalCode": True}, "NOT_FOUND", "revokeExternalCode"),
        ({"memberId": "C-nobody"}, "MEMBER_NOT_FOUND", "memberId"),
        ({"note": "x" * 1_001}, "INVALID_INPUT", "note"),
        ({"metadata": {"a": 2**53}}, "INVALID_INPUT", "metadata"),
        ({"idempotencyKey": ""}, "INVALID_INPUT", "idempotencyKey"),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_several_changes_are_made_all_or_none(
    admin: Client, clock: SetClock, bad: dict[str, Any], code: str, field: str
) -> None:
    await card(admin, externalCode="TAKEN")
    made = await card(admin, physicalCode="GC4928", note="before", metadata={"a": 1})
    until = (await listed(admin, since=""))["giftcard"]["until"]
    clock.forward(hours=1)
    good = {
        "revokePhysicalCode": True,
        "addPersonalCode": True,
        "memberId": await member(admin),
        "note": "after",
        "metadata": None,
    }
    answer = await edit(admin, made["id"], **{**good, **bad})
    assert (answer.code, answer.field) == (code, field)
    assert answer.body["data"] == {"giftcardEdit": None}
    assert await read(admin, made["id"]) == made
    assert await finds(admin, "GC4928") == [made["id"]]
    assert (await listed(admin, since=until))["giftcard"]["results"] == []


async def test_the_first_owner_given_stays_the_owner(admin: Client) -> None:
    first, second = await member(admin), await member(admin)
    made = await card(admin)
    assert made["memberId"] is None
    answer = await edit(admin, made["id"], addPersonalCode=True)
    assert (answer.code, answer.field) == ("MEMBER_REQUIRED", "memberId")
    answer = await edit(admin, made["id"], addPersonalCode=True, memberId=first)
    assert answer["giftcardEdit"]["memberId"] == first
    answer = await edit(admin, made["id"], memberId=second)
    assert (answer.code, answer.field) == ("MEMBER_MISMATCH", "memberId")
    answer = await edit(admin, made["id"], memberId="C-nobody")
    assert (answer.code, answer.field) == ("MEMBER_MISMATCH", "memberId")
    for facts in ({"memberId": first}, {"memberId": None}, {"addPersonalCode": True}):
        answer = await edit(admin, made["id"], **facts)
        assert answer["giftcardEdit"]["memberId"] == first
    answer = await edit(admin, made["id"], revokePersonalCode=True)
    assert answer["giftcardEdit"]["memberId"] == first


async def test_a_card_is_edited_by_its_internal_id_only(admin: Client) -> None:
    made = await card(admin, physicalCode="4928")
    never = ["0", "-1", "", "4928", "999999999", "9" * 18, "9" * 30, "1.0", "abc", "１", "0x1"]  # noqa: RUF001
    for card_id in never:
        answer = await edit(admin, card_id, note="changed")
        assert (card_id, answer.code, answer.field) == (card_id, "NOT_FOUND", "id")
        assert (await listed(admin, id=card_id))["giftcard"]["results"] == []
    assert await read(admin, made["id"]) == made


async def test_what_is_left_out_stays_and_null_empties(admin: Client) -> None:
    made = await card(admin, note="a note", metadata={"a": 1}, expiresOn="2999-01-01")
    edited = (await edit(admin, made["id"], externalCode="EX34802"))["giftcardEdit"]
    assert (edited["note"], edited["metadata"]) == ("a note", {"a": 1})
    edited = (await edit(admin, made["id"], note=None))["giftcardEdit"]
    assert (edited["note"], edited["metadata"]) == (None, {"a": 1})
    edited = (await edit(admin, made["id"], note="new", metadata=None))["giftcardEdit"]
    assert (edited["note"], edited["metadata"]) == ("new", None)
    edited = (await edit(admin, made["id"], metadata={"b": []}))["giftcardEdit"]
    assert (edited["note"], edited["metadata"]) == ("new", {"b": []})
    edited = (await edit(admin, made["id"], physicalCode=None, memberId=None))["giftcardEdit"]
    assert kinds(edited) == ["PHYSICAL", "EXTERNAL"]
    assert edited == await read(admin, made["id"])
    assert edited["expiresOn"] == "2999-01-01"


async def test_history_shows_the_last_ended_code_first(admin: Client) -> None:
    made = await card(admin, physicalCode="GC-0000")
    for number in range(1, 6):
        await edit(admin, made["id"], physicalCode=f"GC-{number}000")
    after = await read(admin, made["id"])
    texts = [each["code"] for each in after["codeHistory"]]
    assert texts == ["GC-4000", "GC-3000", "GC-2000", "GC-1000", "GC-0000"]


async def test_each_new_personal_code_is_another(client_with: MakeClient) -> None:
    full = await client_with(*Permission)
    made = await card(full, addPersonalCode=True, memberId=await member(full))
    texts = [made["codes"][0]["code"]]
    for _ in range(4):
        edited = (await edit(full, made["id"], addPersonalCode=True))["giftcardEdit"]
        texts.append(edited["codes"][0]["code"])
        assert [each["code"] for each in edited["codeHistory"]] == texts[-2::-1]
    assert len(set(texts)) == 5
    assert [await finds(full, text) for text in texts] == [[]] * 4 + [[made["id"]]]


async def test_editing_a_card_needs_its_own_permission(
    client_with: MakeClient, admin: Client
) -> None:
    made = await card(admin, physicalCode="GC4928")
    others = [
        await client_with(*(set(Permission) - {Permission.EDIT_GIFT_CARD})),
        await client_with(role="administrator"),
    ]
    for caller in others:
        answer = await edit(caller, made["id"], revokePhysicalCode=True)
        assert answer.code == "PERMISSION_DENIED"
        assert answer.errors[0]["extensions"]["permission"] == "EditGiftCard"
    assert await read(admin, made["id"]) == made


async def test_a_refused_edit_leaves_its_neighbours_answers(admin: Client) -> None:
    made = await card(admin, physicalCode="GC4928")
    answer = await admin.run(
        """mutation ($id: ID!) {
            one: giftcardEdit(giftcard: {id: $id, externalCode: "EX34802"}) { note }
            two: giftcardEdit(giftcard: {id: $id, externalCode: "ex-34802", note: "2"}) { note }
            three: giftcardEdit(giftcard: {id: $id, revokePhysicalCode: true}) { note }
        }""",
        id=made["id"],
    )
    assert answer.code == "CODE_TAKEN"
    assert answer.body["data"] == {"one": {"note": None}, "two": None, "three": {"note": None}}
    assert kinds(await read(admin, made["id"])) == ["EXTERNAL"]
