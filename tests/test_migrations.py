from collections.abc import Callable
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import CheckConstraint, Connection, inspect, text
from sqlmodel import SQLModel

from giftgql import migrations
from giftgql.store import Store


async def in_database(store: Store, work: Callable[[Connection], Any]) -> Any:
    async with store.database.migrating() as session:
        return await (await session.connection()).run_sync(work)


def differences(connection: Connection) -> Any:
    options = {"compare_type": True, "compare_server_default": True}
    return compare_metadata(MigrationContext.configure(connection, opts=options), SQLModel.metadata)


async def test_the_migrated_database_is_what_the_models_say(store: Store) -> None:
    assert await in_database(store, differences) == []


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE code ADD COLUMN surplus INTEGER",
        "ALTER TABLE code DROP COLUMN expires_on",
        "DROP INDEX uq_code_live",
        "CREATE INDEX ix_surplus ON code (ending)",
    ],
)
async def test_a_database_that_differs_from_the_models_is_noticed(
    store: Store, change: str
) -> None:
    def changed(connection: Connection) -> Any:
        connection.execute(text(change))
        return differences(connection)

    assert await in_database(store, changed) != []


async def test_checks_and_partial_indexes_are_what_the_models_say(store: Store) -> None:
    """What Alembic does not compare."""

    def look(connection: Connection) -> None:
        found = inspect(connection)
        for table in SQLModel.metadata.sorted_tables:
            wanted = {c.name for c in table.constraints if isinstance(c, CheckConstraint)}
            assert {c["name"] for c in found.get_check_constraints(table.name)} == wanted
        live = next(i for i in found.get_indexes("code") if i["name"] == "uq_code_live")
        dialect = connection.dialect.name
        where = str(live["dialect_options"][f"{dialect}_where"])
        assert where.strip("()").lower() == "ended_at is null"
        assert live["unique"]

    await in_database(store, look)


async def test_migrating_again_changes_nothing(store: Store) -> None:
    def again(connection: Connection) -> tuple[Any, Any]:
        before = migrations.current(connection)
        migrations.upgrade(connection)
        return before, migrations.current(connection)

    assert await in_database(store, again) == (migrations.newest(), migrations.newest())


async def test_a_migration_that_fails_leaves_the_database_as_it_was(store: Store) -> None:
    """On both databases a migration is one transaction, tables and all."""

    def spoil(connection: Connection) -> None:
        connection.execute(text("CREATE TABLE half_done (id INTEGER)"))
        connection.execute(text("ALTER TABLE member ADD COLUMN half_done INTEGER"))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await in_database(store, spoil)

    def tables(connection: Connection) -> Any:
        return inspect(connection).get_table_names()

    assert "half_done" not in await in_database(store, tables)
    assert await in_database(store, differences) == []


def test_there_is_one_lineage() -> None:
    assert migrations.newest() in migrations.known()
