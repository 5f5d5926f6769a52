"""The rules of money one by one: from when on, for how long, with what and how often."""

from copy import copy
from datetime import datetime
from typing import Any

import pytest

from giftgql.errors import ErrorCode
from giftgql.ledger.books import Books
from giftgql.ledger.decide import decide
from giftgql.ledger.models import HoldEnding, MovementState, MovementType, SystemAccount
from giftgql.ledger.orders import (
    Cancel,
    Capture,
    Close,
    Extend,
    Funds,
    Order,
    Past,
    Refund,
    Sweep,
    Transfer,
    Undo,
)
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
    OTHER,
    TICK,
    USE,
    assert_declined,
    books,
    funds,
    hold,
    move,
    one,
    past,
)

REFUND = MovementType.REFUND
EARLY, LIMIT = ErrorCode.CARD_NOT_YET_VALID, ErrorCode.REDEMPTION_LIMIT_REACHED
WRONG = ErrorCode.INVALID_AMOUNT
CAPTURED: dict[str, Any] = {
    "state": MovementState.HELD,
    "ending": HoldEnding.CAPTURED,
    "captured": 60,
}
NEW: dict[str, Any] = {"posted": 0, "lifetime": 0}


def about(kind: Any, movement_id: int = 90, **facts: Any) -> Any:
    return kind(account_id=CARD, by=CALLER, movement_id=movement_id, **facts)


def transfer(amount: int | None = None) -> Transfer:
    return Transfer(account_id=CARD, to_id=OTHER, by=CALLER, amount=amount)


def added(movement_id: int = 90, **facts: Any) -> Past:
    """By default 1.00 held to be added."""
    return hold(movement_id, type=ADD, amount=100, against=SystemAccount.TENDER, **facts)


# From when on


@pytest.mark.parametrize(
    ("begins", "code"), [(None, None), (NOW - TICK, None), (NOW, None), (NOW + TICK, EARLY)]
)
@pytest.mark.parametrize("hold_for", [None, HOUR])
def test_nothing_is_used_before_funds_are_valid(
    hold_for: Any, begins: datetime | None, code: ErrorCode | None
) -> None:
    on = books(funds(valid_from=begins))
    assert_declined(on, one(on, move(USE, -100, hold_for=hold_for)), code)


@pytest.mark.parametrize(
    "order",
    [
        move(ADD, 100),
        move(ADD, 100, hold_for=HOUR),
        *(move(kind, -100) for kind in (ADJUST, EXTERNAL, IMPORT)),
        *(move(kind, 100) for kind in (ADJUST, EXTERNAL, IMPORT)),
        transfer(),
        about(Refund, 90),
        about(Refund, 91),
        about(Capture, 92),
        about(Undo, 93),
    ],
)
def test_funds_that_are_not_valid_yet_are_only_not_used(order: Order) -> None:
    earlier = [
        past(90),
        past(91, type=ADD, amount=100, against=SystemAccount.TENDER),
        hold(92),
        past(93, type=REFUND, amount=100, about_id=94, root=USE),
        past(94, refunded=100),
    ]
    on = books(
        funds(valid_from=NOW + TICK, held=100), funds(OTHER, valid_from=NOW + TICK), earlier=earlier
    )
    assert one(on, order).error is None


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        ({"closed": True}, ErrorCode.CARD_DISABLED),
        ({"blocked": True}, ErrorCode.CARD_BLOCKED),
        ({"valid_until": NOW}, ErrorCode.CARD_EXPIRED),
        ({"lifetime": 0}, EARLY),
        ({"most_uses": 0}, EARLY),
        ({"posted": 0}, EARLY),
        ({"whole_only": True}, EARLY),
    ],
)
def test_of_several_reasons_that_funds_are_not_valid_yet_comes_after_their_standing(
    facts: dict[str, Any], code: ErrorCode
) -> None:
    on = books(funds(valid_from=NOW + TICK, **facts))
    assert_declined(on, one(on, move(USE, -100)), code)


# For how long


def first_funds(on: Books, kind: str) -> None:
    """Let the first funds come in one of the ways there are."""
    orders: dict[str, Order] = {
        "ADD": move(ADD, 100),
        "price": move(ADD, 100, price=0),
        "captured": about(Capture, amount=60),
        **{each.value: move(each, 100) for each in (ADJUST, EXTERNAL, IMPORT)},
        "TRANSFER": Transfer(account_id=OTHER, to_id=CARD, by=CALLER, amount=100),
    }
    assert one(on, orders[kind]).error is None


WAYS = ("ADD", "price", "captured", "ADJUST", "EXTERNAL", "IMPORT", "TRANSFER")


@pytest.mark.parametrize("kind", WAYS)
def test_validity_begins_with_the_first_funds_whatever_brings_them(kind: str) -> None:
    on = books(funds(validity="3", **NEW), funds(OTHER), earlier=[added()])
    first_funds(on, kind)
    account = on.accounts[CARD]
    assert (account.valid_until, account.lifetime > 0) == (NOW + 3 * HOUR, True)
    assert account.due_at == NOW + 3 * HOUR
    assert on.touched[CARD].valid_until == NOW + 3 * HOUR


@pytest.mark.parametrize(
    ("facts", "ends"),
    [
        ({"validity": "3", "valid_until": NOW + HOUR, **NEW}, NOW + HOUR),
        ({"validity": "3"}, None),
        ({"validity": "3", "posted": 0}, None),
        ({**NEW}, None),
    ],
)
def test_validity_that_has_an_end_or_has_begun_stays_as_it_is(
    facts: dict[str, Any], ends: datetime | None
) -> None:
    on = books(funds(**facts))
    assert one(on, move(ADD, 100)).error is None
    assert on.accounts[CARD].valid_until == ends


@pytest.mark.parametrize(
    "order",
    [
        move(ADD, 100, hold_for=HOUR),
        about(Cancel),
        about(Undo),
        move(USE, -100),
        move(ADD, 0),
        Sweep(account_id=CARD, by=CALLER),
        Close(account_id=CARD, by=CALLER),
        Extend(account_id=CARD, by=CALLER, valid_until=NOW + HOUR),
    ],
)
def test_validity_does_not_begin_before_there_are_funds(order: Order) -> None:
    on = books(funds(validity="3", **NEW), earlier=[added()])
    decide(on, [order])
    assert on.accounts[CARD].valid_until is None


def test_validity_begins_once() -> None:
    on = books(funds(validity="3", **NEW))
    decide(on, [move(ADD, 100), move(ADD, 100)])
    on.now += HOUR
    decide(on, [move(ADD, 100)])
    assert on.accounts[CARD].valid_until == NOW + 3 * HOUR


# With what


@pytest.mark.parametrize(
    ("face", "amount", "code"),
    [
        (None, 99, None),
        (100, 100, None),
        (100, 99, WRONG),
        (100, 101, WRONG),
        (CEILING, CEILING, None),
        (CEILING + 1, CEILING + 1, WRONG),
    ],
)
@pytest.mark.parametrize("kind", [ADD, ADJUST, EXTERNAL, IMPORT])
@pytest.mark.parametrize("hold_for", [None, HOUR])
def test_the_first_funds_are_the_face_value(
    hold_for: Any, kind: MovementType, face: int | None, amount: int, code: ErrorCode | None
) -> None:
    on = books(funds(opens_with=face, **NEW))
    assert_declined(on, one(on, move(kind, amount, hold_for=hold_for)), code)


@pytest.mark.parametrize(("amount", "code"), [(100, None), (99, WRONG), (None, WRONG)])
def test_a_transfer_brings_the_face_value_or_nothing(
    amount: int | None, code: ErrorCode | None
) -> None:
    on = books(funds(), funds(OTHER, opens_with=100, **NEW))
    outcome = one(on, transfer(amount))
    assert_declined(on, outcome, code)
    assert outcome.entry is not None
    assert outcome.entry.account_id == (OTHER if code else CARD)


@pytest.mark.parametrize(("amount", "code"), [(100, None), (None, None), (99, WRONG), (1, WRONG)])
def test_an_authorised_face_value_is_captured_whole(
    amount: int | None, code: ErrorCode | None
) -> None:
    on = books(funds(opens_with=100, **NEW), earlier=[added()])
    assert_declined(on, one(on, about(Capture, amount=amount)), code)


def test_once_there_were_funds_the_face_value_means_nothing() -> None:
    on = books(funds(opens_with=100, **NEW), earlier=[added(90), added(91)])
    outcomes = decide(
        on,
        [
            move(ADD, 50),
            about(Capture, 90),
            about(Capture, 91, amount=50),
            move(ADD, 7),
            move(ADJUST, -157),
            move(ADD, 1),
        ],
    )
    assert [each.error for each in outcomes] == [WRONG, None, None, None, None, None]
    assert on.accounts[CARD].lifetime == 158


# How often


def uses_after(account: Funds, *orders: Order, earlier: Any = ()) -> int:
    on = books(account, earlier=earlier)
    assert [each.error for each in decide(on, orders)] == [None] * len(orders)
    return on.accounts[CARD].uses


@pytest.mark.parametrize(
    ("uses", "most", "code"),
    [(7, None, None), (0, 1, None), (1, 1, LIMIT), (1, 2, None), (3, 2, LIMIT), (0, 0, LIMIT)],
)
@pytest.mark.parametrize("hold_for", [None, HOUR])
def test_a_card_is_used_as_often_as_it_may_be(
    hold_for: Any, uses: int, most: int | None, code: ErrorCode | None
) -> None:
    on = books(funds(uses=uses, most_uses=most))
    assert_declined(on, one(on, move(USE, -100, hold_for=hold_for)), code)
    assert on.accounts[CARD].uses == uses + (code is None)


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        ({"closed": True}, ErrorCode.CARD_DISABLED),
        ({"lifetime": 0}, ErrorCode.CARD_NOT_ACTIVATED),
        ({"posted": 0}, LIMIT),
        ({"whole_only": True}, LIMIT),
    ],
)
def test_of_several_reasons_the_limit_comes_before_the_amount(
    facts: dict[str, Any], code: ErrorCode
) -> None:
    on = books(funds(most_uses=1, uses=1, **facts))
    assert_declined(on, one(on, move(USE, -100)), code)


@pytest.mark.parametrize(
    "order",
    [
        *(move(kind, -100) for kind in (ADJUST, EXTERNAL, IMPORT)),
        *(move(kind, 100) for kind in (ADD, ADJUST, EXTERNAL, IMPORT)),
        move(ADJUST, -100, hold_for=HOUR),
        Transfer(account_id=CARD, to_id=OTHER, by=CALLER, amount=1),
    ],
)
def test_only_uses_are_counted_and_limited(order: Order) -> None:
    on = books(funds(uses=2, most_uses=1), funds(OTHER))
    assert one(on, order).error is None
    assert [account.uses for account in on.accounts.values()] == [2, 0]


@pytest.mark.parametrize(
    ("earlier", "order", "uses"),
    [
        (hold(), about(Capture), 5),
        (hold(), about(Capture, amount=1), 5),
        (hold(), about(Cancel), 4),
        (hold(), about(Undo), 4),
        (hold(type=ADJUST), about(Cancel), 5),
        (added(), about(Cancel), 5),
        (past(), about(Refund), 4),
        (past(), about(Refund, amount=100), 4),
        (past(), about(Refund, amount=99), 5),
        (past(), about(Undo), 4),
        (past(refunded=99), about(Refund, amount=1), 4),
        (past(refunded=98), about(Refund, amount=1), 5),
        (past(**CAPTURED), about(Refund), 4),
        (past(**CAPTURED), about(Refund, amount=59), 5),
        (past(type=ADJUST), about(Refund), 5),
        (past(type=ADD, amount=100, against=SystemAccount.TENDER), about(Refund), 5),
    ],
)
def test_what_is_given_up_or_wholly_given_back_was_no_use(
    earlier: Past, order: Order, uses: int
) -> None:
    assert uses_after(funds(uses=5, held=100), order, earlier=[copy(earlier)]) == uses


def test_a_hold_whose_time_is_up_gives_its_use_back() -> None:
    account = funds(uses=1, most_uses=1, held=100, next_hold_end=NOW)
    assert uses_after(account, move(USE, -1), earlier=[hold(hold_until=NOW)]) == 1


def test_a_card_that_is_closed_gives_back_the_uses_that_were_held() -> None:
    earlier = [hold(90), hold(91), hold(92, type=ADJUST)]
    order = Close(account_id=CARD, by=CALLER)
    assert uses_after(funds(uses=3, held=300), order, earlier=earlier) == 1


@pytest.mark.parametrize(("refunded", "uses"), [(100, 2), (99, 1)])
def test_an_undone_refund_counts_its_use_again_beyond_any_limit(refunded: int, uses: int) -> None:
    """Of a use that was never wholly refunded nothing has to be counted again."""
    back = past(type=REFUND, amount=60, about_id=89, root=USE)
    account = funds(uses=1, most_uses=1)
    earlier = [back, past(89, refunded=refunded)]
    assert uses_after(account, about(Undo), earlier=earlier) == uses


def test_uses_of_a_batch_see_each_other() -> None:
    on = books(funds(most_uses=2))
    first, second = move(USE, -1), move(USE, -1, hold_for=HOUR)
    outcomes = decide(on, [first, second, move(USE, -1), move(USE, -1)])
    assert [each.error for each in outcomes] == [None, None, LIMIT, LIMIT]
    assert on.accounts[CARD].uses == 2


def test_uses_are_written_with_the_account() -> None:
    written = dict(zip(Funds.WRITTEN, funds(uses=3).written(NOW), strict=True))
    assert written["uses"] == 3
