"""A proxy on a port of its own: a hop on the way of connections, which breaks what passes it."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from enum import Enum
from urllib.parse import parse_qs, urlsplit

LONGEST_DELAY = 0.3
PIECE = 65_536


class Fault(Enum):
    ASKED_HALF = "cut within a question"
    DROPPED = "answer dropped"
    TORN = "cut within an answer"
    DELAYED = "answer delayed"


class Hop:
    """The proxy. `behind` is a port on this machine, or the path of a socket."""

    def __init__(self, behind: int | str) -> None:
        self.behind = behind
        self.port = 0
        self.faults = Counter[Fault]()
        self.delay = LONGEST_DELAY
        self._armed: Fault | None = None
        self._happened = asyncio.Event()
        self._speaks = asyncio.Event()
        self._speaks.set()
        self._is_closed = False
        self._links = set[_Link]()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def happens(self, fault: Fault) -> None:
        """Break the next thing that comes by in this way, and wait until that has happened."""
        self._armed = fault
        self._happened.clear()
        await self._happened.wait()

    def take(self, *those: Fault) -> Fault | None:
        """Which of these is to happen to what just comes by, if any."""
        if self._armed not in those:
            return None
        fault, self._armed = self._armed, None
        self.faults[fault] += 1
        self._happened.set()
        return fault

    def fall_silent(self) -> None:
        """Let nothing pass any more, without a word; connections stay, and new ones are taken."""
        self._speaks.clear()

    def speak(self) -> None:
        """Let pass what has come meanwhile, and all else."""
        self._speaks.set()

    async def may_pass(self) -> None:
        await self._speaks.wait()

    async def end(self) -> None:
        """Cut off everybody for good."""
        self.speak()
        self.close()
        while self._links:  # noqa: ASYNC110  they end at once
            await asyncio.sleep(0.001)

    def close(self) -> None:
        """Cut off everybody, and let nobody in."""
        self._is_closed = True
        for link in list(self._links):
            link.abort()

    def reopen(self) -> None:
        self._is_closed = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = _Link(self, reader, writer)
        if self._is_closed:
            link.abort()
            return
        self._links.add(link)
        try:
            await link.run()
        finally:
            self._links.discard(link)


class _Link:
    """One connection through the proxy."""

    def __init__(
        self, hop: Hop, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._hop = hop
        self._here = reader, writer
        self._there: asyncio.StreamWriter | None = None

    async def run(self) -> None:
        behind = self._hop.behind
        with suppress(ConnectionError):
            await self._hop.may_pass()
            if isinstance(behind, str):
                reader, self._there = await asyncio.open_unix_connection(behind)
            else:
                reader, self._there = await asyncio.open_connection("127.0.0.1", behind)
            await asyncio.gather(self._forth(self._there), self._back(reader))
        self.abort()

    def abort(self) -> None:
        for writer in (self._here[1], self._there):
            if writer is not None:
                writer.transport.abort()

    async def _forth(self, there: asyncio.StreamWriter) -> None:
        while data := await self._here[0].read(PIECE):
            await self._hop.may_pass()
            fault = self._hop.take(Fault.ASKED_HALF)
            there.write(data[: len(data) // 2] if fault else data)
            await there.drain()
            if fault:
                break
        self.abort()

    async def _back(self, reader: asyncio.StreamReader) -> None:
        here = self._here[1]
        while data := await reader.read(PIECE):
            await self._hop.may_pass()
            fault = self._hop.take(Fault.DROPPED, Fault.TORN, Fault.DELAYED)
            if fault is Fault.DROPPED:
                break
            if fault is Fault.DELAYED:
                await asyncio.sleep(self._hop.delay)
            here.write(data[: len(data) // 2] if fault is Fault.TORN else data)
            await here.drain()
            if fault is Fault.TORN:
                break
        self.abort()


@asynccontextmanager
async def hop_to(behind: int | str) -> AsyncIterator[Hop]:
    """A hop for as long as the block lasts."""
    hop = Hop(behind)
    server = await asyncio.start_server(hop.serve, "127.0.0.1", 0)
    hop.port = server.sockets[0].getsockname()[1]
    try:
        yield hop
    finally:
        server.close()
        await hop.end()
        await server.wait_closed()


@asynccontextmanager
async def hop_to_database(url: str) -> AsyncIterator[tuple[Hop, str]]:
    """A hop before a PostgreSQL that listens on a socket, and the URL by way of it."""
    parts = urlsplit(url)
    folder = parse_qs(parts.query)["host"][0]
    async with hop_to(f"{folder}/.s.PGSQL.5432") as hop:
        yield hop, f"postgresql://postgres@127.0.0.1:{hop.port}{parts.path}?sslmode=disable"
