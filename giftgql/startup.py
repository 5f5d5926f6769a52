"""From settings to an open store: the database migrated, the keys there and the right ones.

All of it happens under the migration lock, in one transaction: of two processes that start at
once the second finds the work done.
"""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from enum import StrEnum

import structlog
from sqlalchemy import Connection
from sqlmodel.ext.asyncio.session import AsyncSession

from giftgql import migrations
from giftgql.audit import service as audit
from giftgql.audit.models import Event
from giftgql.database import Database
from giftgql.installation import service as installation
from giftgql.jobs import service as jobs
from giftgql.ledger.coalesce import Coalescer
from giftgql.permissions import THE_OPERATOR, THE_SERVER, Caller
from giftgql.postgres import PoolerUnsaid
from giftgql.settings import Settings
from giftgql.statements import Slow
from giftgql.store import Store, Transaction
from giftgql.vault import Keyring, KeyringError, Vault

log = structlog.get_logger("giftgql.startup")

RESEAL = "reseal"
"""The kind of the job that seals all codes with the primary key."""


class DatabaseTooNew(Exception):
    """A newer giftgql has changed the database so that this one cannot work with it. The sentence
    says what to do."""


class Form(StrEnum):
    """How the form of the database compares with the one this version makes."""

    OLDER = "older"
    SAME = "same"
    NEWER = "newer"
    """A newer version has added to it what this one makes no use of."""


class DatabaseUnusable(Exception):
    """The database refuses us, or is none. The sentence says why and where to look."""


async def open_store(settings: Settings, *, serving: bool = False) -> Store:
    """Open the database, bringing it up to date first. A server also claims its place.

    Raises KeyringError, DatabaseTooNew, DatabaseUnusable or AnotherServer; each says what to do.
    """
    database = Database.of(settings)
    Slow(settings.slow_ms).watch(database.reader, database.writer)
    try:
        if serving:
            database.claim_server()
        async with database.migrating() as session:
            before = await _migrate(session, settings)
            vault = await _adopt_keys(database, session, settings)
    except BaseException as error:
        await database.close()
        if reason := why_unusable(error):
            raise DatabaseUnusable(reason) from error
        raise
    if before is Form.OLDER:
        log.info("database migrated", now=migrations.newest())
    store = Store(database, vault, settings)
    store.poster = Coalescer(store)
    return store


@asynccontextmanager
async def alone(store: Store, caller: Caller = THE_SERVER) -> AsyncIterator[Transaction]:
    """A transaction for what must not be done twice: one at a time, over all processes."""
    async with store.database.migrating() as session:
        yield _transaction(store, session, caller)


async def rotate_keys(store: Store) -> None:
    """Make a new primary key, with which a job will seal all codes.

    Two rotations at once come one after the other: neither key file is lost. Raises KeyringError
    where this machine's key file is behind the database.
    """
    path = store.settings.keyring_file
    async with alone(store, THE_OPERATOR) as tx:
        ring = Keyring.read(path)
        await installation.adopt(tx, Vault(ring))
        ring.rotated().write(path, replacing=True)
        store.vault = Vault.open(path)
        await installation.adopt(tx, store.vault)
        await tx.read_clock()
        await jobs.add(tx, RESEAL)
        await audit.record(tx, Event.KEY_ROTATED, "keys", key=store.vault.ring.primary)


async def form_of(session: AsyncSession) -> Form:
    """The form of the database, an empty one being older. Raises DatabaseTooNew."""
    connection = await session.connection()
    return _form(await connection.run_sync(migrations.current))


_TELLING_RESULTS = frozenset(
    {
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_READONLY,
    }
)
_TELLING_STATES = ("28", "3D", "42501", "42704")
"""PostgreSQL's: no such user, no such database, not permitted, no such option of the URL."""


def why_unusable(error: BaseException) -> str | None:
    """The sentence for a failure that the one who runs the server can mend; None for a bug."""
    cause = getattr(error, "orig", None) or error
    if isinstance(cause, PoolerUnsaid):
        return str(cause)
    if isinstance(cause, sqlite3.Error):
        is_telling = getattr(cause, "sqlite_errorcode", 0) & 0xFF in _TELLING_RESULTS
    else:
        is_telling = str(getattr(cause, "sqlstate", None) or "").startswith(_TELLING_STATES)
    if not is_telling:
        return None
    said = str(cause).splitlines()[0]
    return f"The database cannot be used: {said}. Check GIFTGQL_DATABASE_URL and its rights."


async def _migrate(session: AsyncSession, settings: Settings) -> Form:
    """Bring the database up to date; returns how its form was before."""
    before = await form_of(session)
    if before is Form.OLDER:

        def bring_up_to_date(connection: Connection) -> None:
            migrations.upgrade(connection, settings.zone)

        await (await session.connection()).run_sync(bring_up_to_date)
    return before


def _form(found: str | None) -> Form:
    if found == migrations.newest():
        return Form.SAME
    if found is None or found in migrations.known():
        return Form.OLDER
    if migrations.has_only_added(found):
        return Form.NEWER
    raise DatabaseTooNew(
        "The database was used by a newer giftgql. Start that version, or a newer one."
    )


def without_keys() -> Vault:
    """A vault for what needs none: nothing can be sealed or opened with it."""
    return Vault(Keyring(0, 0, {}))


def _transaction(store: Store, session: AsyncSession, caller: Caller = THE_SERVER) -> Transaction:
    return Transaction(store, caller, datetime.now(UTC), session)


async def _adopt_keys(database: Database, session: AsyncSession, settings: Settings) -> Vault:
    path = settings.keyring_file
    tx = _transaction(Store(database, without_keys(), settings), session)
    if not path.exists() and not await installation.has_keys(tx):
        if settings.production:
            raise KeyringError(
                f"There is no key file at {path}. In production it is not made up: run "
                "'giftgql keys new' once, and keep a copy apart from the database's backups."
            )
        with suppress(FileExistsError):  # another process has just made them
            Keyring.new().write(path)
        log.warning("new keys were made; keep a copy apart from the database", file=str(path))
    vault = Vault.open(path)
    await installation.adopt(tx, vault)
    return vault
