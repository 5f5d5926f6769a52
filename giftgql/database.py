"""The one file that knows SQLite from PostgreSQL.

`Database.reading()` and `Database.writing()` give a session; a writing one commits at the end of
its block. On SQLite one connection writes, under the write lock and an exclusive `flock` that it
shares with the command line; all others are `query_only`.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import structlog
from sqlalchemy import (
    BigInteger,
    DateTime,
    Dialect,
    Enum,
    Insert,
    Integer,
    Select,
    TypeDecorator,
    event,
    func,
    text,
    tuple_,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm.attributes import flag_modified
from sqlalchemy.pool import AsyncAdaptedQueuePool
from sqlalchemy.sql.functions import FunctionElement
from sqlmodel import SQLModel, select
from sqlmodel.ext.asyncio.session import AsyncSession

from giftgql.errors import Described, Unavailable
from giftgql.paging import Cut
from giftgql.settings import Settings
from giftgql.sqlite import FileLock, OneHopConnection

log = structlog.get_logger("giftgql.database")

SQLModel.metadata.naming_convention = {
    "pk": "pk_%(table_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ix": "ix_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
}

E_ = TypeVar("E_", bound=Described)
Select_ = TypeVar("Select_", bound=Select[Any])

BigId = BigInteger().with_variant(Integer(), "sqlite")
"""Type of a generated id: SQLite only counts up in an INTEGER column."""


class UtcDateTime(TypeDecorator[datetime]):
    """A moment. Naive values are refused on the way in; what comes out is in UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment needs its time zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def enum_type(members: type[E_]) -> Enum:
    """Type of a column that holds a member of a text enum, stored by value."""
    return Enum(
        members,
        native_enum=False,
        create_constraint=False,
        length=20,
        values_callable=lambda found: [member.value for member in found],
    )


class this_transaction(FunctionElement[int]):  # noqa: N801  it reads as SQL
    """The number of the writing transaction; of two that touch one row the later one has more."""

    type = BigInteger()
    inherit_cache = True


class first_unfinished(FunctionElement[int]):  # noqa: N801  it reads as SQL
    """Every transaction with a smaller number has ended: what it wrote is all there is of it."""

    type = BigInteger()
    inherit_cache = True


@compiles(this_transaction, "postgresql")
def _this_xid(*_: Any, **__: Any) -> str:
    return "(pg_current_xact_id()::text::bigint)"


@compiles(first_unfinished, "postgresql")
def _snapshot_xmin(*_: Any, **__: Any) -> str:
    return "(pg_snapshot_xmin(pg_current_snapshot())::text::bigint)"


@compiles(this_transaction, "sqlite")
def _counter(*_: Any, **__: Any) -> str:
    return "(SELECT value FROM change_counter)"


@compiles(first_unfinished, "sqlite")
def _above_counter(*_: Any, **__: Any) -> str:
    return "(SELECT value + 1 FROM change_counter)"


CHANGED_IN: dict[str, Any] = {"default": this_transaction(), "onupdate": this_transaction()}
"""Column arguments of `changed_in`, the number of the transaction that changed a row last."""


def insert_unless_there(session: AsyncSession, model: type[Any], *unique: str) -> Insert:
    """An INSERT that does nothing where the columns are taken; it waits for a running one."""
    if session.get_bind().dialect.name == "postgresql":
        return postgresql.insert(model).on_conflict_do_nothing(index_elements=unique)
    return sqlite.insert(model).on_conflict_do_nothing(index_elements=unique)


async def update_row(
    session: AsyncSession, row: SQLModel, facts: Mapping[str, Any], *, at: datetime
) -> None:
    """Write facts of a synchronised row. It has changed even if nothing in it is different."""
    for name, value in {**facts, "modified_at": at}.items():
        setattr(row, name, value)
    flag_modified(row, "modified_at")
    await session.flush()


def page_query(query: Select_, model: type[Any], cut: Cut) -> Select_:
    """Order and cut a query over a synchronised model, with one row more than the page shows."""
    window = cut.window
    if window is None:
        return query.order_by(model.id).offset(cut.skip).limit(cut.first + 1)
    query = query.where(model.changed_in < window.horizon).order_by(model.changed_in, model.id)
    if window.after is not None:
        query = query.where(tuple_(model.changed_in, model.id) > tuple_(*window.after))
    return query.offset(cut.skip).limit(cut.first + 1)


class AnotherServer(Exception):
    """A second server process on one SQLite database. The sentence says what to do instead."""


class Database:
    """A database of either kind: sessions for reading and writing, its clock, its identity."""

    reader: AsyncEngine
    writer: AsyncEngine

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
        return _session(self.reader)

    async def now(self, session: AsyncSession) -> datetime:
        """The database's clock, at this instant."""
        raise NotImplementedError

    async def cluster(self, session: AsyncSession) -> str:
        """What changes when the data is restored elsewhere and transaction numbers start anew."""
        raise NotImplementedError

    def claim_server(self) -> None:
        """Take the place of a server; on SQLite there is one. Raises AnotherServer."""

    async def close(self) -> None:
        await self.reader.dispose()
        await self.writer.dispose()


class Postgres(Database):
    def __init__(self, settings: Settings) -> None:
        timeouts = {
            "timezone": "UTC",
            "application_name": "giftgql",
            "lock_timeout": f"{settings.lock_seconds}s",
            "statement_timeout": f"{settings.statement_seconds}s",
            "idle_in_transaction_session_timeout": f"{settings.statement_seconds * 2}s",
        }

        async def connect(**options: Any) -> Any:
            return await asyncpg.connect(
                settings.postgres_url,
                server_settings=timeouts,
                timeout=settings.lock_seconds,
                **options,
            )

        pool: dict[str, Any] = {
            "async_creator": connect,
            "pool_size": settings.database_pool,
            "max_overflow": 0,
            "pool_timeout": settings.lock_seconds,
            "hide_parameters": True,
        }
        address = "postgresql+asyncpg://"
        self.writer = create_async_engine(address, **pool)
        self.reader = create_async_engine(
            address, isolation_level="AUTOCOMMIT", pool_reset_on_return=None, **pool
        )

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncSession]:
        async with translated(), _session(self.writer) as session, session.begin():
            yield session

    @asynccontextmanager
    async def migrating(self) -> AsyncIterator[AsyncSession]:
        async with self.writing() as session:
            connection = await session.connection()
            for statement in (
                "SET LOCAL lock_timeout = '60s'",
                "SET LOCAL statement_timeout = 0",
                "SET LOCAL idle_in_transaction_session_timeout = 0",
                "SELECT pg_advisory_xact_lock(7210452)",
            ):
                await connection.execute(text(statement))
            yield session

    async def now(self, session: AsyncSession) -> datetime:
        moment: datetime = (await session.exec(select(func.clock_timestamp()))).one()
        return moment.astimezone(UTC)

    async def cluster(self, session: AsyncSession) -> str:
        query = text("SELECT system_identifier::text FROM pg_control_system()")
        return str((await (await session.connection()).execute(query)).scalar_one())


class Sqlite(Database):
    def __init__(self, file: Path, settings: Settings) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._write_lock = FileLock(file.with_name(file.name + ".write"))
        self._server_lock = FileLock(file.with_name(file.name + ".server"))
        self._writer_free = asyncio.Lock()
        self._patience = settings.lock_seconds

        def engine(size: int, *pragmas: str) -> AsyncEngine:
            return create_async_engine(
                "sqlite+aiosqlite://",
                async_creator=lambda: OneHopConnection.open(file, pragmas),
                poolclass=AsyncAdaptedQueuePool,
                pool_size=size,
                max_overflow=0,
                pool_timeout=settings.lock_seconds,
                pool_reset_on_return=None,
                hide_parameters=True,
            )

        self.writer = engine(1, "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON")
        event.listen(self.writer.sync_engine, "begin", _begin_immediate)
        # Two readers serve more than eight would: threads take turns in one interpreter.
        self.reader = engine(2, "query_only=ON")

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

    async def now(self, session: AsyncSession) -> datetime:
        return datetime.now(UTC)

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


@asynccontextmanager
async def translated() -> AsyncIterator[None]:
    """A database that is busy, gone or slow is a refusal, and logged; any other failure a bug."""
    try:
        yield
    except Exception as error:
        why = _why_unavailable(error)
        if why is None:
            raise
        log.warning("database unavailable", exc_info=error)
        raise Unavailable(why) from error


def _why_unavailable(error: Exception) -> str | None:
    match error:
        case PoolTimeoutError() | OSError() | asyncpg.InterfaceError():
            return "The database cannot be reached."
        case asyncpg.PostgresConnectionError() | asyncpg.OperatorInterventionError():
            return "The database cannot be reached."
        case asyncpg.InsufficientResourcesError():
            return "The database is busy."
        case DBAPIError() if error.connection_invalidated or _passes(error.orig):
            return "The database is busy."
    return None


_PASSING_STATES = ("08", "40", "53", "55P03", "57")
_PASSING_RESULTS = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_LOCKED})


def _passes(cause: BaseException | None) -> bool:
    """Whether the same statement may well succeed when it is tried again."""
    if isinstance(cause, sqlite3.Error):
        return getattr(cause, "sqlite_errorcode", 0) & 0xFF in _PASSING_RESULTS
    return str(getattr(cause, "sqlstate", None) or "").startswith(_PASSING_STATES)


def _begin_immediate(connection: Any) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
