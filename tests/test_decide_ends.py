"""The rules of money one by one: how holds end, and what expiry, closing and extension do."""

from datetime import datetime
from typing import Any

import pytest

from giftgql.errors import ErrorCode
from giftgql.ledger.books import End, Outcome
from giftgql.ledger.decide import decide
from giftgql.ledger.models import HoldEnding, MovementState, MovementType, SystemAccount
from giftgql.ledger.orders import SERVER, Cancel, Capture, Close, Extend, Sweep
from tests.ledger_books import (
    ADD,
    ADJUST,
    CALLER,
    CARD,
    CEILING,
    HOUR,
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
    move,
    one,
)

EXPIRE, BREAKAGE = MovementType.EXPIRE, SystemAccount.BREAKAGE
ADDED: dict[str, Any] = {"type": ADD, "amount": 100, "against": SystemAccount.TENDER}


def capture(amount: int | None = None) -> Capture:
    return Capture(account_id=CARD, by=CALLER, movement_id=90, amount=amount)


def cancel() -> Cancel:
    return Cancel(account_id=CARD, by=CALLER, movement_id=90)


def sweep(effective_at: datetime | None = None) -> Sweep:
    return Sweep(account_id=CARD, by=SERVER, effective_at=effective_at)


def close() -> Close:
    return Close(account_id=CARD, by=CALLER)


def extend(until: datetime, expired: int = 0) -> Extend:
    return Extend(account_id=CARD, by=CALLER, valid_until=until, expired=expired)


@pytest.mark.parametrize(
    ("ending", "state", "captured", "cancelled"),
    [
        (None, MovementState.HELD, None, None),
        (None, MovementState.DECLINED, *[ErrorCode.CONFLICT] * 2),
        (None, MovementState.POSTED, *[ErrorCode.ALREADY_CAPTURED] * 2),
        (HoldEnding.CAPTURED, MovementState.HELD, *[ErrorCode.ALREADY_CAPTURED] * 2),
        (HoldEnding.CANCELLED, MovementState.HELD, *[ErrorCode.ALREADY_CANCELLED] * 2),
        (
            *(HoldEnding.TIMED_OUT, MovementState.HELD),
            *(ErrorCode.AUTHORIZATION_EXPIRED, ErrorCode.ALREADY_CANCELLED),
        ),
    ],
)
def test_only_an_open_hold_can_be_ended(
    ending: HoldEnding | None,
    state: MovementState,
    captured: ErrorCode | None,
    cancelled: ErrorCode | None,
) -> None:
    for order, code in ((capture(), captured), (cancel(), cancelled)):
        on = books(funds(held=100), earlier=[hold(state=state, ending=ending)])
        outcome = one(on, order)
        assert_declined(on, outcome, code)
        if outcome.entry is not None:
            assert (outcome.entry.type, outcome.entry.amount) == (USE, -100)
            assert outcome.entry.about_id == 90


@pytest.mark.parametrize(
    ("size", "code"),
    [
        (None, None),
        (100, None),
        (99, None),
        (1, None),
        (101, ErrorCode.INVALID_AMOUNT),
        (0, ErrorCode.INVALID_AMOUNT),
        (-1, ErrorCode.INVALID_AMOUNT),
    ],
)
@pytest.mark.parametrize("facts", [{}, ADDED])
def test_what_is_captured_is_part_of_what_is_held(
    facts: dict[str, Any], size: int | None, code: ErrorCode | None
) -> None:
    on = books(funds(held=100), earlier=[hold(**facts)])
    outcome = one(on, capture(size))
    assert_declined(on, outcome, code)
    if outcome.entry is not None:
        assert size is not None
        assert outcome.entry.asked == (size if facts else -size)


@pytest.mark.parametrize(
    ("order", "account", "facts", "code"),
    [
        (capture(0), {"blocked": True}, {"ending": HoldEnding.CANCELLED}, "INVALID_AMOUNT"),
        (capture(101), {}, {"ending": HoldEnding.CANCELLED}, "ALREADY_CANCELLED"),
        (capture(101), {"blocked": True}, {}, "CARD_BLOCKED"),
        (capture(), {"blocked": True}, ADDED, "CARD_BLOCKED"),
        (capture(), {"valid_until": NOW}, {}, None),
        (capture(), {"valid_until": NOW}, ADDED, "CARD_EXPIRED"),
        (capture(), {"posted": CEILING}, {}, None),
        (capture(), {"posted": CEILING - 100}, ADDED, None),
        (capture(), {"posted": CEILING - 99}, ADDED, "INVALID_AMOUNT"),
        (capture(99), {"posted": CEILING - 99}, ADDED, None),
        (capture(99), {"whole_only": True}, {}, "PARTIAL_REDEMPTION_NOT_SUPPORTED"),
        (capture(100), {"whole_only": True}, {}, None),
        (capture(1_000), {"whole_only": True, "held": 1_000}, {"amount": -1_000}, None),
        (capture(99), {"whole_only": True}, {"type": ADJUST}, None),
        (capture(99), {"whole_only": True}, ADDED, None),
        (capture(), {"posted": CEILING}, ADDED | {"amount": 1}, "INVALID_AMOUNT"),
        (capture(), {"posted": CEILING - 1}, ADDED | {"amount": 1}, None),
        (cancel(), {"blocked": True, "valid_until": NOW}, {}, None),
    ],
)
def test_a_hold_outlives_expiry_but_is_not_captured_while_blocked(
    order: Capture | Cancel, account: dict[str, Any], facts: dict[str, Any], code: str | None
) -> None:
    on = books(funds(**{"held": 100, **account}), earlier=[hold(**facts)])
    assert_declined(on, one(on, order), ErrorCode[code] if code else None)


@pytest.mark.parametrize(
    ("facts", "size", "after", "balance"),
    [
        ({"amount": -1}, 1, (999, 99, 1_000, 1), 900),
        (ADDED | {"amount": 1}, 1, (1_001, 0, 1_001, 0), 1_001),
        ({}, 100, (900, 0, 1_000, 100), 900),
        ({}, 40, (960, 0, 1_000, 40), 960),
        ({"type": ADJUST, "against": SystemAccount.ADJUSTMENT}, 40, (960, 0, 1_000, 0), 960),
        (ADDED, 100, (1_100, 0, 1_100, 0), 1_100),
        (ADDED, 40, (1_040, 0, 1_040, 0), 1_040),
    ],
)
def test_a_capture_posts_what_it_takes_and_releases_the_rest(
    facts: dict[str, Any], size: int, after: tuple[int, int, int, int], balance: int
) -> None:
    held = hold(**facts)
    on = books(funds(held=0 if held.amount > 0 else 100), earlier=[held])
    end = End(90, HoldEnding.CAPTURED, size, held.size - size, balance, CALLER.caller, NOW)
    against = held.against
    assert against is not None
    assert one(on, capture(size)) == Outcome(end=end, past=held)
    assert (on.entries, on.ends) == ([], [end])
    assert on.lines == [line(90, size if held.amount > 0 else -size, against)]
    assert on.touched == {CARD: on.accounts[CARD]}
    assert figures(on.accounts[CARD]) == after
    assert (held.ending, held.captured, held.moved) == (HoldEnding.CAPTURED, size, size)
    assert on.accounts[CARD].open_holds == 0
    assert one(on, capture()).error is ErrorCode.ALREADY_CAPTURED
    assert one(on, cancel()).error is ErrorCode.ALREADY_CAPTURED


@pytest.mark.parametrize(("facts", "held"), [({}, 130), (ADDED, 30)])
def test_a_cancellation_releases_all_of_a_hold(facts: dict[str, Any], held: int) -> None:
    on = books(funds(held=held), earlier=[hold(**facts)])
    end = End(90, HoldEnding.CANCELLED, 0, 100, 970, CALLER.caller, NOW)
    assert one(on, cancel()) == Outcome(end=end, past=on.past[90])
    assert (on.entries, on.lines, on.ends) == ([], [], [end])
    assert on.touched == {CARD: on.accounts[CARD]}
    assert figures(on.accounts[CARD]) == (1_000, 30, 1_000, 0)
    assert on.accounts[CARD].open_holds == 0
    assert one(on, capture()).error is ErrorCode.ALREADY_CANCELLED


@pytest.mark.parametrize(
    ("until", "code"),
    [
        (NOW - TICK, ErrorCode.AUTHORIZATION_EXPIRED),
        (NOW, ErrorCode.AUTHORIZATION_EXPIRED),
        (NOW + TICK, None),
    ],
)
def test_a_hold_ends_when_its_time_is_up_before_anything_else_happens(
    until: datetime, code: ErrorCode | None
) -> None:
    timed, later = hold(hold_until=until), hold(91, hold_until=NOW + HOUR)
    on = books(funds(held=200, next_hold_end=until), earlier=[timed, later])
    assert one(on, capture()).error is code
    left = min(until, NOW + HOUR) if code is None else NOW + HOUR
    assert (on.accounts[CARD].held, on.accounts[CARD].next_hold_end) == (100, left)
    assert on.accounts[CARD].open_holds == 1
    if code is not None:
        end = End(90, HoldEnding.TIMED_OUT, 0, 100, 900, SERVER.caller, NOW)
        assert (timed.ending, on.ends) == (HoldEnding.TIMED_OUT, [end])
        assert on.touched == {CARD: on.accounts[CARD]}


def test_money_of_an_ended_hold_can_be_used_at_once() -> None:
    on = books(funds(posted=100, held=100, next_hold_end=NOW), earlier=[hold(hold_until=NOW)])
    assert one(on, move(amount=-100)).error is None
    assert figures(on.accounts[CARD]) == (0, 0, 1_000, 100)
    assert on.accounts[CARD].next_hold_end is None


def test_holds_of_all_accounts_of_a_batch_end_in_time() -> None:
    ended = [hold(91, hold_until=NOW), hold(92, account_id=OTHER, hold_until=NOW - HOUR)]
    known: dict[str, Any] = {"held": 100, "next_hold_end": NOW - HOUR}
    on = books(funds(**known), funds(OTHER, **known), earlier=ended)
    assert decide(on, []) == []
    assert [each.hold_id for each in on.ends] == [91, 92]
    assert [figures(account)[1] for account in on.accounts.values()] == [0, 0]


def test_the_moment_before_which_no_hold_ends_may_be_too_early() -> None:
    on = books(funds(held=100, next_hold_end=NOW), earlier=[hold()])
    assert decide(on, []) == []
    assert (on.ends, on.accounts[CARD].held) == ([], 100)
    assert on.accounts[CARD].next_hold_end == NOW + HOUR
    assert on.touched == {CARD: on.accounts[CARD]}


@pytest.mark.parametrize(
    ("account", "effective_at", "recorded_at"),
    [
        ({"valid_until": NOW}, None, NOW),
        ({"valid_until": NOW - HOUR}, None, NOW - HOUR),
        ({"valid_until": NOW - HOUR}, NOW - TICK, NOW - TICK),
        ({"valid_until": NOW + TICK}, None, None),
        ({"valid_until": None}, None, None),
        ({"valid_until": NOW, "blocked": True}, None, None),
        ({"valid_until": NOW, "posted": 30}, None, None),
    ],
)
def test_the_sweep_takes_expired_funds_as_of_the_end_of_their_validity(
    account: dict[str, Any], effective_at: datetime | None, recorded_at: datetime | None
) -> None:
    on = books(funds(**{"held": 30, **account}))
    order = sweep(effective_at)
    outcome = one(on, order)
    assert on.touched == {CARD: on.accounts[CARD]}
    if recorded_at is None:
        assert outcome == Outcome()
        assert (on.entries, on.lines) == ([], [])
        return
    made = entry(order, EXPIRE, -970, 0, SERVER, against=BREAKAGE)
    assert outcome == Outcome(entry=made)
    assert on.entries == [made]
    assert on.lines == [line(order.id, -970, BREAKAGE, recorded_at)]
    assert figures(on.accounts[CARD]) == (30, 30, 1_000, 0)


def test_what_a_hold_releases_after_expiry_expires_as_of_the_end_of_validity() -> None:
    known: dict[str, Any] = {"valid_until": NOW - HOUR, "next_hold_end": NOW - TICK}
    on = books(funds(held=1_000, **known), earlier=[hold(amount=-1_000, hold_until=NOW - TICK)])
    one(on, sweep())
    assert [(each.amount, each.effective_at) for each in on.lines] == [(1_000, NOW - HOUR)]


@pytest.mark.parametrize(
    ("account", "kind", "effective_at", "balance"),
    [
        ({}, ADJUST, NOW, 1_000),
        ({"valid_until": NOW + TICK}, ADJUST, NOW, 1_000),
        ({"valid_until": NOW - HOUR, "blocked": True}, ADJUST, NOW, 1_000),
        ({"valid_until": NOW - HOUR}, EXPIRE, NOW - HOUR, 0),
    ],
)
def test_closing_cancels_holds_and_takes_the_rest_off_the_books(
    account: dict[str, Any], kind: MovementType, effective_at: datetime, balance: int
) -> None:
    ended = hold(92, ending=HoldEnding.CAPTURED, captured=1)
    on = books(
        funds(held=100, next_hold_end=NOW + HOUR, **account), earlier=[hold(), hold(91, **ADDED)]
    )
    on.holds = {CARD: [*on.holds[CARD], ended]}
    order = close()
    outcome = one(on, order)
    assert on.ends == [
        End(each, HoldEnding.CANCELLED, 0, 100, balance, CALLER.caller, NOW) for each in (90, 91)
    ]
    (made,) = on.entries
    assert outcome.entry in {made, None}
    assert (made.id, made.type, made.amount, made.balance) == (order.id, kind, -1_000, 0)
    against = SystemAccount.ADJUSTMENT if kind is ADJUST else BREAKAGE
    assert on.lines == [line(order.id, -1_000, against, effective_at)]
    assert figures(on.accounts[CARD]) == (0, 0, 1_000, 0)
    assert (on.accounts[CARD].closed, on.accounts[CARD].next_hold_end) == (True, None)
    assert on.accounts[CARD].open_holds == 0
    assert one(on, move(ADD, 1)).error is ErrorCode.CARD_DISABLED


@pytest.mark.parametrize("valid_until", [None, NOW])
def test_closing_an_empty_account_moves_nothing(valid_until: datetime | None) -> None:
    on = books(funds(posted=0, valid_until=valid_until))
    one(on, close())
    assert (on.entries, on.lines, on.ends) == ([], [], [])
    assert on.accounts[CARD].closed
    assert on.touched == {CARD: on.accounts[CARD]}


@pytest.mark.parametrize(("valid_until", "kind"), [(None, ADJUST), (NOW, EXPIRE)])
def test_closing_takes_the_last_cent(valid_until: datetime | None, kind: MovementType) -> None:
    on = books(funds(posted=1, valid_until=valid_until))
    one(on, close())
    assert [(each.type, each.amount, each.balance) for each in on.entries] == [(kind, -1, 0)]
    assert on.accounts[CARD].posted == 0


def test_an_adjustment_by_closing_is_what_came_of_it() -> None:
    on = books(funds())
    assert one(on, close()).entry == on.entries[0]


def test_accounts_without_holds_need_none() -> None:
    on = books(funds(next_hold_end=NOW))
    on.holds = {}
    decide(on, [close()])
    assert (on.ends, on.accounts[CARD].closed) == ([], True)


@pytest.mark.parametrize(
    ("known", "until", "expected"),
    [
        (None, NOW + HOUR, None),
        (NOW + HOUR, NOW + HOUR, NOW + HOUR),
        (NOW + HOUR, NOW + HOUR - TICK, NOW + HOUR),
        (NOW + HOUR, NOW + HOUR + TICK, NOW + HOUR + TICK),
        (NOW - HOUR, NOW + HOUR, NOW + HOUR),
    ],
)
def test_an_extension_never_shortens(
    known: datetime | None, until: datetime, expected: datetime | None
) -> None:
    on = books(funds(valid_until=known))
    expired = 5 if known == until or known is None else 0
    assert one(on, extend(until, expired)) == Outcome()
    assert on.accounts[CARD].valid_until == expected
    assert (on.entries, on.lines) == ([], [])
    assert on.touched == {CARD: on.accounts[CARD]}


@pytest.mark.parametrize(("until", "comes_back"), [(NOW + TICK, True), (NOW, False)])
@pytest.mark.parametrize("expired", [1, 970])
def test_an_extension_brings_back_what_has_expired(
    until: datetime, comes_back: bool, expired: int
) -> None:
    on = books(funds(posted=30, held=30, valid_until=NOW - HOUR))
    order = extend(until, expired)
    outcome = one(on, order)
    if not comes_back:
        assert (outcome, on.entries, on.lines) == (Outcome(), [], [])
        return
    made = entry(order, EXPIRE, expired, expired, against=BREAKAGE)
    assert outcome == Outcome(entry=made)
    assert on.entries == [made]
    assert on.lines == [line(order.id, expired, BREAKAGE)]
    assert figures(on.accounts[CARD]) == (30 + expired, 30, 1_000, 0)


@pytest.mark.parametrize(("standing", "code"), STANDING[1:])
def test_nothing_is_captured_to_a_card_that_is_stopped(
    standing: dict[str, Any], code: ErrorCode | None
) -> None:
    on = books(funds(**standing), earlier=[hold(**ADDED)])
    assert_declined(on, one(on, capture()), code)
