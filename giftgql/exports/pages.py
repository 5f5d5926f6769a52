"""Pages read in one snapshot of the database, one ahead of who takes them."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import TypeVar

from giftgql.permissions import Caller
from giftgql.store import Reading, Store

Page = TypeVar("Page")


async def in_snapshot(
    store: Store, caller: Caller, read: Callable[[Reading], AsyncGenerator[Page, None]]
) -> AsyncGenerator[Page, None]:
    """What `read` finds. The reading is a task of its own: its time limit ends that, wherever who
    takes the pages may be waiting. Refuses: `UNAVAILABLE`."""
    ahead: asyncio.Queue[tuple[Page] | Exception | None] = asyncio.Queue(1)

    async def fill() -> None:
        try:
            async with store.snapshot(caller) as reading, aclosing(read(reading)) as pages:
                async for page in pages:
                    await ahead.put((page,))
        except Exception as error:
            await ahead.put(error)
        else:
            await ahead.put(None)

    filling = asyncio.create_task(fill())
    try:
        while (found := await ahead.get()) is not None:
            if isinstance(found, Exception):
                raise found
            yield found[0]
    finally:
        filling.cancel()
        await asyncio.wait([filling])
