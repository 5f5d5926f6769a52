"""A line over time as an SVG drawing: where its points lie, and what stands beside it."""

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 600, 200
"""Of the drawing, in units of its own; pages stretch it to the room there is."""

_STEPS = (1, 2, 5, 10)


@dataclass(frozen=True)
class Chart:
    """`points` from left to right; `top` and `bottom` are the amounts at the drawing's edges."""

    points: tuple[tuple[float, float], ...]
    top: int
    bottom: int

    @property
    def line(self) -> str:
        return " ".join(f"{x:g},{y:g}" for x, y in self.points)

    @property
    def area(self) -> str:
        """The line closed along nought."""
        nought = round(HEIGHT * self.top / (self.top - self.bottom), 1)
        return f"0,{nought:g} {self.line} {self.points[-1][0]:g},{nought:g}"

    @property
    def middle(self) -> int:
        return (self.top + self.bottom) // 2


def drawn(amounts: Sequence[int]) -> Chart:
    """A chart of one amount or more, with nought in it and round amounts at its edges."""
    top, bottom = _rounded(max(*amounts, 0)), -_rounded(-min(*amounts, 0))
    if top == bottom:
        top = 1
    gap = WIDTH / max(1, len(amounts) - 1)
    points = (
        (round(place * gap, 1), round(HEIGHT * (top - amount) / (top - bottom), 1))
        for place, amount in enumerate(amounts)
    )
    return Chart(tuple(points), top, bottom)


def _rounded(amount: int) -> int:
    """The next 1, 2 or 5 with noughts behind it."""
    if amount == 0:
        return 0
    unit = int(10 ** (len(str(amount)) - 1))
    return next(step * unit for step in _STEPS if step * unit >= amount)
