"""Cards that cost another amount than their value: on the books, in refunds, and in reports."""

from typing import Any

import pytest

from giftgql.ledger import service
from giftgql.ledger.models import MovementType
from giftgql.ledger.orders import By, Move
from giftgql.reports import service as reports
from giftgql.reports.service import Days
from giftgql.store import Store
from tests.client import Client
from tests.conftest import SetClock
from tests.factories import done, movements, refund, trans, undo
from tests.test_account_facts import card, shown
from tests.test_opening import is_clean
from tests.test_reports import balances, owed, summary

PRICE = """query ($id: ID!) { giftcardTrans(id: $id)
    { results { id amount price transType relatedId refundedAmount } } }"""
REFUND = """mutation ($id: ID!, $amount: Money, $key: String) { giftcardTransRefund(
    trans: {id: $id, amount: $amount, idempotencyKey: $key}) { id amount price } }"""


async def sell(store: Store, card_id: str, price: int | None, amount: int = 5_000) -> str:
    """Add an amount for a price, as products do; returns the transaction's id."""
    order = Move(
        account_id=int(card_id),
        by=By("client:shop", None, "shop 1"),
        type=MovementType.ADD,
        amount=amount,
        price=price,
    )
    async with store.write() as tx:
        outcome = await service.post_one(tx, order)
    assert outcome.error is None
    return str(order.id)


async def price_of(caller: Client, trans_id: str) -> str | None:
    [found] = (await caller.run(PRICE, id=trans_id))["giftcardTrans"]["results"]
    price: str | None = found["price"]
    return price


async def give_back(
    caller: Client, trans_id: str, amount: str | None = None, key: str | None = None
) -> tuple[str, str | None]:
    made = done(await caller.run(REFUND, id=trans_id, amount=amount, key=key))
    return made["amount"], made["price"]


@pytest.mark.parametrize(
    ("price", "shown_price", "accounts"),
    [
        (4_500, "45.00", {"TENDER": "-45.00", "PROMOTION": "-5.00"}),
        (5_500, "55.00", {"TENDER": "-55.00", "PROMOTION": "5.00"}),
        (0, "0.00", {"PROMOTION": "-50.00"}),
        (5_000, None, {"TENDER": "-50.00"}),
        (None, None, {"TENDER": "-50.00"}),
    ],
)
async def test_tender_is_what_was_paid_and_promotion_the_difference(
    store: Store,
    admin: Client,
    price: int | None,
    shown_price: str | None,
    accounts: dict[str, str],
) -> None:
    made = await card(store)
    sold = await sell(store, made, price)
    assert await price_of(admin, sold) == shown_price
    assert (await shown(admin, made))["balance"] == "50.00"
    assert await balances(admin) == {"CARDS": "50.00", **accounts}
    assert await owed(admin) == [(None, "50.00", 1)]
    assert await is_clean(store)


async def test_refunds_give_back_their_part_of_the_price(store: Store, admin: Client) -> None:
    made = await card(store)
    sold = await sell(store, made, 4_499)
    assert await give_back(admin, sold, "10.00") == ("-10.00", "8.99")
    assert await balances(admin) == {"CARDS": "40.00", "TENDER": "-36.00", "PROMOTION": "-4.00"}
    assert await give_back(admin, sold, "0.01") == ("-0.01", "0.01")
    assert await give_back(admin, sold) == ("-39.99", "35.99")
    assert {
        line: amount for line, amount in (await balances(admin)).items() if amount != "0.00"
    } == {}
    assert (await refund(admin, sold)).code == "REFUND_EXCEEDS_CAPTURED"
    assert await is_clean(store)


async def test_an_undone_refund_brings_its_part_back(store: Store, admin: Client) -> None:
    made = await card(store)
    sold = await sell(store, made, 4_499)
    await give_back(admin, sold, "10.00", "a")
    await give_back(admin, sold, "10.00", "b")
    done(await undo(admin, "a"))
    assert await balances(admin) == {"CARDS": "40.00", "TENDER": "-35.99", "PROMOTION": "-4.01"}
    assert await give_back(admin, sold) == ("-40.00", "35.99")
    assert await is_clean(store)


async def test_what_was_sold_is_undone_with_its_price(store: Store, admin: Client) -> None:
    made = await card(store)
    sold = await sell(store, made, 0)
    assert await give_back(admin, sold, "20.00", "a") == ("-20.00", "0.00")
    done(await undo(admin, "a"))
    assert await balances(admin) == {"CARDS": "50.00", "PROMOTION": "-50.00"}
    back = [each for each in await movements(admin) if each["transType"] == "REFUND"]
    assert [await price_of(admin, each["id"]) for each in back] == ["0.00", "0.00"]
    assert await is_clean(store)


async def test_a_repeated_refund_tells_the_price_again(store: Store, admin: Client) -> None:
    sold = await sell(store, await card(store), 4_500)
    first = await give_back(admin, sold, "10.00", "k")
    assert await give_back(admin, sold, "10.00", "k") == first == ("-10.00", "9.00")


async def test_reports_show_values_of_cards_and_the_journal_what_was_paid(
    store: Store, admin: Client, clock: SetClock
) -> None:
    made = await card(store)
    sold = await sell(store, made, 4_500)
    await sell(store, made, 6_000)
    await give_back(admin, sold, "10.00")
    day = {"from": "2026-11-21", "to": "2026-11-21"}
    assert await summary(admin, **day) == [
        ("2026-11-21", None, "REFUND", 1, "-10.00", 0),
        ("2026-11-21", "shop 1", "ADD", 2, "100.00", 0),
    ]
    assert await owed(admin) == [(None, "90.00", 1)]
    expected = {"CARDS": "90.00", "TENDER": "-96.00", "PROMOTION": "6.00"}
    assert await balances(admin) == expected
    assert await balances(admin, "2026-11-21") == expected
    async with store.snapshot() as reading:
        days = Days.parsed(clock.now.date(), clock.now.date())
        lines = [
            (each.line, each.debit, each.credit, str(each.amount))
            async for each in reports.journal(reading, days)
        ]
    assert sorted(lines) == [
        (0, "CARD:1", "TENDER", "9.00"),
        (0, "TENDER", "CARD:1", "45.00"),
        (0, "TENDER", "CARD:1", "50.00"),
        (1, "CARD:1", "PROMOTION", "1.00"),
        (1, "PROMOTION", "CARD:1", "5.00"),
        (1, "TENDER", "PROMOTION", "10.00"),
    ]


async def test_a_till_gives_no_price(store: Store, admin: Client) -> None:
    made = await card(store)
    facts: dict[str, Any] = {"giftcardId": made, "transType": "ADD", "amount": "50.00"}
    assert await price_of(admin, done(await trans(admin, **facts))["id"]) is None
    assert (await trans(admin, **facts, price="45.00")).code == "GRAPHQL_VALIDATION_FAILED"
