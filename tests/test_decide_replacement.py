"""The rules of money one by one: accounts that are replaced on use, and what follows them."""

from typing import Any

import pytest

from giftgql.errors import ErrorCode
from giftgql.ledger.books import Books, Line, Outcome
from giftgql.ledger.decide import decide
from giftgql.ledger.models import HoldEnding, MovementState, MovementType, SystemAccount
from giftgql.ledger.orders import (
    Cancel,
    Capture,
    Close,
    Extend,
    Funds,
    Order,
    Refund,
    Replace,
    Sweep,
    Transfer,
    Undo,
)
from giftgql.ledger.reasons import why_not_use
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
    entry,
    figures,
    funds,
    hold,
    line,
    move,
    one,
    past,
)

CONFLICT, REPLACED = ErrorCode.CONFLICT, ErrorCode.CARD_REPLACED
REFUND, TRANSFER = MovementType.REFUND, MovementType.TRANSFER
TENDER, PROMOTION = SystemAccount.TENDER, SystemAccount.PROMOTION
REDEMPTION = SystemAccount.REDEMPTION
GONE: dict[str, Any] = {"posted": 0, "replaced_by": OTHER}
ADDED: dict[str, Any] = {"type": ADD, "amount": 100, "against": TENDER}
NOTHING = Outcome()


def replace() -> Replace:
    return Replace(account_id=CARD, to_id=OTHER, by=CALLER)


def new(**facts: Any) -> Funds:
    return funds(OTHER, **{"posted": 0, "lifetime": 0, **facts})


def refund(amount: int | None = None, **facts: Any) -> Refund:
    return Refund(**{"account_id": CARD, "at_id": OTHER, "movement_id": 90, **facts}, **by(amount))


def by(amount: int | None) -> dict[str, Any]:
    return {"by": CALLER, "amount": amount}


def undo(movement_id: int = 90, at_id: int | None = OTHER) -> Undo:
    return Undo(account_id=CARD, at_id=at_id, movement_id=movement_id, by=CALLER)


# Being replaced


@pytest.mark.parametrize("held", [0, 100])
def test_all_that_is_available_goes_to_the_account_that_takes_the_place(held: int) -> None:
    """What is held by what is not captured yet would be left behind."""
    earlier = [hold()] if held else []
    on = books(funds(held=held, redeemed=60), new(), earlier=earlier)
    order = replace()
    if held:
        assert_declined(on, one(on, order), CONFLICT)
        assert on.entries == [entry(order, TRANSFER, -900, 900, **declined(CONFLICT))]
        assert on.accounts[CARD].replaced_by is None
        return
    sent = entry(order, TRANSFER, -1_000, 0, about_id=order.twin_id)
    came = sent._replace(id=order.twin_id, account_id=OTHER, amount=1_000, asked=1_000)
    came = came._replace(balance=1_000, about_id=order.id, code_id=None)
    assert one(on, order) == Outcome(entry=sent)
    assert on.entries == [sent, came]
    assert on.lines == [Line(order.id, 0, CARD, OTHER, 1_000, "EUR", NOW)]
    assert [figures(on.accounts[each]) for each in (CARD, OTHER)] == [
        (0, 0, 1_000, 60),
        (1_000, 0, 1_000, 0),
    ]
    assert (on.accounts[CARD].replaced_by, on.accounts[OTHER].replaced_by) == (OTHER, None)
    written = dict(zip(Funds.WRITTEN, on.touched[CARD].written(NOW), strict=True))
    assert written["replaced_by"] == OTHER
    assert written["due_at"] is None


def declined(error: ErrorCode) -> dict[str, Any]:
    return {"state": MovementState.DECLINED, "error": error}


@pytest.mark.parametrize(
    "facts",
    [{"posted": 0}, {"valid_until": NOW}, GONE, {"posted": 100, "held": 100, "open_holds": 1}],
)
def test_where_nothing_is_available_nothing_is_replaced(facts: dict[str, Any]) -> None:
    on = books(funds(**facts), new())
    before = on.accounts[CARD].replaced_by
    assert one(on, replace()) == NOTHING
    assert (on.entries, on.lines, on.touched) == ([], [], {})
    assert on.accounts[CARD].replaced_by == before


@pytest.mark.parametrize(
    ("source", "target", "code"),
    [
        ({"closed": True}, {}, ErrorCode.CARD_DISABLED),
        ({"lifetime": 0}, {}, ErrorCode.CARD_NOT_ACTIVATED),
        ({"blocked": True, "valid_until": NOW}, {}, None),
        ({"replaced_by": 13}, {}, REPLACED),
        ({}, {"closed": True}, ErrorCode.CARD_DISABLED),
        ({}, {"replaced_by": 13}, REPLACED),
    ],
)
def test_an_account_is_replaced_only_by_one_that_takes_its_funds(
    source: dict[str, Any], target: dict[str, Any], code: ErrorCode | None
) -> None:
    on = books(funds(**source), new(**target))
    assert_declined(on, one(on, replace()), code)
    wanted = OTHER if code is None else source.get("replaced_by")
    assert on.accounts[CARD].replaced_by == wanted


# Having been replaced


def every_use() -> list[Order]:
    signed = [(kind, sign * 100) for kind in (ADJUST, EXTERNAL, IMPORT) for sign in (1, -1)]
    return [
        *(move(kind, amount) for kind, amount in [(ADD, 100), (USE, -100), *signed]),
        *(move(kind, amount, hold_for=HOUR) for kind, amount in [(ADD, 100), (USE, -100)]),
        move(USE, -100, allow_partial=True),
        move(ADD, 100, price=0),
        Transfer(account_id=CARD, to_id=OTHER, by=CALLER),
        Transfer(account_id=CARD, to_id=OTHER, by=CALLER, amount=5),
        Transfer(account_id=OTHER, to_id=CARD, by=CALLER),
    ]


@pytest.mark.parametrize("order", every_use())
@pytest.mark.parametrize(
    ("facts", "code"),
    [
        ({}, REPLACED),
        ({"blocked": True, "valid_until": NOW}, REPLACED),
        ({"valid_until": NOW, "valid_from": NOW + TICK, "most_uses": 0}, REPLACED),
        ({"closed": True}, ErrorCode.CARD_DISABLED),
    ],
)
def test_nothing_is_added_to_or_taken_from_what_was_replaced(
    facts: dict[str, Any], code: ErrorCode, order: Order
) -> None:
    on = books(funds(**GONE | facts), funds(OTHER))
    assert_declined(on, one(on, order), code)


def test_what_was_replaced_can_pay_for_nothing() -> None:
    assert why_not_use(NOW, funds(**GONE), 1) is REPLACED
    assert why_not_use(NOW, funds(), 1) is None
    assert why_not_use(NOW, funds(valid_until=NOW), 1) is ErrorCode.CARD_EXPIRED
    assert why_not_use(NOW, funds(valid_from=NOW + TICK), 1) is ErrorCode.CARD_NOT_YET_VALID


def test_what_was_replaced_is_neither_swept_nor_extended_and_can_be_closed() -> None:
    on = books(funds(**GONE, valid_until=NOW), funds(OTHER))
    later = NOW + HOUR
    extend = Extend(account_id=CARD, by=CALLER, valid_until=later, expired=100)
    close = Close(account_id=CARD, by=CALLER)
    assert decide(on, [Sweep(account_id=CARD, by=CALLER), extend, close]) == [NOTHING] * 3
    assert (on.entries, on.lines) == ([], [])
    account = on.accounts[CARD]
    assert (account.posted, account.valid_until, account.closed) == (0, NOW, True)


# One hold at a time, and no use beside it


@pytest.mark.parametrize("standing", [hold(), hold(type=ADD, amount=100)], ids=["-", "+"])
@pytest.mark.parametrize(
    ("order", "code"),
    [
        (move(USE, -100), CONFLICT),
        (move(USE, -5_000), CONFLICT),
        (move(USE, -100, hold_for=HOUR), CONFLICT),
        (move(ADD, 100, hold_for=HOUR), CONFLICT),
        (move(ADJUST, -100, hold_for=HOUR), CONFLICT),
        (move(ADD, 100), None),
        *((move(kind, -100), None) for kind in (ADJUST, EXTERNAL, IMPORT)),
        (Transfer(account_id=CARD, to_id=OTHER, by=CALLER, amount=1), None),
        (Capture(account_id=CARD, movement_id=90, by=CALLER, amount=60), None),
        (Cancel(account_id=CARD, movement_id=90, by=CALLER), None),
    ],
)
def test_while_a_hold_stands_on_what_is_replaced_on_use_it_is_not_used(
    order: Order, code: ErrorCode | None, standing: Any
) -> None:
    facts = {"held": 100 if standing.amount < 0 else 0, "replaced_on_use": True}
    on = books(funds(**facts), funds(OTHER), earlier=[past(**vars_of(standing))])
    outcome = one(on, order)
    assert outcome.error is code
    if code is not None:
        assert_declined(on, outcome, code)


def vars_of(hold_: Any) -> dict[str, Any]:
    names = ("type", "state", "amount", "against", "hold_until")
    return {name: getattr(hold_, name) for name in names}


@pytest.mark.parametrize("kind", [USE, ADD])
def test_the_first_hold_stands_and_gives_way_when_it_has_ended(kind: MovementType) -> None:
    on = books(funds(replaced_on_use=True))
    sign = 1 if kind is ADD else -1
    first = move(kind, sign * 100, hold_for=HOUR)
    errors = [each.error for each in decide(on, [first, move(USE, -1), move(USE, -1)])]
    assert errors == [None, CONFLICT, CONFLICT]
    over = books(
        funds(replaced_on_use=True, held=100, uses=1, next_hold_end=NOW),
        earlier=[hold(hold_until=NOW)],
    )
    assert one(over, move(USE, -1_000)).error is None
    assert [end.ending for end in over.ends] == [HoldEnding.TIMED_OUT]


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        ({"closed": True}, ErrorCode.CARD_DISABLED),
        ({"blocked": True}, ErrorCode.CARD_BLOCKED),
        ({"valid_until": NOW}, ErrorCode.CARD_EXPIRED),
        ({"valid_from": NOW + TICK}, ErrorCode.CARD_NOT_YET_VALID),
        ({"lifetime": 0}, ErrorCode.CARD_NOT_ACTIVATED),
        ({"most_uses": 0}, CONFLICT),
        ({"posted": 100}, CONFLICT),
    ],
)
def test_of_several_reasons_a_hold_that_stands_comes_after_the_standing(
    facts: dict[str, Any], code: ErrorCode
) -> None:
    on = books(funds(**{"replaced_on_use": True, "held": 100, **facts}), earlier=[hold()])
    assert_declined(on, one(on, move(USE, -100)), code)


# Refunds follow


def test_a_refund_of_what_was_replaced_goes_on_to_where_its_money_is() -> None:
    earlier = [past(refunded=10)]
    on = books(funds(**GONE, redeemed=90, uses=1), funds(OTHER, posted=40), earlier=earlier)
    order = refund(60)
    made = entry(order, REFUND, 60, 100, against=REDEMPTION, about_id=90)
    ids: dict[str, Any] = {"id": order.id + 1, "about_id": order.id + 2}
    sent = entry(order, TRANSFER, -60, 0)._replace(**ids)
    came = sent._replace(id=order.id + 2, account_id=OTHER, amount=60, asked=60)
    came = came._replace(balance=100, about_id=order.id + 1, code_id=None)
    assert one(on, order) == Outcome(entry=made)
    assert on.entries == [sent, came, made]
    on_its_way = Line(order.id + 1, 0, CARD, OTHER, 60, "EUR", NOW)
    assert on.lines == [line(order.id, 60, REDEMPTION), on_its_way]
    assert figures(on.accounts[CARD]) == (0, 0, 1_000, 30)
    assert figures(on.accounts[OTHER]) == (100, 0, 1_060, 0)
    assert (on.accounts[CARD].uses, on.past[90].refunded) == (1, 70)
    again = [one(on, each) for each in (refund(31), refund(30), refund())]
    beyond = ErrorCode.REFUND_EXCEEDS_CAPTURED
    assert [each.error for each in again] == [beyond, None, beyond]
    assert (on.accounts[CARD].uses, on.accounts[CARD].posted) == (0, 0)
    assert on.accounts[OTHER].posted == 130
    assert on.accounts[CARD].replaced_by == OTHER


@pytest.mark.parametrize(("price", "against"), [(None, TENDER), (45, TENDER), (0, PROMOTION)])
def test_what_was_added_is_taken_back_from_where_the_money_is(
    price: int | None, against: int
) -> None:
    added = past(**{**ADDED, "against": against, "price": price})
    on = books(funds(**GONE), funds(OTHER, posted=100), earlier=[added])
    order = refund(100)
    outcome = one(on, order)
    assert outcome.entry is not None
    made = (outcome.entry.account_id, outcome.entry.amount, outcome.entry.balance)
    assert (made, outcome.entry.price) == ((CARD, -100, 0), price)
    assert [(each.account_id, each.type, each.amount) for each in on.entries] == [
        (OTHER, TRANSFER, -100),
        (CARD, TRANSFER, 100),
        (CARD, REFUND, -100),
    ]
    assert on.lines[0] == Line(order.id + 1, 0, OTHER, CARD, 100, "EUR", NOW)
    assert sum(each.amount for each in on.lines[1:]) == 100
    assert figures(on.accounts[CARD]) == (0, 0, 1_100, 0)
    assert figures(on.accounts[OTHER]) == (0, 0, 1_000, 0)


@pytest.mark.parametrize(
    ("there", "facts", "code"),
    [
        ({}, {}, None),
        ({"blocked": True}, {}, ErrorCode.CARD_BLOCKED),
        ({"closed": True}, {}, ErrorCode.CARD_DISABLED),
        ({"valid_until": NOW}, {}, ErrorCode.CARD_EXPIRED),
        ({"posted": CEILING - 100}, {}, None),
        ({"posted": CEILING - 99}, {}, ErrorCode.INVALID_AMOUNT),
        ({"posted": 99}, ADDED, ErrorCode.INSUFFICIENT_FUNDS),
        ({"held": 901}, ADDED, ErrorCode.INSUFFICIENT_FUNDS),
        ({"blocked": True}, ADDED, ErrorCode.CARD_BLOCKED),
        ({"posted": 100}, ADDED, None),
    ],
)
@pytest.mark.parametrize("kind", [refund, undo])
def test_where_the_money_is_decides_whether_it_can_be_refunded(
    kind: Any, there: dict[str, Any], facts: dict[str, Any], code: ErrorCode | None
) -> None:
    """What stands on the account that was replaced stops nothing any more."""
    old = funds(**GONE, blocked=True, closed=True, valid_until=NOW)
    on = books(old, funds(OTHER, **there), earlier=[past(**facts)])
    order = kind()
    outcome = one(on, order)
    assert_declined(on, outcome, code)
    assert outcome.entry is not None
    assert outcome.entry.account_id == CARD
    assert outcome.entry.balance == on.accounts[OTHER].available(NOW), "where the money is"
    assert on.accounts[CARD].posted == 0


@pytest.mark.parametrize(
    ("at_id", "facts"), [(None, {}), (OTHER, {"replaced_by": 13}), (OTHER, {"replaced_by": CARD})]
)
@pytest.mark.parametrize("amount", [None, 40, 0, 101])
def test_of_what_was_replaced_meanwhile_nothing_is_decided(
    amount: int | None, at_id: int | None, facts: dict[str, Any]
) -> None:
    on = books(funds(**GONE), funds(OTHER, **facts), earlier=[past()])
    assert one(on, refund(amount, at_id=at_id)) == Outcome(is_stale=True)
    assert one(on, undo(at_id=at_id)) == Outcome(is_stale=True)
    assert (on.entries, on.lines, on.touched) == ([], [], {})


def test_an_undone_refund_takes_its_money_from_where_it_went() -> None:
    on = books(
        funds(**GONE, uses=0),
        funds(OTHER, posted=100),
        earlier=[
            past(type=REFUND, amount=100, about_id=89, root=USE, against=REDEMPTION),
            past(89, refunded=100),
        ],
    )
    assert one(on, undo()).error is None
    assert [on.accounts[each].posted for each in (CARD, OTHER)] == [0, 0]
    assert (on.accounts[CARD].redeemed, on.accounts[CARD].uses) == (100, 1)
    assert on.past[89].refunded == 0
    assert one(on, undo()) == Outcome(past=on.past[90])


def test_an_undo_of_what_moved_nothing_asks_not_where_the_money_is() -> None:
    on = books(funds(**GONE), funds(OTHER), earlier=[past(refunded=100)])
    assert one(on, undo(at_id=None)) == Outcome(past=on.past[90])


def test_replacing_refunding_and_using_in_one_batch_see_each_other() -> None:
    on: Books = books(funds(uses=1, redeemed=100), new(), earlier=[past()])
    outcomes = decide(on, [replace(), move(USE, -1), refund(40), refund(40, at_id=None)])
    assert [each.error for each in outcomes] == [None, REPLACED, None, None]
    assert [each.is_stale for each in outcomes] == [False, False, False, True]
    assert [on.accounts[each].posted for each in (CARD, OTHER)] == [0, 1_040]
