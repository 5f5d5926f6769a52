"""Requests of one process that take turns."""

from asyncio import Lock
from collections import Counter
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager

from giftgql.errors import Unavailable

AT_MOST = 64
"""So many requests wait for a turn at one thing, or have it."""


class Turns:
    """Each thing is had by one request at a time; a thing lasts as long as somebody wants it."""

    def __init__(self) -> None:
        self._locks = dict[Hashable, Lock]()
        self._wanted = Counter[Hashable]()

    @asynccontextmanager
    async def at(self, thing: Hashable) -> AsyncIterator[None]:
        """Wait for the turn and have it. Refuses `UNAVAILABLE` where too many wait already."""
        if self._wanted[thing] >= AT_MOST:
            raise Unavailable
        lock = self._locks.setdefault(thing, Lock())
        self._wanted[thing] += 1
        try:
            async with lock:
                yield
        finally:
            self._wanted[thing] -= 1
            if not self._wanted[thing]:
                del self._wanted[thing], self._locks[thing]
