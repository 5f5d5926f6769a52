"""The rules of money one by one: what is added may have cost another amount."""

from itertools import pairwise
from random import Random
from typing import Any

import pytest

from giftgql.errors import ErrorCode
from giftgql.ledger.books import Books, Line
from giftgql.ledger.decide import decide
from giftgql.ledger.models import MovementType, SystemAccount
from giftgql.ledger.orders import Past, Refund, Undo
from tests.ledger_books import (
    ADD,
    ADJUST,
    CALLER,
    CARD,
    CEILING,
    EXTERNAL,
    HOUR,
    IMPORT,
    NOW,
    USE,
    assert_declined,
    books,
    entry,
    figures,
    funds,
    move,
    one,
    past,
)

REFUND = MovementType.REFUND
TENDER, PROMOTION = SystemAccount.TENDER, SystemAccount.PROMOTION


def sold(price: int = 4_500, amount: int = 5_000, **facts: Any) -> Past:
    """By default 50.00 that were sold for 45.00."""
    against = TENDER if price else PROMOTION
    return past(type=ADD, amount=amount, against=against, price=price, **facts)


def refund(amount: int | None = None) -> Refund:
    return Refund(account_id=CARD, by=CALLER, movement_id=90, amount=amount)


def undo(movement_id: int = 90) -> Undo:
    return Undo(account_id=CARD, by=CALLER, movement_id=movement_id)


def lines(on: Books) -> list[tuple[int, int, int, int]]:
    return [(each.line, each.debit_account, each.credit_account, each.amount) for each in on.lines]


def rich() -> Books:
    """A card that has what is to be refunded."""
    return books(funds(posted=CEILING, lifetime=CEILING), earlier=[sold()])


@pytest.mark.parametrize(
    ("price", "against", "expected"),
    [
        (90, TENDER, [(0, TENDER, CARD, 90), (1, PROMOTION, CARD, 10)]),
        (1, TENDER, [(0, TENDER, CARD, 1), (1, PROMOTION, CARD, 99)]),
        (0, PROMOTION, [(1, PROMOTION, CARD, 100)]),
        (101, TENDER, [(0, TENDER, CARD, 100), (1, TENDER, PROMOTION, 1)]),
        (300, TENDER, [(0, TENDER, CARD, 100), (1, TENDER, PROMOTION, 200)]),
    ],
)
def test_promotion_makes_up_for_a_price_that_is_not_the_amount(
    price: int, against: int, expected: list[tuple[int, int, int, int]]
) -> None:
    on = books(funds())
    order = move(ADD, 100, price=price)
    made = entry(order, ADD, 100, 1_100, against=against, price=price)
    assert one(on, order).entry == made
    assert lines(on) == expected
    assert {each[5:] for each in on.lines} == {("EUR", NOW)}
    assert figures(on.accounts[CARD]) == (1_100, 0, 1_100, 0)


def test_the_amount_as_its_price_is_no_price() -> None:
    on = books(funds())
    order = move(ADD, 100, price=100)
    assert one(on, order).entry == entry(order, ADD, 100, 1_100, against=TENDER)
    assert on.lines == [Line(order.id, 0, TENDER, CARD, 100, "EUR", NOW)]


@pytest.mark.parametrize(
    ("kind", "amount", "facts"),
    [
        (USE, -100, {"price": 90}),
        (ADD, -100, {"price": 90}),
        (ADD, 0, {"price": 0}),
        (ADD, 100, {"price": -1}),
        (ADD, 100, {"price": 90, "hold_for": HOUR}),
        *((kind, 100, {"price": 90}) for kind in (ADJUST, EXTERNAL, IMPORT)),
    ],
)
def test_nothing_else_has_a_price(kind: MovementType, amount: int, facts: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="has a price"):
        move(kind, amount, **facts)


@pytest.mark.parametrize(
    ("price", "code"), [(CEILING, None), (CEILING + 1, ErrorCode.INVALID_AMOUNT)]
)
def test_a_price_has_the_ceiling_of_an_amount(price: int, code: ErrorCode | None) -> None:
    on = books(funds())
    outcome = one(on, move(ADD, 100, price=price))
    assert_declined(on, outcome, code)
    assert outcome.entry is not None
    assert outcome.entry.price == (None if code else price)


@pytest.mark.parametrize("blocked", [True, False])
def test_what_is_declined_has_no_price(blocked: bool) -> None:
    on = books(funds(blocked=blocked, opens_with=99, posted=0, lifetime=0))
    made = one(on, move(ADD, 100, price=90)).entry
    assert made is not None
    assert made.error is not None
    assert made.price is None


@pytest.mark.parametrize(
    ("price", "amount", "sizes", "shares"),
    [
        (4_500, 5_000, [None], [4_500]),
        (4_500, 5_000, [1_000, None], [900, 3_600]),
        (100, 300, [1, 1, 1, 297], [0, 0, 1, 99]),
        (100, 300, [2, 299], [0, 100]),
        (2, 3, [1, 1, 1], [0, 1, 1]),
        (1, 1_000, [999, 1], [0, 1]),
        (0, 100, [50, 50], [0, 0]),
        (301, 100, [50, 49, 1], [150, 147, 4]),
    ],
)
def test_refunds_give_back_their_part_of_the_price_and_together_all_of_it(
    price: int, amount: int, sizes: list[int | None], shares: list[int]
) -> None:
    account = funds(posted=CEILING, lifetime=CEILING)
    on = books(account, earlier=[sold(price, amount)])
    if sizes[-1] is not None and sum(each or 0 for each in sizes) != amount:
        sizes[-1] = amount - sum(each or 0 for each in sizes[:-1])
    outcomes = decide(on, [refund(each) for each in sizes])
    assert [each.entry and each.entry.price for each in outcomes] == shares
    assert [each.entry and each.entry.against for each in outcomes] == [
        TENDER if share else PROMOTION for share in shares
    ]
    assert (on.past[90].refunded, on.past[90].price_refunded) == (amount, price)
    assert tender(on) == -price
    assert account.posted == CEILING - amount


def tender(on: Books) -> int:
    """What came from tender in all."""
    given = sum(each.amount for each in on.lines if each.debit_account == TENDER)
    return given - sum(each.amount for each in on.lines if each.credit_account == TENDER)


@pytest.mark.parametrize(
    ("price", "size", "expected"),
    [
        (4_500, 1_000, [(0, CARD, TENDER, 900), (1, CARD, PROMOTION, 100)]),
        (4_500, 1, [(1, CARD, PROMOTION, 1)]),
        (0, 1_000, [(1, CARD, PROMOTION, 1_000)]),
        (7_500, 1_000, [(0, CARD, TENDER, 1_000), (1, PROMOTION, TENDER, 500)]),
        (4_999, 5_000, [(0, CARD, TENDER, 4_999), (1, CARD, PROMOTION, 1)]),
    ],
)
def test_a_refund_reverses_what_promotion_made_up_for(
    price: int, size: int, expected: list[tuple[int, int, int, int]]
) -> None:
    on = books(funds(posted=CEILING, lifetime=CEILING), earlier=[sold(price)])
    assert one(on, refund(size)).error is None
    assert lines(on) == expected


def test_a_part_that_is_what_was_paid_for_it_is_one_line() -> None:
    on = books(funds(posted=CEILING, lifetime=CEILING), earlier=[sold(4_999, refunded=1)])
    made = one(on, refund(1)).entry
    assert made is not None
    assert made.price == 1
    assert lines(on) == [(0, CARD, TENDER, 1)]


def test_what_was_given_back_too_much_is_made_up_for_by_later_refunds() -> None:
    """So it is where refunds were undone that had given back less than their part."""
    on = books(
        funds(posted=CEILING, lifetime=CEILING),
        earlier=[sold(4, 8, refunded=4, price_refunded=4)],
    )
    shares = [one(on, refund(1)).entry for _ in range(4)]
    assert [each and each.price for each in shares] == [0, 0, 0, 0]
    assert (on.past[90].refunded, on.past[90].price_refunded) == (8, 4)


def test_more_than_the_amount_may_be_given_back_of_what_was_given_back_too_little() -> None:
    on = books(
        funds(posted=CEILING, lifetime=CEILING),
        earlier=[sold(4, 8, refunded=4, price_refunded=0)],
    )
    made = one(on, refund(1)).entry
    assert made is not None
    assert made.price == 2
    assert lines(on) == [(0, CARD, TENDER, 1), (1, PROMOTION, TENDER, 1)]


@pytest.mark.parametrize(
    ("share", "against", "expected"),
    [
        (900, TENDER, [(0, TENDER, CARD, 900), (1, PROMOTION, CARD, 100)]),
        (0, PROMOTION, [(1, PROMOTION, CARD, 1_000)]),
        (1_001, TENDER, [(0, TENDER, CARD, 1_000), (1, TENDER, PROMOTION, 1)]),
    ],
)
def test_an_undone_refund_brings_back_just_what_it_had_given_back(
    share: int, against: int, expected: list[tuple[int, int, int, int]]
) -> None:
    back = past(type=REFUND, amount=-1_000, about_id=89, root=ADD, against=against, price=share)
    of = past(89, type=ADD, amount=3_000, price=2_001, refunded=2_000, price_refunded=1_500)
    on = books(funds(), earlier=[back, of])
    order = undo()
    made = entry(order, REFUND, 1_000, 2_000, against=against, about_id=90, price=share)
    assert one(on, order).entry == made
    assert lines(on) == expected
    assert (of.refunded, of.price_refunded) == (1_000, 1_500 - share)
    assert (back.refunded, back.price_refunded) == (1_000, share)


def test_an_undone_sale_gives_back_what_is_left_of_its_price() -> None:
    on = rich()
    decide(on, [refund(1_000), undo()])
    assert [each.price for each in on.entries] == [900, 3_600]
    assert one(on, undo()).past is on.past[90]


def test_a_refund_of_what_has_no_price_has_none() -> None:
    on = books(funds(), earlier=[past(type=ADD, amount=100, against=TENDER)])
    order = refund(40)
    made = entry(order, REFUND, -40, 960, against=TENDER, about_id=90)
    assert one(on, order).entry == made


@pytest.mark.parametrize("seed", range(50))
def test_of_random_refunds_and_their_undoing_the_price_comes_out_even(seed: int) -> None:
    random = Random(seed)
    amount, price = random.randint(1, 40), random.randint(0, 60)
    on = books(funds(posted=CEILING, lifetime=CEILING), earlier=[sold(price, amount)])
    of, back = on.past[90], list[Past]()
    for number in range(100, 140):
        if back and random.random() < 0.4:
            again = back.pop(random.randrange(len(back)))
            on.past = {**on.past, again.id: again}
            made = one(on, undo(again.id)).entry
            assert made is not None
            assert made.price == again.price
        elif of.left:
            made = one(on, refund(random.randint(1, of.left))).entry
            assert made is not None
            assert made.price is not None
            back.append(
                past(
                    number,
                    type=REFUND,
                    amount=made.amount,
                    about_id=90,
                    root=ADD,
                    against=made.against,
                    price=made.price,
                )
            )
        assert of.price_refunded == sum(each.price or 0 for each in back)
        assert 0 <= of.price_refunded <= price
        assert (of.left == 0) <= (of.price_refunded == price)
        assert (of.refunded == 0) <= (of.price_refunded == 0)
    assert tender(on) == -of.price_refunded


def test_equal_parts_differ_by_one_at_most() -> None:
    on = books(funds(posted=CEILING, lifetime=CEILING), earlier=[sold(77, 100)])
    outcomes = decide(on, [refund(10)] * 10)
    shares = [each.entry.price or 0 for each in outcomes if each.entry]
    assert sum(shares) == 77
    assert {abs(one - other) for one, other in pairwise(shares)} <= {0, 1}
