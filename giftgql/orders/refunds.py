"""What is given back of a paid order: to gift cards what they paid, for bought cards what they
cost while they are unspent, and the rest in the ways in which it was paid."""

from collections.abc import Mapping
from typing import Any

from giftgql.audit import service as audit
from giftgql.audit.models import Event
from giftgql.errors import Conflict, ErrorCode, InvalidInput, NotFound
from giftgql.ledger import service as ledger
from giftgql.ledger.orders import By, Close, Refund
from giftgql.money import Money, positive_minor
from giftgql.movements import service as movements
from giftgql.orders import service, settling
from giftgql.orders.asked import NewRefund
from giftgql.orders.models import OrderPiece, OrderStatus
from giftgql.orders.refusals import OrderCancelled
from giftgql.orders.views import OrderView
from giftgql.outbox import service as outbox
from giftgql.store import Transaction


async def refund(tx: Transaction, wanted: NewRefund) -> OrderView:
    """Give back a part of a paid order, or all that is left of it.

    Refuses `ORDER_NOT_FOUND`, `ORDER_CANCELLED`, `CONFLICT` where it is not paid or a bought card
    was used, `REFUND_EXCEEDS_CAPTURED`, `INVALID_INPUT`, and what the rules of money decline, such
    as a refund to a blocked card; in all cases nothing is given back.
    """
    view, done = await service.held(tx, wanted.order_id, wanted.request)
    if done is not None:
        return await service.again(tx, done)
    order = view.order
    if view.status is OrderStatus.CANCELLED:
        raise OrderCancelled
    if view.status is OrderStatus.PENDING:
        raise Conflict("id", "The order is not paid yet; it can be cancelled.")
    taken_back = _pieces(view, wanted)
    by_payment = _by_payment(view, wanted)
    goods = _goods(view, wanted, by_payment, sum(piece.cost for piece in taken_back))
    if goods > order.goods - order.goods_refunded:
        raise movements.declined(ErrorCode.REFUND_EXCEEDS_CAPTURED)
    amount = goods + sum(piece.cost for piece in taken_back)
    if by_payment is None:
        by_payment = _cards_first(view, amount)
    for piece in taken_back:
        await _take_back(tx, view, piece, wanted.reason)
    given = await settling.give_back(tx, view, by_payment, wanted.reason)
    if given.error is not None:
        raise movements.declined(given.error)
    facts = {"goods_refunded": order.goods_refunded + goods, "modified_at": tx.now}
    await tx.orders.update(order, {**facts, "refund_due": order.refund_due + given.by_shop})
    said: dict[str, Any] = {"amount": Money(amount, order.currency), "reason": wanted.reason}
    await audit.record(tx, Event.ORDER_REFUNDED, f"order:{order.id}", **said)
    return await service.answered(tx, wanted.request, order)


def _pieces(view: OrderView, wanted: NewRefund) -> list[OrderPiece]:
    """The bought cards that are to be taken back: those named, or all where nothing is named."""
    there = [piece for piece in view.pieces if not piece.taken_back]
    if wanted.card_ids is None:
        is_all = wanted.amount is None and wanted.by_payment is None
        return there if is_all else []
    of_card = {piece.card_id: piece for piece in there}
    if len(set(wanted.card_ids)) < len(wanted.card_ids):
        raise InvalidInput("giftcards", "names a card twice")
    for card_id in wanted.card_ids:
        if card_id not in of_card:
            raise NotFound("giftcards", "gift card that this order bought and still has")
    return [of_card[card_id] for card_id in wanted.card_ids]


def _by_payment(view: OrderView, wanted: NewRefund) -> dict[int, int] | None:
    if wanted.by_payment is None:
        return None
    left, found = {each.id: view.left_of(each) for each in view.payments}, dict[int, int]()
    for payment_id, text in wanted.by_payment.items():
        if payment_id not in left:
            raise NotFound("payments.id", "payment of the order")
        amount = positive_minor(text, view.order.currency, "payments.amount")
        if amount > left[payment_id]:
            raise movements.declined(ErrorCode.REFUND_EXCEEDS_CAPTURED)
        found[payment_id] = amount
    return found


def _goods(
    view: OrderView, wanted: NewRefund, by_payment: Mapping[int, int] | None, for_cards: int
) -> int:
    """How much is given back that is not for a bought card."""
    order = view.order
    named = None if by_payment is None else sum(by_payment.values()) - for_cards
    if wanted.amount is not None:
        goods = positive_minor(wanted.amount, order.currency, "amount")
        if named not in (None, goods):
            total = Money(goods + for_cards, order.currency)
            raise InvalidInput("payments", f"must come to {total} together")
        return goods
    if named is not None:
        if named < 0:
            total = Money(for_cards, order.currency)
            raise InvalidInput("payments", f"must come to {total}, what the cards cost, or more")
        return named
    if wanted.card_ids is not None:
        return 0
    paid = sum(view.left_of(each) for each in view.payments) - for_cards
    return max(0, min(order.goods - order.goods_refunded, paid))


def _cards_first(view: OrderView, amount: int) -> dict[int, int]:
    """An amount by payment: to gift cards as far as they paid, then to the others."""
    found, left = dict[int, int](), amount
    for payment in sorted(view.payments, key=lambda each: each.card_id is None):
        part = min(left, view.left_of(payment))
        if part > 0:
            assert payment.id is not None
            found[payment.id] = part
            left -= part
    if left > 0:
        raise movements.declined(ErrorCode.REFUND_EXCEEDS_CAPTURED)
    return found


async def _take_back(
    tx: Transaction, view: OrderView, piece: OrderPiece, reason: str | None
) -> None:
    """Undo the sale of a card that is as it was sold, and disable it."""
    assert piece.card_id is not None
    assert piece.movement_id is not None
    value = view.lines[piece.line].value
    account = await ledger.lock(tx, piece.card_id)  # not by `held` if it was only just issued
    assert account is not None
    is_untouched = account.posted == account.lifetime == value and not account.open_holds
    if not is_untouched or await ledger.has_moved(tx, piece.card_id, besides=1):
        raise Conflict("giftcards", f"The card {piece.card_id} was used; it cannot be taken back.")
    by = By(tx.caller.name, reason=reason or f"order {view.order.id}")
    sale = Refund(account_id=piece.card_id, movement_id=piece.movement_id, by=by)
    outcome = await ledger.post_one(tx, sale)
    if outcome.error is not None:
        raise movements.declined(outcome.error)
    await ledger.close(tx, Close(account_id=piece.card_id, by=by))
    await outbox.cancel_waiting(tx, card_id=piece.card_id)
    await tx.orders.update_part(piece, {"taken_back": True})
