"""What comes of orders by the rules of money: no I/O, no clock of its own, whole minor units.

`decide(books, orders)` gives each order its own outcome, in their sequence; several may concern
one account. What becomes of the accounts, and the rows to be written, is in the books afterwards.
What is declined, and why, is in `reasons`.
"""

from collections.abc import Iterable
from datetime import datetime

from giftgql.errors import ErrorCode
from giftgql.ledger.books import Books, Line, Outcome
from giftgql.ledger.models import HoldEnding, MovementState, MovementType, SystemAccount
from giftgql.ledger.orders import (
    SERVER,
    Cancel,
    Capture,
    Close,
    Extend,
    Funds,
    Move,
    Order,
    Past,
    Refund,
    Replace,
    Reversal,
    Sweep,
    Transfer,
    Undo,
)
from giftgql.ledger.reasons import (
    why_not_add,
    why_not_capture,
    why_not_end,
    why_not_move,
    why_not_refund,
    why_not_take,
)

AGAINST = {
    MovementType.ADD: SystemAccount.TENDER,
    MovementType.USE: SystemAccount.REDEMPTION,
    MovementType.ADJUST: SystemAccount.ADJUSTMENT,
    MovementType.EXTERNAL: SystemAccount.EXTERNAL,
    MovementType.IMPORT: SystemAccount.IMPORT,
    MovementType.EXPIRE: SystemAccount.BREAKAGE,
}
"""The other side of a posting (behaviour reference, section 3)."""


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
        case Replace():
            return _replace(books, order)
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
    error = why_not_move(books, funds, order, taken)
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


def _cancel(books: Books, order: Order) -> Outcome:
    assert order.about is not None
    hold, funds = books.past[order.about], books.accounts[order.account_id]
    if error := why_not_end(hold):
        if hold.ending is HoldEnding.TIMED_OUT:
            error = ErrorCode.ALREADY_CANCELLED
        return books.decline(order, hold.type, hold.amount, error)
    return books.end(funds, hold, HoldEnding.CANCELLED, 0, order.by.caller)


def _refund(books: Books, order: Reversal, amount: int | None) -> Outcome:
    """What is refunded stays on the movement's own account, where all that was refunded of it is
    found. Money that this one may no longer have goes on to where its other money is, or comes
    from there."""
    past, funds = books.past[order.movement_id], books.accounts[order.account_id]
    there = funds if order.at_id is None else books.accounts[order.at_id]
    if there.replaced_by is not None:
        return Outcome(is_stale=True)
    size = past.left if amount is None else amount
    signed = -size if past.amount > 0 else size
    error = why_not_refund(books, there, order, amount, signed)
    if error is not None:
        return books.decline(order, MovementType.REFUND, signed, error, left_on=there)
    if there is not funds and signed < 0:
        _pass(books, order.passing(there.id, funds.id), size)
    price = past.price_of(size)
    against = books.post(funds, order.id, signed, _against(past), price=price)
    count(books, funds, past.root or past.type, signed, is_refund=True)
    _undone(books, funds, past, size, price or 0)
    if there is not funds and signed > 0:
        _pass(books, order.passing(funds.id, there.id), size)
    return books.enter(
        funds,
        order,
        MovementType.REFUND,
        signed,
        against,
        about_id=past.id,
        price=price,
        left_on=there,
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
    if error := why_not_take(books.now, source, size, though_blocked=True):
        return books.decline(order, MovementType.TRANSFER, -size, error)
    if error := why_not_add(books, target, size):
        return books.decline(order, MovementType.TRANSFER, size, error, account=target)
    return _pass(books, order, size)


def _replace(books: Books, order: Replace) -> Outcome:
    source = books.accounts[order.account_id]
    if source.available(books.now) == 0:
        return Outcome()
    if source.open_holds:
        return books.decline(order, MovementType.TRANSFER, -source.free, ErrorCode.CONFLICT)
    outcome = _transfer(books, order)
    if outcome.error is None:
        source.replaced_by = order.to_id
    return outcome


def _pass(books: Books, order: Transfer, size: int) -> Outcome:
    """Move an amount from one account to another, in a movement on each."""
    source, target = books.accounts[order.account_id], books.accounts[order.to_id]
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
    is_over = funds.closed or funds.replaced_by is not None
    if is_over or funds.valid_until is None or funds.valid_until >= order.valid_until:
        return Outcome()
    funds.valid_until = order.valid_until
    if order.expired == 0 or funds.is_expired(books.now):
        return Outcome()
    against = AGAINST[MovementType.EXPIRE]
    books.post(funds, order.id, order.expired, against)
    return books.enter(funds, order, MovementType.EXPIRE, order.expired, against)


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
