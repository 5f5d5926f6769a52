from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from giftgql.cards.presented import Presented
from giftgql.errors import (
    CurrencyMismatch,
    Declined,
    ErrorCode,
    TransactionNotFound,
)
from giftgql.installation import service as installation
from giftgql.ledger import service as ledger
from giftgql.ledger.books import Entry
from giftgql.ledger.models import HoldEnd, HoldEnding, Movement, MovementState, MovementType
from giftgql.ledger.orders import By, Move
from giftgql.ledger.service import Asked, Result
from giftgql.money import Money, minor
from giftgql.movements.criteria import Criteria, TransStatus
from giftgql.movements.repository import Recorded
from giftgql.paging import Page, cut, page_of
from giftgql.permissions import Caller, Permission
from giftgql.requests.service import Once
from giftgql.store import Reading

PERMISSIONS = {
    MovementType.ADD: Permission.GIFT_CARD_TRANS_ADD,
    MovementType.USE: Permission.GIFT_CARD_TRANS_USE,
    MovementType.ADJUST: Permission.GIFT_CARD_TRANS_ADJUST,
    MovementType.EXTERNAL: Permission.GIFT_CARD_TRANS_EXTERNAL,
    MovementType.IMPORT: Permission.GIFT_CARD_TRANS_IMPORT,
}
"""What a caller needs for a movement of a type that it may ask for."""

_DECLINES = {
    ErrorCode.INVALID_AMOUNT: (
        "amount",
        "The amount is zero, of the wrong sign (USE takes a negative one, ADD a positive one), or "
        "beyond what the card or the authorisation takes",
    ),
    ErrorCode.CODE_EXPIRED: ("code", "The code itself has expired"),
    ErrorCode.CARD_DISABLED: (None, "The card is disabled for good"),
    ErrorCode.CARD_BLOCKED: (None, "The card is blocked"),
    ErrorCode.CARD_REPLACED: (None, "The card was replaced by another one with a new code"),
    ErrorCode.CARD_EXPIRED: (None, "The card's funds have expired"),
    ErrorCode.CARD_NOT_YET_VALID: (None, "The card is not valid yet"),
    ErrorCode.CARD_NOT_ACTIVATED: (None, "The card has never had funds"),
    ErrorCode.INSUFFICIENT_FUNDS: ("amount", "More was asked than is available"),
    ErrorCode.PARTIAL_REDEMPTION_NOT_SUPPORTED: (
        "amount",
        "The card can only be spent whole",
    ),
    ErrorCode.REDEMPTION_LIMIT_REACHED: (None, "The card has been redeemed as often as it may be"),
    ErrorCode.ALREADY_CAPTURED: ("id", "The transaction is completed"),
    ErrorCode.ALREADY_CANCELLED: ("id", "The authorisation is cancelled"),
    ErrorCode.AUTHORIZATION_EXPIRED: ("id", "The authorisation's time is up"),
    ErrorCode.REFUND_EXCEEDS_CAPTURED: ("amount", "Not so much is left to be refunded"),
    ErrorCode.CONFLICT: (None, "The transaction, or what stands on its card, does not allow this"),
}
"""The input at fault and the sentence for what the rules of money decline."""


@dataclass(frozen=True)
class Trans:
    """A transaction as it is shown: an authorisation with its end, or what was at once."""

    id: int
    card_id: int
    type: MovementType
    status: TransStatus
    currency: str
    amount: int
    asked: int
    balance: int
    captured: int
    released: int
    refunded: int
    caller: str
    created_at: datetime
    price: int | None = None
    error: ErrorCode | None = None
    authorized_until: datetime | None = None
    ended_at: datetime | None = None
    about_id: int | None = None
    code_id: int | None = None
    source_id: str | None = None
    ref_no: str | None = None
    reason: str | None = None


@dataclass(frozen=True)
class NewTrans:
    """A movement that a caller asks for, before its card is known."""

    type: MovementType
    amount: str
    currency: str | None = None
    hold_for: timedelta | None = None
    allow_partial: bool = False
    source_id: str | None = None
    ref_no: str | None = None
    reason: str | None = None
    request: Once | None = None

    @property
    def is_taking(self) -> bool:
        """Whether the card's secrets are asked for."""
        return self.type is MovementType.USE or self.amount.startswith("-")

    @property
    def is_use_at_once(self) -> bool:
        """Whether it may leave something that is to go to another card."""
        return self.type is MovementType.USE and self.hold_for is None


def move(reading: Reading, new: NewTrans, presented: Presented) -> Asked:
    """The order for the ledger. Refuses `CURRENCY_MISMATCH`, and `INVALID_AMOUNT` for what is
    no amount in the card's currency."""
    if new.currency is not None and new.currency != presented.currency:
        raise CurrencyMismatch(presented.currency)
    order = Move(
        account_id=presented.card_id,
        type=new.type,
        amount=minor(new.amount, presented.currency),
        hold_for=new.hold_for,
        allow_partial=new.allow_partial,
        revision=presented.revision,
        code_until=reading.end_of(presented.expires_on),
        by=By(reading.caller.name, presented.code_id, new.source_id, new.ref_no, new.reason),
    )
    return Asked(order, new.request)


async def find(reading: Reading, movement_id: int | None) -> Recorded:
    """A transaction that the caller may end or undo: its own, or any with `ListGiftCardTrans`."""
    found = await reading.movements.by_ids([movement_id]) if movement_id else []
    if not found or not _is_for(reading.caller, found[0].movement):
        raise TransactionNotFound
    return found[0]


def _is_for(caller: Caller, movement: Movement) -> bool:
    return movement.caller == caller.name or caller.may(Permission.LIST_GIFT_CARD_TRANS)


async def place_of(reading: Reading, recorded: Recorded) -> int | None:
    """Where the money of a transaction's account is by now, if that was replaced."""
    if recorded.replaced_by is None:
        return None
    account_id = recorded.movement.account_id
    return (await ledger.last_of(reading, [account_id]))[account_id]


async def by_ids(reading: Reading, movement_ids: Sequence[int]) -> dict[int, Recorded]:
    return {each.id: each for each in await reading.movements.by_ids(movement_ids)}


async def page(
    reading: Reading, criteria: Criteria, *, first: int, skip: int, since: str | None
) -> Page[Trans]:
    """Transactions by id, or in the order in which they came about and ended."""
    where = cut(first, skip, await installation.window(reading, since, Movement, int))
    found = page_of(await reading.movements.page(where, criteria, reading.now), where)
    return Page([shown(each, reading.now) for each in found.rows], found.has_more, found.until)


async def latest(
    reading: Reading, card_id: int, *, first: int, before: int | None = None
) -> Page[Trans]:
    """A card's transactions, the newest first, from those before one."""
    cut(first, 0)
    found = await reading.movements.latest(card_id, before=before, many=first + 1)
    rows = [shown(each, reading.now) for each in found[:first]]
    return Page(rows, len(found) > first)


async def pages_of_cards(
    reading: Reading, card_ids: Sequence[int], *, first: int, skip: int
) -> dict[int, Page[Trans]]:
    """The same page of the transactions of each of these cards."""
    of_card: dict[int, list[Trans]] = {card_id: [] for card_id in card_ids}
    for each in await reading.movements.page_of_each(cut(first, skip), card_ids):
        of_card[each.movement.account_id].append(shown(each, reading.now))
    return {card_id: Page(mine[:first], len(mine) > first) for card_id, mine in of_card.items()}


def shown(recorded: Recorded, now: datetime) -> Trans:
    """A transaction as it is now."""
    return _trans(recorded.movement, recorded.end, recorded.refunded, recorded.currency, now)


def entered(entry: Entry, currency: str) -> Trans:
    """A transaction that has just been recorded."""
    return _trans(Movement(**entry._asdict()), None, 0, currency, entry.created_at)


def as_answered(recorded: Recorded, reference: Mapping[str, Any]) -> Trans:
    """A transaction as it was answered first: as made, or as ended, refunds not counted."""
    end = recorded.end if "end" in reference else None
    movement = recorded.movement
    return _trans(movement, end, 0, recorded.currency, movement.created_at)


def reference_of(result: Result) -> Mapping[str, Any] | None:
    """Where the answer to an order is on the books; None where it is in the result itself."""
    if result.replayed is not None:
        return result.replayed
    outcome = result.outcome
    if outcome.entry is not None:
        return None
    assert outcome.past is not None
    return {"end" if outcome.end else "movement": outcome.past.id}


def refusal(trans: Trans) -> Declined:
    """What a declined transaction is refused with."""
    assert trans.error is not None
    facts: dict[str, object] = {"transactionId": str(trans.id)}
    more = ""
    if trans.error is ErrorCode.INSUFFICIENT_FUNDS:
        balance = Money(trans.balance, trans.currency)
        more = f": {Money(abs(trans.asked), trans.currency)} of {balance}"
        facts["available"] = str(balance)
    is_other_card = trans.type is MovementType.TRANSFER and trans.asked > 0
    return declined(trans.error, more, field="toId" if is_other_card else None, **facts)


def declined(
    error: ErrorCode, more: str = "", *, field: str | None = None, **facts: object
) -> Declined:
    """The refusal of what the rules of money decline; `more` ends its sentence."""
    at_fault, sentence = _DECLINES.get(error, (None, "The card does not allow this"))
    return Declined(error, field or at_fault, f"{sentence}{more}.", **facts)


def _trans(
    movement: Movement, end: HoldEnd | None, refunded: int, currency: str, now: datetime
) -> Trans:
    is_hold = movement.state is MovementState.HELD
    sign = 1 if movement.amount > 0 else -1
    captured = end.captured if end else abs(movement.amount) if _is_posted(movement) else 0
    is_captured = end is not None and end.ending is HoldEnding.CAPTURED
    status = _status(movement, end, now)
    has_timed_out = end is None and status is TransStatus.CANCELLED
    return Trans(
        id=movement.id,
        card_id=movement.account_id,
        type=movement.type,
        status=status,
        currency=currency,
        amount=sign * captured if is_captured else movement.amount,
        asked=movement.asked,
        balance=end.balance if end else movement.balance,
        captured=captured,
        released=end.released if end else abs(movement.amount) if has_timed_out else 0,
        refunded=refunded,
        caller=movement.caller,
        created_at=movement.created_at,
        price=movement.price,
        error=movement.error,
        authorized_until=movement.hold_until if is_hold else None,
        ended_at=end.created_at if end else movement.hold_until if has_timed_out else None,
        about_id=movement.about_id,
        code_id=movement.code_id,
        source_id=movement.source_id,
        ref_no=movement.ref_no,
        reason=movement.reason,
    )


def _is_posted(movement: Movement) -> bool:
    return movement.state is MovementState.POSTED


def _status(movement: Movement, end: HoldEnd | None, now: datetime) -> TransStatus:
    if movement.state is MovementState.DECLINED:
        return TransStatus.DECLINED
    if _is_posted(movement) or (end is not None and end.ending is HoldEnding.CAPTURED):
        return TransStatus.COMPLETED
    assert movement.hold_until is not None
    is_over = end is not None or movement.hold_until <= now
    return TransStatus.CANCELLED if is_over else TransStatus.AUTHORIZED
