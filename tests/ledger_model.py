"""What the behaviour reference says of money, told once more: nothing is kept but what was asked
and how it ended, and every figure is added up anew from that."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction
from math import floor
from typing import Any

from giftgql.errors import ErrorCode
from giftgql.ledger.models import HoldEnding, MovementState, MovementType
from giftgql.ledger.orders import (
    Cancel,
    Capture,
    Close,
    Extend,
    Move,
    Order,
    Refund,
    Replace,
    Sweep,
    Transfer,
    Undo,
)

Reasons = Iterator[tuple[bool, ErrorCode]]
Answer = tuple[Any, ...]
NOTHING: Answer = ("nothing",)
_EXPIRE = MovementType.EXPIRE


@dataclass(eq=False)
class Trans:
    """Something that was asked of a card. `amount` is signed; `price` is what was paid for it,
    or given back."""

    id: int
    type: MovementType
    amount: int
    until: datetime | None = None
    error: ErrorCode | None = None
    ending: HoldEnding | None = None
    captured: int = 0
    undoes: "Trans | None" = None
    price: int | None = None
    undone_by: "list[Trans]" = field(default_factory=list)

    @property
    def moved(self) -> int:
        if self.error:
            return 0
        if self.until is None:
            return self.amount
        return self.captured if self.amount > 0 else -self.captured

    @property
    def refunded(self) -> int:
        return sum(abs(each.moved) - each.refunded for each in self.undone_by)

    @property
    def price_refunded(self) -> int:
        return sum((each.price or 0) - each.price_refunded for each in self.undone_by)

    @property
    def left(self) -> int:
        """What can still be refunded."""
        return abs(self.moved) - self.refunded

    @property
    def root(self) -> MovementType:
        return self.undoes.root if self.undoes else self.type

    @property
    def is_addition(self) -> bool:
        """Whether this is new money; what comes back was added before."""
        return self.moved > 0 and self.undoes is None and self.type is not _EXPIRE

    def is_open(self, now: datetime) -> bool:
        is_hold = self.until is not None and self.error is None and self.ending is None
        return is_hold and self.until is not None and self.until > now

    def is_timed_out(self, now: datetime) -> bool:
        return self.ending is None and self.until is not None and self.until <= now


@dataclass(eq=False)
class Card:
    id: int
    currency: str
    whole_only: bool = False
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    validity: timedelta | None = None
    opens_with: int | None = None
    most_uses: int | None = None
    replaced_on_use: bool = False
    replaced_by: int | None = None
    blocked: bool = False
    disabled: bool = False
    revision: int = 0
    history: list[Trans] = field(default_factory=list)

    @property
    def posted(self) -> int:
        return sum(each.moved for each in self.history)

    @property
    def lifetime(self) -> int:
        return sum(each.moved for each in self.history if each.is_addition)

    @property
    def redeemed(self) -> int:
        return -sum(each.moved for each in self.history if each.root is MovementType.USE)

    @property
    def subtracted(self) -> int:
        """What left otherwise than by being used, less what of it came back."""
        others = (each for each in self.history if each.root is not MovementType.USE)
        return -sum(each.moved for each in others if not each.is_addition)

    def held(self, now: datetime) -> int:
        return sum(max(0, -each.amount) for each in self.history if each.is_open(now))

    def is_held(self, now: datetime) -> bool:
        return any(each.is_open(now) for each in self.history)

    def uses(self, now: datetime) -> int:
        """How often it was used: what was given up or given back altogether was no use."""
        used = (each for each in self.history if each.type is MovementType.USE)
        return sum(each.error is None and (each.is_open(now) or each.left > 0) for each in used)

    def is_expired(self, now: datetime) -> bool:
        return not self.blocked and self.valid_until is not None and now >= self.valid_until

    def available(self, now: datetime) -> int:
        return 0 if self.is_expired(now) else self.posted - self.held(now)


class Model:
    """Cards, and what becomes of orders about them."""

    def __init__(self, cards: list[Card], now: datetime, ceiling: int) -> None:
        self.cards = {card.id: card for card in cards}
        self.trans: dict[int, Trans] = {}
        self.now = now
        self.ceiling = ceiling

    def do(self, order: Order) -> Answer:
        """What is answered, as `answer_of` tells it of the ledger's outcomes."""
        card = self.cards[order.account_id]
        match order:
            case Move():
                return self._move(card, order)
            case Capture():
                return self._capture(card, order)
            case Cancel():
                return self._cancel(card, order)
            case Undo():
                return self._undo(card, order)
            case Refund():
                return self._refund(card, order, order.amount)
            case Replace():
                return self._replace(card, order)
            case Transfer():
                return self._transfer(card, order)
            case Sweep():
                return self._expire(card, order.id)
            case Close():
                return self._close(card, order)
            case Extend():
                return self._extend(card, order)
        raise AssertionError(order)

    def _move(self, card: Card, order: Move) -> Answer:
        if order.revision not in (None, card.revision):
            return ("stale",)
        there, amount = card.posted - card.held(self.now), order.amount
        partly = order.allow_partial and 0 < there < -amount
        taken = -there if partly else amount
        error = _first(self._against_moving(card, order, taken))
        trans = Trans(order.id, order.type, amount if error else taken, error=error)
        if order.hold_for is not None and not error:
            trans.until = self.now + order.hold_for
        if order.price not in (None, taken) and not error:
            trans.price = order.price
        return self._recorded(card, trans, asked=amount)

    def _against_moving(self, card: Card, order: Move, taken: int) -> Reasons:
        amount = order.amount
        only = {MovementType.ADD: amount > 0, MovementType.USE: amount < 0}
        yield amount == 0 or not only.get(order.type, True), ErrorCode.INVALID_AMOUNT
        yield abs(amount) > self.ceiling, ErrorCode.INVALID_AMOUNT
        yield (order.price or 0) > self.ceiling, ErrorCode.INVALID_AMOUNT
        is_code_over = order.code_until is not None and self.now >= order.code_until
        yield is_code_over, ErrorCode.CODE_EXPIRED
        is_second = order.hold_for is not None and card.is_held(self.now)
        yield card.replaced_on_use and is_second, ErrorCode.CONFLICT
        yield from self._against_adding(card, amount) if amount > 0 else ()
        is_use = order.type is MovementType.USE
        yield from self._against_taking(card, -taken, is_use=is_use) if amount < 0 else ()
        is_part = is_use and -taken != card.available(self.now)
        yield card.whole_only and is_part, ErrorCode.PARTIAL_REDEMPTION_NOT_SUPPORTED

    def _capture(self, card: Card, order: Capture) -> Answer:
        hold = self.trans[order.movement_id]
        size = abs(hold.amount) if order.amount is None else order.amount
        if error := _first(self._against_capturing(card, hold, size)):
            signed = size if hold.amount > 0 else -size
            return self._recorded(card, Trans(order.id, hold.type, signed, error=error))
        return self._ended(card, hold, HoldEnding.CAPTURED, size)

    def _against_capturing(self, card: Card, hold: Trans, size: int) -> Reasons:
        yield size <= 0, ErrorCode.INVALID_AMOUNT
        yield from self._against_ending(hold, timed_out=ErrorCode.AUTHORIZATION_EXPIRED)
        yield card.blocked, ErrorCode.CARD_BLOCKED
        yield size > abs(hold.amount), ErrorCode.INVALID_AMOUNT
        yield from self._against_adding(card, size) if hold.amount > 0 else ()
        is_part = hold.type is MovementType.USE and size != abs(hold.amount)
        yield card.whole_only and is_part, ErrorCode.PARTIAL_REDEMPTION_NOT_SUPPORTED

    def _cancel(self, card: Card, order: Order) -> Answer:
        hold = self.trans[order.about or 0]
        reasons = self._against_ending(hold, timed_out=ErrorCode.ALREADY_CANCELLED)
        if error := _first(reasons):
            return self._recorded(card, Trans(order.id, hold.type, hold.amount, error=error))
        return self._ended(card, hold, HoldEnding.CANCELLED, 0)

    def _against_ending(self, hold: Trans, *, timed_out: ErrorCode) -> Reasons:
        is_captured = hold.until is None or hold.ending is HoldEnding.CAPTURED
        yield hold.error is not None, ErrorCode.CONFLICT
        yield is_captured, ErrorCode.ALREADY_CAPTURED
        yield hold.ending is HoldEnding.CANCELLED, ErrorCode.ALREADY_CANCELLED
        yield hold.is_timed_out(self.now), timed_out

    def _refund(self, card: Card, order: Refund | Undo, amount: int | None) -> Answer:
        there, undone = self.cards[order.at_id or card.id], self.trans[order.movement_id]
        if there.replaced_by is not None:
            return ("stale",)
        size = undone.left if amount is None else amount
        signed = -size if undone.amount > 0 else size
        reasons = self._against_refunding(there, undone, amount, signed, isinstance(order, Undo))
        trans = Trans(order.id, MovementType.REFUND, signed, error=_first(reasons))
        if trans.error:
            return self._recorded(card, trans, left_on=there)
        trans.undoes = undone
        trans.price = _given_back(undone, size)
        undone.undone_by.append(trans)
        if there is not card:
            source, target = (card, there) if signed > 0 else (there, card)
            self._recorded(source, Trans(order.id + 1, MovementType.TRANSFER, -size))
            self._recorded(target, Trans(order.id + 2, MovementType.TRANSFER, size))
        return self._recorded(card, trans, left_on=there)

    def _against_refunding(
        self, card: Card, undone: Trans, amount: int | None, signed: int, is_undo: bool
    ) -> Reasons:
        is_refund_of_refund = undone.undoes is not None and undone.undoes.undoes is not None
        yield undone.type in (_EXPIRE, MovementType.TRANSFER), ErrorCode.CONFLICT
        is_refund = undone.type is MovementType.REFUND
        yield is_refund and (not is_undo or is_refund_of_refund), ErrorCode.CONFLICT
        yield amount is not None and amount <= 0, ErrorCode.INVALID_AMOUNT
        yield abs(signed) > undone.left or undone.left == 0, ErrorCode.REFUND_EXCEEDS_CAPTURED
        yield from self._against_adding(card, signed) if signed > 0 else ()
        yield from self._against_taking(card, -signed) if signed < 0 else ()

    def _undo(self, card: Card, order: Undo) -> Answer:
        undone = self.trans[order.movement_id]
        if undone.is_open(self.now):
            return self._cancel(card, order)
        return self._refund(card, order, None) if undone.left else NOTHING

    def _transfer(self, card: Card, order: Transfer) -> Answer:
        target = self.cards[order.to_id]
        size = card.posted - card.held(self.now) if order.amount is None else order.amount
        is_amount = order.amount is None or 0 < order.amount <= self.ceiling
        error = None if is_amount else ErrorCode.INVALID_AMOUNT
        error = error or _first(self._against_taking(card, size, though_blocked=True))
        if not error and (error := _first(self._against_adding(target, size))):
            return self._recorded(target, Trans(order.id, MovementType.TRANSFER, size, error=error))
        sent = Trans(order.id, MovementType.TRANSFER, -abs(size), error=error)
        if not error:
            self._recorded(target, Trans(order.twin_id, MovementType.TRANSFER, size))
        return self._recorded(card, sent)

    def _replace(self, card: Card, order: Replace) -> Answer:
        free = card.posted - card.held(self.now)
        if card.available(self.now) == 0:
            return NOTHING
        if card.is_held(self.now):
            error = ErrorCode.CONFLICT
            return self._recorded(card, Trans(order.id, MovementType.TRANSFER, -free, error=error))
        answer = self._transfer(card, order)
        if not self.trans[order.id].error:
            card.replaced_by = order.to_id
        return answer

    def _expire(self, card: Card, trans_id: int) -> Answer:
        free = card.posted - card.held(self.now)
        if not card.is_expired(self.now) or free == 0:
            return NOTHING
        return self._recorded(card, Trans(trans_id, _EXPIRE, -free))

    def _close(self, card: Card, order: Close) -> Answer:
        for each in card.history:
            if each.is_open(self.now):
                each.ending = HoldEnding.CANCELLED
        answer = self._expire(card, order.id)
        if answer is NOTHING and card.posted:
            answer = self._recorded(card, Trans(order.id, MovementType.ADJUST, -card.posted))
        card.disabled = True
        return answer

    def _extend(self, card: Card, order: Extend) -> Answer:
        if card.disabled or card.replaced_by is not None:
            return NOTHING
        if card.valid_until is None or card.valid_until >= order.valid_until:
            return NOTHING
        card.valid_until = order.valid_until
        gone = -sum(each.moved for each in card.history if each.type is _EXPIRE)
        if not gone or card.is_expired(self.now):
            return NOTHING
        return self._recorded(card, Trans(order.id, _EXPIRE, gone))

    def _against_standing(self, card: Card, *, though_blocked: bool = False) -> Reasons:
        yield card.disabled, ErrorCode.CARD_DISABLED
        yield card.replaced_by is not None, ErrorCode.CARD_REPLACED
        yield card.blocked and not though_blocked, ErrorCode.CARD_BLOCKED
        yield card.is_expired(self.now), ErrorCode.CARD_EXPIRED

    def _against_adding(self, card: Card, amount: int) -> Reasons:
        yield from self._against_standing(card)
        yield card.posted + amount > self.ceiling, ErrorCode.INVALID_AMOUNT
        is_new = card.lifetime == 0 and card.opens_with is not None
        yield is_new and amount != card.opens_with, ErrorCode.INVALID_AMOUNT

    def _against_taking(
        self, card: Card, amount: int, *, is_use: bool = False, though_blocked: bool = False
    ) -> Reasons:
        yield from self._against_standing(card, though_blocked=though_blocked)
        is_early = card.valid_from is not None and self.now < card.valid_from
        yield is_use and is_early, ErrorCode.CARD_NOT_YET_VALID
        yield not any(each.moved > 0 for each in card.history), ErrorCode.CARD_NOT_ACTIVATED
        is_reserved = card.replaced_on_use and card.is_held(self.now)
        yield is_use and is_reserved, ErrorCode.CONFLICT
        is_used_up = card.most_uses is not None and card.uses(self.now) >= card.most_uses
        yield is_use and is_used_up, ErrorCode.REDEMPTION_LIMIT_REACHED
        is_there = 0 < amount <= card.available(self.now)
        yield not is_there, ErrorCode.INSUFFICIENT_FUNDS

    def _ended(self, card: Card, hold: Trans, how: HoldEnding, captured: int) -> Answer:
        hold.ending, hold.captured = how, captured
        self._begin(card)
        released = abs(hold.amount) - captured
        return "end", hold.id, how, captured, released, card.available(self.now)

    def _recorded(
        self, card: Card, trans: Trans, asked: int | None = None, left_on: Card | None = None
    ) -> Answer:
        self.trans[trans.id] = trans
        card.history.append(trans)
        self._begin(card)
        state = MovementState.HELD if trans.until else MovementState.POSTED
        state = MovementState.DECLINED if trans.error else state
        asked = trans.amount if asked is None else asked
        facts = (trans.id, card.id, state, trans.type, trans.amount, asked, trans.error)
        left = (left_on or card).available(self.now)
        return "entry", *facts, trans.until, left, trans.price

    def _begin(self, card: Card) -> None:
        """Validity begins with the first funds."""
        if card.valid_until is None and card.validity is not None and card.lifetime > 0:
            card.valid_until = self.now + card.validity


def _given_back(undone: Trans, size: int) -> int | None:
    """As much of the price as makes up the part of it that will be refunded of the amount."""
    if undone.price is None:
        return None
    part = Fraction(undone.refunded + size, abs(undone.moved))
    return max(0, floor(undone.price * part) - undone.price_refunded)


def _first(reasons: Reasons) -> ErrorCode | None:
    return next((code for is_so, code in reasons if is_so), None)
