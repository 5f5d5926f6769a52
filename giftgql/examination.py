"""What `giftgql doctor` looks at in the database and its keys. It changes nothing."""

import os
import sqlite3
import stat
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import time
from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

from giftgql import condition
from giftgql.database import Database
from giftgql.errors import Refusal
from giftgql.findings import Finding, ok, warning, wrong
from giftgql.installation.repository import InstallationRepository
from giftgql.jobs import service as jobs
from giftgql.settings import Settings
from giftgql.startup import DatabaseTooNew, Form, form_of, why_unusable, without_keys
from giftgql.store import Store
from giftgql.vault import KeyringError, Vault

SAFE_SQLITE = (3, 51, 3)
"""Before it a log can be damaged by two connections that write back at once."""

KEYS_AGE = timedelta(days=400)
"""A key is to seal less than 2^32 codes: it is replaced every year."""

LATE = timedelta(minutes=10)
CLOCKS_APART = timedelta(seconds=2)
DIED_LATELY = timedelta(days=7)
LARGEST_LOG = 2**30
"""Bytes of SQLite's log, which is written back as long as no reader lasts for hours."""

MOST_AGE = 1_500_000_000
"""Transactions that PostgreSQL has not frozen: at 2,000,000,000 it takes no more."""


async def of_database(settings: Settings) -> AsyncIterator[Finding]:
    file = settings.sqlite_file
    if file is not None and not file.exists():
        yield ok("database", f"{file} is not there yet; the server makes it.")
        yield _key_file(settings)
        return
    database = Database.of(settings)
    try:
        async with database.reading() as session:
            await session.connection()
            yield ok("database", f"{file or 'PostgreSQL'} can be reached.")
            async for finding in _of_kind(settings, database, session):
                yield finding
            form = await form_of(session)
            if form is Form.OLDER:
                says = "the database is empty or in an older form."
                yield wrong("migrations", says, "Run 'giftgql migrate'.")
                yield _key_file(settings)
                return
            yield _migrations(form)
            yield await _keys(settings, InstallationRepository(session))
        async for finding in _work(Store(database, without_keys(), settings)):
            yield finding
    except DatabaseTooNew as error:
        yield wrong("migrations", str(error))
    except Refusal as refusal:
        yield wrong("database", f"{refusal}", "Check GIFTGQL_DATABASE_URL, and that it is running.")
    except Exception as error:
        reason = why_unusable(error) or f"It cannot be used: {type(error).__name__}."
        yield wrong("database", reason)
    finally:
        await database.close()


def _migrations(form: Form) -> Finding:
    if form is Form.NEWER:
        says = "a newer giftgql has added to the database; this one goes on over it."
        return warning("migrations", says, "Finish the upgrade on this machine.")
    return ok("migrations", "the database is up to date.")


# Keys


async def _keys(settings: Settings, installation: InstallationRepository) -> Finding:
    checks = await installation.key_checks()
    found = _key_file(settings, is_needed=bool(checks))
    if not found.is_well or not checks:
        return found
    path = settings.keyring_file
    vault = Vault.open(path)
    for check in checks:
        if check.key_id not in vault.ring.keys or vault.canary(check.key_id) != check.canary:
            return wrong("keys", f"{path} is not this database's.", "Put back the one that is.")
    if found.do:
        return found
    return ok("keys", f"{path} fits the database.")


def _key_file(settings: Settings, *, is_needed: bool = False) -> Finding:
    path = settings.keyring_file
    if not path.exists() and not is_needed:
        if settings.production:
            return wrong("keys", f"there is no {path}.", "Run 'giftgql keys new'.")
        return ok("keys", f"{path} is not there yet; the server makes it.")
    try:
        Vault.open(path)
    except KeyringError as error:
        return wrong("keys", str(error))
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        return wrong("keys", f"{path} can be read by others.", f"Run 'chmod 600 {path}'.")
    age = timedelta(seconds=time() - path.stat().st_mtime)
    if age > KEYS_AGE:
        says = f"{path} was last changed {age.days} days ago."
        return warning("keys", says, "Run 'giftgql keys rotate', and keep a copy.")
    return ok("keys", f"{path} can be read.")


# What goes on


async def _work(store: Store) -> AsyncIterator[Finding]:
    found = await condition.look(store)
    late = [each for each in found.jobs if each.overdue > LATE]
    if late:
        names = ", ".join(sorted({each.kind for each in late}))
        says = f"late by more than {LATE.seconds // 60} minutes: {names}."
        yield warning("jobs", says, "Start a server with GIFTGQL_WORKS, or a worker; see its log.")
    else:
        yield ok("jobs", f"{sum(each.jobs for each in found.jobs):,} are open, none is late.")
    async with store.read() as reading:
        dead = await jobs.died(reading, reading.now - DIED_LATELY)
    if dead:
        names = ", ".join(f"{many:,} {kind}" for kind, many in dead)
        says = f"given up within {DIED_LATELY.days} days: {names}."
        yield warning("jobs", says, "The log says why (job failed).")
    if found.failing_webhooks:
        says = f"{found.failing_webhooks:,} endpoints do not take what they are told."
        yield warning("webhooks", says, "See them in the back office; tell who runs them.")
    dead_messages = {each.channel: each.messages for each in found.messages if each.state == "DEAD"}
    if dead_messages:
        names = ", ".join(f"{many:,} {channel}" for channel, many in dead_messages.items())
        says = f"messages that were given up: {names}."
        yield warning("outbox", says, "Send them again from the back office, corrected.")
    else:
        yield ok("outbox", "no message was given up.")


# SQLite and PostgreSQL


async def _of_kind(
    settings: Settings, database: Database, session: AsyncSession
) -> AsyncIterator[Finding]:
    if settings.sqlite_file is not None:
        connection = await session.connection()
        mode = (await connection.exec_driver_sql("PRAGMA journal_mode")).scalar_one()
        for finding in _sqlite(settings, mode):
            yield finding
        return
    apart = abs((await database.clock(session))[0] - datetime.now(UTC))
    if apart > CLOCKS_APART:
        says = f"the database's and this machine's are {apart.total_seconds():.0f} s apart."
        yield warning("clock", says, "Set both by NTP.")
    connection = await session.connection()
    row = (await connection.exec_driver_sql(_POSTGRES)).mappings().one()
    found = list(_postgres(settings, row))
    if not found:
        yield ok("PostgreSQL", f"{row['version']}, and safe settings.")
    for finding in found:
        yield finding


def _sqlite(settings: Settings, mode: str) -> Iterator[Finding]:
    file, version = settings.sqlite_file, sqlite3.sqlite_version
    assert file is not None
    if sqlite3.sqlite_version_info < SAFE_SQLITE:
        says = f"{version}; from 3.51.3 on it is safe even without giftgql's lock."
        yield warning("SQLite", says, "Let no other program write to the file.")
    else:
        yield ok("SQLite", f"{version}.")
    if file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        says = f"{file} can be read by others."
        yield warning("database", says, f"Run 'chmod 600 {file}'.")
    if mode != "wal":
        says = f"its journal is {mode}, not a log: readers and writers wait for one another."
        yield warning("database", says, "Start the server, which changes that.")
    if (kind := _file_system(file)).startswith(_OF_A_NETWORK):
        says = f"{file} is on {kind}: locks between machines may not hold."
        yield wrong("database", says, "Move it to a local disk, or use PostgreSQL.")
    log = file.with_name(file.name + "-wal")
    if log.exists() and log.stat().st_size > LARGEST_LOG:
        says = f"{log} has {log.stat().st_size / 2**30:,.1f} GiB."
        yield warning("database", says, "End what has been reading for hours.")


_OF_A_NETWORK = ("nfs", "cifs", "smb", "9p", "ceph", "glusterfs", "fuse.sshfs")


def _file_system(file: Path) -> str:
    """The kind of file system a file is on, as Linux has it; "" where that cannot be told."""
    try:
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
    except OSError:
        return ""
    device = file.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    kinds = {line.split()[2]: line.partition(" - ")[2].split()[0] for line in lines}
    return kinds.get(number, "")


_POSTGRES = """SELECT
    current_setting('server_version') AS version,
    current_setting('synchronous_commit') AS synchronous_commit,
    current_setting('fsync') AS fsync,
    current_setting('full_page_writes') AS full_page_writes,
    current_setting('log_statement') <> 'none'
        OR current_setting('log_min_duration_statement') <> '-1' AS logs_statements,
    current_setting('log_parameter_max_length') AS logged_bytes,
    pg_is_in_recovery() AS is_standby,
    (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS is_superuser,
    coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false) AS is_encrypted,
    inet_server_addr() IS NULL OR inet_server_addr() << '127.0.0.0/8'
        OR inet_server_addr() = '::1' AS is_local,
    current_setting('max_connections')::int
        - current_setting('superuser_reserved_connections')::int AS connections,
    (SELECT max(age(datfrozenxid)) FROM pg_database) AS age,
    (SELECT string_agg(sequencename, ', ') FROM pg_sequences
        WHERE last_value > max_value / 2) AS sequences"""


def _postgres(settings: Settings, row: Any) -> Iterator[Finding]:
    what = "PostgreSQL"
    if row["is_standby"]:
        yield wrong(what, "this is a standby, which takes no changes.", "Name the primary.")
    unsafe = [
        name for name in ("fsync", "synchronous_commit", "full_page_writes") if row[name] == "off"
    ]
    if unsafe:
        says = f"{', '.join(unsafe)} off: money that was acknowledged is lost in a crash."
        tell = wrong if settings.production else warning
        yield tell(what, says, "Switch on what is off in postgresql.conf, or for the role.")
    if row["logs_statements"] and row["logged_bytes"] != "0":
        says = "it logs statements with their values."
        yield warning(what, says, "Set log_parameter_max_length = 0.")
    if row["is_superuser"] and settings.production:
        says = "giftgql is a superuser there, whom no trigger and no right holds back."
        yield warning(what, says, "Use a role that owns this database alone.")
    if not (row["is_encrypted"] or row["is_local"]):
        says = "the connection is not encrypted."
        yield warning(what, says, "Add sslmode=verify-full to GIFTGQL_DATABASE_URL.")
    needed = 2 * settings.database_pool
    if needed > row["connections"]:
        says = f"one process may open {needed}; there are {row['connections']} for all."
        yield warning(what, says, "Lower GIFTGQL_DATABASE_POOL, or raise max_connections.")
    if row["age"] > MOST_AGE:
        says = f"{row['age']:,} transactions are not frozen; at 2,000,000,000 it stops."
        yield wrong(what, says, "See why autovacuum does not come by; run VACUUM FREEZE.")
    if row["sequences"]:
        yield wrong(what, f"sequences are half used up: {row['sequences']}.", "Report it.")
