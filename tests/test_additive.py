"""Old and new servers over one database: migrations only add, and old ones go on."""

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, inspect, text

from giftgql import migrations
from giftgql.settings import Settings
from giftgql.startup import open_store
from giftgql.store import Store
from tests import factories
from tests.client import Client, Server
from tests.conftest import RunCommand, Templates

NEXT = "0999"
"""A form of a version to come, which only adds."""

BEFORE_THE_RULE = ("0001", "0002", "0003")

ADDITIONS = (
    "ALTER TABLE gift_card ADD COLUMN colour VARCHAR(20)",
    "ALTER TABLE movement ADD COLUMN weight INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE job ADD COLUMN priority INTEGER NOT NULL DEFAULT 5",
    "CREATE TABLE colour (name VARCHAR(20) PRIMARY KEY)",
    "CREATE INDEX ix_gift_card_colour ON gift_card (colour)",
    f"UPDATE alembic_version SET version_num = '{NEXT}'",
)


def forms() -> list[str]:
    found = ScriptDirectory.from_config(migrations._config()).walk_revisions()
    return sorted(each.revision for each in found)


Facts = dict[str, Any]


def facts(connection: Connection) -> Facts:
    """What statements of an old version stand on: columns, and what may refuse their rows."""
    found, answer = inspect(connection), Facts()
    for table in found.get_table_names():
        for column in found.get_columns(table):
            is_left_out = column["nullable"] or column["default"] is not None
            is_left_out |= bool(column.get("primary_key"))
            answer[f"{table}.{column['name']}"] = (str(column["type"]), is_left_out)
        for index in found.get_indexes(table):
            if index["unique"]:
                answer[f"{table} unique {index['name']}"] = ()
        for unique in found.get_unique_constraints(table):
            answer[f"{table} unique {unique['name']}"] = ()
        for check in found.get_check_constraints(table):
            answer[f"{table} check {check['name']}"] = (check["sqltext"],)
        for key in found.get_foreign_keys(table):
            columns = " ".join(key["constrained_columns"])
            answer[f"{table} key {columns}"] = (key["referred_table"],)
    return answer


def breaches(before: Facts, after: Facts) -> Iterator[str]:
    """What a migration has done that statements of the version before it may fail by."""
    tables = {name.partition(".")[0] for name in before if "." in name.partition(" ")[0]}
    for name, fact in before.items():
        if name not in after:
            if " " not in name:  # what refused rows may refuse them no more
                yield f"{name} is gone"
        elif after[name] != fact:
            yield f"{name} has changed"
    for name in after.keys() - before.keys():
        table, _, rest = name.replace(" ", ".", 1).partition(".")
        if table not in tables:
            continue
        is_column = " " not in name
        if is_column and not after[name][1]:
            yield f"{name} needs a value that old versions do not give"
        of_new_columns = rest.startswith("key ") and not any(
            f"{table}.{column}" in before for column in rest.split()[1:]
        )  # old rows have null there
        if not is_column and not of_new_columns:
            yield f"{table} may refuse old rows: {rest}"


def test_migrations_only_add() -> None:
    """Else one takes a number of the next thousand, and old servers refuse the database."""
    found, before = list[str](), Facts()
    with create_engine("sqlite://").begin() as connection:
        for form in forms():
            migrations.upgrade(connection, to=form)
            after = facts(connection)
            if form not in BEFORE_THE_RULE and form[0] == "0":
                found += [f"{form}: {each}" for each in breaches(before, after)]
            before = after
    assert found == []


@pytest.fixture
def newest(templates: Templates, tmp_path: Path) -> Iterator[Connection]:
    """A database in this version's form."""
    file = shutil.copy(templates.sqlite, tmp_path / "newest.db")
    engine = create_engine(f"sqlite:///{file}")
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def done(connection: Connection, *changes: str) -> list[str]:
    """What changes would break for this version."""
    before = facts(connection)
    for change in changes:
        connection.execute(text(change))
    return list(breaches(before, facts(connection)))


def test_what_is_to_come_only_adds(newest: Connection) -> None:
    assert done(newest, *ADDITIONS) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("ALTER TABLE webhook_card DROP COLUMN redeemed", "redeemed is gone"),
        ("ALTER TABLE job RENAME COLUMN kind TO sort", "kind is gone"),
        ("ALTER TABLE job RENAME TO task", "job.kind is gone"),
        ("CREATE UNIQUE INDEX uq_one ON job (kind)", "may refuse old rows"),
        ("ALTER TABLE job ADD COLUMN x INT CHECK (x > attempts)", "may refuse old rows"),
    ],
)
def test_what_does_more_than_to_add_is_noticed(change: str, said: str, newest: Connection) -> None:
    found = done(newest, change)
    assert any(said in each for each in found), found


async def add_what_is_to_come(store: Store) -> None:
    async with store.write() as tx:
        for statement in ADDITIONS:
            await (await tx.session.connection()).execute(text(statement))


async def test_an_old_server_goes_on_over_a_newer_database(
    server: Server, store: Store, admin: Client
) -> None:
    """Also in the statements that it has prepared, and in transactions over several tables."""
    card = await factories.card(admin, physicalCode="OLD-1")
    await factories.top_up(admin, card, "10.00")
    await add_what_is_to_come(store)
    for amount, balance in (("-4.00", "6.00"), ("-1.00", "5.00")):
        used = await factories.trans(admin, code="OLD-1", transType="USE", amount=amount)
        assert used["giftcardTransAdd"]["balance"] == balance
    await factories.top_up(admin, await factories.card(admin), "3.00")
    answer = await server.http.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "database": "is newer"})


async def test_an_old_server_and_its_commands_start_over_a_newer_database(
    settings: Settings, store: Store, command: RunCommand
) -> None:
    await add_what_is_to_come(store)
    await (await open_store(settings)).close()
    async with store.read() as reading:
        assert await (await reading.session.connection()).run_sync(migrations.current) == NEXT
    code, said = await asyncio.to_thread(command, "migrate")
    assert (code, said) == (0, "The database is up to date: a newer giftgql has added to it.\n")


@pytest.mark.parametrize(
    ("form", "is_taken"),
    [(NEXT, True), ("0001", False), ("1000", False), ("abcd", False), ("12345", False)],
)
def test_only_what_has_been_added_to_is_taken(form: str, is_taken: bool) -> None:
    assert migrations.has_only_added(form) is is_taken
