"""Times as callers write them: ISO 8601 durations, some of which only a calendar can tell."""

import re
from contextlib import suppress
from datetime import date, timedelta
from functools import lru_cache
from typing import Protocol

import isodate

from giftgql.errors import InvalidInput

_WRITTEN = re.compile(r"P(?=.{1,31}\Z)(?:\d+[YMWD])*(?:T(?:\d+[HMS])+)?", re.ASCII)


class Calendar(Protocol):
    """Months and years, counted from a day; a day that a month does not have is its last one."""

    def __radd__(self, day: date) -> date: ...


Duration = timedelta | Calendar


def duration(written: str, field: str) -> Duration:
    """PT15M, P2D, P6M, P1Y: up to a hundred years."""
    start = date(2026, 1, 1)
    if _WRITTEN.fullmatch(written):
        with suppress(isodate.ISO8601Error, ValueError, OverflowError, ArithmeticError):
            found: Duration = isodate.parse_duration(written)
            if start <= start + found <= start.replace(year=start.year + 100):
                return found
    raise InvalidInput(field, "is no ISO 8601 duration such as PT15M or P6M, up to P100Y")


@lru_cache(1_000)
def day_after(day: date, period: str) -> date:
    """The day on which a period ends that begins on a day; a million cards sold on a day ask."""
    return day + duration(period, "validity")
