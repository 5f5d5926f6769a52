"""SQLite's side of `database`: its locks between processes, and a quicker aiosqlite."""

import asyncio
import fcntl
import os
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any
from urllib.parse import quote

import aiosqlite

from giftgql.errors import Unavailable

OF_THE_WRITER = (
    *("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"),
    *("cache_size=-65536", "wal_autocheckpoint=16000", "secure_delete=ON"),
)
"""For a million cards 64 MB of pages, and a log of as many before SQLite writes it back, since the
pages of an index come again and again. What is deleted is overwritten, so that nothing is left in
the file of whoever is erased."""


class FileLock:
    """An exclusive `flock` on a file of its own, held by a process; the kernel ends it."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def try_acquire(self) -> bool:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    async def acquire(self, seconds: float) -> None:
        clock = asyncio.get_running_loop().time
        deadline, pause = clock() + seconds, 0.001
        while not self.try_acquire():
            if clock() > deadline:
                raise Unavailable("The database is busy.")
            await asyncio.sleep(pause)
            pause = min(pause * 2, 0.02)

    def release(self) -> None:
        fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        os.close(self._file)


def is_open(file: Path) -> bool:
    """Whether another process has a database open: as long as it has, SQLite shares a lock on
    these bytes, between transactions too. Not to be asked where this process has it open."""
    with file.open("rb+") as opened:
        try:
            fcntl.lockf(opened, fcntl.LOCK_EX | fcntl.LOCK_NB, *_SHARED_BYTES)
        except (BlockingIOError, PermissionError):  # either, as POSIX has it
            return True
    return False


_SHARED_BYTES = (510, 0x4000_0002)
"""How many, and where: the file format of SQLite says so."""


def _open_sqlite(file: Path, pragmas: tuple[str, ...]) -> sqlite3.Connection:
    uri = f"file:{quote(str(file.absolute()))}"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
    for pragma in ("trusted_schema=OFF", "cell_size_check=ON", *pragmas):
        connection.execute(f"PRAGMA {pragma}")
    return connection


class OneHopConnection(aiosqlite.Connection):
    """aiosqlite, with one visit to its thread for a whole statement instead of four."""

    _only_reads = False
    took: Callable[[str, float], None] | None = None
    """Told how long the statements take that go past SQLAlchemy."""

    @classmethod
    async def open(cls, file: Path, pragmas: tuple[str, ...]) -> "OneHopConnection":
        connection = cls(lambda: _open_sqlite(file, pragmas), iter_chunk_size=64)
        connection._only_reads = "query_only=ON" in pragmas
        connection._thread.daemon = True
        await connection
        return connection

    async def rollback(self) -> None:
        """End the transaction. A reader never begins one, so it need not visit its thread."""
        if not self._only_reads:
            await super().rollback()

    async def visit(self, work: Callable[..., None], *arguments: Any) -> None:
        """Do something in the connection's thread."""
        await self._execute(work, *arguments)  # type: ignore[no-untyped-call]

    async def run(self, sql: str, given: Any) -> list[tuple[Any, ...]]:
        """The rows a statement finds."""
        cursor, started = OneHopCursor(self), perf_counter()
        await cursor.execute(sql, given)
        if self.took is not None:
            self.took(sql, perf_counter() - started)
        return await cursor.fetchall()

    async def run_all(self, statements: Sequence[tuple[str, Sequence[Any]]]) -> list[int]:
        """Run each statement for many rows, all in one visit; how many rows each has changed."""
        counts, started = list[int](), perf_counter()

        def work() -> None:
            for sql, rows in statements:
                counts.append(self._conn.executemany(sql, rows).rowcount)

        await self.visit(work)
        if self.took is not None and statements:
            self.took(statements[0][0], perf_counter() - started)
        return counts

    def cursor(self, *_: object) -> "OneHopCursor":  # type: ignore[override]
        return OneHopCursor(self)


class OneHopCursor:
    """What SQLAlchemy asks of a cursor: `execute` has fetched all rows when it returns."""

    def __init__(self, connection: OneHopConnection) -> None:
        self._connection = connection
        self._rows: list[Any] = []
        self.description: Any = None
        self.lastrowid: int | None = None
        self.rowcount = -1

    async def __aenter__(self) -> "OneHopCursor":
        return self

    async def execute(self, sql: str, parameters: Any = ()) -> None:
        await self._connection.visit(self._run, "execute", sql, parameters)

    async def executemany(self, sql: str, parameters: Any) -> None:
        await self._connection.visit(self._run, "executemany", sql, parameters)

    def _run(self, verb: str, sql: str, parameters: Any) -> None:
        cursor = self._connection._conn.cursor()
        try:
            getattr(cursor, verb)(sql, parameters)
            self.description = cursor.description
            self.lastrowid = cursor.lastrowid
            self.rowcount = cursor.rowcount
            self._rows = cursor.fetchall() if cursor.description else []
        finally:
            cursor.close()

    async def fetchall(self) -> list[Any]:
        rows, self._rows = self._rows, []
        return rows

    async def close(self) -> None:
        self._rows = []


class SteppingConnection(OneHopConnection):
    """One whose rows are fetched as they are asked for, however many there are."""

    cursor = aiosqlite.Connection.cursor  # type: ignore[assignment]
