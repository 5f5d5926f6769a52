"""PostgreSQL's side of `database`: connections to the host that takes writes, which are cut off
where nothing comes back."""

import asyncio
import socket
from collections.abc import Callable, Mapping
from typing import Any

import asyncpg
from sqlalchemy import event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from giftgql.settings import Settings

GRACE_SECONDS = 2
"""How much later than PostgreSQL itself we give a statement up: then nothing comes back."""

_TAKES_NO_WRITES = "SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::bool"
_OF_A_HOST = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


class TakesNoWrites(ConnectionError):
    """A host of PostgreSQL's that is a replica by now."""


class PoolerUnsaid(Exception):
    """pgbouncer stands in between, and the settings do not say so. The sentence says what to do."""


class CutOff(asyncpg.Connection):  # type: ignore[misc]
    """A connection that is cut off when a statement has taken too long.

    It never asks PostgreSQL to cancel: that would end a COMMIT's wait for the replica and have it
    answered as if the replica had it.
    """

    made_at = 0.0
    told: Callable[[], None]

    def _cancel_current_command(self, *_: Any) -> None:
        self.told()
        self._loop.call_soon(self.terminate)


class Hosts:
    """The hosts of a database. The one that last took writes is tried first."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._urls = list(settings.postgres.urls)
        self._silent_at = 0.0
        self.limits = {
            "lock_timeout": f"{settings.lock_seconds}s",
            "statement_timeout": f"{settings.statement_seconds}s",
            "idle_in_transaction_session_timeout": f"{settings.idle_seconds}s",
        }

    def engine(self, *, hurries: bool = True, **options: Any) -> AsyncEngine:
        """An engine over these hosts. One that `hurries` cuts off what takes too long; the other
        asks PostgreSQL to stop what nobody waits for any longer."""

        async def connect() -> asyncpg.Connection:
            return await self._connect(hurries=hurries)

        def create() -> Any:
            kept = {"prepared_statement_cache_size": 0} if self._settings.database_pooler else {}
            return engine.sync_engine.dialect.loaded_dbapi.connect(async_creator_fn=connect, **kept)

        engine = create_async_engine(
            "postgresql+asyncpg://", creator=create, hide_parameters=True, **options
        )
        if hurries:
            event.listen(engine.sync_engine, "checkout", self._refuse_lost)
        return engine

    async def _connect(self, *, hurries: bool) -> asyncpg.Connection:
        """Connect to the first host that will do. Raises what the first one said."""
        first: Exception | None = None
        for url in list(self._urls):
            try:
                connection = await self._connect_to(url, hurries=hurries)
            except _OF_A_HOST as error:
                first = first or error
                continue
            if url != self._urls[0]:
                self._urls.sort(key=lambda each: each != url)
            return connection
        assert first is not None
        raise first

    async def _connect_to(self, url: str, *, hurries: bool) -> asyncpg.Connection:
        settings, more = self._settings, dict[str, Any]()
        if hurries:
            more["command_timeout"] = settings.statement_seconds + GRACE_SECONDS
            more["connection_class"] = CutOff
        if settings.database_pooler:
            more["statement_cache_size"] = 0
        try:
            connection = await asyncpg.connect(
                url,
                server_settings=self._server_settings(),
                timeout=settings.connect_seconds,
                **more,
            )
        except asyncpg.ProtocolViolationError as error:
            if "startup parameter" not in str(error):
                raise
            raise PoolerUnsaid(
                "GIFTGQL_DATABASE_URL leads to pgbouncer. Set GIFTGQL_DATABASE_POOLER=true."
            ) from error
        if hurries:
            connection.made_at = connection._loop.time()
            connection.told = self._hear_nothing
        _watch(connection, settings.silence_seconds)
        try:
            if settings.postgres.is_to_be_writable:
                seconds = settings.connect_seconds
                if await connection.fetchval(_TAKES_NO_WRITES, timeout=seconds):
                    raise TakesNoWrites
        except BaseException:
            connection.terminate()
            raise
        return connection

    def _server_settings(self) -> Mapping[str, str]:
        """Those of a session. A pooler knows but two: it gives each transaction another one."""
        known = {"timezone": "UTC", "application_name": "giftgql"}
        if self._settings.database_pooler:
            return known
        idle, between = _keepalive(self._settings.silence_seconds)
        return {
            **known,
            **self.limits,
            "plan_cache_mode": "force_generic_plan",
            "tcp_keepalives_idle": str(idle),
            "tcp_keepalives_interval": str(between),
            "tcp_keepalives_count": "2",
            "tcp_user_timeout": str(self._settings.silence_seconds * 1000),
        }

    def _hear_nothing(self) -> None:
        """A statement has had no answer. What was connected before is not trusted any more."""
        self._silent_at = asyncio.get_running_loop().time()

    def _refuse_lost(self, connection: Any, *_: Any) -> None:
        """The pool then makes another one in place of one that is closed or may be deaf."""
        driver: CutOff = connection.driver_connection
        if driver.made_at <= self._silent_at:
            driver.terminate()
        if driver.is_closed():
            raise DisconnectionError


def _keepalive(silence: int) -> tuple[int, int]:
    """After how many idle seconds a connection is tested, and how long for, twice."""
    return max(silence // 2, 1), max(silence // 4, 1)


def _watch(connection: asyncpg.Connection, silence: int) -> None:
    """Have the kernel find out when the other end is gone, be it within a statement or between
    two of them."""
    at = connection._transport.get_extra_info("socket")
    if at.family == socket.AF_UNIX:
        return
    idle, between = _keepalive(silence)
    at.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    at.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, idle)
    at.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, between)
    at.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 2)
    at.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, silence * 1000)
