"""Reversals: what a till sends when it does not know what became of a request."""

import asyncio
from typing import Any

import pytest

from giftgql.permissions import Permission
from tests.client import Client
from tests.conftest import MakeClient, SetClock
from tests.factories import (
    add,
    cancel,
    capture,
    card,
    code_of,
    done,
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
    undo,
)

Card = dict[str, Any]


async def shown(admin: Client, made: Card) -> tuple[str, ...]:
    found = await money(admin, made["id"])
    return tuple(found[name] for name in ("balance", "lifetimeTotal", "redeemed", "subtracted"))


async def test_a_reversal_refunds_what_its_key_took(till: Client, admin: Client) -> None:
    made = await funded(till, "10.00")
    used = await spend(till, made, "-4.00", idempotencyKey="lost")
    back = done(await undo(till, "lost"))
    assert (back["transType"], back["amount"], back["relatedId"]) == (
        *("REFUND", "4.00"),
        used["id"],
    )
    for _ in range(3):
        again = done(await undo(till, "lost"))
        assert again["id"] in (used["id"], back["id"])
    assert await shown(admin, made) == ("10.00", "10.00", "0.00", "0.00")
    assert len(await movements(admin)) == 3
    late = await trans(
        till, code=code_of(made), transType="USE", amount="-4.00", idempotencyKey="lost"
    )
    assert late.is_replayed, "the first answer, and nothing more"
    assert (await shown(admin, made))[0] == "10.00"


async def test_a_reversal_takes_back_what_its_key_added(till: Client, admin: Client) -> None:
    made = await funded(till, "10.00")
    await top_up(till, made, "5.00", idempotencyKey="lost")
    await spend(till, made, "-12.00")
    answer = await undo(till, "lost")
    assert answer.code == "INSUFFICIENT_FUNDS"
    await top_up(till, made, "2.00")
    assert done(await undo(till, "lost"))["amount"] == "-5.00"
    assert (await shown(admin, made))[0] == "0.00"


async def test_a_reversal_refunds_only_what_is_left(till: Client, admin: Client) -> None:
    made = await funded(till, "10.00")
    used = await spend(till, made, "-4.00", idempotencyKey="lost")
    done(await refund(till, used["id"], "1.00"))
    assert done(await undo(till, "lost"))["amount"] == "3.00"
    assert (await shown(admin, made))[0] == "10.00"


@pytest.mark.parametrize("end", ["none", "capture", "cancel", "time out"])
async def test_a_reversal_of_an_authorisation_frees_the_money(
    till: Client, admin: Client, clock: SetClock, end: str
) -> None:
    made = await funded(till, "10.00")
    held = await hold(till, made, "-4.00", idempotencyKey="lost", authorizeFor="PT1M")
    if end == "capture":
        done(await capture(till, held["id"], "3.00"))
    elif end == "cancel":
        done(await cancel(till, held["id"]))
    elif end == "time out":
        clock.forward(minutes=1)
    for number in range(3):
        undone = done(await undo(till, "lost"))
        if end == "capture" and number == 0:
            assert (undone["transType"], undone["amount"]) == ("REFUND", "3.00")
        elif end != "capture":
            assert (undone["id"], undone["status"]) == (held["id"], "CANCELLED")
            assert undone["releasedAmount"] == "4.00"
        found = await money(admin, made["id"])
        assert (found["balance"], found["held"], found["redeemed"]) == ("10.00", "0.00", "0.00")


async def test_a_repeated_reversal_says_what_is_true_now(till: Client) -> None:
    made = await funded(till, "10.00")
    used = await spend(till, made, "-4.00", idempotencyKey="lost")
    first = done(await undo(till, "lost"))
    again = done(await undo(till, "lost"))
    shows_refund = again["id"] == first["id"]
    assert shows_refund or (again["id"], again["refundedAmount"]) == (used["id"], "4.00")


async def test_a_reversal_of_a_capture_refunds_it_and_of_a_cancellation_does_nothing(
    till: Client, admin: Client
) -> None:
    made = await funded(till, "10.00")
    one, two = await hold(till, made, "-4.00"), await hold(till, made, "-1.00")
    done(await capture(till, one["id"], "3.00", idempotencyKey="capture"))
    done(await cancel(till, two["id"], idempotencyKey="cancel"))
    assert (await shown(admin, made))[0] == "7.00"
    for _ in range(2):
        done(await undo(till, "capture"))
        assert (await shown(admin, made))[0] == "10.00"
        assert done(await undo(till, "cancel"))["status"] == "CANCELLED"
        assert (await shown(admin, made))[0] == "10.00"


@pytest.mark.parametrize("amount", ["-4.00", "4.00"])
async def test_a_reversal_of_a_refund_makes_it_refundable_again(
    till: Client, admin: Client, amount: str
) -> None:
    made = await funded(till, "10.00")
    kind = "USE" if amount.startswith("-") else "ADD"
    moved = done(await trans(till, code=code_of(made), transType=kind, amount=amount))
    before = await shown(admin, made)
    back = done(await refund(till, moved["id"], "3.00", idempotencyKey="lost"))
    again = done(await undo(till, "lost"))
    assert (again["transType"], again["relatedId"]) == ("REFUND", back["id"])
    assert again["amount"] == ("-3.00" if kind == "USE" else "3.00")
    assert await shown(admin, made) == before
    done(await undo(till, "lost"))
    assert await shown(admin, made) == before
    [found] = await movements(admin, id=moved["id"])
    assert found["refundedAmount"] == "0.00"
    assert done(await refund(till, moved["id"]))["amount"].lstrip("-") == "4.00"
    assert (await refund(till, moved["id"])).code == "REFUND_EXCEEDS_CAPTURED"


async def test_a_reversal_of_a_transfer_moves_the_funds_back(admin: Client) -> None:
    made, other = await funded(admin, "10.00"), await card(admin)
    done(await transfer(admin, made["id"], other["id"], amount="4.00", idempotencyKey="lost"))
    for _ in range(3):
        done(await undo(admin, "lost"))
        assert (await shown(admin, made))[0] == "10.00"
        assert (await shown(admin, other))[0] == "0.00"


async def test_a_reversal_of_a_transfer_that_was_spent_is_refused(admin: Client) -> None:
    made, other = await funded(admin, "10.00"), await card(admin)
    done(await transfer(admin, made["id"], other["id"], amount="4.00", idempotencyKey="lost"))
    await spend(admin, other, "-0.01")
    assert (await undo(admin, "lost")).code == "INSUFFICIENT_FUNDS"
    assert (await shown(admin, made))[0] == "6.00"
    assert (await shown(admin, other))[0] == "3.99"
    await top_up(admin, other, "0.01")
    done(await undo(admin, "lost"))
    assert (await shown(admin, made))[0] == "10.00"


async def test_a_reversal_of_what_never_came_refuses_the_late_request(
    till: Client, admin: Client
) -> None:
    made = await funded(till, "10.00")
    for _ in range(3):
        answer = await undo(till, "lost")
        assert answer.body == {"data": {"giftcardTransCancel": None}}
    late = {"code": code_of(made), "transType": "USE", "amount": "-4.00", "idempotencyKey": "lost"}
    for _ in range(2):
        answer = await trans(till, **late)
        assert (answer.code, answer.is_replayed) == ("IDEMPOTENCY_CONFLICT", False)
        assert (await undo(till, "lost")).body == {"data": {"giftcardTransCancel": None}}
    held = await hold(till, made, "-1.00")
    key = {"idempotencyKey": "lost"}
    assert (await add(till, physicalCode="GC4928", **key)).code == "IDEMPOTENCY_CONFLICT"
    assert (await capture(till, held["id"], **key)).code == "IDEMPOTENCY_CONFLICT"
    assert (await cancel(till, held["id"], **key)).code == "IDEMPOTENCY_CONFLICT"
    done(await cancel(till, held["id"]))
    assert (await shown(admin, made))[0] == "10.00"
    assert len(await movements(admin)) == 2


async def test_a_reversal_concerns_the_callers_own_key(till: Client, admin: Client) -> None:
    made = await funded(till, "10.00")
    await spend(till, made, "-4.00", idempotencyKey="lost")
    assert (await undo(admin, "lost")).body == {"data": {"giftcardTransCancel": None}}
    assert (await shown(admin, made))[0] == "6.00"
    assert done(await undo(till, "lost"))["amount"] == "4.00"


async def test_a_reversal_of_what_was_declined_moves_nothing_and_is_no_error(
    till: Client, admin: Client
) -> None:
    made = await funded(till, "10.00")
    given = {"code": code_of(made), "transType": "USE", "idempotencyKey": "lost"}
    assert (await trans(till, **given, amount="-10.01")).code == "INSUFFICIENT_FUNDS"
    for _ in range(2):
        answer = await undo(till, "lost")
        assert answer.code is None
        undone = answer["giftcardTransCancel"]
        assert undone is None or undone["status"] == "DECLINED"
    assert (await trans(till, **given, amount="-10.01")).code == "INSUFFICIENT_FUNDS"
    assert (await shown(admin, made))[0] == "10.00"
    assert len(await movements(admin)) == 2


async def test_a_reversal_of_what_moved_no_money_is_refused(till: Client, admin: Client) -> None:
    made = await card(till, physicalCode="GC4928", idempotencyKey="lost")
    answer = await undo(till, "lost")
    assert (answer.code, answer.field) == ("CONFLICT", "ofKey")
    assert [each["id"] for each in (await listed(admin))["giftcard"]["results"]] == [made["id"]]
    assert (await add(till, physicalCode="GC4928", idempotencyKey="lost")).is_replayed


async def test_a_reversal_on_a_blocked_card_is_refused_until_it_is_unblocked(
    till: Client, admin: Client
) -> None:
    made = await funded(till, "10.00")
    await spend(till, made, "-4.00", idempotencyKey="lost")
    done(await stand(admin, "Block", made["id"]))
    assert (await undo(till, "lost")).code == "CARD_BLOCKED"
    done(await stand(admin, "Unblock", made["id"]))
    assert done(await undo(till, "lost"))["balance"] == "10.00"


async def test_a_till_that_may_not_refund_may_reverse_its_own(
    admin: Client, client_with: MakeClient
) -> None:
    made = await funded(admin, "10.00")
    till = await client_with(
        Permission.GIFT_CARD_TRANS_USE, Permission.USE_PHYSICAL_GIFT_CARD_CODES
    )
    used = await spend(till, made, "-4.00", idempotencyKey="lost")
    assert (await refund(till, used["id"])).code == "PERMISSION_DENIED"
    assert done(await undo(till, "lost"))["balance"] == "10.00"


@pytest.mark.parametrize("key", ["", "x" * 129, "a\nb", "ä", "\x00"])
async def test_the_key_of_a_reversal_has_bounds(till: Client, key: str) -> None:
    answer = await undo(till, key)
    assert (answer.code, answer.field) == ("INVALID_INPUT", "ofKey")


async def test_a_cancellation_names_either_a_transaction_or_a_key(till: Client) -> None:
    made = await funded(till, "10.00")
    held = await hold(till, made, "-4.00", idempotencyKey="lost")
    assert (await cancel(till, held["id"], ofKey="lost")).code == "INVALID_INPUT"
    query = "mutation { giftcardTransCancel(trans: {}) { id } }"
    assert (await till.run(query)).code == "INVALID_INPUT"
    assert done(await cancel(till, held["id"]))["status"] == "CANCELLED"


async def test_a_reversal_has_no_key_but_the_one_that_it_undoes(till: Client) -> None:
    """Else a key given beside it would be claimed by nothing, and could stand for another."""
    answers = [await undo(till, key, idempotencyKey="own") for key in ("one", "two")]
    assert answers[1].code in ("INVALID_INPUT", "IDEMPOTENCY_CONFLICT")


async def test_of_a_request_and_its_reversal_at_once_nothing_remains(
    till: Client, admin: Client
) -> None:
    made = await funded(till, "10.00")
    for number in range(5):
        key = f"lost {number}"
        given = {"code": code_of(made), "transType": "USE", "amount": "-4.00"}
        used, *undone = await asyncio.gather(
            trans(till, **given, idempotencyKey=key), *(undo(till, key) for _ in range(4))
        )
        assert used.code in (None, "IDEMPOTENCY_CONFLICT")
        assert {answer.code for answer in undone} == {None}
        assert (await shown(admin, made))[0] == "10.00"
