"""Idempotency: the same key with the same input does the work once."""

import asyncio
from typing import Any

import pytest

from giftgql.clients import service as clients
from giftgql.permissions import Permission
from giftgql.requests.service import once
from giftgql.store import Store
from tests.client import Answer, Client, Server
from tests.conftest import SetClock
from tests.factories import add, card, client, edit, find, listed, member

NOT_KEYS = ["", "x" * 129, "a\nb", "\x7f", "ä", "🎁", "\x00"]


async def count(caller: Client) -> int:
    return len((await listed(caller))["giftcard"]["results"])


def codes(answer: Answer, mutation: str = "giftcardAdd") -> list[dict[str, Any]]:
    return list(answer[mutation]["codes"])


async def test_the_same_request_is_done_once_and_answered_again(
    admin: Client, clock: SetClock
) -> None:
    facts = {
        "physicalCode": "GC4928",
        "physicalPin": "1234",
        "addPersonalCode": True,
        "memberId": await member(admin),
        "expiresOn": "2027-01-01",
        "metadata": {"b": 1, "a": [1.5, None]},
        "idempotencyKey": "once",
    }
    first = await add(admin, **facts)
    assert not first.is_replayed
    clock.forward(days=400)  # what was right when it was done is not checked again
    for _ in range(2):
        again = await add(admin, **facts)
        assert again.is_replayed
        first["giftcardAdd"]["status"] = again["giftcardAdd"]["status"]  # that of today
        assert again["giftcardAdd"] == first["giftcardAdd"]
    assert await count(admin) == 1


async def test_an_edit_is_done_once_and_answered_again(admin: Client) -> None:
    made = await card(admin, physicalCode="GC4928")
    facts = {"revokePhysicalCode": True, "externalCode": "EX34802", "idempotencyKey": "once"}
    first = await edit(admin, made["id"], **facts)
    again = await edit(admin, made["id"], **facts)
    assert again["giftcardEdit"] == first["giftcardEdit"]
    assert (first.is_replayed, again.is_replayed) == (False, True)
    await edit(admin, made["id"], externalCode="EX34803")
    again = await edit(admin, made["id"], **facts)
    assert [code["code"] for code in codes(again, "giftcardEdit")] == ["EX34802"]
    found = (await find(admin, "EX34803"))["giftcard"]["results"]
    assert [code["code"] for code in found[0]["codes"]] == ["EX34803"]


async def test_a_replay_gives_the_first_answer_also_when_the_card_was_edited_since(
    admin: Client, clock: SetClock
) -> None:
    facts = {"physicalCode": "GC4928", "note": "first", "idempotencyKey": "once"}
    first = (await add(admin, **facts))["giftcardAdd"]
    clock.forward(hours=1)
    await edit(
        admin,
        first["id"],
        memberId=await member(admin),
        physicalCode="GC4929",
        externalCode="EX34802",
        note="second",
        metadata={"a": 1},
    )
    again = await add(admin, **facts)
    assert again.is_replayed
    assert [code["code"] for code in codes(again)] == ["GC4928"]
    assert again["giftcardAdd"]["id"] == first["id"]
    facts_of_card = ("memberId", "note", "metadata", "currency", "expiresOn", "createdAt")
    assert {fact: again["giftcardAdd"][fact] for fact in facts_of_card} == {
        fact: first[fact] for fact in facts_of_card
    }


@pytest.mark.parametrize(
    "other",
    [
        {"physicalCode": "GC4929"},
        {"physicalCode": "gc4928"},
        {"externalCode": "EX34802"},
        {"note": "another"},
        {"note": None},
        {"metadata": {"a": 2}},
        {"currency": "USD"},
        {"expiresOn": "2999-01-02"},
        {"physicalExpiresOn": "2999-01-01"},
    ],
    ids=str,
)
async def test_another_request_with_the_key_is_refused_and_does_nothing(
    admin: Client, other: dict[str, Any]
) -> None:
    facts = {
        "physicalCode": "GC4928",
        "note": "a note",
        "metadata": {"a": 1},
        "expiresOn": "2999-01-01",
        "idempotencyKey": "once",
    }
    first = (await add(admin, **facts))["giftcardAdd"]
    answer = await add(admin, **{**facts, **other})
    assert (answer.code, answer.field) == ("IDEMPOTENCY_CONFLICT", "idempotencyKey")
    assert not answer.is_replayed
    assert (await listed(admin))["giftcard"]["results"] == [first]
    assert (await add(admin, **facts)).is_replayed


async def test_the_order_of_keys_in_metadata_makes_no_other_request(admin: Client) -> None:
    facts = {"physicalCode": "GC4928", "idempotencyKey": "once"}
    await card(admin, **facts, metadata={"a": {"x": 1, "y": 2}, "b": 2})
    answer = await add(admin, **facts, metadata={"b": 2, "a": {"y": 2, "x": 1}})
    assert answer.is_replayed


async def test_a_key_is_of_one_mutation_and_one_card(admin: Client) -> None:
    facts = {"physicalCode": "GC4928", "idempotencyKey": "once"}
    made, other = await card(admin, **facts), await card(admin)
    answer = await edit(admin, made["id"], **facts)
    assert answer.code == "IDEMPOTENCY_CONFLICT"
    assert (await edit(admin, made["id"], note="1", idempotencyKey="twice")).code is None
    assert (await edit(admin, other["id"], note="1", idempotencyKey="twice")).code == (
        "IDEMPOTENCY_CONFLICT"
    )
    assert (await add(admin, physicalCode="GC4930", idempotencyKey="twice")).code == (
        "IDEMPOTENCY_CONFLICT"
    )
    assert await count(admin) == 2
    assert (await listed(admin, id=other["id"]))["giftcard"]["results"] == [other]


async def test_a_refusal_claims_no_key(admin: Client) -> None:
    await card(admin, physicalCode="TAKEN")
    key = {"idempotencyKey": "once"}
    for refused, code in (
        ({"physicalCode": "TAKEN"}, "CODE_TAKEN"),
        ({"physicalCode": "x"}, "INVALID_INPUT"),
        ({"physicalCode": "GC4928", "physicalPin": "12"}, "INVALID_INPUT"),
        ({"addPersonalCode": True}, "MEMBER_REQUIRED"),
        ({"physicalCode": "GC4928", "memberId": "C-nobody"}, "MEMBER_NOT_FOUND"),
        ({"physicalCode": "GC4928", "expiresOn": "2001-01-01"}, "PAST_EXPIRATION"),
    ):
        for _ in range(2):
            assert (await add(admin, **refused, **key)).code == code
    assert not (await add(admin, physicalCode="GC4928", **key)).is_replayed
    made = (await listed(admin))["giftcard"]["results"][-1]
    assert (await edit(admin, made["id"], revokeExternalCode=True, idempotencyKey="2")).code
    assert not (await edit(admin, made["id"], note="2", idempotencyKey="2")).is_replayed


async def test_a_permission_refused_claims_no_key(
    store: Store, server: Server, admin: Client
) -> None:
    credential = await client(store)
    facts = {"physicalCode": "GC4928", "idempotencyKey": "once"}
    refused = await add(server.client(credential.client_secret), **facts)
    assert refused.code == "PERMISSION_DENIED"
    await grant(store, credential.client_id, Permission.CREATE_GIFT_CARD)
    async with Server.over(store) as later:
        answer = await add(later.client(credential.client_secret), **facts)
        assert (answer.code, answer.is_replayed) == (None, False)


async def test_a_pin_is_no_part_of_the_request(admin: Client) -> None:
    facts = {"physicalCode": "GC4928", "idempotencyKey": "once"}
    await card(admin, **facts, physicalPin="1234")
    assert (await add(admin, **facts, physicalPin="4321")).is_replayed
    assert (await add(admin, **facts)).is_replayed
    assert await count(admin) == 1


async def test_another_clients_key_is_its_own(admin: Client, till: Client) -> None:
    facts = {"physicalCode": "GC4928", "idempotencyKey": "once"}
    await card(admin, **facts)
    answer = await add(till, **facts)
    assert (answer.code, answer.is_replayed) == ("CODE_TAKEN", False)
    answer = await add(till, **{**facts, "physicalCode": "GC4929"})
    assert (answer.code, answer.is_replayed) == (None, False)
    assert await count(admin) == 2


async def test_a_key_has_1_to_128_printable_ascii_characters(admin: Client) -> None:
    made = await card(admin)
    for key in NOT_KEYS:
        answer = await add(admin, physicalCode="GC4928", idempotencyKey=key)
        assert (key, answer.code, answer.field) == (key, "INVALID_INPUT", "idempotencyKey")
        answer = await edit(admin, made["id"], note="x", idempotencyKey=key)
        assert (key, answer.code, answer.field) == (key, "INVALID_INPUT", "idempotencyKey")
    assert await count(admin) == 1
    for number, key in enumerate((" ", "x" * 128, "x" * 127, "~!'\"%;")):
        assert not (await add(admin, physicalCode=f"GC492{number}", idempotencyKey=key)).errors
    assert await count(admin) == 5


async def test_keys_differ_in_case_and_no_key_is_no_key(admin: Client) -> None:
    for number, key in enumerate(("once", "ONCE", "once ", None, None)):
        answer = await add(admin, physicalCode=f"GC492{number}", idempotencyKey=key)
        assert (answer.code, answer.is_replayed) == (None, False)


async def test_a_replay_shows_codes_under_the_rights_of_today(
    store: Store, server: Server, admin: Client
) -> None:
    owner = await member(admin)
    credential = await client(
        store,
        permissions=[Permission.CREATE_GIFT_CARD, Permission.VIEW_UNMASKED_GIFT_CARD_CODES],
    )
    facts = {
        "physicalCode": "GC4928",
        "addPersonalCode": True,
        "memberId": owner,
        "idempotencyKey": "once",
    }
    first = codes(await add(server.client(credential.client_secret), **facts))
    assert [code["isMasked"] for code in first] == [False, False]

    async def replayed() -> Answer:
        async with Server.over(store) as later:
            answer: Answer = await add(later.client(credential.client_secret), **facts)
            return answer

    await grant(store, credential.client_id, Permission.CREATE_GIFT_CARD)
    again = await replayed()
    assert again.is_replayed
    assert [code["isMasked"] for code in codes(again)] == [False, True]
    assert codes(again)[1]["code"] == "*" * 12 + first[1]["code"][-4:]
    await grant(store, credential.client_id)
    assert (await replayed()).code == "PERMISSION_DENIED"


async def test_a_replayed_edit_shows_codes_under_the_rights_of_today(
    store: Store, admin: Client
) -> None:
    may_edit = [Permission.EDIT_GIFT_CARD]
    credential = await client(
        store, permissions=[*may_edit, Permission.USE_PHYSICAL_GIFT_CARD_CODES]
    )
    made = await card(admin, physicalCode="GC4928")
    shown = []
    for permissions in ([*may_edit, Permission.USE_PHYSICAL_GIFT_CARD_CODES], may_edit):
        await grant(store, credential.client_id, *permissions)
        async with Server.over(store) as later:
            caller = later.client(credential.client_secret)
            answer = await edit(caller, made["id"], externalCode="EX34802", idempotencyKey="1")
            shown.append([code["code"] for code in codes(answer, "giftcardEdit")])
    assert shown == [["GC4928", "EX34802"], ["EX34802"]]


async def test_one_request_with_a_key_twice_does_it_once(admin: Client) -> None:
    one = 'giftcardAdd(giftcard: {physicalCode: "GC4928", idempotencyKey: "once"}) { id }'
    answer = await admin.run(f"mutation {{ a: {one} b: {one} }}")
    assert answer["a"] == answer["b"]
    assert answer.is_replayed


async def test_twenty_at_once_with_one_key_make_one_card(admin: Client) -> None:
    facts = {
        "addPersonalCode": True,
        "memberId": await member(admin),
        "idempotencyKey": "once",
    }
    answers = await asyncio.gather(*(add(admin, **facts) for _ in range(20)))
    assert len({answer["giftcardAdd"]["id"] for answer in answers}) == 1
    assert sum(answer.is_replayed for answer in answers) == 19
    assert [codes(answer) for answer in answers] == [codes(answers[0])] * 20
    assert await count(admin) == 1


def test_a_request_shows_no_code_when_it_is_printed() -> None:
    request = once("once", "giftcardAdd", {"physical_code": "GC49288330"})
    assert "GC49288330" not in repr(request)


async def grant(store: Store, client_id: str, *permissions: Permission) -> None:
    """Give a client these rights and no others; a server that begins later knows no others."""
    async with store.write() as tx:
        await clients.set_rights(tx, client_id, roles=(), permissions=permissions)
