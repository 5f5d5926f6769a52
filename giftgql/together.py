"""Reads done together: what is asked while one is under way goes in the next, in one statement.

No timer: when nothing is under way a read begins at once. An answer is never older than its
question, since a statement begins only after all that it answers was asked.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Generic, TypeVar

from giftgql import metrics

MOST_AT_ONCE = 200

Key = TypeVar("Key")
Value = TypeVar("Value")


class Together(Generic[Key, Value]):
    """Gives the value of a key by `read_all`, which reads those of many, in their order."""

    def __init__(self, read_all: Callable[[Sequence[Key]], Awaitable[Sequence[Value]]]) -> None:
        self._read_all = read_all
        self._waiting: list[tuple[Key, asyncio.Future[Value]]] = []
        self._reading: asyncio.Task[None] | None = None

    async def get(self, key: Key) -> Value:
        answer: asyncio.Future[Value] = asyncio.get_running_loop().create_future()
        self._waiting.append((key, answer))
        if self._reading is None:
            # For many: its lines in the log have no one's request id.
            self._reading = asyncio.create_task(self._read(), context=Context())
        return await answer

    async def _read(self) -> None:
        try:
            while self._waiting:
                asked, self._waiting = (
                    self._waiting[:MOST_AT_ONCE],
                    self._waiting[MOST_AT_ONCE:],
                )
                await self._answer(asked)
        finally:
            self._reading = None

    async def _answer(self, asked: list[tuple[Key, asyncio.Future[Value]]]) -> None:
        """Who has gone away meanwhile gets no answer; a failure goes to all who asked."""
        metrics.READ_TOGETHER.observe(len(asked))
        try:
            values = await self._read_all([key for key, _ in asked])
        except BaseException as error:
            for _, answer in asked:
                if not answer.done():
                    answer.set_exception(error)
            if not isinstance(error, Exception):
                raise
        else:
            for (_, answer), value in zip(asked, values, strict=True):
                if not answer.done():
                    answer.set_result(value)
