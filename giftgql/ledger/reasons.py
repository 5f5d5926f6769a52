"""Why an order is declined: all that stops money, and nothing else. Of several reasons the first
that is asked for here is the one that is given."""

from datetime import datetime

from giftgql.errors import ErrorCode
from giftgql.ledger.books import Books
from giftgql.ledger.models import HoldEnding, MovementState, MovementType
from giftgql.ledger.orders import About, Capture, Funds, Move, Past, Undo

SIGNS = {MovementType.ADD: 1, MovementType.USE: -1}
"""Types whose amount has one sign only."""

MOST_HOLDS = 1_000
"""Authorisations that may stand on one account at once; on one that is replaced on use it is one:
what that leaves has to be free to go."""

_NOT_REFUNDED = frozenset({MovementType.EXPIRE, MovementType.TRANSFER, MovementType.REFUND})


def why_not_move(books: Books, funds: Funds, order: Move, taken: int) -> ErrorCode | None:
    """Why so much of what is asked cannot be moved or held."""
    amount, sign = order.amount, SIGNS.get(order.type, 0)
    if amount == 0 or amount * sign < 0 or max(abs(amount), order.price or 0) > books.ceiling:
        return ErrorCode.INVALID_AMOUNT
    if order.code_until is not None and order.code_until <= books.now:
        return ErrorCode.CODE_EXPIRED
    most_holds = 1 if funds.replaced_on_use else MOST_HOLDS
    if order.hold_for is not None and funds.open_holds >= most_holds:
        return ErrorCode.CONFLICT
    if amount > 0:
        return why_not_add(books, funds, amount)
    is_use = order.type is MovementType.USE
    if error := why_not_take(books.now, funds, -taken, is_use=is_use):
        return error
    if funds.whole_only and is_use and -taken != funds.free:
        return ErrorCode.PARTIAL_REDEMPTION_NOT_SUPPORTED
    return None


def why_not_use(now: datetime, funds: Funds, amount: int) -> ErrorCode | None:
    """Why so much cannot be used; whether it must be used whole is not asked."""
    return why_not_take(now, funds, amount, is_use=True)


def why_not_capture(books: Books, order: Capture) -> ErrorCode | None:
    """Why a hold cannot be captured, if it cannot."""
    hold, funds = books.past[order.movement_id], books.accounts[order.account_id]
    size = order.size_of(hold)
    if size <= 0:
        return ErrorCode.INVALID_AMOUNT
    if error := why_not_end(hold):
        return error
    if funds.blocked:
        return ErrorCode.CARD_BLOCKED
    if size > hold.size:
        return ErrorCode.INVALID_AMOUNT
    if hold.amount > 0:
        return why_not_add(books, funds, size)
    if funds.whole_only and hold.type is MovementType.USE and size != hold.size:
        return ErrorCode.PARTIAL_REDEMPTION_NOT_SUPPORTED
    return None


def why_not_end(hold: Past) -> ErrorCode | None:
    """Why a hold cannot be ended: it is none, or it has ended."""
    if hold.state is MovementState.DECLINED:
        return ErrorCode.CONFLICT
    if hold.state is MovementState.POSTED or hold.ending is HoldEnding.CAPTURED:
        return ErrorCode.ALREADY_CAPTURED
    if hold.ending is HoldEnding.CANCELLED:
        return ErrorCode.ALREADY_CANCELLED
    if hold.ending is HoldEnding.TIMED_OUT:
        return ErrorCode.AUTHORIZATION_EXPIRED
    return None


def why_not_refund(
    books: Books, funds: Funds, order: About, amount: int | None, signed: int
) -> ErrorCode | None:
    """Why a movement cannot be undone with the money of an account."""
    past, size = books.past[order.movement_id], abs(signed)
    is_refund = past.type is MovementType.REFUND and past.root is not MovementType.REFUND
    if past.type in _NOT_REFUNDED and not (isinstance(order, Undo) and is_refund):
        return ErrorCode.CONFLICT
    if amount is not None and amount <= 0:
        return ErrorCode.INVALID_AMOUNT
    if not 0 < size <= past.left:
        return ErrorCode.REFUND_EXCEEDS_CAPTURED
    return why_not_add(books, funds, size) if signed > 0 else why_not_take(books.now, funds, size)


def why_not_add(books: Books, funds: Funds, amount: int) -> ErrorCode | None:
    if funds.closed:
        return ErrorCode.CARD_DISABLED
    if funds.replaced_by is not None:
        return ErrorCode.CARD_REPLACED
    if funds.blocked:
        return ErrorCode.CARD_BLOCKED
    if funds.is_expired(books.now):
        return ErrorCode.CARD_EXPIRED
    if funds.posted + amount > books.ceiling:
        return ErrorCode.INVALID_AMOUNT
    if funds.lifetime == 0 and funds.opens_with not in (None, amount):
        return ErrorCode.INVALID_AMOUNT
    return None


def why_not_take(
    now: datetime,
    funds: Funds,
    amount: int,
    *,
    is_use: bool = False,
    though_blocked: bool = False,
) -> ErrorCode | None:
    """Why so much cannot be taken. When its funds are valid first, how often they may be used and
    what is held of funds that are replaced on use stops uses only: staff may correct what was made
    too early or too rarely."""
    if funds.closed:
        return ErrorCode.CARD_DISABLED
    if funds.replaced_by is not None:
        return ErrorCode.CARD_REPLACED
    if funds.blocked and not though_blocked:
        return ErrorCode.CARD_BLOCKED
    if funds.is_expired(now):
        return ErrorCode.CARD_EXPIRED
    if is_use and funds.valid_from is not None and funds.valid_from > now:
        return ErrorCode.CARD_NOT_YET_VALID
    if funds.lifetime == 0:
        return ErrorCode.CARD_NOT_ACTIVATED
    if is_use and funds.replaced_on_use and funds.open_holds:
        return ErrorCode.CONFLICT
    if is_use and funds.most_uses is not None and funds.uses >= funds.most_uses:
        return ErrorCode.REDEMPTION_LIMIT_REACHED
    if not 0 < amount <= funds.free:
        return ErrorCode.INSUFFICIENT_FUNDS
    return None
