"""What an order would come to now, and who would pay how much of it. Nothing is spent."""

from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from giftgql.errors import AboveCeiling, ErrorCode, InvalidInput
from giftgql.ledger import service as ledger
from giftgql.ledger.service import Payable
from giftgql.money import positive_minor
from giftgql.orders import calculation
from giftgql.orders.asked import CardPayment, NewOrder, part
from giftgql.orders.calculation import Paying, Share, Sums
from giftgql.orders.pricing import Priced, priced
from giftgql.orders.refusals import PaymentMethodNotAllowed
from giftgql.store import Reading


@dataclass(frozen=True)
class Quoted:
    """An order as it comes to now. `quote` is the same for as long as lines, prices and values
    are."""

    new: NewOrder
    lines: Sequence[Priced]
    sums: Sums
    cards: Sequence[CardPayment]
    quote: str

    @property
    def has_gift_cards(self) -> bool:
        return any(line.sold for line in self.lines)

    @property
    def shares(self) -> list[tuple[CardPayment, Share]]:
        return list(zip(self.cards, self.sums.shares, strict=True))


async def quoted(reading: Reading, new: NewOrder, cards: Sequence[CardPayment]) -> Quoted:
    """Calculate an order. Refuses what `priced` does, and `INVALID_INPUT` and `INVALID_AMOUNT`."""
    if len({card.presented.card_id for card in cards}) < len(cards):
        raise InvalidInput("giftcards", "names one gift card twice")
    lines = await priced(reading, new)

    def amount(text: str) -> int:
        return positive_minor(text, new.currency, "discounts")

    payables = await ledger.payable(reading, [card.presented.card_id for card in cards])
    sums = calculation.calculate(
        [line.item for line in lines],
        [each for each in (part(discount, amount) for discount in new.discounts) if each],
        [_paying(reading, new, card, payables[card.presented.card_id]) for card in cards],
        prices_include_tax=new.prices_include_tax,
    )
    if max(sums.subtotal, sums.total) > reading.settings.ceiling_minor:
        raise AboveCeiling("lines")
    if any(line.tax > line.total for line in sums.lines):
        raise InvalidInput("lines.tax", "is more than the line comes to with it")
    return Quoted(new, lines, sums, cards, _quote(reading, new, lines, sums))


def require_method(reading: Reading, method: str, *, has_gift_cards: bool, field: str) -> None:
    """Refuses `PAYMENT_METHOD_NOT_ALLOWED` for what cannot pay for gift cards."""
    if has_gift_cards and method.casefold() in reading.settings.not_for_gift_cards:
        raise PaymentMethodNotAllowed("Gift cards cannot be bought with this method.", field)


def _paying(reading: Reading, new: NewOrder, card: CardPayment, found: Payable) -> Paying:
    presented = card.presented
    at_most = None
    if card.at_most is not None:
        at_most = positive_minor(card.at_most, new.currency, "giftcards.amount")
    refused, code_ends = found.refused, reading.end_of(presented.expires_on)
    if presented.currency != new.currency:
        refused = ErrorCode.CURRENCY_MISMATCH
    elif code_ends is not None and code_ends <= reading.now:
        refused = ErrorCode.CODE_EXPIRED
    return Paying(found.available, at_most, found.whole_only, refused)


def _quote(reading: Reading, new: NewOrder, lines: Sequence[Priced], sums: Sums) -> str:
    """What tells whether the same would be bought at the same prices."""
    facts = [
        new.currency,
        sums.total,
        *(
            (line.item.quantity, line.item.price, line.sold and _sold(line))
            for line in lines
        ),
    ]
    return reading.vault.request_fingerprint(b"quote" + orjson.dumps(facts)).hex()[:32]


def _sold(line: Priced) -> tuple[int | None, int]:
    assert line.sold is not None
    return line.sold.product.id, line.sold.terms.value
