"""Whom an order's mails go to, and what they say."""

from giftgql.cards import mentions
from giftgql.cards import service as cards
from giftgql.members import service as members
from giftgql.orders.models import Order, OrderLine, OrderPayment
from giftgql.outbox import service as outbox
from giftgql.outbox.mails import CardBrought, CardUsed, Mail
from giftgql.store import Transaction


async def bring(tx: Transaction, order: Order, line: OrderLine, card_id: int) -> None:
    """Send a card that was bought to its recipient, else its owner, else the customer."""
    delivery, customer = line.delivery or {}, order.customer or {}
    address = delivery.get("email") or await members.email_of(tx, line.member_id)
    address = address or customer.get("email") or await members.email_of(tx, order.member_id)
    if address is None:
        return
    assert line.value is not None
    content = CardBrought(
        currency=order.currency,
        recipient=delivery.get("name"),
        order_no=number(order),
        value=line.value,
        sender=delivery.get("sender"),
        message=delivery.get("message"),
        product=line.name,
    )
    mail = Mail(
        address=address,
        content=content,
        card_id=card_id,
        order_id=order.id,
        due_at=line.deliver_at,
    )
    await outbox.put(tx, mail)


async def tell_of_use(tx: Transaction, order: Order, payment: OrderPayment, *, left: int) -> None:
    """Tell a card's owner, else whom it was bought for, what was paid with it; never the payer."""
    assert payment.card_id is not None
    card = (await cards.view(tx, payment.card_id)).card
    recipient = card.recipient or {}
    address = await members.email_of(tx, card.member_id) or recipient.get("email")
    if address is None:
        return
    content = CardUsed(
        currency=order.currency,
        recipient=recipient.get("name"),
        order_no=number(order),
        paid=payment.amount,
        left=left,
        last_four=await mentions.last_four(tx, payment.code_id),
        place=order.source_id,
    )
    mail = Mail(address=address, content=content, card_id=payment.card_id, order_id=order.id)
    await outbox.put(tx, mail)


def number(order: Order) -> str:
    """The shop's own number, which the customer knows; else ours."""
    return order.ref_no or str(order.id)
