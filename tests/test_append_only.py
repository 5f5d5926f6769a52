"""What is on the books stays as it was written, whoever holds the database's password."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from giftgql.store import Store
from tests.bulk_books import PATTERN, fill

KEYS = {"movement": "id", "posting": "movement_id", "hold_end": "hold_id"}
LEDGER = tuple(KEYS)


async def books(store: Store) -> None:
    await fill(store, 2, 2 * len(PATTERN))


async def run(store: Store, statement: str) -> int:
    async with store.write() as tx:
        connection = await tx.session.connection()
        return (await connection.execute(text(statement))).rowcount


async def content(store: Store, table: str) -> list[tuple[object, ...]]:
    async with store.read() as reading:
        found = await (await reading.session.connection()).execute(text(f"SELECT * FROM {table}"))
        return sorted(map(tuple, found.all()), key=repr)


def is_sqlite(store: Store) -> bool:
    return store.settings.sqlite_file is not None


@pytest.mark.parametrize("table", LEDGER)
async def test_no_row_is_changed_deleted_or_replaced(store: Store, table: str) -> None:
    await books(store)
    key = KEYS[table]
    one = f"{key} = (SELECT max({key}) FROM {table})"
    statements = [
        f"UPDATE {table} SET {key} = {key} + 1 WHERE {one}",
        f"DELETE FROM {table} WHERE {one}",
        f"DELETE FROM {table}",
    ]
    if is_sqlite(store):
        statements.append(f"INSERT OR REPLACE INTO {table} SELECT * FROM {table} WHERE {one}")
        if table != "posting":  # which has no rowid
            statements.append(f"UPDATE {table} SET rowid = rowid + 1 WHERE {one}")
    else:
        statements.append(f"TRUNCATE {table} CASCADE")
    before = await content(store, table)
    for statement in statements:
        with pytest.raises(DBAPIError, match="append-only"):
            await run(store, statement)
    assert await content(store, table) == before


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("movement", "amount"),
        ("movement", "price"),
        ("movement", "error"),
        ("movement", "created_at"),
        ("posting", "amount"),
        ("posting", "effective_at"),
        ("hold_end", "captured"),
        ("hold_end", "released"),
    ],
)
async def test_no_column_is_changed_but_the_number_of_the_transaction(
    store: Store, table: str, column: str
) -> None:
    await books(store)
    other = {"error": "'CONFLICT'", "created_at": "'2001-01-01 00:00:00.000000'"}
    other["effective_at"] = other["created_at"]
    with pytest.raises(DBAPIError, match="append-only"):
        await run(store, f"UPDATE {table} SET {column} = {other.get(column, f'{column} + 1')}")
    if table != "posting":
        assert await run(store, f"UPDATE {table} SET changed_in = changed_in + 1") > 0
