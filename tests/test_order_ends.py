"""Orders whose time is up at a bad moment, and whose cards are captured or refunded past them."""

import asyncio
from collections import Counter
from datetime import datetime

import pytest

from giftgql import work
from giftgql.store import Store
from tests.client import Client
from tests.conftest import SetClock
from tests.factories import capture, done, funded, money, stand
from tests.factories import refund as undo
from tests.ordering import (
    bought,
    cancel,
    cash,
    gift,
    goods,
    orders,
    pay,
    paying,
    place,
    placed,
    refund,
)
from tests.stock import pool, product, stocked
from tests.tables import Tables


@pytest.fixture
def tables(store: Store) -> Tables:
    return Tables(store)


def tick(store: Store, clock: SetClock, seconds: float) -> None:
    """From now on time goes on each time that somebody looks at it."""

    def ticking() -> datetime:
        clock.forward(seconds=seconds)
        return clock.now

    store.clock = ticking


async def test_an_order_whose_time_is_up_while_it_is_placed_or_paid_is_not_paid_by_that(
    admin: Client, store: Store, clock: SetClock, tables: Tables
) -> None:
    boxes = await pool(admin)
    await stocked(store, boxes, 3)
    tick(store, clock, 0.4)
    line = {"giftcard": {"poolId": boxes["id"]}, "quantity": 3}
    slow = await placed(admin, line, holdFor="PT1S")
    assert (slow["status"], len(bought(slow))) == ("PENDING", 3)
    for seconds in (0.45, 0.5):
        store.clock = clock
        card = await funded(admin, "50.00")
        order = await placed(admin, goods("80.00"), giftcards=paying(card), holdFor="PT3S")
        tick(store, clock, seconds)
        answer = await pay(admin, order, "30.00")
        if answer.code == "UNAVAILABLE":  # the last moment before the capture was the last of all
            answer = await pay(admin, order, "30.00")
        store.clock, ended = clock, done(answer)
        left, due = {"PAID": ("0.00", "0.00"), "CANCELLED": ("50.00", "30.00")}[ended["status"]]
        assert ((await money(admin, card["id"]))["balance"], ended["refundDue"]) == (left, due)
    await work.sweep(store)
    assert {(await money(admin, each))["balance"] for each in bought(slow)} == {"0.00"}
    assert await tables.findings() == []


async def test_orders_that_name_the_same_cards_in_another_order_wait_for_each_other(
    admin: Client, store: Store, tables: Tables
) -> None:
    boxes = await pool(admin)
    await stocked(store, boxes, 12)
    found = await admin.run("query { giftcard { results { id } } }")
    lines = [{"giftcard": {"giftcardId": each["id"]}} for each in found["giftcard"]["results"]]
    asked = (place(admin, *(lines if turn % 2 else lines[::-1])) for turn in range(4))
    codes = Counter(answer.code for answer in await asyncio.gather(*asked))
    assert codes == {None: 1, "POOL_EXHAUSTED": 3}


async def test_cards_of_an_order_whose_time_is_up_are_for_others_before_the_sweep_has_come_by(
    admin: Client, store: Store, clock: SetClock, tables: Tables
) -> None:
    boxes = await pool(admin)
    await stocked(store, boxes)
    line = {"giftcard": {"poolId": boxes["id"]}}
    lapsed = await placed(admin, line, holdFor="PT1M")
    assert (await place(admin, line)).code == "POOL_EXHAUSTED"
    clock.forward(minutes=1)
    next_one = await placed(admin, line, payments=[cash("50.00")])
    assert (next_one["status"], bought(next_one)) == ("PAID", bought(lapsed))
    assert (await place(admin, line)).code == "POOL_EXHAUSTED"
    [ended] = await orders(admin, id=lapsed["id"])
    assert (ended["status"], bought(ended)) == ("CANCELLED", [])
    assert await tables.findings() == []


async def test_an_order_is_answered_again_when_its_day_of_delivery_is_past(
    admin: Client, clock: SetClock
) -> None:
    line = gift(await product(admin), deliverOn="2026-11-21")
    facts = {"payments": [cash("50.00")], "idempotencyKey": "order 1"}
    first = await placed(admin, line, **facts)
    clock.forward(days=1)
    again = await place(admin, line, **facts)
    assert (again.is_replayed, again["orderAdd"]) == (True, first)
    late = await place(admin, line)
    assert (late.code, late.field) == ("INVALID_INPUT", "lines.giftcard.deliverOn")


@pytest.mark.parametrize("how", ["cancelled", "late"])
async def test_what_was_captured_past_an_order_comes_back_when_it_ends_unpaid(
    admin: Client, store: Store, clock: SetClock, tables: Tables, how: str
) -> None:
    cards = [await funded(admin, "60.00") for _ in range(3)]
    blocked = cards[1]
    order = await placed(admin, goods("200.00"), giftcards=paying(*cards), holdFor="PT10M")
    good_use, blocked_use, refunded_use = (each["transactionId"] for each in order["payments"])
    done(await capture(admin, good_use, "50.00"))
    done(await capture(admin, blocked_use))
    done(await capture(admin, refunded_use))
    done(await undo(admin, refunded_use, "20.00"))
    await stand(admin, "Block", blocked["id"])
    if how == "cancelled":
        done(await cancel(admin, order))
    else:
        clock.forward(minutes=10)
        await work.sweep(store)
    [shown] = await orders(admin, id=order["id"])
    assert (shown["status"], shown["refundDue"]) == ("CANCELLED", "60.00")
    assert [(each["amount"], each["refunded"]) for each in shown["payments"]] == [
        *(("50.00", "50.00"), ("60.00", "0.00"), ("60.00", "60.00"))
    ]
    balances = [(await money(admin, each["id"]))["balance"] for each in cards]
    assert balances == ["60.00", "0.00", "60.00"]
    assert await tables.findings() == []


async def test_what_was_refunded_past_an_order_is_shown_and_not_given_back_again(
    admin: Client, tables: Tables
) -> None:
    card, early = await funded(admin, "60.00"), await funded(admin, "20.00")
    order = await placed(admin, goods("100.00"), giftcards=paying(card), payments=[cash("40.00")])
    done(await undo(admin, order["payments"][0]["transactionId"], "50.00"))
    [shown] = await orders(admin, id=order["id"])
    assert [each["refunded"] for each in shown["payments"]] == ["50.00", "0.00"]
    assert (await refund(admin, order, amount="50.01")).code == "REFUND_EXCEEDS_CAPTURED"
    part = done(await refund(admin, order, amount="5.00", idempotencyKey="part"))
    assert [each["refunded"] for each in part["payments"]] == ["55.00", "0.00"]
    rest = done(await refund(admin, order))
    assert ([each["refunded"] for each in rest["payments"]], rest["refundDue"]) == (
        *(["60.00", "40.00"], "40.00"),
    )
    again = await refund(admin, order, amount="5.00", idempotencyKey="part")
    assert (again.is_replayed, again["orderRefund"]["payments"]) == (True, part["payments"])
    pending = await placed(admin, goods("50.00"), giftcards=paying(early))
    [use] = pending["payments"]
    done(await capture(admin, use["transactionId"]))
    done(await undo(admin, use["transactionId"], "5.00"))
    due = done(await pay(admin, pending, "30.00"))
    assert (due["status"], due["amountDue"]) == ("PENDING", "5.00")
    assert done(await pay(admin, pending, "5.00"))["status"] == "PAID"
    assert (await money(admin, card["id"]))["balance"] == "60.00"
    assert await tables.findings() == []
