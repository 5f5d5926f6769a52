"""What the lines of an order cost: goods as the caller says, gift cards as the shop sells them."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from giftgql.cards import service as cards
from giftgql.errors import Conflict, CurrencyMismatch, InvalidInput, NotFound
from giftgql.money import minor, positive_minor
from giftgql.orders.asked import GiftCards, NewLine, NewOrder, part
from giftgql.orders.calculation import Item
from giftgql.orders.refusals import PriceChanged
from giftgql.pools import service as pools
from giftgql.pools.models import Pool
from giftgql.products import service as products
from giftgql.products.models import Product
from giftgql.products.service import Preset
from giftgql.store import Reading, Transaction

LONGEST_AHEAD = timedelta(days=731)


@dataclass(frozen=True)
class Sold:
    """The gift cards of a line: what they are cards of, where they come from, price and value, and
    when their codes are sent, if not at once."""

    product: Product
    pool: Pool | None
    terms: Preset
    deliver_at: datetime | None


@dataclass(frozen=True)
class Priced:
    """A line with what it is calculated from; `sold` of gift cards only."""

    new: NewLine
    item: Item
    name: str
    sold: Sold | None = None


async def priced(reading: Reading, new: NewOrder) -> list[Priced]:
    """The lines with their prices; in a transaction these stay what they are until it ends.

    Refuses `NOT_FOUND`, `CONFLICT` for what is not for sale, `CURRENCY_MISMATCH`, `INVALID_INPUT`,
    and `PRICE_CHANGED` where a gift card has another price than the caller believes.
    """
    return [await _priced(reading, new.currency, line) for line in new.lines]


async def _priced(reading: Reading, currency: str, line: NewLine) -> Priced:
    def amount(text: str) -> int:
        return positive_minor(text, currency, "lines")

    sold = await _sold(reading, currency, line.gift_cards) if line.gift_cards else None
    if sold is None:
        assert line.price is not None
        assert line.name is not None
        price, name = minor(line.price, currency, "lines.unitPrice"), line.name
        if price < 0:
            raise InvalidInput("lines.unitPrice", "is less than 0")
    else:
        price, name = sold.terms.price, line.name or sold.product.name
        if line.price is not None and minor(line.price, currency, "lines.unitPrice") != price:
            raise PriceChanged("lines.unitPrice")
    item = Item(
        quantity=line.quantity,
        price=price,
        is_gift_card=sold is not None,
        discount=part(line.discount, amount),
        tax=part(line.tax, amount),
    )
    return Priced(line, item, name, sold)


async def _sold(reading: Reading, currency: str, wanted: GiftCards) -> Sold:
    deliver_at = _deliver_at(reading, wanted.deliver_on)
    pool, value = await _pool_and_value(reading, wanted)
    product_id = wanted.product_id if pool is None else pool.product_id
    if isinstance(reading, Transaction):
        view = await products.sellable(reading, product_id)
    else:
        view = await products.for_sale(reading, product_id or 0)
    if view.product.currency != currency:
        raise CurrencyMismatch(view.product.currency)
    if pool is None and view.product.is_automatic:
        assert view.product.id is not None
        pool = await pools.of_product(reading, view.product.id)
    if wanted.value is not None:
        value = positive_minor(wanted.value, currency, "lines.giftcard.value")
    face = pool.face_value if pool is not None and wanted.variant_id is None else None
    if face is not None and value in (None, face):
        return Sold(view.product, pool, Preset(face, face), deliver_at)
    terms = products.priced(view, wanted.variant_id, value)
    return Sold(view.product, pool, terms, deliver_at)


def _deliver_at(reading: Reading, day: date | None) -> datetime | None:
    if day is None:
        return None
    if not reading.today <= day <= reading.today + LONGEST_AHEAD:
        raise InvalidInput("lines.giftcard.deliverOn", "must be today or within two years")
    return reading.start_of(day)


async def _pool_and_value(reading: Reading, wanted: GiftCards) -> tuple[Pool | None, int | None]:
    """The pool that is named, or that the card named is of; and what that card is worth."""
    pool_id, value = wanted.pool_id, None
    if wanted.card_id is not None:
        view = (await cards.by_ids(reading, [wanted.card_id])).get(wanted.card_id)
        if view is None or view.card.pool_id is None or view.card.removed_at is not None:
            raise NotFound("lines.giftcard.giftcardId", "card of a pool")
        pool_id, value = view.card.pool_id, view.account.opens_with
        if value is None:
            raise Conflict("lines.giftcard.giftcardId", "The card has no face value to be sold at.")
    if pool_id is None:
        return None, None
    pool = (await pools.by_ids(reading, [pool_id])).get(pool_id)
    if pool is None or pool.removed_at is not None:
        raise NotFound("lines.giftcard.poolId", "pool")
    return pool, value
