"""How far long work is, how fast it goes and when it will be done, in words."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from math import ceil

from giftgql.backoffice.locales import Wording
from giftgql.jobs import service as jobs
from giftgql.jobs.pace import Pace
from giftgql.jobs.service import Subject
from giftgql.store import Reading

_SLOW = 5
"""So few in a second are told by the minute."""

_MINUTE, _HOUR = 60, 3600


@dataclass(frozen=True)
class Progress:
    """`what` is done of, such as cards; `path` is the page that shows it."""

    path: str
    what: str
    status: str
    done: int
    total: int | None
    is_going_on: bool
    pace: Pace | None
    now: datetime

    @property
    def percent(self) -> int:
        """Whole ones: a hundred only when all is done."""
        return self.done * 100 // self.total if self.total else 0

    @property
    def tenths(self) -> int:
        """The last ten percent that were passed: what is read out is not read out all the time."""
        return self.percent // 10 * 10

    def rate(self, say: Wording) -> str:
        """Empty where it is not known."""
        rate = None if self.pace is None else self.pace.per_second(self.now)
        if rate is None:
            return ""
        if rate < _SLOW:
            return f"{say.number(round(rate * _MINUTE))} {self.what} a minute"
        return f"{say.number(round(rate))} {self.what} a second"

    def end(self, say: Wording) -> str:
        """When it is expected to be done; empty where that is not known."""
        if self.pace is None or self.total is None:
            return ""
        end = self.pace.end(self.total - self.done, self.now)
        if end is None:
            return ""
        seconds = (end - self.now).total_seconds()
        if seconds < _MINUTE:
            return "in less than a minute"
        if seconds < 2 * _HOUR:
            minutes = ceil(seconds / _MINUTE)
            return f"in about {say.number(minutes)} minutes, {say.moment(end)}"
        return f"in about {say.number(round(seconds / _HOUR))} hours, {say.moment(end)}"


async def paces_of(reading: Reading, subjects: Iterable[Subject | None]) -> dict[Subject, Pace]:
    """How fast jobs are done, of those that go on."""
    return await jobs.paces(reading, [each for each in subjects if each is not None])
