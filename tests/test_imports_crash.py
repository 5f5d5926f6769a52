"""Imports whose process is killed, and imports that several processes are at."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL

import httpx
import pytest
from sqlalchemy import text

from giftgql.imports.models import ImportChunk, ImportFailure, ImportFile
from giftgql.imports.models import ImportStatus as Status
from giftgql.settings import Settings
from giftgql.startup import open_store
from giftgql.store import Store
from tests import importing, servers
from tests.importing import are_clean
from tests.tables import Tables

ROWS, BAD, DOUBLE = 8_000, 400, 100
GOOD = ROWS - BAD - DOUBLE
WORTH = 700
"""Minor units of each good card, half of which come with their funds."""


def rows() -> Iterator[str]:
    """Rows of which every 20th is bad and every 80th one more is there before."""
    yield "Number,PoolSystemName,Balance,Status,Cvv"
    for row in range(ROWS):
        number = row - 3 if row % 80 == 4 else row
        worth = "x" if row % 20 == 7 else "7.00"
        status = "CanBeUsed" if number % 2 else "Inactive"
        yield f"KILL{number:06},kill,{worth},{status},{number % 1000:03}"


@dataclass
class Place:
    """A database with a pool, a file for it, and processes that import it."""

    settings: Settings
    file: Path
    environment: dict[str, str]

    def serving(self) -> AbstractContextManager[servers.Server]:
        return servers.serving(self.environment, program="tests.hasty")

    def command(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.hasty", "import", "cards", str(self.file)],
            env=self.environment,
            cwd=self.settings.data_dir,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def send(self, server: servers.Server) -> int:
        answer = httpx.post(
            f"{server.url}/imports/cards",
            content=self.file.read_bytes(),
            headers={
                "Authorization": f"Bearer {server.development_key}",
                "Content-Type": "text/csv",
            },
        )
        return int(answer.json()["id"])

    @asynccontextmanager
    async def tables(self) -> AsyncIterator[tuple[Store, Tables]]:
        store = await open_store(self.settings)
        try:
            yield store, Tables(store)
        finally:
            await store.close()

    async def imports(self, tables: Tables) -> list[ImportFile]:
        found = await tables.all(ImportFile.__table__.select())  # type: ignore[attr-defined]
        cards = [each for each in found if each.kind.value == "CARDS"]
        return sorted(cards, key=lambda each: int(each.id))

    async def until(
        self, tables: Tables, reached: Callable[[list[ImportFile]], bool]
    ) -> ImportFile:
        """The first import of cards once it is so."""
        async with asyncio.timeout(60):
            while True:
                found = await self.imports(tables)
                if found and reached(found):
                    return found[0]
                await asyncio.sleep(0.05)

    async def is_whole(self, store: Store, tables: Tables) -> None:
        """All is as it would be without kills."""
        async with store.database.reading() as session:

            async def count(query: str) -> int:
                return int((await session.exec(text(query))).scalar() or 0)  # type: ignore[call-overload]

            assert await count("SELECT count(*) FROM gift_card") == GOOD
            assert await count("SELECT count(*) FROM code") == GOOD
            assert await count("SELECT cards FROM pool") == GOOD
            numbers = [row for row in range(ROWS) if row % 20 != 7 and row % 80 != 4]
            used = sum(number % 2 for number in numbers)
            assert await count("SELECT count(*) FROM movement") == used
            assert await count("SELECT sum(posted) FROM account") == used * WORTH
            assert await count("SELECT sum(amount) FROM posting") == used * WORTH
        failures = await tables.all(ImportFailure.__table__.select())  # type: ignore[attr-defined]
        first = failures[0].import_id
        lines = [each.line for each in failures if each.import_id == first]
        assert sorted(lines) == [row + 2 for row in range(ROWS) if row % 20 == 7]
        assert await tables.all(ImportChunk.__table__.select()) == []  # type: ignore[attr-defined]
        await are_clean(store)


def counts(file: ImportFile) -> tuple[str, int, int, int, int]:
    return file.status.value, file.done, file.imported, file.unchanged, file.failed


def all_are_there(found: list[ImportFile], many: int) -> bool:
    """Whether the one import and all others that gave way to it are there."""
    return len(found) == many and all(file.error for file in found[1:])


WHOLE = ("DONE", ROWS, GOOD, DOUBLE, BAD)


@pytest.fixture
async def place(settings: Settings, tmp_path: Path) -> Place:
    store = await open_store(settings)
    await importing.pools(store, "Kill,kill,EUR,,true,true,NONE")
    await store.close()
    file = tmp_path / "cards.csv"
    file.write_text("\n".join(rows()))
    root = str(Path(__file__).parent.parent)
    more = {"PAUSE": "0.15", "HOLD": str(tmp_path / "hold"), "PYTHONPATH": root}
    environment = servers.environment(settings.data_dir, settings.database_url, **more)
    return Place(settings, file, environment)


async def test_an_import_that_is_killed_and_done_by_many_ends_as_if_it_were_not(
    place: Place, tmp_path: Path
) -> None:
    """A server that is at it is killed, then a command; then a server, on PostgreSQL two, and the
    command once more are at it at once, and all of them are sent the same file."""
    with place.serving() as server:
        import_id = place.send(server)
        async with place.tables() as (_, tables):
            left = await place.until(tables, lambda found: found[0].done >= 700)
        server.stop(SIGKILL)
    killed = place.command()
    async with place.tables() as (_, tables):
        more = left.done + 1_000
        left = await place.until(tables, lambda found: found[0].done >= more)
        killed.kill()
        killed.communicate()
    assert left.status is Status.IN_PROGRESS
    (tmp_path / "hold").touch()
    with ExitStack() as stack:
        many = 2 if place.settings.database_url else 1
        running = [stack.enter_context(place.serving()) for _ in range(many)]
        ids = await asyncio.gather(*(asyncio.to_thread(place.send, each) for each in running))
        assert set(ids) == {import_id}
        command = place.command()
        async with place.tables() as (_, tables):
            await place.until(tables, lambda found: all_are_there(found, 3 + many))
        (tmp_path / "hold").unlink()
        out, _ = await asyncio.to_thread(command.communicate)
        assert out.startswith(f"{GOOD:,} imported, {DOUBLE} unchanged, {BAD} failed."), out
        for server in running:
            server.stop()
            assert not [line for line in server.lines if "job failed" in line]
    async with place.tables() as (store, tables):
        first, *others = await place.imports(tables)
        assert (first.id, *counts(first)) == (import_id, *WHOLE)
        assert {each.error for each in others} == {"The same file is being imported already."}
        await place.is_whole(store, tables)
