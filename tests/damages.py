"""Books that are damaged, a row at a time, and are sound again afterwards."""

import sqlite3
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, closing, suppress
from typing import NamedTuple

from sqlalchemy import text

from giftgql.reports import service
from giftgql.reports.checks import RULES
from giftgql.reports.service import Finding
from giftgql.store import Store, Transaction


class Damage(NamedTuple):
    """A rule, the row that is to be named if that is known, and how it is damaged."""

    rule: str
    row: object
    done: str


async def findings(store: Store) -> list[Finding]:
    async with store.snapshot() as reading:
        return await service.check(reading)


async def damage(store: Store, *statements: str) -> None:
    """Write to the tables as no program of ours can: past triggers, checks and foreign keys."""
    await disarm(store)
    async with store.write() as tx:
        await write_anything(tx, *statements)


async def are_named(store: Store, damages: Iterable[Damage]) -> None:
    """Each of these damages of clean books is named by its rule."""
    assert await findings(store) == []
    await disarm(store)
    rules = {rule.name: rule for rule in RULES}
    for rule, row, how in damages:
        async with damaged(store, how) as tx:
            found = await tx.reports.offences(rules[rule], at_most=100)
        assert found, (rule, how)
        assert row is None or str(row) in {str(each.row_id) for each in found}, (rule, how, found)
        assert all(each.expected != each.found for each in found), (rule, how, found)
    assert await findings(store) == []


async def disarm(store: Store) -> None:
    """Take away what refuses a damage, for good: triggers on SQLite, checks on PostgreSQL."""
    if (file := store.settings.sqlite_file) is not None:
        triggers = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        with closing(sqlite3.connect(file)) as connection, connection:
            for (name,) in connection.execute(triggers).fetchall():
                connection.execute(f"DROP TRIGGER {name}")
        return
    async with store.write() as tx:
        checked = await tx.session.connection()
        for table, name in (await checked.execute(_CHECKS)).all():
            await checked.execute(text(f"ALTER TABLE {table} DROP CONSTRAINT {name}"))


_CHECKS = text(
    "SELECT conrelid::regclass, conname FROM pg_constraint "
    "WHERE contype = 'c' AND connamespace = 'public'::regnamespace"
)


@asynccontextmanager
async def damaged(store: Store, *how: str) -> AsyncIterator[Transaction]:
    """The disarmed tables as they are with a damage, in a transaction that comes to nothing."""

    class Undone(Exception):
        pass

    with suppress(Undone):
        async with store.write() as tx:
            await write_anything(tx, *how)
            yield tx
            raise Undone


async def write_anything(tx: Transaction, *statements: str) -> None:
    connection = await tx.session.connection()
    if connection.dialect.name == "sqlite":
        await connection.exec_driver_sql("PRAGMA ignore_check_constraints = ON")
        await connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
    else:
        await connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
    for statement in statements:
        assert (await connection.exec_driver_sql(statement)).rowcount, statement
