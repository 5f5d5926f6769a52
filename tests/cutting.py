"""A way to PostgreSQL that can be cut at COMMIT: a proxy on a socket of its own."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from enum import Enum
from urllib.parse import parse_qs, urlsplit

_SOCKET = ".s.PGSQL.5432"


class Cut(Enum):
    BEFORE = "before the server has got the commit"
    DURING = "while the server commits"
    AFTER = "after the server has committed"


class Way:
    """The proxy. `url` leads through it to the database of the URL given."""

    def __init__(self, url: str, folder: str) -> None:
        parts = urlsplit(url)
        self.url = parts._replace(query=f"host={folder}").geturl()
        self.cuts = 0
        self.is_blocked = False
        self._behind = f"{parse_qs(parts.query)['host'][0]}/{_SOCKET}"
        self._cut: Cut | None = None
        self._left = 0
        self._links = set[_Link]()

    def cut(self, how: Cut, *, after: int = 0) -> None:
        """Cut the connection of the next COMMIT, or of one that comes later."""
        self._cut, self._left = how, after

    def block(self) -> None:
        """Let nobody through, and cut off who is."""
        self.is_blocked = True
        for link in list(self._links):
            link.close()

    def taken_at(self, data: bytes) -> Cut | None:
        """How the connection that sends this is to be cut, once."""
        if self._cut is None or b"COMMIT" not in data:
            return None
        if self._left > 0:
            self._left -= 1
            return None
        how, self._cut = self._cut, None
        self.cuts += 1
        return how

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.is_blocked:
            writer.close()
            return
        link = _Link(self, reader, writer)
        self._links.add(link)
        try:
            await link.run(self._behind)
        finally:
            self._links.discard(link)


class _Link:
    """One connection through the proxy."""

    def __init__(
        self, way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._way = way
        self._here = reader, writer
        self._there: asyncio.StreamWriter | None = None
        self._is_mute = False

    async def run(self, behind: str) -> None:
        reader, self._there = await asyncio.open_unix_connection(behind)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await asyncio.gather(self._forth(self._there), self._back(reader))
        finally:
            self.close()

    def close(self) -> None:
        self._here[1].close()
        if self._there is not None:
            self._there.close()

    async def _forth(self, there: asyncio.StreamWriter) -> None:
        while data := await self._here[0].read(65_536):
            how = self._way.taken_at(data)
            self._is_mute = how is Cut.AFTER
            if how is not Cut.BEFORE:
                there.write(data)
                await there.drain()
            if how in (Cut.BEFORE, Cut.DURING):
                break
        self.close()

    async def _back(self, reader: asyncio.StreamReader) -> None:
        here = self._here[1]
        while data := await reader.read(65_536):
            if self._is_mute:
                break
            here.write(data)
            await here.drain()
        self.close()


@asynccontextmanager
async def way_to(url: str) -> AsyncIterator[Way]:
    with tempfile.TemporaryDirectory(prefix="ggway") as folder:
        way = Way(url, folder)
        server = await asyncio.start_unix_server(way.serve, f"{folder}/{_SOCKET}")
        try:
            yield way
        finally:
            server.close()
            way.block()
            await server.wait_closed()
