"""Amounts over time as a line in SVG, placed by the server: pages of the back office need no script
for it, and their policy allows no style in the page."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from giftgql.money import Money

WIDTH, HEIGHT = 720, 260
LEFT, RIGHT, TOP, BOTTOM = 100, 16, 14, 34
"""The margins, in which amounts and days are written."""

_TICKS = 4
"""About so many lines of amounts."""


@dataclass(frozen=True, slots=True)
class Spot:
    """An amount's place in the picture."""

    x: float
    y: float
    amount: Money


@dataclass(frozen=True, slots=True)
class Chart:
    """A line through `spots`, the area under it, and amounts at the side with their height."""

    spots: list[Spot]
    line: str
    area: str
    sides: list[Spot]

    @classmethod
    def of(cls, amounts: Sequence[Money]) -> "Chart":
        """The picture of at least two amounts, of one currency, at equal distances in time."""
        currency = amounts[0].currency
        step = _step(max(*(each.minor for each in amounts), 1))
        top = -(-max(each.minor for each in amounts) // step) * step or step
        foot = min(0, min(each.minor for each in amounts) // step * step)

        def height(minor: int) -> float:
            inner = HEIGHT - TOP - BOTTOM
            return round(TOP + inner * (top - minor) / (top - foot), 1)

        breadth = (WIDTH - LEFT - RIGHT) / (len(amounts) - 1)
        spots = [
            Spot(round(LEFT + place * breadth, 1), height(each.minor), each)
            for place, each in enumerate(amounts)
        ]
        line = " ".join(f"{each.x},{each.y}" for each in spots)
        ground = height(foot)
        area = f"{spots[0].x},{ground} {line} {spots[-1].x},{ground}"
        sides = [
            Spot(LEFT, height(minor), Money(minor, currency))
            for minor in range(foot, top + 1, step)
        ]
        return cls(spots, line, area, sides)


def _step(largest: int) -> int:
    """A round distance between lines of amounts, in minor units: 1, 2 or 5 and zeros."""
    about = max(largest // _TICKS, 1)
    size: int = 10 ** (len(str(about)) - 1)
    return next(size * each for each in (1, 2, 5, 10) if size * each >= about)


def changes(amounts: Sequence[Money]) -> list[Money | None]:
    """By how much each amount differs from the one before; of the first nothing is known."""
    steps = [Money(late.minor - early.minor, late.currency) for early, late in pairwise(amounts)]
    return [None, *steps]
