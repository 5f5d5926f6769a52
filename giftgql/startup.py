"""From settings to an open store: the database migrated, the keys there and the right ones.

All of it happens under the migration lock, in one transaction: of two processes that start at
once the second finds the work done.
"""

from datetime import UTC, datetime

import structlog
from sqlalchemy import Connection
from sqlmodel.ext.asyncio.session import AsyncSession

from giftgql import migrations
from giftgql.database import Database
from giftgql.installation import service as installation
from giftgql.permissions import THE_SERVER
from giftgql.settings import Settings
from giftgql.store import Store, Transaction
from giftgql.vault import Keyring, KeyringError, Vault

log = structlog.get_logger("giftgql.startup")


class DatabaseTooNew(Exception):
    """The database was migrated by a newer giftgql. The sentence says what to do."""


async def open_store(settings: Settings, *, serving: bool = False) -> Store:
    """Open the database, bringing it up to date first. A server also claims its place.

    Raises KeyringError, DatabaseTooNew or AnotherServer; each says what to do.
    """
    database = Database.of(settings)
    try:
        if serving:
            database.claim_server()
        async with database.migrating() as session:
            await _migrate(session)
            vault = await _adopt_keys(database, session, settings)
    except BaseException:
        await database.close()
        raise
    return Store(database, vault, settings)


async def pending_migration(session: AsyncSession) -> bool:
    """Whether the database is in another form than this version works with."""
    connection = await session.connection()
    return await connection.run_sync(migrations.current) != migrations.newest()


async def _migrate(session: AsyncSession) -> None:
    connection = await session.connection()

    def bring_up_to_date(sync: Connection) -> None:
        found = migrations.current(sync)
        if found is not None and found not in migrations.known():
            raise DatabaseTooNew(
                "The database was used by a newer giftgql. Start that version, or a newer one."
            )
        if found != migrations.newest():
            migrations.upgrade(sync)
            log.info("database migrated", before=found, now=migrations.newest())

    await connection.run_sync(bring_up_to_date)


async def _adopt_keys(database: Database, session: AsyncSession, settings: Settings) -> Vault:
    path = settings.keyring_file
    vault_less = Vault(Keyring(0, 0, {}))
    tx = Transaction(
        caller=THE_SERVER,
        now=datetime.now(UTC),
        settings=settings,
        vault=vault_less,
        session=session,
        store=Store(database, vault_less, settings),
        cluster=await database.cluster(session),
    )
    if not path.exists() and not await installation.has_keys(tx):
        if settings.production:
            raise KeyringError(
                f"There is no key file at {path}. In production it is not made up: run "
                "'giftgql keys new' once, and keep a copy apart from the database's backups."
            )
        Keyring.new().write(path)
        log.warning("new keys were made; keep a copy apart from the database", file=str(path))
    vault = Vault.open(path)
    await installation.adopt(tx, vault)
    return vault
