"""A card's books as plain values, to ask the rules of money about."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from giftgql.errors import ErrorCode
from giftgql.ledger.books import Books, Entry, Line, Outcome
from giftgql.ledger.decide import decide
from giftgql.ledger.models import MovementState, MovementType, SystemAccount
from giftgql.ledger.orders import By, Funds, Move, Order, Past

ADD, USE, ADJUST = MovementType.ADD, MovementType.USE, MovementType.ADJUST
EXTERNAL, IMPORT = MovementType.EXTERNAL, MovementType.IMPORT
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
TICK = timedelta(microseconds=1)
HOUR = timedelta(hours=1)
CEILING = 5_000
CARD, OTHER = 11, 12
CALLER = By("client:till", 7, "till 1", "R-1", "because")
STANDING: list[tuple[dict[str, Any], ErrorCode | None]] = [
    ({"closed": True, "blocked": True, "valid_until": NOW}, ErrorCode.CARD_DISABLED),
    ({"blocked": True, "valid_until": NOW}, ErrorCode.CARD_BLOCKED),
    ({"valid_until": NOW}, ErrorCode.CARD_EXPIRED),
    ({"valid_until": NOW - TICK}, ErrorCode.CARD_EXPIRED),
    ({"valid_until": NOW + TICK}, None),
]
"""What stops a card, the one that is named first, and the moment at which it begins."""


def funds(account_id: int = CARD, **facts: Any) -> Funds:
    """An account with 10.00 that were added once."""
    return Funds(account_id, "EUR", **{"posted": 1_000, "lifetime": 1_000, **facts})


def past(movement_id: int = 90, **facts: Any) -> Past:
    """By default a USE of 1.00 that is on the books."""
    of = {"account_id": CARD, "type": USE, "state": MovementState.POSTED, "amount": -100}
    return Past(movement_id, **{**of, "against": SystemAccount.REDEMPTION, **facts})


def hold(movement_id: int = 90, **facts: Any) -> Past:
    """By default 1.00 held for a USE, for another hour."""
    return past(movement_id, **{"state": MovementState.HELD, "hold_until": NOW + HOUR, **facts})


def books(*accounts: Funds, earlier: Iterable[Past] = ()) -> Books:
    """Accounts with what is on the books already; of that they know how many holds are open."""
    holds: dict[int, list[Past]] = {account.id: [] for account in accounts}
    known = {each.id: each for each in earlier}
    for each in known.values():
        if each.hold_until is not None and each.ending is None:
            holds[each.account_id].append(each)
    for account in accounts:
        account.open_holds = account.open_holds or len(holds[account.id])
    by_id = {account.id: account for account in accounts}
    return Books(NOW, by_id, ends_after, known, holds, CEILING)


def ends_after(begins: datetime, period: str) -> datetime:
    """A calendar that knows hours only: "3" is three of them."""
    return begins + int(period) * HOUR


def one(on: Books, order: Order) -> Outcome:
    (outcome,) = decide(on, [order])
    return outcome


def figures(account: Funds) -> tuple[int, int, int, int]:
    return account.posted, account.held, account.lifetime, account.redeemed


def move(type_: MovementType = USE, amount: int = -100, **facts: Any) -> Move:
    return Move(account_id=CARD, by=CALLER, type=type_, amount=amount, **facts)


def entry(
    order: Order, kind: MovementType, amount: int, balance: int, by: By = CALLER, **facts: Any
) -> Entry:
    """What is recorded of an order: by default that the card's money has moved."""
    values = {"account_id": CARD, "state": MovementState.POSTED, "asked": amount, **facts}
    return Entry(
        id=order.id,
        type=kind,
        amount=amount,
        balance=balance,
        created_at=NOW,
        **by._asdict(),
        **values,
    )


def line(movement_id: int, amount: int, against: int, effective_at: datetime = NOW) -> Line:
    """What is posted: from the other account to the card, or if negative from the card."""
    pair = (against, CARD) if amount > 0 else (CARD, against)
    return Line(movement_id, 0, pair[0], pair[1], abs(amount), "EUR", effective_at)


def assert_declined(on: Books, outcome: Outcome, code: ErrorCode | None) -> None:
    """Declined with this code, which counts for nothing; or not declined."""
    assert outcome.error is code
    if code is not None:
        assert outcome.entry is not None
        assert outcome.entry.state is MovementState.DECLINED
        assert on.entries == [outcome.entry]
        assert (on.lines, on.ends, on.touched) == ([], [], {})
        assert (outcome.end, outcome.past) == (None, None)
