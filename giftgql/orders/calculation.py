"""What an order comes to, in whole minor units: pure arithmetic, exact, and its sums always agree.

In this order: subtotal, discounts, taxes, grand total, gift cards, amount due.

- A discount is never on a gift-card line. One on a line comes first; one on the order is spread over
  the goods by what they still cost, the largest remainders getting what rounding leaves over.
- A part in percent is rounded half up to the minor unit. No discount takes more than there is.
- Where prices include tax, a tax at a rate is the part of the price that it is, and adds nothing.
- Gift cards pay in the order given, each at most what it has, what its holder said, and what is
  still to be paid. Not one pays for an order with a gift card in it.

Source: section 7 of the behaviour reference (Spryker).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from giftgql.errors import ErrorCode

PERCENT = 10_000
"""Parts are given in ten-thousandths of a percent: four decimals, exactly."""

_WHOLE = 100 * PERCENT


@dataclass(frozen=True, slots=True)
class Part:
    """An amount, or a part in ten-thousandths of a percent: of a discount or a tax."""

    amount: int | None = None
    rate: int | None = None

    def of(self, whole: int) -> int:
        """The amount that it is of a whole, rounded half up."""
        if self.rate is None:
            return self.amount or 0
        return _half_up(whole * self.rate, _WHOLE)

    def within(self, whole: int) -> int:
        """The amount of it that a whole has in it already: at 19 %, 19 of 119."""
        if self.rate is None:
            return self.amount or 0
        return _half_up(whole * self.rate, _WHOLE + self.rate)


@dataclass(frozen=True, slots=True)
class Item:
    """A line as it is bought: so many pieces at a price each."""

    quantity: int
    price: int
    is_gift_card: bool = False
    discount: Part | None = None
    tax: Part | None = None


@dataclass(frozen=True, slots=True)
class Paying:
    """A gift card that is to pay: what it has, and at most how much of it. `refused` says why it
    cannot pay at all; `whole_only` that it is spent whole or not at all."""

    available: int
    at_most: int | None = None
    whole_only: bool = False
    refused: ErrorCode | None = None


@dataclass(frozen=True, slots=True)
class LineSum:
    """What a line comes to. Both discounts are in `discount`; `tax` is in `total` in any case."""

    subtotal: int
    discount: int
    tax: int
    total: int


@dataclass(frozen=True, slots=True)
class Share:
    """What a gift card pays; or why it pays nothing. One that is not needed has no reason."""

    amount: int = 0
    refused: ErrorCode | None = None


@dataclass(frozen=True, slots=True)
class Sums:
    """What an order comes to, and who pays how much of it."""

    lines: Sequence[LineSum]
    shares: Sequence[Share] = field(default=())

    @property
    def subtotal(self) -> int:
        return sum(line.subtotal for line in self.lines)

    @property
    def discount(self) -> int:
        return sum(line.discount for line in self.lines)

    @property
    def tax(self) -> int:
        return sum(line.tax for line in self.lines)

    @property
    def total(self) -> int:
        """The grand total."""
        return sum(line.total for line in self.lines)

    @property
    def by_cards(self) -> int:
        return sum(share.amount for share in self.shares)

    @property
    def due(self) -> int:
        """What is left to be paid in other ways."""
        return self.total - self.by_cards


def calculate(
    items: Sequence[Item],
    discounts: Iterable[Part] = (),
    cards: Sequence[Paying] = (),
    *,
    prices_include_tax: bool = False,
) -> Sums:
    """The sums of an order. `discounts` are on the order; one after the other takes its part of
    what those before have left."""
    subtotals = [each.quantity * each.price for each in items]
    left = [
        subtotal if each.discount is None else subtotal - _at_most(each.discount, subtotal)
        for each, subtotal in zip(items, subtotals, strict=True)
    ]
    for discount in discounts:
        goods = [0 if each.is_gift_card else rest for each, rest in zip(items, left, strict=True)]
        parts = spread(_at_most(discount, sum(goods)), goods)
        left = [rest - part for rest, part in zip(left, parts, strict=True)]
    lines = [
        _taxed(subtotal, rest, each.tax, is_included=prices_include_tax)
        for each, subtotal, rest in zip(items, subtotals, left, strict=True)
    ]
    total = sum(line.total for line in lines)
    return Sums(lines, _shares(total, cards, any(each.is_gift_card for each in items)))


def spread(amount: int, over: Sequence[int]) -> list[int]:
    """An amount divided in proportion, exactly: what rounding down leaves over goes to the largest
    remainders, of equal ones to the first. None gets more than it has, if all have enough."""
    whole = sum(over)
    if whole == 0:
        return [0] * len(over)
    parts = [amount * each // whole for each in over]
    by_remainder = sorted(range(len(over)), key=lambda place: -(amount * over[place] % whole))
    for place in by_remainder[: amount - sum(parts)]:
        parts[place] += 1
    return parts


def _at_most(discount: Part, whole: int) -> int:
    return min(discount.of(whole), whole)


def _taxed(subtotal: int, rest: int, tax: Part | None, *, is_included: bool) -> LineSum:
    discount = subtotal - rest
    if tax is None:
        return LineSum(subtotal, discount, 0, rest)
    if is_included:
        return LineSum(subtotal, discount, tax.within(rest), rest)
    added = tax.of(rest)
    return LineSum(subtotal, discount, added, rest + added)


def _shares(total: int, cards: Sequence[Paying], has_gift_card: bool) -> list[Share]:
    if has_gift_card:
        return [Share(refused=ErrorCode.GIFT_CARD_CANNOT_PAY_FOR_GIFT_CARD) for _ in cards]
    shares, left = list[Share](), total
    for card in cards:
        share = _share(card, left)
        left -= share.amount
        shares.append(share)
    return shares


def _share(card: Paying, left: int) -> Share:
    """What a card pays of what is left to be paid."""
    if card.refused is not None:
        return Share(refused=card.refused)
    if card.at_most is not None and card.at_most > card.available:
        return Share(refused=ErrorCode.INSUFFICIENT_FUNDS)
    amount = min(card.available, left, card.available if card.at_most is None else card.at_most)
    if card.whole_only and 0 < amount < card.available:
        return Share(refused=ErrorCode.PARTIAL_REDEMPTION_NOT_SUPPORTED)
    return Share(amount)


def _half_up(numerator: int, denominator: int) -> int:
    return (2 * numerator + denominator) // (2 * denominator)
