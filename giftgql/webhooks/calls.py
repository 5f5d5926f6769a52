"""Calls of endpoints: to the very address that was checked, without proxies and redirects."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpcore2

from giftgql import __version__, network
from giftgql.errors import InvalidInput
from giftgql.settings import Settings
from giftgql.webhooks.addresses import Target

CALL_SECONDS = 10.0
"""Longest time for all of a call: the name, the connection, the answer."""

CONNECT_SECONDS = 4.0
"""Longest time for a connection to one of a host's addresses, before the next one is tried."""

MOST_ANSWER_BYTES = 64 * 1024
"""So much of an answer is read, and thrown away; the rest is cut off."""

_BUSY = frozenset({408, 425, 429})


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a call: an HTTP status, or none, and the reason in a few words."""

    status: int | None
    why: str

    @property
    def is_taken(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    @property
    def is_gone(self) -> bool:
        """Whether the endpoint wants no more calls."""
        return self.status == 410

    @property
    def is_of_endpoint(self) -> bool:
        """Whether the endpoint would not take any other message either, for now."""
        return self.status is None or self.status >= 500 or self.status in _BUSY


class NotCalled(Exception):
    """The host has no address that may be called. `why` completes «The URL …»."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


async def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host, in the order in which the system would try them."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return list(dict.fromkeys(str(each[4][0]) for each in found))


async def require_callable(settings: Settings, url: str) -> None:
    """Refuses `INVALID_INPUT` for a URL that webhooks may not go to, as its host is now."""
    target = Target.read(url)
    try:
        async with asyncio.timeout(CALL_SECONDS):
            await _addresses(settings, target)
    except NotCalled as error:
        raise InvalidInput("url", error.why) from None
    except TimeoutError:
        raise InvalidInput("url", "names a host that cannot be looked up") from None


async def _addresses(settings: Settings, target: Target) -> list[str]:
    """All addresses of a host, each of which may be called. Raises NotCalled."""
    addresses = await resolve(target.host, target.port)
    why = target.why_not(addresses, may_be_private=settings.webhooks_allow_private)
    if why is not None:
        raise NotCalled(why)
    return addresses


class _Network(httpcore2.AsyncNetworkBackend):
    """The only way to a socket: whatever host is asked for, it connects to the target, at an
    address that was looked up and checked for this connection."""

    def __init__(self, settings: Settings, target: Target) -> None:
        self._settings = settings
        self._target = target
        self._tcp = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  httpcore2's name
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        failed: Exception | None = None
        for address in await _addresses(self._settings, self._target):
            try:
                return await self._tcp.connect_tcp(address, self._target.port, CONNECT_SECONDS)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failed = error
        assert failed is not None
        raise failed


class Line:
    """An endpoint's connection, kept from one call to the next."""

    def __init__(self, pool: httpcore2.AsyncConnectionPool, target: Target) -> None:
        self._pool = pool
        self._url = httpcore2.URL(
            scheme="https" if target.is_tls else "http",
            host=target.host,
            port=target.port,
            target=target.path,
        )

    async def post(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send a body; whatever goes wrong is an answer."""
        sent = {"content-type": "application/json", "user-agent": f"giftgql/{__version__}"}
        try:
            async with asyncio.timeout(CALL_SECONDS):
                async with self._pool.stream(
                    "POST", self._url, headers=[*sent.items(), *headers.items()], content=body
                ) as response:
                    read = 0
                    async for chunk in response.aiter_stream():
                        read += len(chunk)
                        if read > MOST_ANSWER_BYTES:
                            break
                return Answer(response.status, f"HTTP {response.status}")
        except TimeoutError:
            return Answer(None, f"No answer within {CALL_SECONDS:g} s")
        except NotCalled as error:
            return Answer(None, f"The URL {error.why}")
        except network.FAILURES as error:
            return Answer(None, network.reason(error))


@asynccontextmanager
async def opened(settings: Settings, target: Target) -> AsyncIterator[Line]:
    """A line to a target; nothing connects before the first call."""
    async with httpcore2.AsyncConnectionPool(
        ssl_context=network.tls(), network_backend=_Network(settings, target), max_connections=1
    ) as pool:
        yield Line(pool, target)
