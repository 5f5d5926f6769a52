"""All rules of money, and nothing else: no I/O, no clock of its own, whole minor units.

`decide(books, orders)` gives each order its own outcome, in their sequence; several may concern
one account. What becomes of the accounts, and the rows to be written, is in the books afterwards.
"""

from collections.abc import Iterable
from datetime import datetime

from giftgql.errors import ErrorCode
from giftgql.ledger.books import Books, Line, Outcome
from giftgql.ledger.models import HoldEnding, MovementState, MovementType, SystemAccount
from giftgql.ledger.orders import (
    SERVER,
    About,
    Cancel,
    Capture,
    Close,
    Extend,
    Funds,
    Move,
    Order,
    Past,
    Refund,
    Sweep,
    Transfer,
    Undo,
)

SIGNS = {MovementType.ADD: 1, MovementType.USE: -1}
"""Types whose amount has one sign only."""

AGAINST = {
    MovementType.ADD: SystemAccount.TENDER,
    MovementType.USE: SystemAccount.REDEMPTION,
    MovementType.ADJUST: SystemAccount.ADJUSTMENT,
    MovementType.EXTERNAL: SystemAccount.EXTERNAL,
    MovementType.IMPORT: SystemAccount.IMPORT,
    MovementType.EXPIRE: SystemAccount.BREAKAGE,
}
"""The other side of a posting (behaviour reference, section 3)."""

MOST_HOLDS = 1_000
"""Authorisations that may stand on one account at once."""

_NOT_REFUNDED = frozenset({MovementType.EXPIRE, MovementType.TRANSFER, MovementType.REFUND})


def decide(books: Books, orders: Iterable[Order]) -> list[Outcome]:
    """What comes of each order. Holds whose time is up end first, whoever asks for what."""
    end_timed_out(books)
    return [decide_one(books, order) for order in orders]


def end_timed_out(books: Books) -> None:
    """Write the ends of holds whose time is up, of all accounts of the batch."""
    for funds in books.accounts.values():
        if funds.next_hold_end is not None and funds.next_hold_end <= books.now:
            _end_timed_out(books, funds)


def decide_one(books: Books, order: Order) -> Outcome:
    match order:
        case Move():
            return _move(books, order)
        case Capture():
            return _capture(books, order)
        case Cancel():
            return _cancel(books, order)
        case Refund():
            return _refund(books, order, order.amount)
        case Undo():
            return _undo(books, order)
        case Transfer():
            return _transfer(books, order)
        case Sweep():
            return _sweep(books, order)
        case Close():
            return _close(books, order)
        case Extend():
            return _extend(books, order)
    raise TypeError(order)


def _move(books: Books, order: Move) -> Outcome:
    funds = books.accounts[order.account_id]
    if order.revision is not None and order.revision != funds.revision:
        return Outcome(is_stale=True)
    taken = order.amount
    if order.allow_partial and taken < 0:
        taken = -min(-taken, funds.free) or taken
    error = _why_not_move(books, funds, order, taken)
    if error is not None:
        return books.decline(order, order.type, order.amount, error)
    if order.type is MovementType.USE:
        funds.uses += 1
    against: int = AGAINST[order.type]
    if order.hold_for is None:
        price = None if order.price == taken else order.price
        against = books.post(funds, order.id, taken, against, price=price)
        count(books, funds, order.type, taken)
        return books.enter(
            funds, order, order.type, taken, against, asked=order.amount, price=price
        )
    until = books.now + order.hold_for
    if taken < 0:
        funds.held -= taken
    funds.open_holds += 1
    funds.next_hold_end = min(funds.next_hold_end or until, until)
    return books.enter(
        funds, order, order.type, taken, against, asked=order.amount, hold_until=until
    )


def _why_not_move(books: Books, funds: Funds, order: Move, taken: int) -> ErrorCode | None:
    amount, sign = order.amount, SIGNS.get(order.type, 0)
    if amount == 0 or amount * sign < 0 or max(abs(amount), order.price or 0) > books.ceiling:
        return ErrorCode.INVALID_AMOUNT
    if order.code_until is not None and order.code_until <= books.now:
        return ErrorCode.CODE_EXPIRED
    if order.hold_for is not None and funds.open_holds >= MOST_HOLDS:
        return ErrorCode.CONFLICT
    if amount > 0:
        return _why_not_add(books, funds, amount)
    is_use = order.type is MovementType.USE
    if error := _why_not_take(books.now, funds, -taken, is_use=is_use):
        return error
    if funds.whole_only and is_use and -taken != funds.free:
        return ErrorCode.PARTIAL_REDEMPTION_NOT_SUPPORTED
    return None


def why_not_capture(books: Books, order: Capture) -> ErrorCode | None:
    """Why a hold cannot be captured, if it cannot."""
    hold, funds = books.past[order.movement_id], books.accounts[order.account_id]
    return _why_not_capture(books, funds, hold, order.size_of(hold))


def why_not_use(now: datetime, funds: Funds, amount: int) -> ErrorCode | None:
    """Why so much cannot be used; whether it must be used whole is not asked."""
    return _why_not_take(now, funds, amount, is_use=True)


def _capture(books: Books, order: Capture) -> Outcome:
    hold, funds = books.past[order.movement_id], books.accounts[order.account_id]
    size = order.size_of(hold)
    signed = size if hold.amount > 0 else -size
    error = why_not_capture(books, order)
    if error is not None:
        return books.decline(order, hold.type, signed, error)
    against = _against(hold)
    books.post(funds, hold.id, signed, against)
    count(books, funds, hold.type, signed)
    return books.end(funds, hold, HoldEnding.CAPTURED, size, order.by.caller)


def _why_not_capture(books: Books, funds: Funds, hold: Past, size: int) -> ErrorCode | None:
    if size <= 0:
        return ErrorCode.INVALID_AMOUNT
    if error := _why_not_end(hold):
        return error
    if funds.blocked:
        return ErrorCode.CARD_BLOCKED
    if size > hold.size:
        return ErrorCode.INVALID_AMOUNT
    if hold.amount > 0:
        return _why_not_add(books, funds, size)
    if funds.whole_only and hold.type is MovementType.USE and size != hold.size:
        return ErrorCode.PARTIAL_REDEMPTION_NOT_SUPPORTED
    return None


def _cancel(books: Books, order: Order) -> Outcome:
    assert order.about is not None
    hold, funds = books.past[order.about], books.accounts[order.account_id]
    if error := _why_not_end(hold):
        if hold.ending is HoldEnding.TIMED_OUT:
            error = ErrorCode.ALREADY_CANCELLED
        return books.decline(order, hold.type, hold.amount, error)
    return books.end(funds, hold, HoldEnding.CANCELLED, 0, order.by.caller)


def _why_not_end(hold: Past) -> ErrorCode | None:
    if hold.state is MovementState.DECLINED:
        return ErrorCode.CONFLICT
    if hold.state is MovementState.POSTED or hold.ending is HoldEnding.CAPTURED:
        return ErrorCode.ALREADY_CAPTURED
    if hold.ending is HoldEnding.CANCELLED:
        return ErrorCode.ALREADY_CANCELLED
    if hold.ending is HoldEnding.TIMED_OUT:
        return ErrorCode.AUTHORIZATION_EXPIRED
    return None


def _refund(books: Books, order: About, amount: int | None) -> Outcome:
    past, funds = books.past[order.movement_id], books.accounts[order.account_id]
    size = past.left if amount is None else amount
    signed = -size if past.amount > 0 else size
    error = _why_not_refund(books, funds, order, amount, signed)
    if error is not None:
        return books.decline(order, MovementType.REFUND, signed, error)
    price = past.price_of(size)
    against = books.post(funds, order.id, signed, _against(past), price=price)
    count(books, funds, past.root or past.type, signed, is_refund=True)
    _undone(books, funds, past, size, price or 0)
    return books.enter(
        funds, order, MovementType.REFUND, signed, against, about_id=past.id, price=price
    )


def _undone(books: Books, funds: Funds, past: Past, size: int, price: int) -> None:
    """Note how much of a movement is undone; of an undone refund, that it counts no longer.

    A use that is wholly refunded is none. It is one again when that refund is undone, however
    many the account may have: nothing is redeemed then that had not been before.
    """
    past.refunded += size
    past.price_refunded += price
    if past.type is MovementType.USE and past.left == 0:
        funds.uses -= 1
    if past.type is MovementType.REFUND:
        assert past.about_id is not None
        refunded = books.past[past.about_id]
        if refunded.type is MovementType.USE and refunded.left == 0:
            funds.uses += 1
        refunded.refunded -= size
        refunded.price_refunded -= price


def _why_not_refund(
    books: Books, funds: Funds, order: About, amount: int | None, signed: int
) -> ErrorCode | None:
    past, size = books.past[order.movement_id], abs(signed)
    is_refund = past.type is MovementType.REFUND and past.root is not MovementType.REFUND
    if past.type in _NOT_REFUNDED and not (isinstance(order, Undo) and is_refund):
        return ErrorCode.CONFLICT
    if amount is not None and amount <= 0:
        return ErrorCode.INVALID_AMOUNT
    if not 0 < size <= past.left:
        return ErrorCode.REFUND_EXCEEDS_CAPTURED
    return _why_not_add(books, funds, size) if signed > 0 else _why_not_take(books.now, funds, size)


def _undo(books: Books, order: Undo) -> Outcome:
    past = books.past[order.movement_id]
    if past.state is MovementState.HELD and past.ending is None:
        return _cancel(books, order)
    if past.left == 0:
        return Outcome(past=past)
    return _refund(books, order, None)


def _transfer(books: Books, order: Transfer) -> Outcome:
    source, target = books.accounts[order.account_id], books.accounts[order.to_id]
    size = source.free if order.amount is None else order.amount
    if order.amount is not None and not 0 < size <= books.ceiling:
        return books.decline(order, MovementType.TRANSFER, -abs(size), ErrorCode.INVALID_AMOUNT)
    if error := _why_not_take(books.now, source, size, though_blocked=True):
        return books.decline(order, MovementType.TRANSFER, -size, error)
    if error := _why_not_add(books, target, size):
        return books.decline(order, MovementType.TRANSFER, size, error, account=target)
    source.posted -= size
    target.posted += size
    count(books, source, MovementType.TRANSFER, -size)
    count(books, target, MovementType.TRANSFER, size)
    books.lines.append(Line(order.id, 0, source.id, target.id, size, source.currency, books.now))
    out = books.enter(source, order, MovementType.TRANSFER, -size, None, about_id=order.twin_id)
    there = Order(account_id=target.id, by=order.by._replace(code_id=None), id=order.twin_id)
    books.enter(target, there, MovementType.TRANSFER, size, None, about_id=order.id)
    return out


def _sweep(books: Books, order: Sweep) -> Outcome:
    funds = books.accounts[order.account_id]
    books.touched[funds.id] = funds  # also where nothing is found: its time to be swept is anew
    if not funds.is_expired(books.now) or funds.free == 0:
        return Outcome()
    at = order.effective_at or funds.valid_until
    return _off_the_books(books, funds, order, MovementType.EXPIRE, at)


def _close(books: Books, order: Close) -> Outcome:
    funds = books.accounts[order.account_id]
    for hold in books.holds.get(funds.id, ()):
        if hold.ending is None:
            books.end(funds, hold, HoldEnding.CANCELLED, 0, order.by.caller)
    funds.next_hold_end = None
    is_expired = funds.is_expired(books.now)
    outcome = Outcome()
    if funds.free > 0 and is_expired:
        _off_the_books(books, funds, order, MovementType.EXPIRE, funds.valid_until)
    elif funds.free > 0:
        outcome = _off_the_books(books, funds, order, MovementType.ADJUST, books.now)
    funds.closed = True
    books.touched[funds.id] = funds
    return outcome


def _off_the_books(
    books: Books, funds: Funds, order: Order, kind: MovementType, at: datetime | None
) -> Outcome:
    """Take all that is free from the account."""
    taken, against = -funds.free, AGAINST[kind]
    books.post(funds, order.id, taken, against, at=at)
    count(books, funds, kind, taken)
    return books.enter(funds, order, kind, taken, against)


def _extend(books: Books, order: Extend) -> Outcome:
    funds = books.accounts[order.account_id]
    books.touched[funds.id] = funds
    if funds.closed or funds.valid_until is None or funds.valid_until >= order.valid_until:
        return Outcome()
    funds.valid_until = order.valid_until
    if order.expired == 0 or funds.is_expired(books.now):
        return Outcome()
    against = AGAINST[MovementType.EXPIRE]
    books.post(funds, order.id, order.expired, against)
    return books.enter(funds, order, MovementType.EXPIRE, order.expired, against)


def _why_not_add(books: Books, funds: Funds, amount: int) -> ErrorCode | None:
    if funds.closed:
        return ErrorCode.CARD_DISABLED
    if funds.blocked:
        return ErrorCode.CARD_BLOCKED
    if funds.is_expired(books.now):
        return ErrorCode.CARD_EXPIRED
    if funds.posted + amount > books.ceiling:
        return ErrorCode.INVALID_AMOUNT
    if funds.lifetime == 0 and funds.opens_with not in (None, amount):
        return ErrorCode.INVALID_AMOUNT
    return None


def _why_not_take(
    now: datetime,
    funds: Funds,
    amount: int,
    *,
    is_use: bool = False,
    though_blocked: bool = False,
) -> ErrorCode | None:
    """Why so much cannot be taken. When its funds are valid first and how often they may be used
    stops uses only: staff may correct what was made too early or too rarely."""
    if funds.closed:
        return ErrorCode.CARD_DISABLED
    if funds.blocked and not though_blocked:
        return ErrorCode.CARD_BLOCKED
    if funds.is_expired(now):
        return ErrorCode.CARD_EXPIRED
    if is_use and funds.valid_from is not None and funds.valid_from > now:
        return ErrorCode.CARD_NOT_YET_VALID
    if funds.lifetime == 0:
        return ErrorCode.CARD_NOT_ACTIVATED
    if is_use and funds.most_uses is not None and funds.uses >= funds.most_uses:
        return ErrorCode.REDEMPTION_LIMIT_REACHED
    if not 0 < amount <= funds.free:
        return ErrorCode.INSUFFICIENT_FUNDS
    return None


def _end_timed_out(books: Books, funds: Funds) -> None:
    later: list[datetime] = []
    for hold in books.holds.get(funds.id, ()):
        assert hold.hold_until is not None
        if hold.hold_until <= books.now:
            books.end(funds, hold, HoldEnding.TIMED_OUT, 0, SERVER.caller)
        else:
            later.append(hold.hold_until)
    funds.next_hold_end = min(later, default=None)
    books.touched[funds.id] = funds


def _against(past: Past) -> int:
    assert past.against is not None
    return past.against


def count(
    books: Books, funds: Funds, kind: MovementType, amount: int, *, is_refund: bool = False
) -> None:
    """Keep posted = lifetime - redeemed - subtracted, of which the last has no counter. With
    the first funds a validity begins that has no end yet."""
    if kind is MovementType.USE:
        funds.redeemed -= amount
    elif amount > 0 and kind is not MovementType.EXPIRE and not is_refund:
        if funds.lifetime == 0 and funds.validity is not None and funds.valid_until is None:
            funds.valid_until = books.ends_after(books.now, funds.validity)
        funds.lifetime += amount
