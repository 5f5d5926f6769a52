"""What one process knows of its callers: who may fail no more, and how much each has under way.

A caller has no more look-ups under way at once than it may still fail: the next one waits until it
is known that those before it were right. So guesses sent all at once find out no more than guesses
one by one; and nobody who is right is refused for others that are.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from math import ceil
from time import monotonic

from giftgql.errors import RateLimited
from giftgql.permissions import Caller
from giftgql.tries.rates import SUSPENDED, Rate, rates

KNOWN_SECONDS = 0.05
"""For so long a caller's limits are not read again: so late other processes hear of a failure."""


class Lane:
    """Things of one kind that a caller has under way at once; who waits is served in order."""

    def __init__(self, gate: "Gate") -> None:
        self._gate = gate
        self._under_way = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @asynccontextmanager
    async def place(self, clock: Callable[[], datetime]) -> AsyncIterator[None]:
        """Wait for a place and have it."""
        if self._waiting or not self._is_free(clock()):
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._leave(clock())
                raise
        else:
            self._under_way += 1
        try:
            yield
        finally:
            self._leave(clock())

    def _is_free(self, now: datetime) -> bool:
        return self._under_way < max(self._gate.left(now), 1)

    def _leave(self, now: datetime) -> None:
        self._under_way -= 1
        while self._waiting and self._is_free(now):
            turn = self._waiting.popleft()
            if not turn.done():
                self._under_way += 1
                turn.set_result(None)


class Gate:
    """One caller's. `found` counts look-ups that were right and are not in the database yet."""

    def __init__(self, of: Mapping[str, Rate]) -> None:
        self.looking, self.checking = Lane(self), Lane(self)
        self.found = 0
        self.changes = 0
        self.rates = of
        self._free_at: Mapping[str, datetime] = {}
        self._read_at = float("-inf")

    @property
    def is_known(self) -> bool:
        """Whether the caller's limits were read just now."""
        return monotonic() - self._read_at < KNOWN_SECONDS

    def learn(self, free_at: Mapping[str, datetime], *, changes: int) -> None:
        """Take over what the database says. What was counted here since it was asked, when there
        had been so many `changes`, goes before."""
        self._free_at = free_at if changes == self.changes else {**free_at, **self._free_at}
        self._read_at = monotonic()

    def count(self, free_at: Mapping[str, datetime]) -> None:
        """Take over what a failure has changed."""
        self._free_at = {**self._free_at, **free_at}
        self.changes += 1

    def left(self, now: datetime) -> int:
        """How many failures are free now."""
        return min(rate.left(self._free_at.get(scope), now) for scope, rate in self.rates.items())

    def require_free(self, now: datetime, source: str | None) -> None:
        """Refuses `RATE_LIMITED` a caller who may fail no more, or not at this source."""
        scopes = {*self.rates, SUSPENDED, source}
        until = max((at for scope, at in self._free_at.items() if scope in scopes), default=now)
        if until > now:
            raise RateLimited(ceil((until - now).total_seconds()))


class Gates:
    """Those of all callers of a process."""

    def __init__(self, hourly: int) -> None:
        self._hourly = hourly
        self._by_name: dict[str, Gate] = {}

    def of(self, caller: Caller) -> Gate:
        gate = self._by_name.get(caller.name)
        if gate is None:
            gate = self._by_name[caller.name] = Gate(rates(caller.kind, self._hourly))
        return gate
