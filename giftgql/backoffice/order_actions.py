"""What is done with an order: as the API's mutations do, with their inputs and services."""

from typing import cast

from giftgql.backoffice.actions import Task
from giftgql.backoffice.forms import Field, Form
from giftgql.backoffice.pages import Visit
from giftgql.money import Money
from giftgql.orders import refunds
from giftgql.orders import service as orders
from giftgql.orders.inputs import OrderCancelInput, OrderPaymentRefundInput, OrderRefundInput
from giftgql.orders.models import OrderPayment, OrderPiece, OrderStatus
from giftgql.orders.views import OrderView
from giftgql.permissions import Permission
from giftgql.values import ID

PAYMENT, CARD = "payments.id", "giftcards"

WHY = Field("reason", "Reason", "lines", is_needed=False, longest=500)


async def _cancel(visit: Visit, order_id: int, form: Form) -> None:
    order = OrderCancelInput(
        id=ID(str(order_id)), reason=form.text("reason"), idempotency_key=form.key
    )
    wanted, reason = order.parsed()
    async with visit.context.write() as tx:
        await orders.cancel(tx, wanted, reason, order.request)


async def _refund(visit: Visit, order_id: int, form: Form) -> None:
    amount = visit.wording.amount(form.needed("amount"))
    await _give_back(visit, _asked(order_id, form, amount=_as_sent(amount)))


async def _refund_all(visit: Visit, order_id: int, form: Form) -> None:
    await _give_back(visit, _asked(order_id, form))


async def _refund_payment(visit: Visit, order_id: int, form: Form) -> None:
    amount = visit.wording.amount(form.needed("payments.amount"), "payments.amount")
    part = OrderPaymentRefundInput(id=ID(form.needed(PAYMENT)), amount=_as_sent(amount))
    await _give_back(visit, _asked(order_id, form, payments=[part]))


async def _take_back(visit: Visit, order_id: int, form: Form) -> None:
    await _give_back(visit, _asked(order_id, form, giftcards=[ID(form.needed(CARD))]))


def _asked(
    order_id: int,
    form: Form,
    *,
    amount: Money | None = None,
    payments: list[OrderPaymentRefundInput] | None = None,
    giftcards: list[ID] | None = None,
) -> OrderRefundInput:
    return OrderRefundInput(
        id=ID(str(order_id)),
        amount=amount,
        payments=payments,
        giftcards=giftcards,
        reason=form.text("reason"),
        idempotency_key=form.key,
    )


async def _give_back(visit: Visit, order: OrderRefundInput) -> None:
    wanted = order.parsed()
    async with visit.context.write() as tx:
        await refunds.refund(tx, wanted)


def _as_sent(amount: str) -> Money:
    """An amount as the API's inputs have it: text, until the order's currency is known."""
    return cast(Money, amount)


def _is_pending(view: OrderView) -> bool:
    return view.status is OrderStatus.PENDING


def has_goods_left(view: OrderView) -> bool:
    """Whether anything but bought cards can still be given back."""
    is_left = view.order.goods > view.order.goods_refunded
    return view.status is OrderStatus.PAID and is_left


def _has_anything_left(view: OrderView) -> bool:
    is_left = any(view.left_of(each) for each in view.payments)
    return view.status is OrderStatus.PAID and is_left


def is_refundable(view: OrderView, payment: OrderPayment) -> bool:
    return has_goods_left(view) and view.left_of(payment) > 0


def is_returnable(view: OrderView, piece: OrderPiece) -> bool:
    is_there = piece.card_id is not None and not piece.taken_back
    return is_there and view.status is OrderStatus.PAID


CANCEL = Task(
    "cancel",
    "orderCancel",
    (Permission.CREATE_ORDER,),
    _cancel,
    title="Cancel the order",
    button="Cancel the order",
    done="The order is cancelled: what its gift cards held is available again.",
    fields=(WHY,),
    warning="I know that the order ends and cannot be paid any more",
    suits=_is_pending,
)
REFUND = Task(
    "refund",
    "orderRefund",
    (Permission.REFUND_ORDER,),
    _refund,
    title="Refund an amount",
    button="Give it back",
    done="Refunded: gift cards have their part again; what was paid in other ways is yours to "
    "give back.",
    fields=(Field("amount", "Amount", "amount", help="For goods, to gift cards first."), WHY),
    warning="I know that a refund cannot be undone",
    suits=has_goods_left,
)
REFUND_ALL = Task(
    "refund-all",
    "orderRefund",
    (Permission.REFUND_ORDER,),
    _refund_all,
    title="Refund all that is left",
    button="Give all back",
    done="All is refunded: gift cards have their part again; what was paid in other ways is yours "
    "to give back.",
    fields=(WHY,),
    warning="I know that all is given back, and that the cards bought are disabled",
    suits=_has_anything_left,
)
REFUND_PAYMENT = Task(
    "refund-payment",
    "orderRefund",
    (Permission.REFUND_ORDER,),
    _refund_payment,
    title="Refund by this payment",
    button="Give it back",
    done="Refunded by the payment that you chose.",
    fields=(Field("payments.amount", "Amount", "amount"), WHY),
    warning="I know that a refund cannot be undone",
    row=PAYMENT,
    suits=has_goods_left,
)
TAKE_BACK: Task[int, OrderView] = Task(
    "take-back",
    "orderRefund",
    (Permission.REFUND_ORDER,),
    _take_back,
    title="Take this card back",
    button="Take it back",
    done="The card was taken back: it is disabled, and what it cost is given back.",
    fields=(WHY,),
    warning="I know that the card ends for good",
    row=CARD,
)
ACTIONS = {each.name: each for each in (CANCEL, REFUND, REFUND_ALL, REFUND_PAYMENT, TAKE_BACK)}
