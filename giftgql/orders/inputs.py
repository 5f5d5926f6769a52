"""What callers send of orders, read once into what cannot be wrong."""

import re
from datetime import timedelta

import strawberry

from giftgql.errors import InvalidInput
from giftgql.issuing.api import RecipientInput
from giftgql.members.api import read_member_id
from giftgql.money import Money
from giftgql.movements.inputs import hold_time, optional_text, request_of
from giftgql.orders.asked import NewOrder, NewPayment, NewRefund
from giftgql.orders.basket import MOST_CARDS, MOST_PIECES, BasketInput, at_most
from giftgql.orders.models import GIFT_CARD
from giftgql.orders.refusals import OrderNotFound
from giftgql.requests.service import Once
from giftgql.store import Reading
from giftgql.values import given, known_id, optional, record_id, secret_input

MOST_PAYMENTS = 20

_METHOD = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}", re.ASCII)
_KEY = (
    "1 to 128 printable ASCII characters. The same key with the same input does the work once and "
    "gives the first answer again, with `replayed: true` in the response's `extensions`; with "
    "other input it is an `IDEMPOTENCY_CONFLICT`."
)


@strawberry.input(description="A payment in another way than by gift card, taken already.")
class OrderOtherPaymentInput:
    method: str = strawberry.field(
        description="The shop's name of the method, such as `credit_card`: 1 to 64 lower-case "
        "letters, digits, `_`, `-` and `.`."
    )
    amount: Money = strawberry.field(description="How much, more than 0.")
    ref_no: str | None = optional("The payment's number elsewhere, up to 64 characters.")

    def parsed(self, field: str = "payments") -> NewPayment:
        method = method_name(self.method, f"{field}.method")
        number = optional_text(self.ref_no, f"{field}.refNo", 64)
        return NewPayment(method, str(self.amount), number)


@strawberry.input(description="Who buys.")
class OrderCustomerInput(RecipientInput):
    pass


@secret_input("An order to be calculated.")
class OrderCalculateInput(BasketInput):
    payment_methods: list[str] | None = optional(
        "The methods that the shop offers, up to 20: the answer says which are allowed."
    )

    def parsed(self, reading: Reading) -> NewOrder:
        return NewOrder(**self.basket(reading))

    def methods(self) -> list[str]:
        offered = at_most(self.payment_methods, "paymentMethods", MOST_PAYMENTS)
        return [method_name(each, "paymentMethods") for each in offered]


@secret_input("An order to be placed.")
class OrderAddInput(BasketInput):
    payments: list[OrderOtherPaymentInput] | None = optional(
        "What was paid in other ways already, at most what is due, up to 20. With enough of it the "
        "order is paid at once."
    )
    member_id: strawberry.ID | None = optional("The customer who is a member.")
    customer: OrderCustomerInput | None = optional("The customer's name and address.")
    source_id: str | None = optional("Where: the caller's till or site, up to 64 characters.")
    ref_no: str | None = optional("The caller's own number, up to 64 characters.")
    hold_for: str | None = optional(
        "For how long it may be paid, an ISO 8601 duration of days to seconds from `PT1S` to what "
        "the settings allow; then it ends by itself."
    )
    quote: str | None = optional(
        "What `orderCalculate` gave: `PRICE_CHANGED` if it would come to something else now."
    )
    idempotency_key: str | None = optional(_KEY)

    def parsed(self, reading: Reading) -> NewOrder:
        payments = at_most(self.payments, "payments", MOST_PAYMENTS)
        owner, customer = given(self.member_id), given(self.customer)
        return NewOrder(
            **self.basket(reading),
            payments=[payment.parsed() for payment in payments],
            member_id=None if owner is None else read_member_id(owner),
            customer=customer.parsed() if customer else None,
            source_id=optional_text(self.source_id, "sourceId", 64),
            ref_no=optional_text(self.ref_no, "refNo", 64),
            hold_for=self._hold_for(reading),
            quote=optional_text(self.quote, "quote", 64),
            request=request_of(self, "orderAdd", self.idempotency_key),
        )

    def _hold_for(self, reading: Reading) -> timedelta:
        asked, settings = given(self.hold_for), reading.settings
        if asked is None:
            return timedelta(seconds=settings.order_seconds)
        return hold_time(asked, "holdFor", timedelta(days=settings.max_authorize_days))


@secret_input("Money for an order that was taken elsewhere.")
class OrderPaymentAddInput(OrderOtherPaymentInput):
    id: strawberry.ID = strawberry.field(description="The order.")
    idempotency_key: str | None = optional(_KEY)

    @property
    def request(self) -> Once | None:
        return request_of(self, "orderPaymentAdd", self.idempotency_key)


@secret_input("An order to be ended before it is paid.")
class OrderCancelInput:
    id: strawberry.ID = strawberry.field(description="The order.")
    reason: str | None = optional("Why, up to 500 characters.")
    idempotency_key: str | None = optional(_KEY)

    def parsed(self) -> tuple[int, str | None]:
        return order_id(self.id), optional_text(self.reason, "reason", 500)

    @property
    def request(self) -> Once | None:
        return request_of(self, "orderCancel", self.idempotency_key)


@strawberry.input(description="How much is given back of a payment.")
class OrderPaymentRefundInput:
    id: strawberry.ID = strawberry.field(description="The payment's id.")
    amount: Money = strawberry.field(description="How much, at most what is left of it.")


@secret_input(
    "What is to be given back of a paid order. With only its id, all that is left: of goods and of "
    "bought cards."
)
class OrderRefundInput:
    id: strawberry.ID = strawberry.field(description="The order.")
    amount: Money | None = optional(
        "How much is given back for goods, more than 0; by default what `payments` say beyond what "
        "the cards of `giftcards` cost."
    )
    payments: list[OrderPaymentRefundInput] | None = optional(
        "How much of which payment; together what is given back. By default gift cards first."
    )
    giftcards: list[strawberry.ID] | None = optional(
        "Ids of cards that the order bought, to be taken back at what they cost: unspent ones "
        "only, which are disabled."
    )
    reason: str | None = optional("Why, up to 500 characters.")
    idempotency_key: str | None = optional(_KEY)

    def parsed(self) -> NewRefund:
        payments, cards, amount = given(self.payments), given(self.giftcards), given(self.amount)
        by_payment: dict[int, str] | None = None
        if payments is not None:
            by_payment = {
                known_id(each.id, "payments.id", "payment of the order"): str(each.amount)
                for each in at_most(payments, "payments", MOST_CARDS + MOST_PAYMENTS)
            }
            if len(by_payment) < len(payments):
                raise InvalidInput("payments", "names one payment twice")
        card_ids: list[int] | None = None
        if cards is not None:
            named = at_most(cards, "giftcards", MOST_PIECES)
            card_ids = [known_id(each, "giftcards", "gift card") for each in named]
        return NewRefund(
            order_id=order_id(self.id),
            amount=None if amount is None else str(amount),
            by_payment=by_payment,
            card_ids=card_ids,
            reason=optional_text(self.reason, "reason", 500),
            request=request_of(self, "orderRefund", self.idempotency_key),
        )


def method_name(name: str, field: str) -> str:
    if not _METHOD.fullmatch(name) or name == GIFT_CARD:
        raise InvalidInput(field, f"must be a name such as credit_card, and not {GIFT_CARD}")
    return name


def order_id(value: strawberry.ID) -> int:
    """Refuses `ORDER_NOT_FOUND` for what can be no order's id."""
    found = record_id(value)
    if found is None:
        raise OrderNotFound
    return found
