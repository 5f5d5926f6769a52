"""Times as callers write them: days, and ISO 8601 durations, some of which need a calendar."""

import re
from calendar import monthrange
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import Protocol

import isodate

from giftgql.errors import InvalidInput

_WRITTEN = re.compile(r"P(?=.{1,31}\Z)(?:\d+[YMWD])*(?:T(?:\d+[HMS])+)?", re.ASCII)

_PERIOD = re.compile(
    r"P(?=\d)(?:(\d{1,3})Y)?(?:(\d{1,4})M)?(?:(\d{1,4})W)?(?:(\d{1,5})D)?", re.ASCII
)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_START = date(2026, 1, 1)
_END = _START.replace(year=_START.year + 100)
"""What a duration or period is measured by: at most a hundred years from this day."""


class Calendar(Protocol):
    """Months and years, counted from a day; a day that a month does not have is its last one."""

    def __radd__(self, day: date) -> date: ...


Duration = timedelta | Calendar


@dataclass(frozen=True, slots=True)
class Period:
    """Whole months and days. `day + period` counts the months from that very day, then the days;
    a day that a month does not have is its last one. OverflowError beyond the year 9999."""

    months: int
    days: int

    def __radd__(self, day: date) -> date:
        years, month = divmod(day.month - 1 + self.months, 12)
        year = day.year + years
        if year > date.max.year:
            raise OverflowError("there is no calendar beyond the year 9999")
        _, last = monthrange(year, month + 1)
        return date(year, month + 1, min(day.day, last)) + timedelta(days=self.days)


def duration(written: str, field: str) -> Duration:
    """PT15M, P2D, P6M, P1Y: up to a hundred years."""
    if _WRITTEN.fullmatch(written):
        with suppress(isodate.ISO8601Error, ValueError, OverflowError, ArithmeticError):
            found: Duration = isodate.parse_duration(written)
            if _START <= _START + found <= _END:
                return found
    raise InvalidInput(field, "is no ISO 8601 duration such as PT15M or P6M, up to P100Y")


def period(written: str, field: str) -> Period:
    """P6M, P1Y, P1Y6M, P2W, P30D: years, months, weeks and days in this order, no time of day;
    from a day to a hundred years."""
    if match := _PERIOD.fullmatch(written):
        years, months, weeks, days = (int(number or 0) for number in match.groups())
        found = Period(12 * years + months, 7 * weeks + days)
        with suppress(OverflowError):
            if _START < _START + found <= _END:
                return found
    raise InvalidInput(field, "is no period such as P6M, P1Y or P30D, from P1D to P100Y")


def day(written: str, field: str) -> date:
    """A day as YYYY-MM-DD, and in no other of the forms that ISO 8601 has."""
    if _DAY.fullmatch(written):
        with suppress(ValueError):
            return date.fromisoformat(written)
    raise InvalidInput(field, "is no date such as 2026-12-31 (year-month-day)")


@lru_cache(1_000)
def day_after(day: date, period: str) -> date:
    """The day on which a period ends that begins on a day; a million cards sold on a day ask."""
    return day + duration(period, "validity")
