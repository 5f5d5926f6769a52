"""The next piece is made while the one before is written: a thread and the database both work."""

import asyncio
from collections.abc import AsyncGenerator
from typing import TypeVar

Piece = TypeVar("Piece")


async def one_ahead(pieces: AsyncGenerator[Piece, None]) -> AsyncGenerator[Piece, None]:
    """The pieces in their order, each next one in the making while the one before is used."""

    async def make() -> tuple[Piece] | None:
        async for piece in pieces:
            return (piece,)
        return None

    making = asyncio.create_task(make())
    try:
        while (made := await making) is not None:
            making = asyncio.create_task(make())
            yield made[0]
    finally:
        making.cancel()
        await asyncio.wait([making])
        await pieces.aclose()
