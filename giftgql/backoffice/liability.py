"""What is owed to the holders of cards, now and before: as a drawing and in figures."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from time import monotonic
from typing import Any

from starlette.responses import Response

from giftgql.backoffice.chart import Chart, drawn
from giftgql.backoffice.forms import NOTHING
from giftgql.backoffice.pages import Problem, Visit, shows
from giftgql.errors import InvalidInput, Refusal
from giftgql.money import Money
from giftgql.permissions import Permission
from giftgql.reports import service as reports
from giftgql.reports.models import LiabilityGroup
from giftgql.reports.service import FIRST_DAY
from giftgql.store import Reading

PATIENCE = 5.0
"""Seconds after which no further day is summed up: each takes a pass over all that moved since."""


@dataclass(frozen=True)
class Period:
    """How far back, and how many days lie between two points."""

    title: str
    step: int
    steps: int

    def days(self, today: date) -> list[date]:
        """The days that are summed up, today first."""
        back = (today - timedelta(days=self.step * each) for each in range(self.steps + 1))
        return [day for day in back if day >= FIRST_DAY]


PERIODS = {
    "month": Period("30 days", 3, 10),
    "quarter": Period("13 weeks", 7, 13),
    "year": Period("12 months", 30, 12),
    "years": Period("3 years", 91, 12),
}
DEFAULT = "quarter"


@dataclass(frozen=True)
class Owed:
    """What was owed in a currency at the end of each day, the first day first."""

    currency: str
    amounts: Sequence[Money]
    cards: Sequence[int]

    @property
    def chart(self) -> Chart:
        return drawn([each.minor for each in self.amounts])


@shows(Permission.VIEW_REPORTS)
async def show(visit: Visit) -> Response:
    """`GET /office/liability`: over a period, from today back as far as there is time for."""
    name = visit.asked("period") or DEFAULT
    known: dict[str, Any] = {"periods": PERIODS, "name": name, "days": [], "owed": []}
    try:
        if name not in PERIODS:
            raise InvalidInput("period", "is none of those offered")
        async with visit.store.snapshot(visit.caller) as reading:
            wanted = PERIODS[name].days(reading.today)
            found = await _over(reading, wanted)
    except Refusal as refusal:
        problem = Problem(refusal, NOTHING, of="period")
        return visit.page("liability.html", problem.status, problem=problem, missing=0, **known)
    known |= {"days": list(found), "owed": _by_currency(found)}
    return visit.page("liability.html", missing=len(wanted) - len(found), **known)


Lines = dict[date, dict[str, tuple[int, int]]]


async def _over(reading: Reading, days: Sequence[date]) -> Lines:
    """What is owed at the end of days, of which the first is today, the earliest day first: on
    how many cards, by currency. Those that there is no time for are left out."""
    found: Lines = {}
    begun = monotonic()
    for day in days:
        if found and monotonic() - begun > PATIENCE:
            break
        as_of = None if day == reading.today else day
        lines = await reports.liability_lines(reading, as_of, LiabilityGroup.CURRENCY)
        found[day] = {line.amount.currency: (line.amount.minor, line.cards) for line in lines}
    return dict(sorted(found.items()))


def _by_currency(found: Lines) -> list[Owed]:
    currencies = sorted({currency for lines in found.values() for currency in lines})
    owed = []
    for currency in currencies:
        of_days = [lines.get(currency, (0, 0)) for lines in found.values()]
        amounts = [Money(minor, currency) for minor, _ in of_days]
        owed.append(Owed(currency, amounts, [cards for _, cards in of_days]))
    return owed
