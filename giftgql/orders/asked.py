"""What callers ask of orders, read into what cannot be wrong: plain values.

Amounts are still as they were written where their currency is not known yet.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from giftgql.cards.presented import Presented
from giftgql.orders.calculation import Part
from giftgql.requests.service import Once


@dataclass(frozen=True)
class Rate:
    """A discount or tax: an amount as it was written, or a part in ten-thousandths of a percent."""

    amount: str | None = None
    rate: int | None = None


@dataclass(frozen=True)
class GiftCards:
    """The gift cards of a line: of a product, by variant or value; of a pool, any free card or a
    given one. `delivery` says for whom, from whom, with what words; it is sent on `deliver_on`."""

    product_id: int | None = None
    variant_id: int | None = None
    value: str | None = None
    pool_id: int | None = None
    card_id: int | None = None
    member_id: str | None = None
    delivery: dict[str, Any] | None = None
    deliver_on: date | None = None


@dataclass(frozen=True)
class NewLine:
    name: str | None
    quantity: int = 1
    price: str | None = None
    sku: str | None = None
    bundle_id: str | None = None
    discount: Rate | None = None
    tax: Rate | None = None
    requires_shipping: bool = True
    gift_cards: GiftCards | None = None


@dataclass(frozen=True)
class CardPayment:
    """A gift card that is to pay: as it was found, with its secrets right; and at most how much."""

    presented: Presented
    at_most: str | None = None


@dataclass(frozen=True)
class NewPayment:
    """A payment in another way that was taken already."""

    method: str
    amount: str
    ref_no: str | None = None


@dataclass(frozen=True)
class NewOrder:
    """An order to be calculated or placed, but for the gift cards that are to pay."""

    currency: str
    lines: Sequence[NewLine]
    discounts: Sequence[Rate] = ()
    prices_include_tax: bool = False
    payments: Sequence[NewPayment] = ()
    member_id: str | None = None
    customer: dict[str, Any] | None = None
    source_id: str | None = None
    ref_no: str | None = None
    hold_for: timedelta = timedelta(days=1)
    quote: str | None = None
    request: Once | None = None

    @property
    def named_cards(self) -> set[int]:
        """The cards of pools that are bought by name."""
        named = (line.gift_cards.card_id for line in self.lines if line.gift_cards)
        return {each for each in named if each is not None}


@dataclass(frozen=True)
class NewRefund:
    """What is to be given back of a paid order: an amount for goods, the price of bought cards, or
    all that is left where neither is named; by payment, else to gift cards first."""

    order_id: int
    amount: str | None = None
    by_payment: Mapping[int, str] | None = None
    card_ids: Sequence[int] | None = None
    reason: str | None = None
    request: Once | None = None


def part(given: Rate | None, minor: Any) -> Part | None:
    """A discount or tax in minor units; `minor` reads its amount."""
    if given is None:
        return None
    return Part(None if given.amount is None else minor(given.amount), given.rate)
