"""What is told: the events, what the state of a card or order says is new, and the form of it."""

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from giftgql.cards.views import CardView
from giftgql.codes import CodeType
from giftgql.errors import Described
from giftgql.ledger.models import HoldEnding
from giftgql.money import Money
from giftgql.movements.service import Trans
from giftgql.orders.models import OrderStatus
from giftgql.orders.views import OrderView


class WebhookEvent(Described):
    """The values are the `type` of what is sent."""

    GIFTCARD_CREATED = "giftcard.created", "`giftcard.created`: a card was made."
    GIFTCARD_ACTIVATED = "giftcard.activated", "`giftcard.activated`: it has its first funds."
    GIFTCARD_TRANSACTION = (
        "giftcard.transaction",
        "`giftcard.transaction`: money moved on it, was authorised, captured, cancelled, timed "
        "out, or was declined; `data.status` says which. An end of an authorisation is one more.",
    )
    GIFTCARD_REDEEMED = "giftcard.redeemed", "`giftcard.redeemed`: it was used up."
    GIFTCARD_EXPIRED = (
        "giftcard.expired",
        "`giftcard.expired`: the last day of its funds has passed. Of a card without funds this "
        "is told when it next changes.",
    )
    GIFTCARD_BLOCKED = "giftcard.blocked", "`giftcard.blocked`: it was blocked."
    GIFTCARD_UNBLOCKED = "giftcard.unblocked", "`giftcard.unblocked`: it was unblocked."
    GIFTCARD_DISABLED = "giftcard.disabled", "`giftcard.disabled`: it was ended, or removed."
    ORDER_PAID = "order.paid", "`order.paid`: all of an order is paid."
    ORDER_CANCELLED = (
        "order.cancelled",
        "`order.cancelled`: it was cancelled, or its time was up before it was paid.",
    )
    ORDER_REFUNDED = "order.refunded", "`order.refunded`: something more of it was given back."
    TEST = "test", "`test`: sent by `webhookTest` alone, whatever an endpoint's events are."


FIRST = (WebhookEvent.GIFTCARD_CREATED, WebhookEvent.GIFTCARD_ACTIVATED)
"""What comes before the movements of the same moment; all else of a card comes after them."""


@dataclass(frozen=True, slots=True)
class Span:
    """Transactions that are told together: those after one, up to another. Without a gap they have
    been followed from `begins_in` on, since `begins_at`."""

    after: int
    upto: int
    begins_in: int
    begins_at: datetime


@dataclass(frozen=True, slots=True)
class CardState:
    """What of a card's state is told when it changes. `redeemed` is in minor units."""

    is_funded: bool = False
    redeemed: int = 0
    is_blocked: bool = False
    is_closed: bool = False
    is_expired: bool = False

    @classmethod
    def of(cls, view: CardView, before: "CardState | None") -> "CardState":
        """How a card is; its expiry waits while it is blocked."""
        account = view.account
        now = max(view.now, account.modified_at)  # by the clock of whoever swept it
        has_ended = account.valid_until is not None and account.valid_until <= now
        was_expired = before is not None and before.is_expired
        return cls(
            is_funded=account.lifetime > 0,
            redeemed=account.redeemed,
            is_blocked=account.blocked,
            is_closed=account.closed,
            is_expired=has_ended and (was_expired or not account.blocked),
        )


def card_news(before: CardState | None, now: CardState, *, is_empty: bool) -> list[WebhookEvent]:
    """What is to be told of a card that was so before, None of one that was not there.

    Of what came and went in between nothing is told.
    """
    then = before or CardState()
    is_stopped = now.is_expired or now.is_closed
    is_used_up = is_empty and now.redeemed > then.redeemed and not is_stopped
    found = {
        WebhookEvent.GIFTCARD_CREATED: before is None,
        WebhookEvent.GIFTCARD_ACTIVATED: now.is_funded and not then.is_funded,
        WebhookEvent.GIFTCARD_REDEEMED: is_used_up,
        WebhookEvent.GIFTCARD_EXPIRED: now.is_expired and not then.is_expired,
        WebhookEvent.GIFTCARD_UNBLOCKED: then.is_blocked and not now.is_blocked,
        WebhookEvent.GIFTCARD_BLOCKED: now.is_blocked and not then.is_blocked,
        WebhookEvent.GIFTCARD_DISABLED: now.is_closed and not then.is_closed,
    }
    return [event for event, is_new in found.items() if is_new]


@dataclass(frozen=True, slots=True)
class OrderState:
    """What of an order's state is told when it changes. `refunded` is in minor units."""

    is_paid: bool = False
    is_cancelled: bool = False
    refunded: int = 0

    @classmethod
    def of(cls, view: OrderView) -> "OrderState":
        return cls(
            is_paid=view.order.status is OrderStatus.PAID,
            is_cancelled=view.order.status is OrderStatus.CANCELLED,
            refunded=sum(payment.refunded for payment in view.payments),
        )


def order_news(before: OrderState, now: OrderState) -> list[WebhookEvent]:
    """What is to be told of an order that was so before."""
    found = {
        WebhookEvent.ORDER_PAID: now.is_paid and not before.is_paid,
        WebhookEvent.ORDER_CANCELLED: now.is_cancelled and not before.is_cancelled,
        WebhookEvent.ORDER_REFUNDED: now.refunded > before.refunded,
    }
    return [event for event, is_new in found.items() if is_new]


@dataclass(frozen=True, slots=True)
class Happening:
    """An event, when it happened, in which transaction, and what there is to say of it."""

    event: WebhookEvent
    at: datetime
    number: int
    data: Mapping[str, Any]
    card_id: int | None = None
    order_id: int | None = None

    def numbered(self, sequence: int) -> "Happening":
        """The same as one of its card's events."""
        return replace(self, data={"sequence": sequence, **self.data})

    def body(self) -> dict[str, Any]:
        """What is sent. The id is of the event: whoever gets it twice can tell."""
        return {
            "id": f"evt_{secrets.token_hex(16)}",
            "type": self.event.value,
            "timestamp": self.at.isoformat(),
            "data": self.data,
        }


def of_card(
    view: CardView, event: WebhookEvent, number: int, codes: Iterable[tuple[CodeType, str]]
) -> Happening:
    """What happened to a card, and how it is since, with its codes masked."""
    card, account = view.card, view.account
    data = {
        "giftcardId": str(account.id),
        "status": view.status.value,
        "balance": str(Money(view.balance, account.currency)),
        "held": str(Money(view.held, account.currency)),
        "currency": account.currency,
        "expiresOn": view.expires_on and view.expires_on.isoformat(),
        "memberId": card.member_id,
        "productId": _id(card.product_id),
        "poolId": _id(card.pool_id),
        "campaignId": _id(card.campaign_id),
        "codes": [{"codeType": kind.value, "code": code} for kind, code in codes],
        "removed": card.removed_at is not None,
    }
    is_new = event is WebhookEvent.GIFTCARD_CREATED
    at = card.created_at if is_new else account.modified_at
    return Happening(event, at, number, data, card_id=account.id)


def of_movement(
    trans: Trans,
    ending: HoldEnding | None,
    number: int,
    *,
    member_id: str | None,
    code: str | None,
    order_id: int | None,
) -> Happening:
    """A transaction as it was made, or as it ended: by this code, for this order."""

    def money(minor: int) -> str:
        return str(Money(minor, trans.currency))

    data = {
        "giftcardId": str(trans.card_id),
        "transactionId": str(trans.id),
        "transType": trans.type.value,
        "status": trans.status.value,
        "ending": ending and ending.value,
        "amount": money(trans.amount),
        "requestedAmount": money(trans.asked),
        "releasedAmount": money(trans.released),
        "balance": money(trans.balance),
        "currency": trans.currency,
        "error": trans.error and trans.error.value,
        "relatedId": _id(trans.about_id),
        "sourceId": trans.source_id,
        "refNo": trans.ref_no,
        "orderId": _id(order_id),
        "memberId": member_id,
        "code": code,
        "createdAt": trans.created_at.isoformat(),
        "authorizedUntil": trans.authorized_until and trans.authorized_until.isoformat(),
        "endedAt": trans.ended_at and trans.ended_at.isoformat(),
    }
    at = trans.ended_at if ending and trans.ended_at else trans.created_at
    event = WebhookEvent.GIFTCARD_TRANSACTION
    return Happening(event, at, number, data, card_id=trans.card_id, order_id=order_id)


def of_order(view: OrderView, event: WebhookEvent) -> Happening:
    """What happened to an order, and how it is since."""
    order = view.order

    def money(minor: int) -> str:
        return str(Money(minor, order.currency))

    data = {
        "orderId": str(order.id),
        "status": order.status.value,
        "grandTotal": money(order.total),
        "paidByGiftcards": money(view.paid_by(is_card=True)),
        "paidOtherwise": money(view.paid_by(is_card=False)),
        "refunded": money(sum(payment.refunded for payment in view.payments)),
        "refundDue": money(order.refund_due),
        "currency": order.currency,
        "giftcardIds": [str(each.card_id) for each in view.pieces if each.card_id],
        "sourceId": order.source_id,
        "refNo": order.ref_no,
        "memberId": order.member_id,
    }
    return Happening(event, order.modified_at, order.changed_in or 0, data, order_id=order.id)


def of_test(endpoint_id: int, at: datetime) -> Happening:
    return Happening(WebhookEvent.TEST, at, 0, {"endpointId": str(endpoint_id)})


def _id(number: int | None) -> str | None:
    return None if number is None else str(number)
