"""A snapshot: one state of the database, for reports, with a time limit of its own."""

import asyncio

import pytest
from sqlalchemy import text

from giftgql import database
from giftgql.errors import Unavailable
from giftgql.reports import service
from giftgql.reports.checks import RULES
from giftgql.settings import Settings
from giftgql.startup import open_store
from giftgql.store import Store
from tests.bulk_books import fill
from tests.conftest import statements

ENDLESS = """WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i > 0)
    SELECT COUNT(*) FROM n"""


async def test_a_snapshot_sees_one_state(store: Store) -> None:
    async with store.snapshot() as reading:
        before = await reading.reports.count_movements()
        await fill(store, 2, 40)
        assert await reading.reports.count_movements() == before == 0
        assert await service.check(reading) == []
    async with store.snapshot() as reading:
        assert await reading.reports.count_movements() == 40


async def test_a_snapshot_changes_nothing(store: Store) -> None:
    async with store.snapshot() as reading:
        connection = await reading.session.connection()
        with pytest.raises(Exception, match=r"read-?only"):
            await connection.execute(text("UPDATE change_counter SET value = 0"))


async def test_a_report_that_takes_too_long_is_refused_and_stopped(store: Store) -> None:
    async def report() -> None:
        async with store.database.snapshot(0.2) as session:
            connection = await session.connection()
            await connection.execute(text(ENDLESS))

    with pytest.raises(Unavailable, match=r"not done within 0.2 s \(GIFTGQL_REPORT_SECONDS\)"):
        await asyncio.wait_for(report(), 5)
    assert await running(store) == 0
    async with store.snapshot() as reading:
        assert await reading.reports.count_movements() == 0


async def test_the_limit_is_on_the_whole_report_not_on_a_statement(store: Store) -> None:
    async def report() -> None:
        async with store.database.snapshot(0.3) as session:
            connection = await session.connection()
            while True:
                await connection.execute(text("SELECT 1"))
                await asyncio.sleep(0.01)

    with pytest.raises(Unavailable, match="not done within"):
        await asyncio.wait_for(report(), 5)


async def test_a_report_whose_caller_goes_away_is_stopped(store: Store) -> None:
    async def report() -> None:
        async with store.snapshot() as reading:
            connection = await reading.session.connection()
            await connection.execute(text(ENDLESS))

    task = asyncio.create_task(report())
    await asyncio.sleep(0.3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 5)
    assert await running(store) == 0


async def running(store: Store) -> int:
    """How many endless statements go on in the database; SQLite's would keep `close` waiting."""
    if store.settings.sqlite_file is not None:
        return 0
    query = "SELECT COUNT(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%FROM n'"
    async with store.read() as reading:
        for _ in range(50):
            connection = await reading.session.connection()
            found = (await connection.execute(text(query))).scalar_one()
            if not found:
                break
            await asyncio.sleep(0.05)
    return int(found)


async def test_reports_leave_readers_to_the_tills(settings: Settings) -> None:
    store = await open_store(settings.model_copy(update={"lock_seconds": 1}))
    async with store.snapshot(), store.snapshot():
        with statements(store) as seen:
            async with store.read() as reading:
                assert await reading.cards.get(1) is None
        assert seen
        with pytest.raises(Unavailable, match="Other reports or exports are running"):
            await asyncio.wait_for(enter(store), 10)
    assert database.SNAPSHOTS == 2
    await enter(store)
    await store.close()


async def enter(store: Store) -> None:
    async with store.snapshot():
        pass


@pytest.mark.parametrize("settings", ["postgresql"], indirect=True)
async def test_a_check_joins_whole_tables_though_they_were_empty_when_last_looked_at(
    store: Store,
) -> None:
    """A million cards that are imported at once are there before PostgreSQL counts them again."""
    await fill(store, 4, 40)
    async with store.write() as tx:
        counted = "UPDATE pg_class SET reltuples = 0, relpages = 1 WHERE relname IN "
        connection = await tx.session.connection()
        await connection.execute(text(f"{counted} ('account', 'movement')"))
    async with store.snapshot() as reading:

        async def loops() -> int:
            connection, found = await reading.session.connection(), 0
            for rule in RULES:
                given = ", ".join((*rule.given, f"offence AS ({rule.statement})"))
                query = text(f"EXPLAIN WITH RECURSIVE {given} SELECT * FROM offence")
                plan = (await connection.execute(query)).scalars().all()
                found += sum("Nested Loop" in line for line in plan)
            return found

        assert await loops() > 10
        assert await service.check(reading) == []
        assert await loops() <= 3  # what has no other way
