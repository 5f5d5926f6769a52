"""Copies of the database, and the way back. A copy never holds the keys.

SQLite is copied while servers run, in one state, without what was deleted; the copy is looked
through, and its books are checked, before it has its name. PostgreSQL is dumped and restored by its
own programs. Whatever comes back begins a new epoch: of what came after the backup, systems that
keep a copy know more than the database, so that all of them begin anew.
"""

import asyncio
import os
import secrets
import shutil
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from giftgql.audit import service as audit
from giftgql.audit.models import Event
from giftgql.database import Database
from giftgql.installation import service as installation
from giftgql.permissions import THE_OPERATOR
from giftgql.reports import service as reports
from giftgql.settings import Settings
from giftgql.sqlite import FileLock, is_open
from giftgql.startup import Form, form_of, open_store, without_keys
from giftgql.store import Store
from giftgql.vault import KeyringError

A_DAY = 86_400
"""Seconds that the check of a copy's books may take."""

_IN_USE = "A server or a command uses {}. Stop it first."


class BackupError(Exception):
    """There is no backup, or nothing was restored. The sentence says why and what to do."""


@dataclass(frozen=True)
class Copied:
    """What was found in a copy. `wrong` are rows that break a rule of the books; None where they
    could not be checked: a dump is no database, and another version's books are its own."""

    bytes: int
    movements: int | None = None
    wrong: int | None = None


async def back_up(settings: Settings, target: Path) -> Copied:
    """Copy the database into a new file that only its owner may read. Raises BackupError."""
    with _draft_of(target) as draft:
        if settings.sqlite_file is None:
            await _run("pg_dump", settings, "--format=custom", f"--file={draft}")
            await _run("pg_restore", None, "--list", f"{draft}")
            copied = Copied(_size(draft))
        else:
            await _vacuum_into(settings, draft)
            copied = await _checked(settings, draft)
        _name(draft, target)
    return copied


async def restore(settings: Settings, source: Path, *, replacing: bool = False) -> Copied:
    """Make a backup the database. Nothing is lost: with `replacing` a SQLite database that is
    there is kept beside, under another name; without, and on PostgreSQL always, it is refused.

    Raises BackupError, and what opening a database raises: KeyringError for other keys.
    """
    _expect(source)
    if settings.sqlite_file is None:
        return await _restore_dump(settings, source)
    file = settings.sqlite_file
    with _stopped(file):
        if file.exists() and file.samefile(source):
            raise BackupError(f"{file} is the database already. Run 'giftgql restored'.")
        if file.exists() and not replacing:
            raise BackupError(
                f"There is a database at {file}. With --replace it is kept beside, under another "
                "name."
            )
        if file.exists() and is_open(file):
            raise BackupError(_IN_USE.format(file))
        with _draft_of(file, may_be_there=True) as draft:
            _copy(source, draft)
            _look_through(draft)
            copied = await begin_anew(_of_file(settings, draft))
            _put_in_place(draft, file)
    return copied


async def begin_anew(settings: Settings) -> Copied:
    """Begin a new epoch in a database that was restored, and check its books."""
    store = await open_store(settings)
    try:
        async with store.write(THE_OPERATOR) as tx:
            await installation.begin_epoch(tx)
            await audit.record(tx, Event.DATABASE_RESTORED, "database")
        movements, wrong = await _books(store)
    finally:
        await store.close()
    return Copied(_size(settings.sqlite_file), movements, wrong)


# SQLite


async def _vacuum_into(settings: Settings, draft: Path) -> None:
    assert settings.sqlite_file is not None
    _expect(settings.sqlite_file)
    async with _opened(settings) as database, database.reading() as session:
        connection = await session.connection()
        await connection.exec_driver_sql("PRAGMA query_only=OFF")  # it writes the copy alone
        await connection.exec_driver_sql("VACUUM INTO ?", (str(draft),))


async def _checked(settings: Settings, copy: Path) -> Copied:
    """Look through a copy, and check its books where they are of this version."""
    _look_through(copy)
    size, of_copy = _size(copy), _of_file(settings, copy)
    async with _opened(of_copy) as database:
        async with database.reading() as session:
            form = await form_of(session)
        if form is Form.OLDER:
            return Copied(size)
        return Copied(size, *await _books(Store(database, without_keys(), of_copy)))


def _copy(source: Path, draft: Path) -> None:
    """Copy a file with the log that belongs to it, if it was a database in use that was copied."""
    shutil.copyfile(source, draft)
    if (log := _beside(source, "-wal")).exists():
        shutil.copyfile(log, _beside(draft, "-wal"))


def _look_through(file: Path) -> None:
    connection = _open(file)
    try:
        said = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
        strays = connection.execute("PRAGMA foreign_key_check").fetchone()
    except sqlite3.DatabaseError as error:
        raise BackupError(f"{file} is no sound SQLite database: {error}.") from None
    finally:
        connection.close()
    if said != "ok" or strays is not None:
        raise BackupError(f"{file} is damaged: {said if strays is None else 'rows are missing'}.")


async def _books(store: Store) -> tuple[int, int]:
    """How many movements there are, and how many rows are wrong."""
    async with store.snapshot() as reading:
        findings = await reports.check(reading)
        wrong = len(findings) + sum(each.more for each in findings)
        return await reading.reports.count_movements(), wrong


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Database]:
    """The database as it is: nothing is migrated."""
    database = Database.of(settings)
    try:
        yield database
    finally:
        await database.close()


def _of_file(settings: Settings, file: Path) -> Settings:
    """The same settings over another file, with time for all its books."""
    changed = {
        "database_url": f"sqlite:///{file.absolute()}",
        "keys_file": settings.keyring_file,
        "report_seconds": A_DAY,
    }
    return Settings(**{**settings.model_dump(), **changed}, _env_file=None)


@contextmanager
def _stopped(file: Path) -> Iterator[None]:
    """Hold the locks of a server and of whoever writes, so that there is none."""
    file.parent.mkdir(parents=True, exist_ok=True)
    locks = [FileLock(_beside(file, end)) for end in (".server", ".write")]
    try:
        if not all(lock.try_acquire() for lock in locks):
            raise BackupError(_IN_USE.format(file))
        yield
    finally:
        for lock in locks:
            lock.close()


def _put_in_place(draft: Path, file: Path) -> None:
    """Make a draft the database; one that is there gets another name, with what belongs to it."""
    if (log := _beside(draft, "-wal")).exists() and _size(log):
        raise BackupError(f"{log} was not written back. Try again.")
    _to_disk(draft)
    kept = _beside(file, f".replaced-{datetime.now(UTC):%Y%m%dT%H%M%SZ}")
    if file.exists():
        _write_log_back(file)
        os.link(file, kept)  # at no moment is there none, for which a start would make an empty one
    if (log := _beside(file, "-wal")).exists():  # SQLite would write it into the draft
        log.rename(_beside(kept, "-wal"))
    _beside(file, "-shm").unlink(missing_ok=True)
    draft.replace(file)
    _to_disk(file.parent)


def _write_log_back(file: Path) -> None:
    """Have SQLite write the log of a database into it, which then needs none under any name. Where
    that fails, as it does with one that is damaged, the log stays beside it."""
    with suppress(sqlite3.DatabaseError), closing(_open(file)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _open(file: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{file.absolute().as_uri()}?mode=rw", uri=True)


@contextmanager
def _draft_of(target: Path, *, may_be_there: bool = False) -> Iterator[Path]:
    """A new file next to the target, for its owner alone, gone after the block with what SQLite
    has put beside it."""
    if target.exists() and not may_be_there:
        raise BackupError(f"{target} is there already; it is left as it is.")
    draft = _beside(target, f".draft-{secrets.token_hex(4)}")
    os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    try:
        yield draft
    finally:
        for end in ("", "-wal", "-shm", "-journal", ".write", ".server"):
            _beside(draft, end).unlink(missing_ok=True)


def _name(draft: Path, target: Path) -> None:
    """Give a draft its name once all of it is on the disk; a file of that name stays."""
    _to_disk(draft)
    try:
        try:
            os.link(draft, target)
        except PermissionError:  # a file system without links: of a memory stick, of a network
            os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            draft.replace(target)
    except FileExistsError:
        raise BackupError(f"{target} is there already; it is left as it is.") from None
    _to_disk(target.parent)


def _to_disk(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _expect(file: Path) -> None:
    if not file.is_file():
        raise BackupError(f"There is no file {file}.")


def _size(file: Path | None) -> int:
    return file.stat().st_size if file else 0


def _beside(file: Path, end: str) -> Path:
    return file.with_name(file.name + end)


# PostgreSQL


async def _restore_dump(settings: Settings, source: Path) -> Copied:
    async with _opened(settings) as database, database.reading() as session:
        tables = await session.connection()
        found = await tables.exec_driver_sql(
            "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        )
        if found.scalar_one():
            raise BackupError(
                "The database is not empty. Make a new one (createdb), and set "
                "GIFTGQL_DATABASE_URL to it."
            )
    how = ("--single-transaction", "--exit-on-error", "--no-owner")
    await _run("pg_restore", settings, *how, f"{source}")
    patient = Settings(**{**settings.model_dump(), "report_seconds": A_DAY}, _env_file=None)
    try:
        return await begin_anew(patient)
    except KeyringError as error:
        raise BackupError(
            f"{error} Its rows are restored: then run 'giftgql restored', before any server."
        ) from error


async def _run(program: str, settings: Settings | None, *arguments: str) -> None:
    """Run a program of PostgreSQL's on the database, its password not among its arguments."""
    if settings is not None and settings.database_pooler:  # it would leave its settings behind
        raise BackupError(
            "This does not go by way of pgbouncer. Run it with a GIFTGQL_DATABASE_URL that names "
            "PostgreSQL itself, and GIFTGQL_DATABASE_POOLER=false."
        )
    if shutil.which(program) is None:
        raise BackupError(
            f"There is no {program} on the PATH. Install PostgreSQL's client programs."
        )
    environment, given = dict(os.environ), list(arguments)
    if settings is not None:
        address, password = _without_password(settings)
        if password:
            environment["PGPASSWORD"] = password
        given = ["--no-password", f"--dbname={address}", *arguments]
    process = await asyncio.create_subprocess_exec(
        *(program, *given),
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    if process.returncode:
        first = said.decode(errors="replace").strip().partition("\n")[0]
        raise BackupError(f"{program} failed: {first}")


def _without_password(settings: Settings) -> tuple[str, str]:
    """The address for libpq, which asks for the host that takes writes as we do; the password."""
    parts = urlsplit(settings.database_url)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    in_query = options.pop("password", "")
    login, at, where = parts.netloc.rpartition("@")
    netloc = f"{login.partition(':')[0]}{at}{where}"
    if settings.postgres.is_to_be_writable:
        options["target_session_attrs"] = "read-write"
    address = parts._replace(netloc=netloc, query=urlencode(options, quote_via=quote))
    return address.geturl(), unquote(parts.password or "") or in_query
