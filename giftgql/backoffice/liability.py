"""Liability: what is owed to the holders of cards, over time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from starlette.responses import Response

from giftgql.backoffice import charts
from giftgql.backoffice.charts import Chart
from giftgql.backoffice.pages import Visit, shows
from giftgql.money import Money
from giftgql.permissions import Permission
from giftgql.reports import service as reports


@dataclass(frozen=True)
class Period:
    """So many days, each so many after the one before; the last one is today."""

    name: str
    title: str
    points: int
    days_between: int

    def days(self, today: date) -> list[date]:
        gap = timedelta(days=self.days_between)
        return [today - gap * place for place in reversed(range(self.points))]


PERIODS = {
    each.name: each
    for each in (
        Period("month", "30 days", 31, 1),
        Period("quarter", "13 weeks", 14, 7),
        Period("year", "52 weeks", 53, 7),
    )
}


@dataclass(frozen=True)
class Course:
    """What was owed in a currency on each of the days, oldest first, and by how much it changed."""

    currency: str
    amounts: Sequence[Money]
    chart: Chart

    @property
    def now(self) -> Money:
        return self.amounts[-1]

    @property
    def lines(self) -> list[tuple[int, Money, Money | None]]:
        """Of each day its place among the days, the amount and the change; the latest first."""
        each = zip(
            range(len(self.amounts)), self.amounts, charts.changes(self.amounts), strict=True
        )
        return list(each)[::-1]


@shows(Permission.VIEW_REPORTS)
async def show(visit: Visit) -> Response:
    """`GET /office/liability`."""
    period = PERIODS.get(visit.asked("period") or "", PERIODS["quarter"])
    async with visit.context.snapshot() as reading:
        days = period.days(reading.today)
        owed = await reports.liability_over_time(reading, days)
    courses = [Course(currency, amounts, Chart.of(amounts)) for currency, amounts in owed.items()]
    return visit.page(
        "liability.html",
        periods=PERIODS.values(),
        period=period,
        days=days,
        courses=courses,
        size=(charts.WIDTH, charts.HEIGHT, charts.LEFT, charts.RIGHT),
    )
