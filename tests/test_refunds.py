"""Refunds: partial, repeated, never more than was moved."""

import asyncio
from typing import Any

import pytest

from giftgql.permissions import Permission
from tests.client import Client
from tests.conftest import MakeClient, SetClock
from tests.factories import (
    cancel,
    capture,
    card,
    code_of,
    done,
    edit,
    funded,
    hold,
    money,
    movements,
    refund,
    spend,
    stand,
    top_up,
    trans,
)

Card = dict[str, Any]


async def shown(admin: Client, made: Card) -> tuple[str, ...]:
    found = await money(admin, made["id"])
    return tuple(found[name] for name in ("balance", "lifetimeTotal", "redeemed", "subtracted"))


async def test_partial_refunds_together_give_back_at_most_what_was_taken(till: Client) -> None:
    made = await funded(till, "25.00")
    used = await spend(till, made, "-10.00")
    for amount, after in (("3.00", "18.00"), ("6.99", "24.99"), ("0.01", "25.00")):
        back = done(await refund(till, used["id"], amount))
        assert (back["transType"], back["status"]) == ("REFUND", "COMPLETED")
        assert (back["amount"], back["balance"]) == (amount, after)
        assert (back["relatedId"], back["giftcardId"]) == (used["id"], made["id"])
    for more in ("0.01", "10.00", None):
        answer = await refund(till, used["id"], more)
        assert (answer.code, answer.field) == ("REFUND_EXCEEDS_CAPTURED", "amount")


async def test_a_refund_beyond_what_is_left_moves_nothing(admin: Client) -> None:
    made = await funded(admin, "25.00")
    used = await spend(admin, made, "-10.00")
    done(await refund(admin, used["id"], "4.00"))
    for amount in ("6.01", "10.00", "10000000000000.00"):
        assert (await refund(admin, used["id"], amount)).code == "REFUND_EXCEEDS_CAPTURED"
    assert (await movements(admin, id=used["id"]))[0]["refundedAmount"] == "4.00"
    assert done(await refund(admin, used["id"]))["amount"] == "6.00"
    assert await shown(admin, made) == ("25.00", "25.00", "0.00", "0.00")
    assert (await movements(admin, id=used["id"]))[0]["refundedAmount"] == "10.00"


async def test_the_amount_of_a_refund_is_positive(admin: Client) -> None:
    made = await funded(admin, "25.00")
    used = await spend(admin, made, "-10.00")
    for amount in ("0", "-1.00", "-10.00", "1.001", "x", "", "1e1"):
        answer = await refund(admin, used["id"], amount)
        assert (amount, answer.code, answer.field) == (amount, "INVALID_AMOUNT", "amount")
    assert (await shown(admin, made))[0] == "15.00"


async def test_of_a_captured_authorisation_only_what_was_captured_is_refunded(
    admin: Client,
) -> None:
    made = await funded(admin, "10.00")
    held = await hold(admin, made, "-6.00")
    assert (await refund(admin, held["id"], "1.00")).code == "REFUND_EXCEEDS_CAPTURED"
    done(await capture(admin, held["id"], "4.00"))
    assert (await refund(admin, held["id"], "4.01")).code == "REFUND_EXCEEDS_CAPTURED"
    assert done(await refund(admin, held["id"]))["amount"] == "4.00"
    other = await hold(admin, made, "-6.00")
    done(await cancel(admin, other["id"]))
    assert (await refund(admin, other["id"])).code == "REFUND_EXCEEDS_CAPTURED"
    assert (await shown(admin, made))[0] == "10.00"


async def test_added_funds_are_refunded_only_while_they_are_available(admin: Client) -> None:
    made = await card(admin)
    added = await top_up(admin, made, "10.00")
    held = await hold(admin, made, "-4.00")
    for amount in ("6.01", None):
        answer = await refund(admin, added["id"], amount)
        assert (answer.code, answer.field) == ("INSUFFICIENT_FUNDS", "amount")
    back = done(await refund(admin, added["id"], "2.00"))
    assert (back["amount"], back["balance"]) == ("-2.00", "4.00")
    done(await cancel(admin, held["id"]))
    assert done(await refund(admin, added["id"]))["amount"] == "-8.00"
    assert await shown(admin, made) == ("0.00", "10.00", "0.00", "10.00")
    assert (await money(admin, made["id"]))["status"] == "REDEEMED"


@pytest.mark.parametrize(
    ("kind", "amount"),
    [(kind, amount) for kind in ("ADJUST", "EXTERNAL", "IMPORT") for amount in ("3.00", "-3.00")],
)
async def test_a_refund_is_the_opposite_of_what_it_undoes(
    admin: Client, kind: str, amount: str
) -> None:
    made = await funded(admin, "10.00")
    given = {"code": code_of(made), "transType": kind, "amount": amount, "reason": "because"}
    moved = done(await trans(admin, **given))
    back = done(await refund(admin, moved["id"], "1.00"))
    assert back["amount"] == ("-1.00" if amount == "3.00" else "1.00")
    done(await refund(admin, moved["id"]))
    balance, lifetime, redeemed, subtracted = await shown(admin, made)
    assert (balance, redeemed) == ("10.00", "0.00")
    assert lifetime == ("13.00" if amount == "3.00" else "10.00")
    assert subtracted == ("3.00" if amount == "3.00" else "0.00")


async def test_what_was_refunded_counts_as_not_redeemed(admin: Client) -> None:
    made = await funded(admin, "10.00")
    used = await spend(admin, made, "-10.00")
    assert (await money(admin, made["id"]))["status"] == "REDEEMED"
    done(await refund(admin, used["id"], "4.00"))
    assert (await money(admin, made["id"]))["status"] == "ACTIVATED"
    assert await shown(admin, made) == ("4.00", "10.00", "6.00", "0.00")


@pytest.mark.parametrize(
    ("state", "error"),
    [("Block", "CARD_BLOCKED"), ("Disable", "CARD_DISABLED"), ("expired", "CARD_EXPIRED")],
)
async def test_nothing_is_refunded_to_or_from_a_card_that_is_stopped(
    admin: Client, clock: SetClock, state: str, error: str
) -> None:
    made = await card(admin, expiresOn="2026-11-30")
    added = await top_up(admin, made, "10.00")
    used = await spend(admin, made, "-4.00")
    if state == "expired":
        clock.forward(days=10)
    else:
        done(await stand(admin, state, made["id"]))
    before = await shown(admin, made)
    for each in (added, used):
        assert (await refund(admin, each["id"], "1.00")).code == error
    assert await shown(admin, made) == before
    assert [each["error"] for each in await movements(admin, status="DECLINED")] == [error] * 2


async def test_a_refund_needs_no_live_code(admin: Client, clock: SetClock) -> None:
    made = await funded(admin, "10.00", physicalExpiresOn="2026-11-21")
    used = await spend(admin, made, "-4.00")
    clock.forward(days=1)
    assert done(await refund(admin, used["id"], "1.00"))["balance"] == "7.00"
    done(await edit(admin, made["id"], externalCode="EX34802", revokePhysicalCode=True))
    assert done(await refund(admin, used["id"], "1.00"))["balance"] == "8.00"


async def test_refunds_expiries_and_transfers_are_not_refunded(
    admin: Client, clock: SetClock
) -> None:
    made, other = await funded(admin, "10.00", expiresOn="2026-12-31"), await card(admin)
    used = await spend(admin, made, "-4.00")
    back = done(await refund(admin, used["id"], "1.00"))
    moved = done(
        await admin.run(
            "mutation ($f: ID!, $t: ID!) { giftcardTransfer(giftcard: "
            '{id: $f, toId: $t, amount: "1.00"}) { id relatedId } }',
            f=made["id"],
            t=other["id"],
        )
    )
    for trans_id in (back["id"], moved["id"], moved["relatedId"]):
        assert (await refund(admin, trans_id)).code == "CONFLICT"
    assert (await shown(admin, made))[0] == "6.00"
    assert (await shown(admin, other))[0] == "1.00"


async def test_a_refund_is_recorded_with_where_and_why(till: Client, admin: Client) -> None:
    made = await funded(till, "10.00")
    used = await spend(till, made, "-4.00", sourceId="Till 7", refNo="1")
    facts = {"sourceId": "Till 8", "refNo": "2", "reason": "broken"}
    back = done(await refund(till, used["id"], "1.00", **facts))
    assert {name: back[name] for name in facts} == facts
    assert await movements(admin, refNo="2") == [back]
    for field in facts:
        assert (await refund(till, used["id"], **{field: ""})).code == "INVALID_INPUT"


async def test_only_who_made_it_or_lists_transactions_may_refund(
    till: Client, admin: Client, client_with: MakeClient
) -> None:
    made = await funded(till, "10.00")
    used = await spend(till, made, "-4.00")
    answer = await refund(await client_with(role="till"), used["id"], "1.00")
    assert (answer.code, answer.field) == ("TRANSACTION_NOT_FOUND", "id")
    done(await refund(await client_with(role="manager"), used["id"], "1.00"))
    done(await refund(till, used["id"], "1.00"))
    others = await client_with(*(set(Permission) - {Permission.GIFT_CARD_TRANS_REFUND}))
    assert (await refund(others, used["id"], "1.00")).code == "PERMISSION_DENIED"
    assert (await shown(admin, made))[0] == "8.00"


async def test_of_many_refunds_at_once_no_more_is_given_back_than_was_taken(
    admin: Client,
) -> None:
    made = await funded(admin, "10.00")
    used = await spend(admin, made, "-5.00")
    answers = await asyncio.gather(*(refund(admin, used["id"], "1.00") for _ in range(20)))
    assert sum(answer.code is None for answer in answers) == 5
    assert {answer.code for answer in answers} == {None, "REFUND_EXCEEDS_CAPTURED"}
    assert (await shown(admin, made))[0] == "10.00"
