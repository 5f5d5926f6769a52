"""Orders as they are shown: with their parts, and as they are by now, whatever is written of it."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from giftgql.ledger import service as ledger
from giftgql.orders.models import (
    Order,
    OrderLine,
    OrderPayment,
    OrderPiece,
    OrderStatus,
    PaymentStatus,
)
from giftgql.store import Reading


@dataclass(frozen=True)
class OrderView:
    """`given_back` is what gift cards got back of what they paid, by movement: by the order, or
    past it."""

    order: Order
    lines: Sequence[OrderLine]
    pieces: Sequence[OrderPiece]
    payments: Sequence[OrderPayment]
    now: datetime
    given_back: Mapping[int, int] = field(default_factory=dict)
    is_replayed: bool = False

    @property
    def is_over(self) -> bool:
        """Whether its time was up before it was paid, which perhaps no row says yet."""
        return self.order.status is OrderStatus.PENDING and self.order.hold_until <= self.now

    @property
    def status(self) -> OrderStatus:
        return OrderStatus.CANCELLED if self.is_over else self.order.status

    def status_of(self, payment: OrderPayment) -> PaymentStatus:
        is_given_back = self.is_over and payment.status is PaymentStatus.HELD
        return PaymentStatus.RELEASED if is_given_back else payment.status

    def refunded_of(self, payment: OrderPayment) -> int:
        return self.given_back.get(payment.movement_id or 0, payment.refunded)

    def left_of(self, payment: OrderPayment) -> int:
        """What can still be given back of a payment."""
        is_paid = payment.status is PaymentStatus.PAID
        return payment.amount - self.refunded_of(payment) if is_paid else 0

    @property
    def paid(self) -> int:
        """What was taken or is held, in whatever way."""
        return self.paid_by(is_card=True) + self.paid_by(is_card=False)

    def paid_by(self, *, is_card: bool) -> int:
        """What was taken or is held by gift card, or what was taken in other ways."""
        return sum(
            each.amount
            for each in self.payments
            if (each.card_id is not None) == is_card
            and self.status_of(each) is not PaymentStatus.RELEASED
        )

    @property
    def kept(self) -> int:
        """What was taken or is held, but for what was given back of it."""
        return self.paid - sum(self.refunded_of(each) for each in self.payments)

    @property
    def card_ids(self) -> set[int]:
        """The gift cards that pay, and those that are bought."""
        paying, bought = (each.card_id for each in self.payments), (p.card_id for p in self.pieces)
        return {each for each in (*paying, *bought) if each is not None}

    @property
    def due(self) -> int:
        """What is left to be paid; nothing of an order that has ended."""
        return max(0, self.order.total - self.kept) if self.status is OrderStatus.PENDING else 0

    def then(self) -> dict[str, Any]:
        """What a repeated request is answered from: all that changes of an order. No code, and
        nothing of a person."""
        return {
            "order": self.order.model_dump(mode="json", exclude={"customer", "changed_in"}),
            "pieces": [each.model_dump(mode="json") for each in self.pieces],
            "payments": [
                each.model_dump(mode="json") | {"refunded": self.refunded_of(each)}
                for each in self.payments
            ],
            "now": self.now.isoformat(),
        }

    @classmethod
    def again(
        cls, then: Mapping[str, Any], order: Order, lines: Sequence[OrderLine]
    ) -> "OrderView":
        """An order as it was answered first."""
        facts = {**then["order"], "customer": order.customer, "changed_in": order.changed_in}
        return cls(
            order=Order.model_validate(facts),
            lines=lines,
            pieces=[OrderPiece.model_validate(each) for each in then["pieces"]],
            payments=[OrderPayment.model_validate(each) for each in then["payments"]],
            now=datetime.fromisoformat(then["now"]),
            is_replayed=True,
        )


async def views(reading: Reading, orders: Sequence[Order]) -> list[OrderView]:
    """Orders with their parts."""
    ids = [order.id for order in orders if order.id is not None]
    lines, pieces, payments = defaultdict(list), defaultdict(list), defaultdict(list)
    for line in await reading.orders.lines(ids) if ids else ():
        lines[line.order_id].append(line)
    for piece in await reading.orders.pieces(ids) if ids else ():
        pieces[piece.order_id].append(piece)
    for payment in await reading.orders.payments(ids) if ids else ():
        payments[payment.order_id].append(payment)
    used = [each.movement_id for those in payments.values() for each in those if each.movement_id]
    given_back = await ledger.refunded(reading, used) if used else {}
    return [
        OrderView(order, lines[each], pieces[each], payments[each], reading.now, given_back)
        for order, each in zip(orders, ids, strict=True)
    ]
