"""The next piece is made while the one before is written: a thread and the database both work."""

import asyncio
from collections.abc import AsyncGenerator
from time import monotonic
from typing import TypeVar

Piece = TypeVar("Piece")


SPELL_SECONDS = 4.0
"""So long pieces are made and written in a row, before another job may have its turn."""


async def one_ahead(pieces: AsyncGenerator[Piece, None]) -> AsyncGenerator[Piece, None]:
    """The pieces in their order, each next one in the making while the one before is used; for a
    spell, after which those that are left are to be begun anew."""

    async def make() -> tuple[Piece] | None:
        async for piece in pieces:
            return (piece,)
        return None

    ends = monotonic() + SPELL_SECONDS
    making = asyncio.create_task(make())
    try:
        while (made := await making) is not None:
            if monotonic() > ends:
                yield made[0]
                return
            making = asyncio.create_task(make())
            yield made[0]
    finally:
        making.cancel()
        await asyncio.wait([making])
        await pieces.aclose()
