"""The one file that knows SQLite from PostgreSQL.

`Database.reading()` and `Database.writing()` give a session; a writing one commits at the end of
its block. On SQLite one connection writes, under the write lock and an exclusive `flock` that it
shares with the command line; all others are `query_only`.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any

import asyncpg
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, NullPool
from sqlmodel.ext.asyncio.session import AsyncSession

from giftgql.errors import Unavailable
from giftgql.outages import translated
from giftgql.postgres import Hosts
from giftgql.rows import READS
from giftgql.settings import Settings
from giftgql.sqlite import OF_THE_WRITER, FileLock, OneHopConnection, SteppingConnection

SNAPSHOTS = 2
"""How many snapshots a process reads at once: reports must not starve the tills."""


class AnotherServer(Exception):
    """A second server process on one SQLite database. The sentence says what to do instead."""


class Database:
    """A database of either kind: sessions for reading and writing, its clock, its identity."""

    reader: AsyncEngine
    writer: AsyncEngine

    def __init__(self, settings: Settings) -> None:
        self._patience = settings.lock_seconds
        self._snapshots_free = asyncio.Semaphore(SNAPSHOTS)

    @staticmethod
    def of(settings: Settings) -> "Database":
        if (file := settings.sqlite_file) is not None:
            return Sqlite(file, settings)
        return Postgres(settings)

    def writing(self) -> AbstractAsyncContextManager[AsyncSession]:
        """A session in a transaction, committed at the end of the block. Refuses: `UNAVAILABLE`."""
        raise NotImplementedError

    def migrating(self) -> AbstractAsyncContextManager[AsyncSession]:
        """Like `writing`, on a database that may still be empty; one process at a time."""
        raise NotImplementedError

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncSession]:
        """A session in which each statement sees what is committed when it begins."""
        async with translated(), self.read_session() as session:
            yield session

    def read_session(self) -> AsyncSession:
        """A session for reading, which takes a connection when it is first used."""
        session = _session(self.reader)
        session.info[READS] = True
        return session

    @asynccontextmanager
    async def snapshot(self, seconds: float) -> AsyncIterator[AsyncSession]:
        """A session that sees one state of the database, whatever is written meanwhile.

        It has a connection of its own and can change nothing. The whole block may take `seconds`;
        what still runs then is stopped in the database too. Refuses: `UNAVAILABLE`.
        """
        try:
            async with asyncio.timeout(self._patience):
                await self._snapshots_free.acquire()
        except TimeoutError:
            raise Unavailable("Other reports or exports are running.", retry_after=10) from None
        limit = asyncio.timeout(seconds)
        try:
            async with limit, translated(), self._snapshot(seconds) as session:
                yield session
        except TimeoutError:
            if not limit.expired():
                raise
            raise Unavailable(
                f"It was not done within {seconds:.3g} s (GIFTGQL_REPORT_SECONDS).",
                retry_after=60,
            ) from None
        finally:
            self._snapshots_free.release()

    def _snapshot(self, seconds: float) -> AbstractAsyncContextManager[AsyncSession]:
        """The session; when the block is left, nothing of it goes on running."""
        raise NotImplementedError

    async def clock(self, session: AsyncSession) -> tuple[datetime, int]:
        """The database's clock at this instant, and the number of the writing transaction."""
        raise NotImplementedError

    async def has_committed(self, number: int) -> bool:
        """Whether a transaction ended well whose answer to COMMIT was lost."""
        raise NotImplementedError

    @staticmethod
    def is_taken(error: Exception) -> bool:
        """Whether a row was refused because another one has its key."""
        return isinstance(error, IntegrityError | sqlite3.IntegrityError | _PG_INTEGRITY)

    async def cluster(self, session: AsyncSession) -> str:
        """What changes when the data is restored elsewhere and transaction numbers start anew."""
        raise NotImplementedError

    def claim_server(self) -> None:
        """Take the place of a server; on SQLite there is one. Raises AnotherServer."""

    async def close(self) -> None:
        await self.reader.dispose()
        await self.writer.dispose()


_PG_INTEGRITY: Any = asyncpg.IntegrityConstraintViolationError
_CLOCK = "SELECT clock_timestamp(), pg_current_xact_id()::text::bigint"
_FATE = "SELECT pg_xact_status($1::text::xid8)"
_UNHEARD_OF = "22023"  # it says that the number is in the future


class Postgres(Database):
    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        hosts = Hosts(settings)
        pool: dict[str, Any] = {
            "pool_size": settings.database_pool,
            "max_overflow": 0,
            "pool_use_lifo": True,  # the one just used is the warmest
            "pool_timeout": settings.pool_seconds,
        }
        self.writer = hosts.engine(**pool)
        self.reader = hosts.engine(isolation_level="AUTOCOMMIT", pool_reset_on_return=None, **pool)
        self._unhurried = hosts.engine(hurries=False, poolclass=NullPool)
        self._limits = None if not settings.database_pooler else hosts.limits

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncSession]:
        async with translated(), _session(self.writer) as session, session.begin():
            if self._limits is not None:  # each transaction may have another connection
                await _set_local(session, **self._limits)
            yield session

    @asynccontextmanager
    async def migrating(self) -> AsyncIterator[AsyncSession]:
        async with translated(), _session(self._unhurried) as session, session.begin():
            await _set_local(
                session,
                lock_timeout="60s",
                statement_timeout="0",
                idle_in_transaction_session_timeout="0",
            )
            connection = await session.connection()
            await connection.execute(text("SELECT pg_advisory_xact_lock(7210452)"))
            yield session

    @asynccontextmanager
    async def _snapshot(self, seconds: float) -> AsyncIterator[AsyncSession]:
        longest = f"{int(seconds * 1000) + 1000}ms"  # a backstop: our own clock goes first
        async with _session(self._unhurried) as session:
            connection = await session.connection()
            repeatable = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
            await connection.execute(text(repeatable))
            await _set_local(  # from here on it is the snapshot
                session,
                statement_timeout=longest,
                idle_in_transaction_session_timeout=longest,
                work_mem="64MB",
            )
            yield session

    async def clock(self, session: AsyncSession) -> tuple[datetime, int]:
        connection = await session.connection()
        row: Any = (await connection.exec_driver_sql(_CLOCK)).one()
        return row[0], row[1]

    async def has_committed(self, number: int) -> bool:
        """Asks on a fresh connection, and waits while the transaction is still running there. A
        replica that took over before it had heard of it knows no such number."""
        gives_up_at = monotonic() + self._patience
        for pause in (0.0, 0.05, 0.2, 0.5, 1.0):
            if monotonic() > gives_up_at:
                break
            await asyncio.sleep(pause)
            try:
                async with self.reading() as session:
                    connection = await session.connection()
                    found = await connection.exec_driver_sql(_FATE, (str(number),))
                    fate = found.scalar_one()
            except Unavailable:
                continue
            except DBAPIError as error:
                if getattr(error.orig, "sqlstate", None) != _UNHEARD_OF:
                    raise
                return False
            if fate != "in progress":
                return bool(fate == "committed")
        raise Unavailable("The database cannot be reached.")

    async def cluster(self, session: AsyncSession) -> str:
        query = text("SELECT system_identifier::text FROM pg_control_system()")
        return str((await (await session.connection()).execute(query)).scalar_one())


class Sqlite(Database):
    def __init__(self, file: Path, settings: Settings) -> None:
        super().__init__(settings)
        file.parent.mkdir(parents=True, exist_ok=True)
        self._write_lock = FileLock(file.with_name(file.name + ".write"))
        self._server_lock = FileLock(file.with_name(file.name + ".server"))
        self._writer_free = asyncio.Lock()
        busy = f"busy_timeout={settings.lock_seconds * 1000}"

        def engine(size: int, *pragmas: str) -> AsyncEngine:
            return create_async_engine(
                "sqlite+aiosqlite://",
                async_creator=lambda: OneHopConnection.open(file, (busy, *pragmas)),
                poolclass=AsyncAdaptedQueuePool,
                pool_size=size,
                max_overflow=0,
                pool_timeout=settings.pool_seconds,
                pool_reset_on_return=None,
                hide_parameters=True,
            )

        self.writer = engine(1, *OF_THE_WRITER)
        event.listen(self.writer.sync_engine, "begin", _begin_immediate)
        # Two readers serve more than eight would: threads take turns in one interpreter.
        self.reader = engine(2, "query_only=ON")
        self._snapshots = create_async_engine(
            "sqlite+aiosqlite://",
            async_creator=lambda: SteppingConnection.open(file, (busy, "query_only=ON")),
            poolclass=NullPool,
            hide_parameters=True,
        )

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        """Be the only one who writes, in this process and among all."""
        try:
            async with asyncio.timeout(self._patience):
                await self._writer_free.acquire()
        except TimeoutError:
            raise Unavailable("The database is busy.") from None
        try:
            await self._write_lock.acquire(self._patience)
            try:
                yield
            finally:
                self._write_lock.release()
        finally:
            self._writer_free.release()

    @asynccontextmanager
    async def migrating(self) -> AsyncIterator[AsyncSession]:
        async with (
            translated(),
            self._alone(),
            _session(self.writer) as session,
            session.begin(),
        ):
            yield session

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncSession]:
        async with self.migrating() as session:
            connection = await session.connection()
            await connection.execute(text("UPDATE change_counter SET value = value + 1"))
            yield session

    @asynccontextmanager
    async def _snapshot(self, seconds: float) -> AsyncIterator[AsyncSession]:
        deadline, caller = monotonic() + seconds, asyncio.current_task()
        assert caller is not None

        def is_over() -> bool:
            return caller.cancelling() > 0 or monotonic() > deadline

        async with _session(self._snapshots) as session:
            connection = await session.connection()
            driver = (await connection.get_raw_connection()).driver_connection
            assert isinstance(driver, SteppingConnection)
            await driver.set_progress_handler(is_over, 100_000)
            try:
                await connection.execute(text("BEGIN"))
                await connection.execute(text("SELECT value FROM change_counter"))
                yield session
            finally:
                deadline = 0.0  # a statement that goes on without its caller ends now

    async def clock(self, session: AsyncSession) -> tuple[datetime, int]:
        return datetime.now(UTC), 0

    async def has_committed(self, number: int) -> bool:
        """A commit that fails has not happened: nothing stands between us and the file."""
        return False

    async def cluster(self, session: AsyncSession) -> str:
        return "sqlite"

    def claim_server(self) -> None:
        if not self._server_lock.try_acquire():
            raise AnotherServer(
                "Another giftgql server has this SQLite database open. SQLite takes one server "
                "process; for several, set GIFTGQL_DATABASE_URL to a PostgreSQL database."
            )

    async def close(self) -> None:
        await self.reader.dispose()
        try:
            async with self._alone():  # the last connection to close writes the log back
                await self.writer.dispose()
        except Unavailable:  # another process is writing, so this is not the last one
            await self.writer.dispose()
        self._server_lock.close()
        self._write_lock.close()


def _session(engine: AsyncEngine) -> AsyncSession:
    return AsyncSession(engine, expire_on_commit=False, autoflush=False)


async def _set_local(session: AsyncSession, **settings: str) -> None:
    """Give a transaction settings of its own; it ends with them."""
    each = ", ".join(f"set_config('{name}', '{value}', true)" for name, value in settings.items())
    await (await session.connection()).exec_driver_sql(f"SELECT {each}")


def _begin_immediate(connection: Any) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
