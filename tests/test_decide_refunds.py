"""The rules of money one by one: refunds, what undoes them, and transfers."""

from typing import Any

import pytest

from giftgql.errors import ErrorCode
from giftgql.ledger.books import End, Line, Outcome
from giftgql.ledger.decide import decide
from giftgql.ledger.models import HoldEnding, MovementState, MovementType, SystemAccount
from giftgql.ledger.orders import Refund, Transfer, Undo
from tests.ledger_books import (
    ADD,
    ADJUST,
    CALLER,
    CARD,
    CEILING,
    EXTERNAL,
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
    hold,
    line,
    one,
    past,
)

EXPIRE, REFUND, TRANSFER = MovementType.EXPIRE, MovementType.REFUND, MovementType.TRANSFER
TENDER = SystemAccount.TENDER
ADDED: dict[str, Any] = {"type": ADD, "amount": 100, "against": TENDER}
CAPTURED: dict[str, Any] = {
    "state": MovementState.HELD,
    "ending": HoldEnding.CAPTURED,
    "captured": 60,
}


def refund(amount: int | None = None) -> Refund:
    return Refund(account_id=CARD, by=CALLER, movement_id=90, amount=amount)


def undo() -> Undo:
    return Undo(account_id=CARD, by=CALLER, movement_id=90)


def transfer(amount: int | None = None) -> Transfer:
    return Transfer(account_id=CARD, to_id=OTHER, by=CALLER, amount=amount)


@pytest.mark.parametrize(
    ("refunded", "size", "code"),
    [
        (0, None, None),
        (0, 100, None),
        (0, 1, None),
        (0, 101, ErrorCode.REFUND_EXCEEDS_CAPTURED),
        (0, 0, ErrorCode.INVALID_AMOUNT),
        (0, -1, ErrorCode.INVALID_AMOUNT),
        (40, 60, None),
        (40, 61, ErrorCode.REFUND_EXCEEDS_CAPTURED),
        (99, None, None),
        (99, 0, ErrorCode.INVALID_AMOUNT),
        (100, None, ErrorCode.REFUND_EXCEEDS_CAPTURED),
        (100, 1, ErrorCode.REFUND_EXCEEDS_CAPTURED),
        (100, -1, ErrorCode.INVALID_AMOUNT),
    ],
)
@pytest.mark.parametrize("sign", [1, -1])
def test_no_more_is_refunded_than_was_moved(
    sign: int, refunded: int, size: int | None, code: ErrorCode | None
) -> None:
    on = books(funds(), earlier=[past(refunded=refunded, **(ADDED if sign > 0 else {}))])
    outcome = one(on, refund(size))
    assert_declined(on, outcome, code)
    assert outcome.entry is not None
    assert outcome.entry.asked == -sign * (100 - refunded if size is None else size)
    assert (outcome.entry.type, outcome.entry.about_id) == (REFUND, 90)
    assert on.past[90].refunded == refunded + (0 if code else abs(outcome.entry.amount))


@pytest.mark.parametrize(
    ("facts", "size", "code"),
    [
        (CAPTURED, 60, None),
        (CAPTURED, None, None),
        (CAPTURED, 61, ErrorCode.REFUND_EXCEEDS_CAPTURED),
        (CAPTURED | {"refunded": 20}, 41, ErrorCode.REFUND_EXCEEDS_CAPTURED),
        *(
            ({"state": state, "ending": ending}, size, ErrorCode.REFUND_EXCEEDS_CAPTURED)
            for state, ending in (
                (MovementState.HELD, None),
                (MovementState.HELD, HoldEnding.CANCELLED),
                (MovementState.HELD, HoldEnding.TIMED_OUT),
                (MovementState.DECLINED, None),
            )
            for size in (None, 1)
        ),
    ],
)
def test_of_a_hold_only_what_was_captured_is_refunded(
    facts: dict[str, Any], size: int | None, code: ErrorCode | None
) -> None:
    on = books(funds(), earlier=[past(**facts)])
    assert_declined(on, one(on, refund(size)), code)
    assert on.accounts[CARD].posted == 1_000 + (0 if code else 60)


@pytest.mark.parametrize(("standing", "code"), STANDING)
@pytest.mark.parametrize("facts", [{}, ADDED])
def test_nothing_is_refunded_to_or_from_a_card_that_is_stopped(
    facts: dict[str, Any], standing: dict[str, Any], code: ErrorCode | None
) -> None:
    for order in (refund(), undo()):
        on = books(funds(**standing), earlier=[past(**facts)])
        assert_declined(on, one(on, order), code)


@pytest.mark.parametrize(
    ("account", "facts", "code"),
    [
        ({"posted": CEILING - 100}, {}, None),
        ({"posted": CEILING - 99}, {}, ErrorCode.INVALID_AMOUNT),
        ({"posted": 0}, {}, None),
        ({"held": 900}, ADDED, None),
        ({"held": 901}, ADDED, ErrorCode.INSUFFICIENT_FUNDS),
        ({"whole_only": True}, {}, None),
        ({"whole_only": True}, ADDED, None),
        ({"posted": CEILING}, {"amount": -1}, ErrorCode.INVALID_AMOUNT),
        ({"posted": 0}, {"amount": -1}, None),
        ({"posted": 0}, ADDED | {"amount": 1}, ErrorCode.INSUFFICIENT_FUNDS),
        ({"posted": CEILING}, ADDED | {"amount": 1}, None),
    ],
)
def test_a_refund_is_within_what_the_card_takes_and_has(
    account: dict[str, Any], facts: dict[str, Any], code: ErrorCode | None
) -> None:
    on = books(funds(**account), earlier=[past(**facts)])
    assert_declined(on, one(on, refund()), code)


@pytest.mark.parametrize(
    ("facts", "after"),
    [
        ({"type": USE}, (1_040, 0, 1_000, -40)),
        ({"type": ADJUST}, (1_040, 0, 1_000, 0)),
        ({"type": IMPORT}, (1_040, 0, 1_000, 0)),
        ({"type": ADD, "amount": 100}, (960, 0, 1_000, 0)),
        ({"type": EXTERNAL, "amount": 100}, (960, 0, 1_000, 0)),
    ],
)
def test_a_refund_goes_back_to_where_the_money_came_from(
    facts: dict[str, Any], after: tuple[int, int, int, int]
) -> None:
    on = books(funds(), earlier=[past(against=SystemAccount.EXTERNAL, **facts)])
    order, amount = refund(40), after[0] - 1_000
    against = SystemAccount.EXTERNAL
    made = entry(order, REFUND, amount, after[0], against=against, about_id=90)
    assert one(on, order) == Outcome(entry=made)
    assert on.entries == [made]
    assert on.lines == [line(order.id, amount, against)]
    assert on.touched == {CARD: on.accounts[CARD]}
    assert figures(on.accounts[CARD]) == after
    assert [one(on, refund(each)).error for each in (61, 60)] == [
        ErrorCode.REFUND_EXCEEDS_CAPTURED,
        None,
    ]


@pytest.mark.parametrize("size", [None, 1, 0, 101])
@pytest.mark.parametrize(
    "facts",
    [
        {"type": EXPIRE, "against": SystemAccount.BREAKAGE},
        {"type": TRANSFER, "against": None, "about_id": 89, "root": TRANSFER},
        {"type": REFUND, "amount": 100, "about_id": 89, "root": USE},
    ],
)
def test_transfers_expiry_and_refunds_are_not_refunded(
    facts: dict[str, Any], size: int | None
) -> None:
    on = books(funds(), earlier=[past(**facts)])
    assert_declined(on, one(on, refund(size)), ErrorCode.CONFLICT)


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        ({"type": EXPIRE, "against": SystemAccount.BREAKAGE}, ErrorCode.CONFLICT),
        ({"type": REFUND, "about_id": 89, "root": REFUND}, ErrorCode.CONFLICT),
        ({"type": REFUND, "about_id": 89, "root": ADD, "against": TENDER}, None),
        ({"refunded": 40}, None),
        (CAPTURED, None),
    ],
)
def test_an_undo_refunds_what_is_left_of_what_moved(
    facts: dict[str, Any], code: ErrorCode | None
) -> None:
    on = books(funds(), earlier=[past(**facts), past(89, refunded=100, **ADDED)])
    left = on.past[90].moved - on.past[90].refunded
    assert_declined(on, one(on, undo()), code)
    if code is None:
        assert on.accounts[CARD].posted == 1_000 + left
        assert one(on, undo()) == Outcome(past=on.past[90])
        assert len(on.entries) == 1


@pytest.mark.parametrize(
    ("facts", "after"),
    [
        ({"amount": 100, "root": USE}, (900, 0, 1_000, 100)),
        ({"amount": -100, "root": ADD, "against": TENDER}, (1_100, 0, 1_000, 0)),
    ],
)
def test_a_refund_that_is_undone_counts_as_never_made(
    facts: dict[str, Any], after: tuple[int, int, int, int]
) -> None:
    undone = past(89, type=facts["root"], amount=-facts["amount"], refunded=100)
    on = books(funds(), earlier=[past(type=REFUND, about_id=89, **facts), undone])
    outcome = one(on, undo())
    assert outcome.entry is not None
    assert undone.refunded == 0
    assert (outcome.entry.type, outcome.entry.about_id) == (REFUND, 90)
    assert figures(on.accounts[CARD]) == after


@pytest.mark.parametrize("valid_until", [None, NOW])
def test_an_undo_of_a_hold_cancels_it(valid_until: object) -> None:
    on = books(funds(held=100, valid_until=valid_until, blocked=True), earlier=[hold()])
    end = End(90, HoldEnding.CANCELLED, 0, 100, 1_000, CALLER.caller, NOW)
    assert one(on, undo()) == Outcome(end=end, past=on.past[90])
    assert one(on, undo()) == Outcome(past=on.past[90])
    assert (on.entries, on.lines, on.ends) == ([], [], [end])


@pytest.mark.parametrize(
    "facts",
    [
        {"state": MovementState.DECLINED, "against": None},
        {"state": MovementState.HELD, "ending": HoldEnding.TIMED_OUT},
        {"state": MovementState.HELD, "ending": HoldEnding.CANCELLED},
        CAPTURED | {"refunded": 60},
        {"refunded": 100},
        {"amount": -100_000, "refunded": 100_000},
    ],
)
def test_an_undo_of_what_moved_nothing_does_nothing(facts: dict[str, Any]) -> None:
    on = books(funds(closed=True), earlier=[past(**facts)])
    assert one(on, undo()) == Outcome(past=on.past[90])
    assert (on.entries, on.lines, on.ends, on.touched) == ([], [], [], {})


@pytest.mark.parametrize(
    ("amount", "source", "target", "code"),
    [
        (None, {}, {}, None),
        (1_000, {}, {}, None),
        (1, {}, {}, None),
        (0, {"closed": True}, {}, ErrorCode.INVALID_AMOUNT),
        (-1, {}, {}, ErrorCode.INVALID_AMOUNT),
        (CEILING, {"posted": CEILING}, {"posted": 0}, None),
        (CEILING + 1, {"posted": CEILING}, {"posted": 0}, ErrorCode.INVALID_AMOUNT),
        (1_001, {}, {}, ErrorCode.INSUFFICIENT_FUNDS),
        (901, {"held": 100}, {}, ErrorCode.INSUFFICIENT_FUNDS),
        (900, {"held": 100}, {}, None),
        (None, {"held": 1_000}, {}, ErrorCode.INSUFFICIENT_FUNDS),
        (None, {"posted": 0, "lifetime": 0}, {}, ErrorCode.CARD_NOT_ACTIVATED),
        (None, {"closed": True, "blocked": True}, {}, ErrorCode.CARD_DISABLED),
        (None, {"blocked": True, "valid_until": NOW}, {}, None),
        (None, {"valid_until": NOW}, {"closed": True}, ErrorCode.CARD_EXPIRED),
        (1, {"whole_only": True}, {"whole_only": True}, None),
        (None, {}, {"posted": 0, "lifetime": 0}, None),
        (None, {}, {"posted": CEILING - 1_000}, None),
        (None, {}, {"posted": CEILING - 999}, ErrorCode.INVALID_AMOUNT),
        *((None, {}, standing, code) for standing, code in STANDING),
    ],
)
def test_a_transfer_takes_what_is_available_even_of_a_blocked_card(
    amount: int | None, source: dict[str, Any], target: dict[str, Any], code: ErrorCode | None
) -> None:
    on = books(funds(**source), funds(OTHER, **target))
    assert_declined(on, one(on, transfer(amount)), code)


@pytest.mark.parametrize(("amount", "size"), [(None, 950), (1, 1)])
def test_a_transfer_is_one_posting_and_a_movement_on_each_card(
    amount: int | None, size: int
) -> None:
    on = books(funds(held=50), funds(OTHER, posted=7, lifetime=9))
    order = transfer(amount)
    sent = entry(order, TRANSFER, -size, 950 - size, about_id=order.twin_id)
    came = sent._replace(id=order.twin_id, account_id=OTHER, amount=size, asked=size)
    came = came._replace(balance=7 + size, about_id=order.id, code_id=None)
    assert one(on, order) == Outcome(entry=sent)
    assert on.entries == [sent, came]
    assert on.lines == [Line(order.id, 0, CARD, OTHER, size, "EUR", NOW)]
    assert on.touched == on.accounts
    assert figures(on.accounts[CARD]) == (1_000 - size, 50, 1_000, 0)
    assert figures(on.accounts[OTHER]) == (7 + size, 0, 9 + size, 0)


@pytest.mark.parametrize(
    ("source", "target", "account_id", "asked", "balance"),
    [
        ({}, {"posted": 0, "lifetime": 0, "blocked": True}, OTHER, 40, 0),
        ({"closed": True, "posted": 20}, {}, CARD, -40, 20),
        ({}, {"valid_until": NOW}, OTHER, 40, 0),
    ],
)
def test_a_transfer_is_declined_on_the_card_at_fault(
    source: dict[str, Any], target: dict[str, Any], account_id: int, asked: int, balance: int
) -> None:
    on = books(funds(**source), funds(OTHER, **target))
    order = transfer(40)
    made = one(on, order).entry
    assert made is not None
    assert (made.id, made.account_id, made.type) == (order.id, account_id, TRANSFER)
    assert (made.amount, made.asked, made.balance) == (asked, asked, balance)


def test_a_transfer_of_no_amount_is_declined_with_what_was_asked() -> None:
    on = books(funds(), funds(OTHER))
    for each in (-5, CEILING + 1):
        order = transfer(each)
        facts: dict[str, Any] = {"state": MovementState.DECLINED, "error": ErrorCode.INVALID_AMOUNT}
        assert one(on, order) == Outcome(entry=entry(order, TRANSFER, -abs(each), 1_000, **facts))


def test_refunds_of_a_batch_see_each_other() -> None:
    on = books(funds(valid_until=NOW + TICK), earlier=[past()])
    outcomes = decide(on, [refund(60), refund(60), refund(40), refund()])
    beyond = ErrorCode.REFUND_EXCEEDS_CAPTURED
    assert [each.error for each in outcomes] == [None, beyond, None, beyond]
    assert figures(on.accounts[CARD]) == (1_100, 0, 1_000, -100)
