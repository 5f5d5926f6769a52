"""Idempotency of money: the same key with the same input moves it once, declined or not."""

import asyncio
from typing import Any

import pytest

from giftgql.clients import service as clients
from giftgql.permissions import Channel, Permission
from giftgql.store import Store
from tests import factories
from tests.client import Answer, Client, Server
from tests.conftest import MakeClient, SetClock
from tests.factories import (
    TRANS,
    add,
    cancel,
    capture,
    card,
    code_of,
    done,
    edit,
    funded,
    hold,
    listed,
    money,
    movements,
    refund,
    spend,
    stand,
    top_up,
    trans,
    transfer,
)

KEY = {"idempotencyKey": "once"}


def use(made: dict[str, Any], amount: str = "-1.00", **facts: Any) -> dict[str, Any]:
    return {"code": code_of(made), "transType": "USE", "amount": amount, **facts}


async def requests_of(admin: Client, how: str) -> Any:
    """A request of a kind, with a key, and the card that it is about."""
    made = await funded(admin, "10.00")
    if how == "add":
        return made, lambda: trans(admin, **use(made), **KEY)
    if how == "authorise":
        return made, lambda: trans(admin, **use(made), authorizeOnly=True, **KEY)
    if how in ("capture", "cancel"):
        held = await hold(admin, made, "-4.00")
        if how == "capture":
            return made, lambda: capture(admin, held["id"], "3.00", **KEY)
        return made, lambda: cancel(admin, held["id"], **KEY)
    if how == "refund":
        used = await spend(admin, made, "-4.00")
        return made, lambda: refund(admin, used["id"], "1.00", **KEY)
    other = await card(admin)
    return made, lambda: transfer(admin, made["id"], other["id"], amount="4.00", **KEY)


@pytest.mark.parametrize("how", ["add", "authorise", "capture", "cancel", "refund", "transfer"])
async def test_a_repeated_request_moves_money_once_and_gives_the_first_answer(
    admin: Client, clock: SetClock, how: str
) -> None:
    made, request = await requests_of(admin, how)
    first: Answer = await request()
    assert not first.is_replayed
    after, recorded = await money(admin, made["id"]), await movements(admin)
    for _ in range(4):
        clock.forward(seconds=1)
        again = await request()
        assert again.is_replayed
        assert done(again) == done(first)
    assert await money(admin, made["id"]) == after
    assert await movements(admin) == recorded


@pytest.mark.parametrize("how", ["add", "authorise", "capture", "cancel", "refund", "transfer"])
async def test_the_first_answer_is_given_whatever_has_happened_since(
    admin: Client, clock: SetClock, how: str
) -> None:
    made, request = await requests_of(admin, how)
    first = await request()
    trans_id = done(first)["id"]
    await top_up(admin, made, "2.00")
    if how == "authorise":
        done(await capture(admin, trans_id, "0.50"))
    if how in ("add", "authorise", "capture"):
        done(await refund(admin, trans_id, "0.25"))
    clock.forward(days=400)
    for change in ("Block", "Unblock", "Disable"):
        done(await stand(admin, change, made["id"]))
        again = await request()
        assert again.is_replayed
        assert done(again) == done(first)


async def test_a_request_is_its_mutation_and_input_not_what_it_selects(admin: Client) -> None:
    made = await funded(admin)
    moved = done(await trans(admin, **use(made), **KEY))
    answer = await admin.run(
        "mutation ($t: GiftcardTransAddInput!) "
        "{ again: giftcardTransAdd(trans: $t) { id giftcard { id balance } } }",
        t={**KEY, **use(made)},
    )
    assert answer.is_replayed
    assert answer["again"] == {
        "id": moved["id"],
        "giftcard": {"id": made["id"], "balance": "9.00"},
    }


async def test_a_decline_keeps_its_answer_under_its_key(admin: Client, clock: SetClock) -> None:
    made = await funded(admin, "10.00")
    first = await trans(admin, **use(made, "-10.01"), **KEY)
    assert (first.code, first.is_replayed) == ("INSUFFICIENT_FUNDS", False)
    await top_up(admin, made, "5.00")
    for _ in range(3):
        clock.forward(days=1)
        again = await trans(admin, **use(made, "-10.01"), **KEY)
        assert again.is_replayed
        assert again.errors == first.errors
    assert len(await movements(admin, status="DECLINED")) == 1
    assert (await money(admin, made["id"]))["balance"] == "15.00"
    assert (await trans(admin, **use(made, "-10.00"), **KEY)).code == "IDEMPOTENCY_CONFLICT"


@pytest.mark.parametrize(("state", "undone"), [("Block", "Unblock")])
async def test_a_decline_by_a_block_stays_after_it_is_lifted(
    admin: Client, state: str, undone: str
) -> None:
    made = await funded(admin)
    held = await hold(admin, made, "-1.00")
    done(await stand(admin, state, made["id"]))
    for _ in range(2):
        answer = await capture(admin, held["id"], **KEY)
        assert answer.code == "CARD_BLOCKED"
        done(await stand(admin, undone, made["id"]))
    assert done(await capture(admin, held["id"]))["status"] == "COMPLETED"


@pytest.mark.parametrize(
    "other",
    [
        {"amount": "-1.01"},
        {"amount": "-1"},
        {"amount": "1.00", "transType": "ADD"},
        {"transType": "EXTERNAL"},
        {"codeType": "PHYSICAL"},
        {"currency": "EUR"},
        {"authorizeOnly": True},
        {"allowPartial": True},
        {"sourceId": "Till 8"},
        {"refNo": "2"},
        {"reason": "why"},
    ],
    ids=str,
)
async def test_another_request_with_the_key_is_refused_and_moves_nothing(
    admin: Client, other: dict[str, Any]
) -> None:
    made = await funded(admin)
    given = use(made, sourceId="Till 7", refNo="1")
    first = await trans(admin, **given, **KEY)
    answer = await trans(admin, **{**given, **other}, **KEY)
    assert (answer.code, answer.field) == ("IDEMPOTENCY_CONFLICT", "idempotencyKey")
    assert not answer.is_replayed
    assert (await money(admin, made["id"]))["balance"] == "9.00"
    assert len(await movements(admin)) == 2
    assert done(await trans(admin, **given, **KEY)) == done(first)


async def test_a_key_for_one_card_is_not_for_another(admin: Client) -> None:
    made, other = await funded(admin), await funded(admin)
    done(await trans(admin, **use(made), **KEY))
    assert (await trans(admin, **use(other), **KEY)).code == "IDEMPOTENCY_CONFLICT"
    assert (await money(admin, other["id"]))["balance"] == "10.00"


async def test_a_client_has_one_space_of_keys_over_all_mutations(admin: Client) -> None:
    made = await funded(admin, "10.00", idempotencyKey="card")
    other = await card(admin)
    used = await spend(admin, made, "-4.00", idempotencyKey="use")
    one, two = await hold(admin, made, "-1.00"), await hold(admin, made, "-1.00")
    done(await capture(admin, one["id"], idempotencyKey="capture"))
    done(await cancel(admin, two["id"], idempotencyKey="cancel"))
    done(await refund(admin, used["id"], "1.00", idempotencyKey="refund"))
    done(await transfer(admin, made["id"], other["id"], amount="1.00", idempotencyKey="move"))
    before, recorded = await money(admin, made["id"]), await movements(admin)
    held = await hold(admin, made, "-1.00")
    for key in ("card", "use", "capture", "cancel", "refund", "move"):
        k = {"idempotencyKey": key}
        answers = [
            await add(admin, physicalCode="NEW1", **k),
            await edit(admin, made["id"], note="new", **k),
            await trans(admin, **use(made, "-1.11"), **k),
            await capture(admin, held["id"], **k),
            await cancel(admin, held["id"], **k),
            await refund(admin, used["id"], "0.01", **k),
            await transfer(admin, made["id"], other["id"], amount="0.01", **k),
        ]
        assert {answer.code for answer in answers} == {"IDEMPOTENCY_CONFLICT"}
    done(await cancel(admin, held["id"]))
    assert await money(admin, made["id"]) == before
    assert (await movements(admin))[:-1] == recorded
    assert len((await listed(admin))["giftcard"]["results"]) == 2


async def test_another_clients_key_is_its_own(admin: Client, till: Client) -> None:
    made = await funded(admin)
    first = done(await trans(admin, **use(made), **KEY))
    answer = await trans(till, **use(made), **KEY)
    assert not answer.is_replayed
    assert done(answer)["id"] != first["id"]
    assert (await money(admin, made["id"]))["balance"] == "8.00"


@pytest.mark.parametrize("key", ["", "x" * 129, "a\nb", "\x7f", "ä", "🎁", "\x00"])
async def test_a_key_has_1_to_128_printable_ascii_characters(admin: Client, key: str) -> None:
    made = await funded(admin)
    held = await hold(admin, made, "-1.00")
    k = {"idempotencyKey": key}
    for answer in (
        await trans(admin, **use(made), **k),
        await capture(admin, held["id"], **k),
        await cancel(admin, held["id"], **k),
        await refund(admin, held["id"], **k),
        await transfer(admin, made["id"], (await card(admin))["id"], **k),
    ):
        assert (answer.code, answer.field) == ("INVALID_INPUT", "idempotencyKey")
    assert (await money(admin, made["id"]))["balance"] == "9.00"


async def test_a_refusal_before_the_rules_of_money_claims_no_key(
    admin: Client, store: Store, server: Server
) -> None:
    made = await funded(admin, physicalCode="GC4928", physicalPin="1234")
    await card(admin, externalCode="EX34802")
    await card(admin, physicalCode="EX34802")
    credential = await factories.client(store, roles=["shop"], channel=Channel.ONLINE)
    shop = server.client(credential.client_secret)
    for facts, error in (
        ({}, "PIN_REQUIRED"),
        ({"pin": "4321"}, "SECRET_INVALID"),
        ({"pin": "12"}, "INVALID_INPUT"),
        ({"code": "GC4929", "pin": "1234"}, "NOT_FOUND"),
        ({"code": "EX34802", "pin": "1234"}, "AMBIGUOUS_CODE"),
        ({"pin": "1234", "currency": "USD"}, "CURRENCY_MISMATCH"),
        ({"transType": "ADD", "amount": "1.00"}, "PERMISSION_DENIED"),
        ({"refNo": ""}, "INVALID_INPUT"),
    ):
        assert (await trans(shop, **use(made, **{**facts, **KEY}))).code == error
    answer = await trans(shop, **use(made, pin="1234"), **KEY)
    assert (answer.code, answer.is_replayed) == (None, False)


async def test_the_pin_is_no_part_of_the_request(admin: Client, client_with: MakeClient) -> None:
    made = await funded(admin, physicalPin="1234")
    first = await trans(admin, **use(made, pin="1234"), **KEY)
    again = await trans(admin, **use(made), **KEY)
    assert again.is_replayed
    assert done(again) == done(first)


@pytest.mark.parametrize("change", ["replaced", "revoked", "ambiguous"])
async def test_a_repeated_request_is_answered_also_when_its_code_has_ended(
    admin: Client, change: str
) -> None:
    made = await funded(admin, physicalCode="GC4928")
    first = await trans(admin, **use(made), **KEY)
    if change == "replaced":
        done(await edit(admin, made["id"], physicalCode="GC4929"))
    elif change == "revoked":
        done(await edit(admin, made["id"], externalCode="EX34802", revokePhysicalCode=True))
    else:
        await card(admin, externalCode="GC4928")
    again = await trans(admin, **use(made), **KEY)
    assert again.is_replayed
    assert done(again) == done(first)
    other = await trans(admin, **use(made, "-2.00"), **KEY)
    assert other.code == "IDEMPOTENCY_CONFLICT"


async def test_a_repeated_request_is_answered_also_when_the_secret_is_locked(
    admin: Client, client_with: MakeClient, clock: SetClock
) -> None:
    made = await funded(admin, physicalPin="1234")
    shop = await client_with(role="shop", channel=Channel.ONLINE)
    first = await trans(shop, **use(made, pin="1234"), **KEY)
    for _ in range(5):
        clock.forward(seconds=4)
        assert (await trans(shop, **use(made, pin="4321"))).code == "SECRET_INVALID"
    assert (await trans(shop, **use(made, pin="1234"))).code == "SECRET_LOCKED"
    again = await trans(shop, **use(made, pin="1234"), **KEY)
    assert again.is_replayed
    assert done(again) == done(first)


async def test_a_repeated_request_still_needs_its_permission(
    store: Store, admin: Client, server: Server
) -> None:
    credential = await factories.client(store, roles=["till"])
    made = await funded(admin)
    caller = server.client(credential.client_secret)
    done(await trans(caller, **use(made), **KEY))
    async with store.write() as tx:
        left = [Permission.GIFT_CARD_TRANS_ADD, Permission.USE_PHYSICAL_GIFT_CARD_CODES]
        await clients.set_rights(tx, credential.client_id, roles=(), permissions=left)
    async with Server.over(store) as later:
        answer = await trans(later.client(credential.client_secret), **use(made), **KEY)
    assert answer.code == "PERMISSION_DENIED"


async def test_one_document_with_a_key_twice_moves_money_once(admin: Client) -> None:
    made = await funded(admin)
    one = f"giftcardTransAdd(trans: $t) {{ {TRANS} }}"
    query = f"mutation ($t: GiftcardTransAddInput!) {{ a: {one} b: {one} }}"
    answer = await admin.run(query, t={**use(made), **KEY})
    assert answer["a"] == answer["b"]
    assert answer.is_replayed
    assert (await money(admin, made["id"]))["balance"] == "9.00"


@pytest.mark.parametrize(("amount", "error"), [("-1.00", None), ("-99.00", "INSUFFICIENT_FUNDS")])
async def test_thirty_at_once_with_one_key_have_one_effect_and_equal_answers(
    admin: Client, amount: str, error: str | None
) -> None:
    made = await funded(admin)
    answers = await asyncio.gather(*(trans(admin, **use(made, amount), **KEY) for _ in range(30)))
    assert {answer.code for answer in answers} == {error}
    assert sum(answer.is_replayed for answer in answers) == 29
    assert all(answer.body["data"] == answers[0].body["data"] for answer in answers)
    assert all(answer.errors == answers[0].errors for answer in answers)
    assert len(await movements(admin)) == 2
    assert (await money(admin, made["id"]))["balance"] == ("10.00" if error else "9.00")


async def test_thirty_at_once_with_one_key_for_different_amounts_have_one_effect(
    admin: Client,
) -> None:
    made = await funded(admin)
    cents = range(1, 31)
    answers = await asyncio.gather(
        *(trans(admin, **use(made, f"-0.{each:02}"), **KEY) for each in cents)
    )
    assert sum(answer.code is None for answer in answers) == 1
    assert {answer.code for answer in answers} == {None, "IDEMPOTENCY_CONFLICT"}
    assert len(await movements(admin)) == 2
