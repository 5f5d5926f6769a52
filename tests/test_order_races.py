"""Orders that are asked for at the same time, and again: what there is, is taken once."""

import asyncio
from datetime import timedelta

import pytest

from giftgql import work
from giftgql.ledger.models import MovementState
from giftgql.store import Store
from tests.client import Client
from tests.conftest import SetClock
from tests.factories import funded, money
from tests.ordering import cancel, goods, orders, pay, paying, place, placed
from tests.tables import Tables


@pytest.fixture
def tables(store: Store) -> Tables:
    return Tables(store)


async def test_a_repeated_order_is_placed_once_and_answered_as_at_first(
    admin: Client, tables: Tables
) -> None:
    card = await funded(admin, "50.00")
    facts = {"giftcards": paying(card), "idempotencyKey": "order 1", "refNo": "S-1"}
    answers = await asyncio.gather(*(place(admin, goods("80.00"), **facts) for _ in range(8)))
    first = {answer["orderAdd"]["id"] for answer in answers}
    assert len(first) == len(await orders(admin)) == 1
    assert sum(answer.is_replayed for answer in answers) == 7
    assert (await money(admin, card["id"]))["balance"] == "0.00"
    order = answers[0]["orderAdd"]
    paid = [await pay(admin, order, "30.00", idempotencyKey="pay 1") for _ in range(2)]
    assert [each["orderPaymentAdd"]["status"] for each in paid] == ["PAID", "PAID"]
    assert paid[1].is_replayed
    assert paid[1]["orderPaymentAdd"] == paid[0]["orderPaymentAdd"]
    again = await place(admin, goods("80.00"), **facts)
    assert again.is_replayed
    assert again["orderAdd"]["status"] == "PENDING"
    assert again["orderAdd"] == order | {"id": order["id"]}
    other = await place(admin, goods("81.00"), **facts)
    assert other.code == "IDEMPOTENCY_CONFLICT"
    assert await tables.findings() == []


async def test_fifty_orders_at_once_take_what_is_there_and_no_more(
    admin: Client, tables: Tables
) -> None:
    card = await funded(admin, "10.00")
    asked = (place(admin, goods("1.00"), giftcards=paying(card)) for _ in range(50))
    answers = await asyncio.gather(*asked)
    paid = [each for each in answers if not each.errors and each["orderAdd"]["status"] == "PAID"]
    assert len(paid) == 10
    assert {answer.code for answer in answers} <= {None, "INSUFFICIENT_FUNDS"}
    assert (await money(admin, card["id"]))["balance"] == "0.00"
    assert len(await tables.movements(card["id"], MovementState.HELD)) == 10
    assert await tables.findings() == []


async def test_payment_cancellation_and_time_meet_on_an_order_and_one_of_them_has_it(
    admin: Client, store: Store, tables: Tables, clock: SetClock
) -> None:
    card = await funded(admin, "40.00")
    for turn in range(4):
        order = await placed(admin, goods("30.00"), giftcards=paying(card, amount="10.00"))
        late = turn % 2 == 1
        if late:
            store.clock = lambda until=clock.now + timedelta(hours=2): until
        await asyncio.gather(
            *(pay(admin, order, "20.00"), cancel(admin, order), work.sweep(store)),
            *(pay(admin, order, "20.00", idempotencyKey=f"k{turn}"),),
        )
        store.clock = clock
        [shown] = await orders(admin, id=order["id"])
        assert shown["refundDue"] == {"PAID": "20.00", "CANCELLED": "40.00"}[shown["status"]]
        assert not (late and shown["status"] == "PAID")
        clock.forward(hours=3)
    assert await tables.findings() == []
