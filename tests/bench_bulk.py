"""What a million cards cost, as ratios to the bare bulk insert of the same rows in the same run.

A campaign is generated and a file imported, each by a process of its own, whose peak memory is
taken. Then the rows that came of it are written once more as they are, into the same tables of a
fresh database: by COPY on PostgreSQL, by executemany in one transaction on SQLite.
"""

import argparse
import asyncio
import csv
import json
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from giftgql import work
from giftgql.campaigns import service as campaigns
from giftgql.campaigns.code_config import CodeConfig
from giftgql.campaigns.service import NewCampaign
from giftgql.codes import CodeType
from giftgql.imports import receiving
from giftgql.imports import service as imports
from giftgql.imports.models import ImportKind
from giftgql.permissions import THE_OPERATOR
from giftgql.pools import service as pools
from giftgql.pools.service import PoolRules
from giftgql.settings import Settings
from giftgql.startup import open_store
from giftgql.store import Store
from tests import servers

TABLES = {
    "campaign": ("gift_card", "account", "code"),
    "import": ("gift_card", "account", "movement", "posting", "code"),
}
MOST_MIB = 300


@dataclass(frozen=True)
class Cost:
    """A process that made cards: its seconds at it, and its peak memory."""

    seconds: float
    mib: float


def settings_of(folder: Path, database_url: str) -> Settings:
    return Settings(data_dir=folder, database_url=database_url, _env_file=None)


# What is measured, each in a process of its own.


async def generate(store: Store, cards: int, _: Path) -> None:
    new = NewCampaign(
        name="bench",
        count=cards,
        value=10_000,
        currency="EUR",
        code_type=CodeType.DIGITAL,
        config=CodeConfig.read(length=12),
    )
    async with store.write() as tx:
        await campaigns.add(tx, new)
    await work.do_all(store)


async def import_file(store: Store, _: int, file: Path) -> None:
    rules = PoolRules("bench", "bench", "EUR", face_value=5_000, is_cvv_required=True)
    async with store.write() as tx:
        await pools.add(tx, rules)
    taken = await receiving.receive(store, THE_OPERATOR, ImportKind.CARDS, chunks(file))
    await work.do_all(store)
    async with store.read() as reading:
        assert taken.id is not None
        done = await imports.get(reading, taken.id)
    assert done.failed == 0, done.error


async def chunks(file: Path) -> AsyncIterator[bytes]:
    with file.open("rb") as source:
        while chunk := source.read(1 << 17):
            yield chunk


KINDS: dict[str, Callable[[Store, int, Path], Any]] = {
    "campaign": generate,
    "import": import_file,
}


async def child(order: dict[str, Any]) -> None:
    settings = settings_of(Path(order["folder"]), order["url"])
    store = await open_store(settings)
    began = time.perf_counter()
    await KINDS[order["kind"]](store, order["cards"], Path(order["file"]))
    seconds = time.perf_counter() - began
    await store.close()
    mib = peak_mib()
    print(json.dumps({"seconds": seconds, "mib": mib}))


def peak_mib() -> float:
    """Of this program: `ru_maxrss` would be that of who started it, if that was larger."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def measured(kind: str, cards: int, folder: Path, url: str, file: Path) -> Cost:
    order = {"kind": kind, "cards": cards, "folder": str(folder), "url": url, "file": str(file)}
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench_bulk", "--child", json.dumps(order)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-2_000:])
    return Cost(**json.loads(done.stdout.splitlines()[-1]))


def write_file(file: Path, cards: int) -> None:
    with file.open("w", newline="") as opened:
        out = csv.writer(opened)
        out.writerow(["Number", "PoolSystemName", "Cvv", "Balance", "Status"])
        for number in range(cards):
            out.writerow(
                [f"BENCH{number:010}", "bench", f"{number % 1000:03}", "50.00", "CanBeUsed"]
            )


# The bare insert of the same rows.


def bare_on_sqlite(made: Path, fresh: Path, tables: tuple[str, ...]) -> float:
    source, target = sqlite3.connect(made), sqlite3.connect(fresh, isolation_level=None)
    target.execute("PRAGMA journal_mode=WAL")
    target.execute("PRAGMA synchronous=FULL")
    target.execute("PRAGMA foreign_keys=ON")  # as the server has it
    seconds = 0.0
    target.execute("BEGIN IMMEDIATE")
    for table in tables:
        rows = source.execute(f"SELECT * FROM {table}").fetchall()
        marks = ", ".join("?" * len(rows[0]))
        began = time.perf_counter()
        target.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)
        seconds += time.perf_counter() - began
    began = time.perf_counter()
    target.execute("COMMIT")
    seconds += time.perf_counter() - began
    source.close()
    target.close()
    return seconds


async def bare_on_postgresql(made: str, fresh: str, tables: tuple[str, ...]) -> float:
    source, target = await asyncpg.connect(made), await asyncpg.connect(fresh)
    seconds = 0.0
    async with target.transaction():
        for table in tables:
            rows = [tuple(row) for row in await source.fetch(f"SELECT * FROM {table}")]
            began = time.perf_counter()
            await target.copy_records_to_table(table, records=rows)
            seconds += time.perf_counter() - began
        began = time.perf_counter()
    seconds += time.perf_counter() - began
    await source.close()
    await target.close()
    return seconds


def migrated(folder: Path, url: str, kind: str) -> None:
    """A fresh database, with what the rows of that kind refer to."""

    async def make() -> None:
        store = await open_store(settings_of(folder, url))
        async with store.write() as tx:
            if kind == "campaign":
                config = CodeConfig.read(length=12)
                await campaigns.add(tx, NewCampaign("bench", 1, 1, "EUR", CodeType.DIGITAL, config))
            else:
                await pools.add(tx, PoolRules("bench", "bench", "EUR", face_value=5_000))
        await store.close()

    asyncio.run(make())


@contextmanager
def databases(postgres: servers.PostgresServer | None) -> Iterator[tuple[str, str]]:
    """Addresses of two fresh databases: the empty ones of SQLite are in their folders."""
    yield (postgres.create(), postgres.create()) if postgres else ("", "")


def report(name: str, postgres: servers.PostgresServer | None, cards: int) -> None:
    for kind, tables in TABLES.items():
        with tempfile.TemporaryDirectory() as folder, databases(postgres) as (url, fresh_url):
            made, fresh, file = Path(folder) / "made", Path(folder) / "fresh", Path(folder) / "csv"
            if kind == "import":
                write_file(file, cards)
            cost = measured(kind, cards, made, url, file)
            migrated(fresh, fresh_url, kind)
            if postgres:
                bare = asyncio.run(bare_on_postgresql(url, fresh_url, tables))
            else:
                bare = bare_on_sqlite(made / "giftgql.db", fresh / "giftgql.db", tables)
            print(
                f"| {name} | {kind} | {cards:,} | {cards / cost.seconds:,.0f} "
                f"| {cards / bare:,.0f} | {bare / cost.seconds:.2f} | {cost.mib:,.0f} |",
                flush=True,
            )


def run(cards: int) -> None:
    print("\n| database | what | cards | a second | bare insert | share of it | peak MiB |")
    print("|---|---|---|---|---|---|---|")
    report("SQLite", None, cards)
    with servers.postgres() as postgres:
        report("PostgreSQL", postgres, cards)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cards", type=int, default=100_000, help="how many of each")
    parser.add_argument("--child", help="what a process of its own is to do")
    arguments = parser.parse_args()
    if arguments.child:
        asyncio.run(child(json.loads(arguments.child)))
    else:
        run(arguments.cards)


if __name__ == "__main__":
    main()
