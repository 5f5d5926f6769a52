"""What callers send of orders, read once into what cannot be wrong."""

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, TypeVar

import strawberry

from giftgql.errors import InvalidInput
from giftgql.issuing.api import RecipientInput
from giftgql.members.api import read_member_id
from giftgql.money import Money, is_currency
from giftgql.movements.inputs import (
    CodeInput,
    Wanted,
    hold_time,
    holder,
    optional_text,
    request_of,
)
from giftgql.orders.asked import GiftCards, NewLine, NewOrder, NewPayment, NewRefund, Rate
from giftgql.orders.calculation import PERCENT
from giftgql.orders.models import GIFT_CARD
from giftgql.orders.refusals import OrderNotFound
from giftgql.requests.service import Once
from giftgql.store import Reading
from giftgql.values import given, known_id, optional, record_id, secret_input, text

Read = TypeVar("Read")

MOST_LINES = 200
MOST_PIECES = 100
MOST_CARDS = 10
MOST_PAYMENTS = 20
MOST_DISCOUNTS = 20
MOST_OF_A_LINE = 100_000
LONGEST_AHEAD = timedelta(days=731)

_RATE = re.compile(r"([0-9]{1,3})(?:\.([0-9]{1,4}))?", re.ASCII)
_METHOD = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}", re.ASCII)

_KEY = (
    "1 to 128 printable ASCII characters. The same key with the same input does the work once and "
    "gives the first answer again, with `replayed: true` in the response's `extensions`; with "
    "other input it is an `IDEMPOTENCY_CONFLICT`."
)


@dataclass(frozen=True)
class WantedCard:
    """A gift card that is to pay, as the caller names it, with its secrets; at most how much."""

    wanted: Wanted
    at_most: str | None = None


@strawberry.input(description="A reduction: either an amount or a part in percent.")
class DiscountInput:
    amount: Money | None = optional("How much, more than 0; what is beyond the goods is not used.")
    percent: str | None = optional(
        'A part, "12.5": 0 to 100 with up to 4 decimals, rounded half up to the minor unit.'
    )

    def parsed(self, field: str) -> Rate:
        return _rate(given(self.amount), given(self.percent), field, "percent")


@strawberry.input(description="A tax: either an amount for the whole line or a rate in percent.")
class TaxInput:
    amount: Money | None = optional("How much for the whole line, more than 0.")
    rate: str | None = optional(
        'In percent, "19": 0 to 100 with up to 4 decimals, rounded half up to the minor unit.'
    )

    def parsed(self, field: str) -> Rate:
        return _rate(given(self.amount), given(self.rate), field, "rate")


@strawberry.input(
    description="The gift cards that a line buys: of a product, by `variantId` or `value`; or of a "
    "pool, any free card or a given one."
)
class OrderGiftcardInput:
    product_id: strawberry.ID | None = optional("The product; or `poolId`, or `giftcardId`.")
    variant_id: strawberry.ID | None = optional("One of the product's variants.")
    value: Money | None = optional("A value within the product's range; price and value are it.")
    pool_id: strawberry.ID | None = optional("A pool, of which any free card is taken.")
    giftcard_id: strawberry.ID | None = optional("A given card of a pool, not sold yet.")
    member_id: strawberry.ID | None = optional("Who is to own it; `MEMBER_NOT_FOUND`.")
    recipient: RecipientInput | None = optional(
        "Whom it is for. The code is sent to this address; else to the owner's; else to the "
        "customer's; with no address it is sent to nobody."
    )
    sender: str | None = optional("Whom the mail says it is from, up to 200 characters.")
    message: str | None = optional("What the mail says to the recipient, up to 1,000 characters.")
    deliver_on: date | None = optional(
        "The day on which the mail is sent, in the server's time zone, up to two years from now; "
        "at once by default."
    )

    def parsed(self, reading: Reading) -> GiftCards:
        named = [self.product_id, self.pool_id, self.giftcard_id]
        if sum(given(each) is not None for each in named) != 1:
            raise InvalidInput("lines.giftcard", "needs one of productId, poolId and giftcardId")
        variant, value, owner = given(self.variant_id), given(self.value), given(self.member_id)
        if given(self.product_id) is not None and variant is None and value is None:
            raise InvalidInput("lines.giftcard.variantId", "or value is needed")
        recipient = given(self.recipient)
        sender, message = given(self.sender), given(self.message)
        delivery = {
            **(recipient.parsed() if recipient else {}),
            **({"sender": text(sender, "lines.giftcard.sender", 200)} if sender else {}),
        }
        if message:
            delivery["message"] = text(message, "lines.giftcard.message", 1_000, lines=True)
        return GiftCards(
            product_id=_id(self.product_id, "lines.giftcard.productId", "product"),
            variant_id=_id(variant, "lines.giftcard.variantId", "variant"),
            value=None if value is None else str(value),
            pool_id=_id(self.pool_id, "lines.giftcard.poolId", "pool"),
            card_id=_id(self.giftcard_id, "lines.giftcard.giftcardId", "gift card"),
            member_id=None if owner is None else read_member_id(owner),
            delivery=delivery or None,
            deliver_at=_deliver_at(reading, given(self.deliver_on)),
        )


@strawberry.input(description="A line: goods at the caller's price, or gift cards at the shop's.")
class OrderLineInput:
    name: str | None = optional(
        "What it is, up to 200 characters; of gift cards the product's name by default."
    )
    quantity: int = strawberry.field(
        default=1, description="Pieces: goods 1 to 100,000; of gift cards 1 to 100 in an order."
    )
    unit_price: Money | None = optional(
        "The price of a piece, 0 or more. Of gift cards it is the variant's, and if given it must "
        "be that: else `PRICE_CHANGED`."
    )
    sku: str | None = optional("The caller's article number, up to 64 characters.")
    bundle_id: str | None = optional(
        "Lines with the same one are sold as a bundle, up to 64 characters. A gift card in a "
        "bundle keeps all rules of gift cards."
    )
    discount: DiscountInput | None = optional("On this line; never on gift cards.")
    tax: TaxInput | None = optional("The tax of this line.")
    requires_shipping: bool = strawberry.field(
        default=True, description="Whether goods are to be shipped; gift cards never are."
    )
    giftcard: OrderGiftcardInput | None = optional("Which gift cards; null for goods.")

    def parsed(self, reading: Reading) -> NewLine:
        name, price, cards = given(self.name), given(self.unit_price), given(self.giftcard)
        discount, tax = given(self.discount), given(self.tax)
        most = MOST_OF_A_LINE if cards is None else MOST_PIECES
        if not 1 <= self.quantity <= most:
            raise InvalidInput("lines.quantity", f"must be 1 to {most}")
        if cards is None and (name is None or price is None):
            raise InvalidInput("lines.unitPrice", "and name are needed for goods")
        if cards is not None and discount is not None:
            raise InvalidInput("lines.discount", "is never on gift cards")
        bought = cards.parsed(reading) if cards else None
        if bought is not None and bought.card_id is not None and self.quantity > 1:
            raise InvalidInput("lines.quantity", "is 1 where a card is named")
        return NewLine(
            name=None if name is None else text(name, "lines.name", 200),
            quantity=self.quantity,
            price=None if price is None else str(price),
            sku=optional_text(self.sku, "lines.sku", 64),
            bundle_id=optional_text(self.bundle_id, "lines.bundleId", 64),
            discount=discount.parsed("lines.discount") if discount else None,
            tax=tax.parsed("lines.tax") if tax else None,
            requires_shipping=self.requires_shipping and cards is None,
            gift_cards=bought,
        )


@secret_input("A gift card that is to pay, with the secrets that its use asks for.")
class OrderGiftcardPaymentInput(CodeInput):
    code: str = strawberry.field(description="The code, in clear.")
    amount: Money | None = optional(
        "At most how much, more than 0; by default as much as there is and is to be paid."
    )

    def parsed(self) -> WantedCard:
        wanted = holder(self.code, given(self.code_type), given(self.pin), given(self.cvv))
        amount = given(self.amount)
        return WantedCard(wanted, None if amount is None else str(amount))


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


@strawberry.input
class BasketInput:
    lines: list[OrderLineInput] = strawberry.field(description="1 to 200 lines.")
    currency: str | None = optional("ISO 4217 code of all amounts; the server's by default.")
    discounts: list[DiscountInput] | None = optional(
        "On the whole order, up to 20: spread over the goods by price, one after the other."
    )
    prices_include_tax: bool = strawberry.field(
        default=False, description="Whether prices have their taxes in them."
    )
    giftcards: list[OrderGiftcardPaymentInput] | None = optional(
        "The gift cards that are to pay, in this order, up to 10."
    )

    def wanted_cards(self) -> list[WantedCard]:
        cards = _list(self.giftcards, "giftcards", MOST_CARDS)
        return [card.parsed() for card in cards]

    def basket(self, reading: Reading) -> dict[str, Any]:
        """What is calculated."""
        currency = given(self.currency) or reading.settings.currency
        if not is_currency(currency):
            raise InvalidInput("currency", "is no ISO 4217 currency")
        if not 1 <= len(self.lines) <= MOST_LINES:
            raise InvalidInput("lines", f"must be 1 to {MOST_LINES}")
        lines = [line.parsed(reading) for line in self.lines]
        if sum(line.quantity for line in lines if line.gift_cards) > MOST_PIECES:
            raise InvalidInput("lines.quantity", f"comes to more than {MOST_PIECES} gift cards")
        discounts = _list(self.discounts, "discounts", MOST_DISCOUNTS)
        return {
            "currency": currency,
            "lines": lines,
            "discounts": [each.parsed("discounts") for each in discounts],
            "prices_include_tax": self.prices_include_tax,
        }


@secret_input("An order to be calculated.")
class OrderCalculateInput(BasketInput):
    payment_methods: list[str] | None = optional(
        "The methods that the shop offers, up to 20: the answer says which are allowed."
    )

    def parsed(self, reading: Reading) -> NewOrder:
        return NewOrder(**self.basket(reading))

    def methods(self) -> list[str]:
        offered = _list(self.payment_methods, "paymentMethods", MOST_PAYMENTS)
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
        payments = _list(self.payments, "payments", MOST_PAYMENTS)
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
                for each in _list(payments, "payments", MOST_CARDS + MOST_PAYMENTS)
            }
            if len(by_payment) < len(payments):
                raise InvalidInput("payments", "names one payment twice")
        card_ids: list[int] | None = None
        if cards is not None:
            named = _list(cards, "giftcards", MOST_PIECES)
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


def _id(value: strawberry.ID | None, field: str, what: str) -> int | None:
    wanted = given(value)
    return None if wanted is None else known_id(wanted, field, what)


def _list(values: list[Read] | None, field: str, most: int) -> list[Read]:
    found = given(values) or []
    if len(found) > most:
        raise InvalidInput(field, f"are more than {most}")
    return found


def _rate(amount: Money | None, part: str | None, field: str, name: str) -> Rate:
    if (amount is None) == (part is None):
        raise InvalidInput(f"{field}.amount", f"or {name} is needed, not both")
    if part is None:
        return Rate(amount=str(amount))
    match = _RATE.fullmatch(part)
    rate = int(match[1]) * PERCENT + int((match[2] or "").ljust(4, "0")) if match else -1
    if not 0 <= rate <= 100 * PERCENT:
        raise InvalidInput(f"{field}.{name}", "must be 0 to 100 with up to 4 decimals")
    return Rate(rate=rate)


def _deliver_at(reading: Reading, day: date | None) -> datetime | None:
    if day is None:
        return None
    if not reading.today <= day <= reading.today + LONGEST_AHEAD:
        raise InvalidInput("lines.giftcard.deliverOn", "must be today or within two years")
    return reading.start_of(day)
