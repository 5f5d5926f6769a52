"""What callers send of what is bought, and of the gift cards that are to pay for it."""

import re
from dataclasses import dataclass
from datetime import date
from typing import Any, TypeVar

import strawberry

from giftgql.errors import InvalidInput
from giftgql.issuing.api import RecipientInput
from giftgql.members.api import read_member_id
from giftgql.money import Money, is_currency
from giftgql.movements.inputs import CodeInput, Wanted, holder, optional_text
from giftgql.orders.asked import GiftCards, NewLine, Rate
from giftgql.orders.calculation import PERCENT
from giftgql.store import Reading
from giftgql.values import given, known_id, optional, secret_input, text

Read = TypeVar("Read")

MOST_LINES = 200
MOST_PIECES = 100
MOST_CARDS = 10
MOST_DISCOUNTS = 20
MOST_OF_A_LINE = 100_000

_RATE = re.compile(r"([0-9]{1,3})(?:\.([0-9]{1,4}))?", re.ASCII)


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

    def parsed(self) -> GiftCards:
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
            deliver_on=given(self.deliver_on),
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

    def parsed(self) -> NewLine:
        name, price, cards = given(self.name), given(self.unit_price), given(self.giftcard)
        discount, tax = given(self.discount), given(self.tax)
        most = MOST_OF_A_LINE if cards is None else MOST_PIECES
        if not 1 <= self.quantity <= most:
            raise InvalidInput("lines.quantity", f"must be 1 to {most}")
        if cards is None and (name is None or price is None):
            raise InvalidInput("lines.unitPrice", "and name are needed for goods")
        if cards is not None and discount is not None:
            raise InvalidInput("lines.discount", "is never on gift cards")
        bought = cards.parsed() if cards else None
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
        "The gift cards that are to pay, in this order, up to 10. A document names codes only so "
        "often as `GIFTGQL_MAX_CODE_LOOKUPS` says (5): others are named by their `giftcardId`."
    )

    def wanted_cards(self) -> list[WantedCard]:
        cards = at_most(self.giftcards, "giftcards", MOST_CARDS)
        return [card.parsed() for card in cards]

    def basket(self, reading: Reading) -> dict[str, Any]:
        """What is calculated."""
        currency = given(self.currency) or reading.settings.currency
        if not is_currency(currency):
            raise InvalidInput("currency", "is no ISO 4217 currency")
        if not 1 <= len(self.lines) <= MOST_LINES:
            raise InvalidInput("lines", f"must be 1 to {MOST_LINES}")
        lines = [line.parsed() for line in self.lines]
        if sum(line.quantity for line in lines if line.gift_cards) > MOST_PIECES:
            raise InvalidInput("lines.quantity", f"comes to more than {MOST_PIECES} gift cards")
        discounts = at_most(self.discounts, "discounts", MOST_DISCOUNTS)
        return {
            "currency": currency,
            "lines": lines,
            "discounts": [each.parsed("discounts") for each in discounts],
            "prices_include_tax": self.prices_include_tax,
        }


def _id(value: strawberry.ID | None, field: str, what: str) -> int | None:
    wanted = given(value)
    return None if wanted is None else known_id(wanted, field, what)


def at_most(values: list[Read] | None, field: str, most: int) -> list[Read]:
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
