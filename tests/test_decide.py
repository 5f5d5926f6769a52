"""The rules of money one by one: what may be moved or held, and what is recorded of it."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from giftgql.errors import ErrorCode
from giftgql.ledger.books import Outcome
from giftgql.ledger.decide import decide
from giftgql.ledger.models import MovementState, MovementType, SystemAccount
from giftgql.ledger.orders import Move, Order
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
    STANDING,
    TICK,
    USE,
    assert_declined,
    books,
    entry,
    figures,
    funds,
    line,
    move,
    one,
)


@pytest.mark.parametrize(
    ("type_", "amount", "code"),
    [
        (ADD, 1, None),
        (ADD, -1, ErrorCode.INVALID_AMOUNT),
        (USE, -1, None),
        (USE, 1, ErrorCode.INVALID_AMOUNT),
        *((each, sign, None) for each in (ADJUST, EXTERNAL, IMPORT) for sign in (1, -1)),
        *((each, 0, ErrorCode.INVALID_AMOUNT) for each in (ADD, USE, ADJUST, EXTERNAL, IMPORT)),
    ],
)
def test_a_movement_has_the_sign_of_its_type(
    type_: MovementType, amount: int, code: ErrorCode | None
) -> None:
    on = books(funds())
    assert_declined(on, one(on, move(type_, amount)), code)
    assert on.accounts[CARD].posted == 1_000 + (amount if code is None else 0)


@pytest.mark.parametrize(
    ("type_", "amount", "posted", "code"),
    [
        (ADD, CEILING, 0, None),
        (ADD, CEILING + 1, 0, ErrorCode.INVALID_AMOUNT),
        (ADD, CEILING - 1_000, 1_000, None),
        (ADD, CEILING - 999, 1_000, ErrorCode.INVALID_AMOUNT),
        (ADJUST, -CEILING, CEILING, None),
        (ADJUST, -CEILING - 1, CEILING, ErrorCode.INVALID_AMOUNT),
    ],
)
def test_no_amount_and_no_balance_is_beyond_the_ceiling(
    type_: MovementType, amount: int, posted: int, code: ErrorCode | None
) -> None:
    on = books(funds(posted=posted))
    assert_declined(on, one(on, move(type_, amount)), code)


@pytest.mark.parametrize("order", [move(ADD, 100), move(USE, -100), move(USE, -100, hold_for=HOUR)])
@pytest.mark.parametrize(("standing", "code"), STANDING)
def test_what_stops_a_card_stops_its_money(
    standing: dict[str, Any], code: ErrorCode | None, order: Move
) -> None:
    on = books(funds(**standing))
    assert_declined(on, one(on, order), code)


@pytest.mark.parametrize(
    ("order", "account", "code"),
    [
        (move(amount=0, code_until=NOW), {"closed": True}, ErrorCode.INVALID_AMOUNT),
        (move(code_until=NOW), {"closed": True}, ErrorCode.CODE_EXPIRED),
        (move(code_until=NOW - TICK), {}, ErrorCode.CODE_EXPIRED),
        (move(code_until=NOW + TICK), {}, None),
        (move(ADD, 1, code_until=NOW), {}, ErrorCode.CODE_EXPIRED),
        (move(), {"posted": 0, "lifetime": 0, "valid_until": NOW}, ErrorCode.CARD_EXPIRED),
        (move(), {"posted": 0, "lifetime": 0}, ErrorCode.CARD_NOT_ACTIVATED),
        (move(ADJUST, -1), {"posted": 0, "lifetime": 0}, ErrorCode.CARD_NOT_ACTIVATED),
        (move(ADD, 1), {"posted": 0, "lifetime": 0}, None),
        (move(), {"posted": 0}, ErrorCode.INSUFFICIENT_FUNDS),
        (move(), {"posted": 0, "lifetime": 1}, ErrorCode.INSUFFICIENT_FUNDS),
        (move(), {"posted": 99, "whole_only": True}, ErrorCode.INSUFFICIENT_FUNDS),
        (move(ADD, CEILING), {"valid_until": NOW}, ErrorCode.CARD_EXPIRED),
    ],
)
def test_of_several_reasons_the_first_is_named(
    order: Move, account: dict[str, Any], code: ErrorCode | None
) -> None:
    on = books(funds(**account))
    assert_declined(on, one(on, order), code)


@pytest.mark.parametrize("hold_for", [None, HOUR])
@pytest.mark.parametrize(
    ("posted", "held", "code"),
    [
        (100, 0, None),
        (99, 0, ErrorCode.INSUFFICIENT_FUNDS),
        (300, 200, None),
        (300, 201, ErrorCode.INSUFFICIENT_FUNDS),
        (300, 300, ErrorCode.INSUFFICIENT_FUNDS),
    ],
)
def test_what_is_held_is_not_there(
    posted: int, held: int, code: ErrorCode | None, hold_for: timedelta | None
) -> None:
    on = books(funds(posted=posted, held=held))
    assert_declined(on, one(on, move(hold_for=hold_for)), code)
    taken = 0 if code else 100
    left = (posted - taken, held) if hold_for is None else (posted, held + taken)
    assert figures(on.accounts[CARD])[:2] == left


@pytest.mark.parametrize(
    ("type_", "amount", "free", "taken"),
    [
        (USE, -100, 100, -100),
        (USE, -100, 101, -100),
        (USE, -100, 99, -99),
        (USE, -100, 1, -1),
        (USE, -100, 0, None),
        (ADJUST, -100, 40, -40),
        (ADD, 100, 40, 100),
    ],
)
@pytest.mark.parametrize("hold_for", [None, HOUR])
def test_a_partial_movement_takes_what_is_there(
    type_: MovementType, amount: int, free: int, taken: int | None, hold_for: timedelta | None
) -> None:
    on = books(funds(posted=free + 30, held=30))
    outcome = one(on, move(type_, amount, allow_partial=True, hold_for=hold_for))
    assert outcome.entry is not None
    if taken is None:
        assert_declined(on, outcome, ErrorCode.INSUFFICIENT_FUNDS)
        taken = amount
    assert (outcome.entry.amount, outcome.entry.asked) == (taken, amount)


@pytest.mark.parametrize(
    ("order", "posted", "held", "code"),
    [
        (move(), 100, 0, None),
        (move(hold_for=HOUR), 100, 0, None),
        (move(), 101, 0, ErrorCode.PARTIAL_REDEMPTION_NOT_SUPPORTED),
        (move(hold_for=HOUR), 101, 0, ErrorCode.PARTIAL_REDEMPTION_NOT_SUPPORTED),
        (move(amount=-101, allow_partial=True), 100, 0, None),
        (move(amount=-99, allow_partial=True), 100, 0, ErrorCode.PARTIAL_REDEMPTION_NOT_SUPPORTED),
        (move(), 140, 40, None),
        (move(amount=-5_000), 5_000, 0, None),
        (move(ADJUST, -1), 100, 0, None),
        (move(ADD, 1), 100, 0, None),
    ],
)
def test_a_card_without_partial_redemption_is_used_whole(
    order: Move, posted: int, held: int, code: ErrorCode | None
) -> None:
    on = books(funds(posted=posted, held=held, whole_only=True))
    assert_declined(on, one(on, order), code)


AGAINST = {
    ADD: SystemAccount.TENDER,
    USE: SystemAccount.REDEMPTION,
    ADJUST: SystemAccount.ADJUSTMENT,
    EXTERNAL: SystemAccount.EXTERNAL,
    IMPORT: SystemAccount.IMPORT,
}


@pytest.mark.parametrize(
    ("type_", "amount", "lifetime", "redeemed"),
    [
        (ADD, 100, 1_100, 0),
        (USE, -100, 1_000, 100),
        (ADJUST, 100, 1_100, 0),
        (ADJUST, -100, 1_000, 0),
        (EXTERNAL, 1, 1_001, 0),
        (EXTERNAL, -1, 1_000, 0),
        (IMPORT, 1, 1_001, 0),
        (IMPORT, -1, 1_000, 0),
    ],
)
def test_what_is_moved_is_recorded_and_posted_against_the_account_of_its_type(
    type_: MovementType, amount: int, lifetime: int, redeemed: int
) -> None:
    on = books(funds(held=200))
    order, against = move(type_, amount), AGAINST[type_]
    recorded = entry(order, type_, amount, 800 + amount, against=against)
    assert one(on, order) == Outcome(entry=recorded)
    assert on.entries == [recorded]
    assert on.lines == [line(order.id, amount, against)]
    assert on.touched == {CARD: on.accounts[CARD]}
    assert figures(on.accounts[CARD]) == (1_000 + amount, 200, lifetime, redeemed)
    assert (on.ends, on.accounts[CARD].open_holds) == ([], 0)


def test_a_decline_is_recorded_with_what_was_asked_and_what_was_available() -> None:
    on = books(funds(held=950))
    order = move(USE, -100)
    facts: dict[str, Any] = {"state": MovementState.DECLINED, "error": ErrorCode.INSUFFICIENT_FUNDS}
    assert one(on, order) == Outcome(entry=entry(order, USE, -100, 50, **facts))
    assert figures(on.accounts[CARD]) == (1_000, 950, 1_000, 0)


def test_nothing_is_available_of_expired_funds() -> None:
    on = books(funds(valid_until=NOW))
    made = one(on, move()).entry
    assert made is not None
    assert made.balance == 0


@pytest.mark.parametrize(
    ("type_", "amount", "held", "balance"),
    [(USE, -100, 100, 900), (ADJUST, -100, 100, 900), (ADD, 100, 0, 1_000)],
)
def test_an_authorisation_holds_what_it_will_take_and_posts_nothing(
    type_: MovementType, amount: int, held: int, balance: int
) -> None:
    on = books(funds())
    order = move(type_, amount, hold_for=HOUR)
    facts: dict[str, Any] = {"state": MovementState.HELD, "hold_until": NOW + HOUR}
    made = entry(order, type_, amount, balance, against=AGAINST[type_], **facts)
    assert one(on, order) == Outcome(entry=made)
    assert on.entries == [made]
    assert (on.lines, on.ends, list(on.touched)) == ([], [], [CARD])
    assert figures(on.accounts[CARD]) == (1_000, held, 1_000, 0)
    assert on.accounts[CARD].open_holds == 1


@pytest.mark.parametrize(
    ("open_holds", "hold_for", "code"),
    [
        (999, HOUR, None),
        (1_000, HOUR, ErrorCode.CONFLICT),
        (1_001, HOUR, ErrorCode.CONFLICT),
        (1_000, None, None),
    ],
)
@pytest.mark.parametrize("amount", [1, -1])
def test_so_many_authorisations_stand_on_one_card_and_no_more(
    amount: int, open_holds: int, hold_for: timedelta | None, code: ErrorCode | None
) -> None:
    on = books(funds(open_holds=open_holds))
    assert_declined(on, one(on, move(ADJUST, amount, hold_for=hold_for)), code)
    is_held = code is None and hold_for is not None
    assert on.accounts[CARD].open_holds == open_holds + is_held


@pytest.mark.parametrize(
    ("known", "hold_for", "expected"),
    [
        (None, HOUR, NOW + HOUR),
        (NOW + HOUR, HOUR - TICK, NOW + HOUR - TICK),
        (NOW + HOUR, HOUR + TICK, NOW + HOUR),
    ],
)
def test_the_next_end_of_a_hold_is_the_earliest(
    known: datetime | None, hold_for: timedelta, expected: datetime
) -> None:
    on = books(funds(next_hold_end=known))
    one(on, move(hold_for=hold_for))
    assert on.accounts[CARD].next_hold_end == expected


@pytest.mark.parametrize("wanted", [2_999, 3_001])
def test_an_account_reached_otherwise_than_believed_decides_nothing(wanted: int) -> None:
    on = books(funds(revision=3_000, closed=True))
    assert one(on, move(amount=0, revision=wanted)) == Outcome(is_stale=True)
    assert (on.entries, on.touched) == ([], {})
    assert one(on, move(amount=0, revision=int("3000"))).error is ErrorCode.INVALID_AMOUNT


def test_each_order_of_a_batch_sees_what_those_before_it_did() -> None:
    on = books(funds(), funds(OTHER))
    elsewhere = Move(account_id=OTHER, by=CALLER, type=USE, amount=-1_000)
    orders = [move(amount=-600), elsewhere, move(amount=-600), move(ADD, 200), move(amount=-600)]
    outcomes = decide(on, orders)
    short = ErrorCode.INSUFFICIENT_FUNDS
    assert [each.error for each in outcomes] == [None, None, short, None, None]
    assert [each.entry.balance for each in outcomes if each.entry] == [400, 0, 400, 600, 0]
    assert [each.id for each in on.entries] == [order.id for order in orders]


def test_what_is_no_order_is_a_bug() -> None:
    with pytest.raises(TypeError, match="Order"):
        one(books(funds()), Order(account_id=CARD, by=CALLER))


@pytest.mark.parametrize(
    ("account", "due_at"),
    [
        ({}, None),
        ({"valid_until": NOW + HOUR}, NOW + HOUR),
        ({"valid_until": NOW + HOUR, "next_hold_end": NOW + HOUR - TICK}, NOW + HOUR - TICK),
        ({"valid_until": NOW + HOUR, "next_hold_end": NOW + HOUR + TICK}, NOW + HOUR),
        ({"valid_until": NOW, "blocked": True}, None),
        ({"valid_until": NOW, "blocked": True, "next_hold_end": NOW}, NOW),
        ({"valid_until": NOW, "held": 999}, NOW),
        ({"valid_until": NOW, "held": 1_000}, None),
    ],
)
def test_the_sweep_is_due_when_a_hold_may_end_or_funds_expire(
    account: dict[str, Any], due_at: datetime | None
) -> None:
    assert funds(**account).due_at == due_at
