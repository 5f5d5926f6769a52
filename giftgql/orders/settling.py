"""What happens to an order's money and cards when it is placed, paid, or ends."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from giftgql.audit import service as audit
from giftgql.audit.models import Event
from giftgql.cards import stock
from giftgql.errors import ErrorCode, PoolExhausted, Unavailable
from giftgql.issuing import service as issuing
from giftgql.issuing.service import Terms
from giftgql.ledger import service as ledger
from giftgql.ledger.models import MovementType
from giftgql.ledger.orders import By, Cancel, Capture, Move, Refund
from giftgql.ledger.service import Asked, Result
from giftgql.movements import service as movements
from giftgql.orders import mails
from giftgql.orders.asked import CardPayment
from giftgql.orders.calculation import Share, spread
from giftgql.orders.models import (
    GIFT_CARD,
    Order,
    OrderLine,
    OrderPayment,
    OrderPiece,
    OrderStatus,
    PaymentStatus,
)
from giftgql.orders.pricing import Priced
from giftgql.orders.quoting import Quoted
from giftgql.orders.refusals import PresentedOtherwise
from giftgql.orders.views import OrderView
from giftgql.products.service import Preset
from giftgql.store import Transaction
from giftgql.succession import service as succession
from giftgql.succession.models import Succession


async def hold(
    tx: Transaction, order: Order, shares: Sequence[tuple[CardPayment, Share]]
) -> list[OrderPayment]:
    """Reserve on each card what it is to pay. Refuses what the rules of money decline; raises
    PresentedOtherwise."""
    if not shares:
        return []
    moves = [
        Move(
            account_id=card.presented.card_id,
            type=MovementType.USE,
            amount=-share.amount,
            hold_for=order.hold_until - tx.now,
            revision=card.presented.revision,
            code_until=tx.end_of(card.presented.expires_on),
            by=_by(tx, order)._replace(code_id=card.presented.code_id),
        )
        for card, share in shares
    ]
    for result in await ledger.post(tx, [Asked(move) for move in moves]):
        assert isinstance(result, Result)
        if result.outcome.is_stale:
            raise PresentedOtherwise
        if (entry := result.outcome.entry) is not None:
            if entry.error is not None:
                raise movements.declined(entry.error)
            assert entry.hold_until is not None
            order.hold_until = entry.hold_until
    return [
        OrderPayment(
            order_id=_id(order),
            status=PaymentStatus.HELD,
            method=GIFT_CARD,
            amount=share.amount,
            card_id=card.presented.card_id,
            code_id=card.presented.code_id,
            movement_id=move.id,
            created_at=tx.now,
        )
        for (card, share), move in zip(shares, moves, strict=True)
    ]


async def reserve(tx: Transaction, order: Order, found: Quoted) -> list[OrderPiece]:
    """The pieces of the gift-card lines; of pools their cards are taken now. Refuses
    `POOL_EXHAUSTED`."""
    pieces = list[OrderPiece]()
    for place, (line, sums) in enumerate(zip(found.lines, found.sums.lines, strict=True)):
        if line.sold is None:
            continue
        for cost in spread(sums.total, [1] * line.item.quantity):
            piece = OrderPiece(order_id=_id(order), place=len(pieces), line=place, cost=cost)
            piece.card_id = await _reserved(tx, line)
            pieces.append(piece)
    return pieces


async def _reserved(tx: Transaction, line: Priced) -> int | None:
    assert line.sold is not None
    assert line.new.gift_cards is not None
    if line.sold.pool is None:
        return None
    card_id = line.new.gift_cards.card_id
    if card_id is None:
        card_id = await issuing.taken(tx, line.sold.pool, line.sold.terms.value)
    elif await stock.take(tx, card_id) is None:
        raise PoolExhausted("lines.giftcard.giftcardId", "pool, or rather this card,")
    await stock.hand_over(tx, card_id, {})
    return card_id


async def settle(tx: Transaction, view: OrderView) -> None:
    """All is paid: take what is held, issue what was bought, and tell whom it concerns. What was
    paid too much, or for a card that cannot be issued any more, is to be given back."""
    order = view.order
    await _capture(tx, view)
    not_issued = 0
    for piece in view.pieces:
        if not await _issue(tx, order, view.lines[piece.line], piece):
            not_issued += piece.cost
    facts = {"status": OrderStatus.PAID, "paid_at": tx.now, "modified_at": tx.now}
    unused = max(0, view.kept - order.total) + not_issued
    await _mark_as_given_back(tx, view, unused)
    await tx.orders.update(order, {**facts, "refund_due": order.refund_due + unused})


async def _capture(tx: Transaction, view: OrderView) -> None:
    held = _held(view)
    asked = [Asked(order) for order in captures(tx, held)]
    for payment, result in zip(held, await ledger.post(tx, asked), strict=True):
        assert isinstance(result, Result)
        if result.outcome.end is None:  # its time was up just now
            raise Unavailable
        await tx.orders.update_part(payment, {"status": PaymentStatus.PAID})
        heir = await _succeeded(tx, view.order, payment)
        if heir is None or heir.successor_id is None:
            await mails.tell_of_use(tx, view.order, payment, left=result.outcome.end.balance)


async def _succeeded(tx: Transaction, order: Order, payment: OrderPayment) -> Succession | None:
    """What becomes of the rest of a card that is replaced on use: its owner gets a new one."""
    return await succession.succeed(
        tx,
        _card_id(payment),
        movement_id=_hold(payment),
        paid=payment.amount,
        by=_by(tx, order)._replace(code_id=payment.code_id),
        order_id=order.id,
        order_no=mails.number(order),
    )


async def _issue(tx: Transaction, order: Order, line: OrderLine, piece: OrderPiece) -> bool:
    """Make a piece a card with its value; False where there is no card to be had any more."""
    delivery = line.delivery or {}
    recipient = {each: delivery[each] for each in ("name", "email") if each in delivery}
    facts = {"recipient": recipient or None, "purchased_on": tx.today}
    card_id = await (_made if line.pool_id is None else _sold)(tx, order, line, piece, facts)
    if card_id is None:
        await tx.orders.update_part(piece, {"card_id": None, "taken_back": True})
        return False
    assert line.value is not None
    value = Preset(line.price, line.value)
    movement_id = await issuing.fund(tx, card_id, value, _by(tx, order))
    await tx.orders.update_part(piece, {"card_id": card_id, "movement_id": movement_id})
    await mails.bring(tx, order, line, card_id)
    return True


async def _made(
    tx: Transaction, order: Order, line: OrderLine, _: OrderPiece, facts: Mapping[str, Any]
) -> int | None:
    """A new card as it was ordered, unless its last day has passed since."""
    if line.expires_on is not None and line.expires_on < tx.today:
        return None
    assert line.product_id is not None
    assert line.strategy is not None
    terms = Terms(
        line.product_id, order.currency, line.strategy, line.expires_on, line.expires_after
    )
    return await issuing.make(tx, terms, line.member_id, facts)


async def _sold(
    tx: Transaction, _: Order, line: OrderLine, piece: OrderPiece, facts: Mapping[str, Any]
) -> int | None:
    """The pool's card that was reserved, or another one where that was sold by a till or stopped
    meanwhile."""
    assert piece.card_id is not None
    card_id: int | None = piece.card_id
    if not await stock.can_be_sold(tx, piece.card_id):
        card_id = await stock.take_free(tx, pool_id=line.pool_id, value=line.value)
    if card_id is not None:
        assert line.product_id is not None
        assert line.strategy is not None
        owned = {**facts, "member_id": line.member_id}
        await issuing.hand_over(tx, line.product_id, card_id, owned, line.strategy)
    return card_id


async def _mark_as_given_back(tx: Transaction, view: OrderView, left: int) -> None:
    """Note of the last payments in other ways that so much is to be given back of them."""
    for payment in reversed(view.payments):
        if payment.card_id is None and payment.status is PaymentStatus.PAID:
            part = min(left, payment.amount - payment.refunded)
            await tx.orders.update_part(payment, {"refunded": payment.refunded + part})
            left -= part


async def release(tx: Transaction, view: OrderView, *, reason: str | None = None) -> None:
    """End an order that is not paid: what its cards hold and the pool cards it reserved are free
    again, what a client has captured of them past the order comes back to them, and what was paid
    in other ways, or can go back to no card, is to be given back by the shop."""
    await _end_holds(tx, _held(view))
    reserved = [piece.card_id for piece in view.pieces if piece.card_id is not None]
    if reserved:
        await stock.give_back(tx, reserved)
    for piece in view.pieces:
        await tx.orders.update_part(piece, {"card_id": None})
    paid = {each.id: view.left_of(each) for each in view.payments if each.id is not None}
    given = await give_back(tx, view, paid, reason)
    due = given.by_shop + given.declined
    facts = {"status": OrderStatus.CANCELLED, "cancelled_at": tx.now, "modified_at": tx.now}
    await tx.orders.update(
        view.order, {**facts, "reason": reason, "refund_due": view.order.refund_due + due}
    )
    await audit.record(tx, Event.ORDER_CANCELLED, f"order:{view.order.id}", reason=reason)


async def let_go(tx: Transaction, view: OrderView) -> None:
    """Give up the shares of cards that cannot be captured any more: they are due again. What was
    captured outside of the order is paid."""
    await _end_holds(tx, _held(view), keeps_good=True)


async def _end_holds(
    tx: Transaction, held: Sequence[OrderPayment], *, keeps_good: bool = False
) -> None:
    """Release what is still held of these, but for what can be captured if `keeps_good`. A hold
    whose time is up has ended by itself; one that was captured outside of the order has paid."""
    now = await ledger.holds_now(tx, captures(tx, held)) if held else {}
    cancels, by = list[Asked](), By(tx.caller.name)
    for payment in held:
        hold, facts = now[_hold(payment)], dict[str, Any](status=PaymentStatus.RELEASED)
        if hold.captured:
            facts = {"status": PaymentStatus.PAID, "amount": hold.captured}
        elif keeps_good and hold.refused is None:
            continue
        elif hold.is_open:
            cancel = Cancel(account_id=_card_id(payment), movement_id=_hold(payment), by=by)
            cancels.append(Asked(cancel))
        await tx.orders.update_part(payment, facts)
    if cancels:
        await ledger.post(tx, cancels)


@dataclass(frozen=True)
class GivenBack:
    """What the shop is to give back; what could not go back to a gift card, and why."""

    by_shop: int = 0
    declined: int = 0
    error: ErrorCode | None = None


async def give_back(
    tx: Transaction, view: OrderView, by_payment: Mapping[int, int], reason: str | None
) -> GivenBack:
    """Give so much back of each payment: to cards at once, or to what took their place. Refuses
    `UNAVAILABLE`."""
    refunds, by_shop = list[Refund](), 0
    by_card = [each.card_id for each in view.payments if each.card_id is not None]
    heirs = await ledger.last_of(tx, by_card)
    for payment in view.payments:
        amount = by_payment.get(payment.id or 0, 0)
        if amount == 0:
            continue
        refunded = view.refunded_of(payment) + amount
        await tx.orders.update_part(payment, {"refunded": refunded})
        if payment.card_id is None:
            by_shop += amount
        else:
            heir = heirs[payment.card_id]
            by = By(tx.caller.name, payment.code_id, reason=reason or f"order {view.order.id}")
            refund = Refund(
                account_id=payment.card_id,
                movement_id=_hold(payment),
                amount=amount,
                by=by,
                at_id=None if heir == payment.card_id else heir,
            )
            refunds.append(refund)
    declined, error = 0, None
    for each, result in zip(refunds, await _post(tx, refunds), strict=True):
        if result.outcome.error is not None:
            assert each.amount is not None
            declined, error = declined + each.amount, error or result.outcome.error
    return GivenBack(by_shop, declined, error)


async def _post(tx: Transaction, refunds: Sequence[Refund]) -> list[Result]:
    results = list[Result]()
    for result in await ledger.post(tx, [Asked(each) for each in refunds]) if refunds else ():
        assert isinstance(result, Result)
        if result.outcome.is_stale:  # its card was replaced before it was locked
            raise Unavailable
        results.append(result)
    return results


def captures(tx: Transaction, held: Sequence[OrderPayment]) -> list[Capture]:
    return [
        Capture(account_id=_card_id(payment), movement_id=_hold(payment), by=By(tx.caller.name))
        for payment in held
    ]


def _held(view: OrderView) -> list[OrderPayment]:
    return [each for each in view.payments if each.status is PaymentStatus.HELD]


def _by(tx: Transaction, order: Order) -> By:
    return By(tx.caller.name, None, order.source_id, order.ref_no, f"order {order.id}")


def _id(order: Order) -> int:
    assert order.id is not None
    return order.id


def _card_id(payment: OrderPayment) -> int:
    assert payment.card_id is not None
    return payment.card_id


def _hold(payment: OrderPayment) -> int:
    assert payment.movement_id is not None
    return payment.movement_id
