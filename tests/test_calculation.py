"""What orders come to: a table of sums, and what holds of all orders."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from giftgql.errors import ErrorCode
from giftgql.orders.calculation import PERCENT, Item, Part, Paying, Share, calculate, spread

CANNOT = ErrorCode.GIFT_CARD_CANNOT_PAY_FOR_GIFT_CARD
WHOLE = ErrorCode.PARTIAL_REDEMPTION_NOT_SUPPORTED


def percent(number: float) -> Part:
    return Part(rate=round(number * PERCENT))


def amount(minor: int) -> Part:
    return Part(amount=minor)


GOODS = Item(1, 10_000)
CARD = Item(2, 5_000, is_gift_card=True)
ORDERS: dict[str, Any] = {
    "nothing but goods": ([GOODS], [], {}, (10_000, 0, 0, 10_000)),
    "three pieces": ([Item(3, 333)], [], {}, (999, 0, 0, 999)),
    "free goods": ([Item(5, 0)], [percent(10)], {}, (0, 0, 0, 0)),
    "a discount on a line": ([replace(GOODS, discount=amount(99))], [], {}, (10_000, 99, 0, 9_901)),
    "a part of a line": (
        [replace(Item(1, 999), discount=percent(12.5))],  # 124.875
        *([], {}, (999, 125, 0, 874)),
    ),
    "a half is rounded up": (
        [replace(Item(1, 50), discount=percent(1))],
        *([], {}, (50, 1, 0, 49)),
    ),
    "a discount beyond the line": (
        [replace(Item(1, 50), discount=amount(60))],
        *([], {}, (50, 50, 0, 0)),
    ),
    "a voucher on the order": ([GOODS], [amount(1_500)], {}, (10_000, 1_500, 0, 8_500)),
    "a voucher beyond the goods": ([Item(1, 500)], [amount(501)], {}, (500, 500, 0, 0)),
    "a voucher takes nothing off cards": (
        [Item(1, 500), CARD],
        *([amount(600)], {}, (10_500, 500, 0, 10_000)),
    ),
    "a part of the order is of its goods": (
        [Item(1, 500), CARD],
        *([percent(10)], {}, (10_500, 50, 0, 10_450)),
    ),
    "only cards": ([CARD], [percent(50)], {}, (10_000, 0, 0, 10_000)),
    "one after the other": (
        [GOODS],
        *([percent(10), amount(1_000), percent(50)], {}, (10_000, 6_000, 0, 4_000)),
    ),
    "a line's discount comes first": (
        [replace(GOODS, discount=percent(50))],
        *([percent(10)], {}, (10_000, 5_500, 0, 4_500)),
    ),
    "tax is added": ([replace(GOODS, tax=percent(19))], [], {}, (10_000, 0, 1_900, 11_900)),
    "tax as an amount": ([replace(GOODS, tax=amount(77))], [], {}, (10_000, 0, 77, 10_077)),
    "tax of what is left": (
        [replace(GOODS, tax=percent(19))],
        *([amount(1_000)], {}, (10_000, 1_000, 1_710, 10_710)),
    ),
    "tax that prices have in them": (
        [replace(Item(1, 11_900), tax=percent(19))],
        *([], {"prices_include_tax": True}, (11_900, 0, 1_900, 11_900)),
    ),
    "tax within, rounded": (
        [replace(Item(1, 100), tax=percent(7))],  # 6.542
        *([], {"prices_include_tax": True}, (100, 0, 7, 100)),
    ),
    "tax by line": (
        [replace(Item(1, 105), tax=percent(10)), replace(Item(1, 105), tax=percent(10))],
        *([], {}, (210, 0, 22, 232)),
    ),
}


@pytest.mark.parametrize("name", ORDERS)
def test_an_order_comes_to(name: str) -> None:
    items, discounts, how, expected = ORDERS[name]
    sums = calculate(items, discounts, **how)
    assert (sums.subtotal, sums.discount, sums.tax, sums.total) == expected
    assert sums.due == sums.total


def test_a_voucher_is_spread_over_the_goods_by_price_and_its_rest_goes_to_the_largest() -> None:
    items = [Item(1, 100), Item(1, 200), CARD, Item(1, 300)]
    lines = calculate(items, [amount(100)]).lines
    assert [line.discount for line in lines] == [17, 33, 0, 50]
    assert spread(10, [1, 1, 1]) == [4, 3, 3]
    assert spread(0, [5, 5]) == [0, 0]
    assert spread(7, []) == []


PAYING = {
    "what is to be paid": ([Paying(20_000)], [Share(10_000)]),
    "what it has": ([Paying(4_000)], [Share(4_000)]),
    "the first that is given first": (
        [Paying(6_000), Paying(6_000), Paying(6_000)],
        [Share(6_000), Share(4_000), Share(0)],
    ),
    "what its holder says": ([Paying(6_000, at_most=2_500)], [Share(2_500)]),
    "no more than is to be paid": ([Paying(20_000, at_most=15_000)], [Share(10_000)]),
    "not more than it has": (
        [Paying(6_000, at_most=6_001), Paying(9_000)],
        [Share(refused=ErrorCode.INSUFFICIENT_FUNDS), Share(9_000)],
    ),
    "nothing while it is blocked": (
        [Paying(6_000, refused=ErrorCode.CARD_BLOCKED), Paying(1_000)],
        [Share(refused=ErrorCode.CARD_BLOCKED), Share(1_000)],
    ),
    "all or nothing": ([Paying(10_001, whole_only=True)], [Share(refused=WHOLE)]),
    "all where it is needed": ([Paying(10_000, whole_only=True)], [Share(10_000)]),
    "a part of it never": ([Paying(9_000, 8_000, whole_only=True)], [Share(refused=WHOLE)]),
}


@pytest.mark.parametrize("name", PAYING)
def test_a_gift_card_pays(name: str) -> None:
    cards, expected = PAYING[name]
    sums = calculate([GOODS], cards=cards)
    assert sums.shares == expected
    assert sums.due == 10_000 - sum(share.amount for share in expected)


def test_no_gift_card_pays_for_an_order_with_one_in_it() -> None:
    sums = calculate([GOODS, CARD], cards=[Paying(5_000), Paying(0)])
    assert sums.shares == [Share(refused=CANNOT)] * 2
    assert sums.due == sums.total == 20_000


parts = st.one_of(
    st.builds(Part, amount=st.integers(0, 10**6)),
    st.builds(Part, rate=st.integers(0, 100 * PERCENT)),
)
items = st.builds(
    Item,
    quantity=st.integers(1, 50),
    price=st.integers(0, 10**6),
    is_gift_card=st.booleans(),
    tax=st.none() | st.builds(Part, rate=st.integers(0, 100 * PERCENT)),
)
cards = st.builds(Paying, st.integers(0, 10**7), st.none() | st.integers(1, 10**7), st.booleans())


@given(
    st.lists(items, min_size=1, max_size=8),
    st.lists(parts, max_size=3),
    st.lists(cards, max_size=4),
    st.booleans(),
)
def test_the_sums_of_all_orders_agree(
    lines: list[Item], discounts: list[Part], paying: list[Paying], is_included: bool
) -> None:
    sums = calculate(lines, discounts, paying, prices_include_tax=is_included)
    for item, line in zip(lines, sums.lines, strict=True):
        assert line.subtotal == item.quantity * item.price
        assert 0 <= line.discount <= (0 if item.is_gift_card else line.subtotal)
        added = 0 if is_included else line.tax
        assert line.total == line.subtotal - line.discount + added
        assert 0 <= line.tax <= max(line.total, added)
    added = 0 if is_included else sums.tax
    assert sums.total == sums.subtotal - sums.discount + added
    assert sums.by_cards + sums.due == sums.total
    assert sums.due >= 0
    for share, card in zip(sums.shares, paying, strict=True):
        assert 0 <= share.amount <= card.available


@given(st.integers(0, 10**9), st.lists(st.integers(0, 10**6), max_size=9))
def test_what_is_spread_is_all_there_and_none_gets_more_than_it_has(
    wanted: int, over: list[int]
) -> None:
    part = min(wanted, sum(over))
    parts = spread(part, over)
    assert sum(parts) == part
    assert all(0 <= got <= has for got, has in zip(parts, over, strict=True))
