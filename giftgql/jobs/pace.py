"""How fast a job is done, by what was done of late."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import exp

RECENT = 30.0
"""Seconds in which what was done loses most of its weight: a rate that has changed shows soon."""

BREAK = timedelta(seconds=30)
"""Where nothing was done for so long nobody was at it: such a time is not counted."""

LEAST = 0.5
"""Seconds of work by which a rate is known."""

FURTHEST = timedelta(days=366)
"""An end that is further away is not foreseen."""


@dataclass(frozen=True)
class Pace:
    """What was done in how many seconds, the older the less; `at` is when the last of it was."""

    units: float = 0.0
    seconds: float = 0.0
    at: datetime | None = None

    def after(self, units: int, now: datetime) -> "Pace":
        """With what has just been done. What comes after a break begins the clock again, and
        counts for nothing: nobody knows how long it took."""
        took = timedelta(-1) if self.at is None else now - self.at
        if not timedelta(0) <= took <= BREAK:
            return replace(self, at=now)
        kept = exp(-took.total_seconds() / RECENT)
        return Pace(self.units * kept + units, self.seconds * kept + took.total_seconds(), now)

    def per_second(self, now: datetime) -> float | None:
        """None while too little was done to tell, and where nothing is done any more."""
        if self.at is None or now - self.at > BREAK or self.seconds < LEAST:
            return None
        return self.units / self.seconds

    def end(self, left: int, now: datetime) -> datetime | None:
        """When what is left will be done if it goes on like this; None if that is not known."""
        rate = self.per_second(now)
        if not rate or left > rate * FURTHEST.total_seconds():
            return None
        return now + timedelta(seconds=left / rate)
