"""What one process knows of its callers: who may fail no more, and how much each has under way.

A caller has no more look-ups under way at once than it may still fail: the next one waits until it
is known that those before it were right. So guesses sent all at once find out no more than guesses
one by one; and nobody who is right is refused for others that are. Only who has not failed of late
has a few more: reading them together is what makes them cheap.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime
from math import ceil
from time import monotonic

from giftgql.errors import RateLimited
from giftgql.permissions import Caller
from giftgql.tries.rates import DAY, SOURCE, SUSPENDED, Rate, rates

KNOWN_SECONDS = 0.1
"""For so long a caller's limits are not read again: so late other processes hear of a failure."""

LOOKING_AT_ONCE, CHECKING_AT_ONCE = 64, 10
"""So much is under way at once of a caller who has not failed of late. PINs are checked in few
threads: what waits here for a place there is not refused for want of one."""

Clock = Callable[[], datetime]


class Lane:
    """Things of one kind that a caller has under way at once; within `async with` one has a place.
    Who waits for one is served in order."""

    def __init__(self, gate: "Gate", most: int) -> None:
        self._gate = gate
        self._most = most
        self._under_way = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def __aenter__(self) -> None:
        if not self._waiting and self._is_free():
            self._under_way += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._leave()
            raise

    async def __aexit__(self, *_: object) -> None:
        self._leave()

    def _is_free(self) -> bool:
        return self._under_way < min(self._gate.at_once, self._most)

    def _leave(self) -> None:
        self._under_way -= 1
        while self._waiting and self._is_free():
            turn = self._waiting.popleft()
            if not turn.done():
                self._under_way += 1
                turn.set_result(None)


class Gate:
    """One caller's. `found` counts look-ups that were right and are not in the database yet;
    `learning` is the reading of its limits, while that is under way."""

    def __init__(self, of: Mapping[str, Rate], clock: Clock) -> None:
        self.looking = Lane(self, LOOKING_AT_ONCE)
        self.checking = Lane(self, CHECKING_AT_ONCE)
        self.found = 0
        self.learning: asyncio.Task[None] | None = None
        self.changes = 0
        self.rates = of
        self._clock = clock
        self._free_at: Mapping[str, datetime] = {}
        self._untold: dict[str, datetime] = {}
        self._read_at = float("-inf")
        self._told_at = monotonic()

    @property
    def is_known(self) -> bool:
        """Whether the caller's limits were read just now."""
        return monotonic() - self._read_at < KNOWN_SECONDS

    def found_since(self, seconds: float) -> bool:
        """Whether what was found is to be told: it was last so long ago, and is now."""
        is_time = monotonic() - self._told_at >= seconds
        if is_time:
            self._told_at = monotonic()
        return is_time

    def learn(self, free_at: Mapping[str, datetime], *, changes: int) -> None:
        """Take over what the database says. What was counted here since it was asked, when there
        had been so many `changes`, goes before."""
        self._free_at = free_at if changes == self.changes else {**free_at, **self._free_at}
        self._read_at = monotonic()

    def count(self, free_at: Mapping[str, datetime]) -> None:
        """Take over what a failure has changed."""
        self._free_at = {**self._free_at, **free_at}
        self.changes += 1

    def charge(self, source: str | None) -> None:
        """Count a failure that the database could not be told of: to keep it busy shall be no way
        to guess for nothing."""
        now, limits = self._clock(), dict(self.rates)
        if source is not None:
            limits[source] = SOURCE
        untold = {scope: at for scope, at in self._untold.items() if now - at < DAY}
        for scope, limit in limits.items():
            free_at = untold.get(scope, now - DAY)
            untold[scope] = free_at if free_at > now else limit.charged(free_at, now)
        self._untold = untold

    @property
    def at_once(self) -> int:
        """How many things of one kind may be under way."""
        now = self._clock()
        left = [
            (rate.left(counted.get(scope), now), rate)
            for scope, rate in self.rates.items()
            for counted in (self._free_at, self._untold)
        ]
        if all(free == rate.burst for free, rate in left):
            return LOOKING_AT_ONCE
        return max(min(free for free, _ in left), 1)

    @property
    def is_free(self) -> bool:
        """Whether nothing that was counted refuses anything now."""
        now = self._clock()
        return all(at <= now for at in (*self._free_at.values(), *self._untold.values()))

    def require_free(self, source: str | None, at: datetime | None = None) -> None:
        """Refuses `RATE_LIMITED` a caller who may fail no more now, or not at this source."""
        now, scopes = at or self._clock(), {*self.rates, SUSPENDED, source}
        counted = (*self._free_at.items(), *self._untold.items())
        until = max((at for scope, at in counted if scope in scopes), default=now)
        if until > now:
            raise RateLimited(ceil((until - now).total_seconds()))


class Gates:
    """Those of all callers of a process."""

    def __init__(self, hourly: int, clock: Clock) -> None:
        self._hourly = hourly
        self._clock = clock
        self._by_name: dict[str, Gate] = {}

    def of(self, caller: Caller) -> Gate:
        gate = self._by_name.get(caller.name)
        if gate is None:
            gate = Gate(rates(caller.kind, self._hourly), self._clock)
            self._by_name[caller.name] = gate
        return gate
