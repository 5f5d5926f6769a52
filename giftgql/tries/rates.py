"""How often a caller may fail on codes, whatever they are: at once, and over time.

A rate is one moment, `free_at`, from which on the next failure is free. In any stretch of time
there are at most `burst` failures and one more for each `interval` of it: no window begins anew.
Source: security reference, section 3.4.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from giftgql.permissions import CallerKind

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
RATES = ("", "day")
"""The scopes of what a caller may fail in all."""

SUSPENDED = "suspended"
"""The scope of a client's suspension."""


@dataclass(frozen=True, slots=True)
class Rate:
    """`burst` failures at once, then one each `interval`."""

    burst: int
    interval: timedelta

    def left(self, free_at: datetime | None, now: datetime) -> int:
        """How many failures are free now."""
        if free_at is None:
            return self.burst
        return 0 if free_at > now else min((now - free_at) // self.interval + 1, self.burst)

    def charged(self, free_at: datetime, now: datetime) -> datetime:
        """When the next is free after one now, if this one was."""
        return max(free_at, now - (self.burst - 1) * self.interval) + self.interval


PLACE = Rate(20, HOUR / 200)
"""Of signing in from one network address."""

SOURCE = Rate(5, HOUR / 25)
"""Of what a client calls one of its tills: 5 at once, 30 in any hour."""

_MEMBER = {"": Rate(5, DAY / 5)}


def rates(kind: CallerKind, hourly: int) -> Mapping[str, Rate]:
    """By their scopes. A client or staff member may fail a tenth of `hourly` at once, `hourly` in
    any hour and five times as often in any day; a member 5 times at once and 10 in any day."""
    if kind is CallerKind.MEMBER:
        return _MEMBER
    burst = hourly // 10
    fast, slow = Rate(burst, HOUR / (hourly - burst)), Rate(hourly, DAY / (4 * hourly))
    return dict(zip(RATES, (fast, slow), strict=True))
