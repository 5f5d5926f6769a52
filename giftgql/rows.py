"""Rows in, rows out: what repositories have in common.

`lock_rows`, `rows_by` and `write_rows` take many rows as plain tuples in one statement: one round
trip on PostgreSQL, one visit to the thread on SQLite, no ORM objects. `copy_rows` is for many more.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache, lru_cache
from typing import Any, TypeVar

import orjson
from sqlalchemy import JSON, Boolean, Date, Insert, Select, Table, text, tuple_
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.types import TypeEngine
from sqlmodel import SQLModel
from sqlmodel.ext.asyncio.session import AsyncSession

from giftgql.columns import UtcDateTime, this_transaction
from giftgql.paging import Cut
from giftgql.sqlite import OneHopConnection

Select_ = TypeVar("Select_", bound=Select[*tuple[Any, ...]])
Rows = Sequence[tuple[Any, ...]]
Columns = tuple[str, ...]

_DRIVER = "driver"
READS = "reads"
"""In `session.info` of a session that only reads, each statement by itself."""


_PG = postgresql.dialect()  # type: ignore[no-untyped-call]
_THIS_TRANSACTION = {
    name: str(this_transaction().compile(dialect=dialect))
    for name, dialect in (("postgresql", _PG), ("sqlite", sqlite.dialect()))
}


def insert_unless_there(session: AsyncSession, model: type[Any], *unique: str) -> Insert:
    """An INSERT that does nothing where the columns are taken, or without columns where any
    unique key is; it waits for a running one."""
    if _dialect(session) == "postgresql":
        return postgresql.insert(model).on_conflict_do_nothing(index_elements=unique or None)
    return sqlite.insert(model).on_conflict_do_nothing(index_elements=unique or None)


def page_query(query: Select_, model: type[Any], cut: Cut) -> Select_:
    """Order and cut a query over a synchronised model, with one row more than the page shows."""
    window = cut.window
    if window is None:
        return query.order_by(model.id).offset(cut.skip).limit(cut.first + 1)
    query = query.where(model.changed_in < window.horizon).order_by(model.changed_in, model.id)
    if window.after is not None:
        query = query.where(tuple_(model.changed_in, model.id) > tuple_(*window.after))
    return query.offset(cut.skip).limit(cut.first + 1)


Clock = tuple[datetime, int]
"""The database's time, and the number of the transaction in which it was read."""


async def lock_rows(
    session: AsyncSession,
    model: type[SQLModel],
    columns: Columns,
    ids: Sequence[int],
    *,
    skip_locked: bool = False,
) -> tuple[Rows, Clock | None]:
    """Rows by ids, locked in the order of their ids; SQLite's writer is alone already.

    On PostgreSQL with the clock as it was when the last row was locked, if there was any.
    """
    table = _table(model)
    if _dialect(session) == "sqlite":
        marks = ", ".join("?" * len(ids))
        query = f"{_select(table, columns)} WHERE id IN ({marks}) ORDER BY id"
        rows = await (await _driver(session)).run(query, tuple(ids))
        return _read(rows, _readers(table, columns)), None
    # By way of SQLAlchemy, with which the transaction begins.
    query = _LOCK.format(_select(table, columns), " SKIP LOCKED" if skip_locked else "")
    found = await (await session.connection()).exec_driver_sql(query, (ids,))
    rows = [tuple(row) for row in found.all()]
    return [row[:-2] for row in rows], rows[-1][-2:] if rows else None


# Each row comes out when it is locked, so that the last one has the time after all locks.
_LOCK = (
    "WITH locked AS MATERIALIZED ({} WHERE id = ANY($1::bigint[]) ORDER BY id FOR UPDATE{}) "
    "SELECT locked.*, clock_timestamp(), pg_current_xact_id()::text::bigint FROM locked"
)


async def reserve_ids(session: AsyncSession, model: type[SQLModel], many: int) -> Sequence[int]:
    """So many ids of a model that nobody else will get, whatever becomes of the transaction on
    PostgreSQL; those of one that is rolled back are given out again on SQLite."""
    table, driver = _table(model), await _driver(session)
    if isinstance(driver, OneHopConnection):
        known = "SELECT max(seq) FROM sqlite_sequence WHERE name = ?"
        [(last,)] = await driver.run(known, (table.name,))
        if last is None:
            last = 0
            await driver.run("INSERT INTO sqlite_sequence VALUES (?, 0)", (table.name,))
        move = "UPDATE sqlite_sequence SET seq = ? WHERE name = ?"
        await driver.run(move, (last + many, table.name))
        return range(last + 1, last + many + 1)
    query = "SELECT nextval(pg_get_serial_sequence($1, 'id')) FROM generate_series(1, $2::int)"
    return [row[0] for row in await driver.fetch(query, table.name, many)]


@dataclass(frozen=True, slots=True)
class Joined:
    """Columns of the row whose `id` is in a column of another one."""

    model: type[SQLModel]
    columns: Columns
    by: str


async def rows_by(
    session: AsyncSession,
    model: type[SQLModel],
    columns: Columns,
    key: Columns,
    keys: Rows,
    *,
    joined: Joined | None = None,
) -> Rows:
    """The rows that have one of these keys, in no order."""
    if not keys:
        return []
    table, driver = _table(model), await _driver(session)
    readers = _readers(table, columns)
    select = _select(table, columns)
    if joined is not None:
        other = _table(joined.model)
        more = ", ".join(f"{other.name}.{name}" for name in joined.columns)
        select = select.replace(" FROM ", f", {more} FROM ")
        select += f" JOIN {other.name} ON {other.name}.id = {table.name}.{joined.by}"
    match = " AND ".join(f"{table.name}.{name} = k.{name}" for name in key)
    if isinstance(driver, OneHopConnection):
        marks = ", ".join([f"({', '.join('?' * len(key))})"] * len(keys))
        select = select.replace(" FROM ", " FROM k CROSS JOIN ")
        query = f"WITH k({_list(key)}) AS (VALUES {marks}) {select} WHERE {match}"
        return _read(await driver.run(query, tuple(each for row in keys for each in row)), readers)
    query = f"{select} JOIN {_unnested(table, key)} AS k({_list(key)}) ON {match}"
    return [tuple(row) for row in await driver.fetch(query, *zip(*keys, strict=True))]


@dataclass(frozen=True, slots=True)
class Write:
    """Rows to be inserted, or, with `is_update`, columns of locked rows to be written, whose key
    is the first. `unless_there` passes over rows whose key is taken, after waiting for whoever
    is just taking it."""

    model: type[SQLModel]
    columns: Columns
    rows: Rows
    is_update: bool = False
    unless_there: bool = False


async def write_rows(session: AsyncSession, writes: Sequence[Write]) -> list[int]:
    """Do all of these, in one statement on PostgreSQL and one visit on SQLite; how many rows
    each has written."""
    driver, dialect = await _driver(session), _dialect(session)
    todo = [each for each in writes if each.rows]
    parts = tuple((_table(w.model), w.columns, w.is_update, w.unless_there) for w in todo)
    rows = [_given(w, dialect) for w in todo]
    if isinstance(driver, OneHopConnection):
        counts = await driver.run_all(
            [(_one_write(part, dialect, 0), of) for part, of in zip(parts, rows, strict=True)]
        )
    elif todo:
        arrays = (array for of in rows for array in zip(*of, strict=True))
        counts = list(await driver.fetchrow(_all_writes(parts), *arrays))
    else:
        counts = []
    found = iter(counts)
    return [next(found) if each.rows else 0 for each in writes]


async def copy_rows(session: AsyncSession, writes: Sequence[Write]) -> None:
    """Insert all of these in the order given, as quickly as the database takes new rows."""
    assert not any(each.is_update or each.unless_there for each in writes)
    driver, dialect = await _driver(session), _dialect(session)
    if isinstance(driver, OneHopConnection):
        await driver.run_all([part for each in writes for part in _at_once(each, dialect)])
        return
    number = await driver.fetchval(f"SELECT {_THIS_TRANSACTION[dialect]}")
    for each in writes:
        table, columns, rows = _table(each.model), each.columns, _given(each, dialect)
        if "changed_in" in table.c:
            columns, rows = (*columns, "changed_in"), [(*row, number) for row in rows]
        if rows:
            await driver.copy_records_to_table(table.name, records=rows, columns=columns)


MARKS_AT_ONCE = 4_000
"""SQLite takes so many values in one statement here: a thread that steps through it row by row
would fight over the interpreter's lock at each one with whoever makes the next rows."""


def _at_once(write: Write, dialect: str) -> Iterator[tuple[str, Rows]]:
    """The statements by which SQLite inserts many rows, each with the values of some."""
    table, rows = _table(write.model), _given(write, dialect)
    size = max(MARKS_AT_ONCE // len(write.columns), 1)
    for start in range(0, len(rows), size):
        some = rows[start : start + size]
        values = tuple(value for row in some for value in row)
        yield _insert_of(table, write.columns, len(some)), [values]


@cache
def _insert_of(table: Table, columns: Columns, many: int) -> str:
    insert, _, row = _insert(table, columns, "sqlite", 0).partition(" VALUES ")
    return f"{insert} VALUES {', '.join([row] * many)}"


def _read(rows: Rows, readers: "Converters") -> Rows:
    return [_converted(row, readers) for row in rows] if readers else rows


def _given(write: Write, dialect: str) -> Rows:
    writers = _writers(_table(write.model), write.columns, dialect)
    return [_converted(row, writers) for row in write.rows] if writers else write.rows


async def _driver(session: AsyncSession) -> Any:
    """The driver's own connection, in the session's transaction: half as long a way."""
    if _DRIVER in session.info:
        return session.info[_DRIVER]
    connection = await session.connection()
    driver = (await connection.get_raw_connection()).driver_connection
    assert driver is not None
    is_postgresql = not isinstance(driver, OneHopConnection)
    if is_postgresql and not session.info.get(READS) and not driver.is_in_transaction():
        await connection.exec_driver_sql("")  # only a statement begins the transaction
    session.info[_DRIVER] = driver
    return driver


Converter = Callable[[Any], Any]
Converters = tuple[tuple[int, Converter], ...]


def _converted(row: tuple[Any, ...], converters: Converters) -> tuple[Any, ...]:
    values = list(row)
    for place, convert in converters:
        if values[place] is not None:
            values[place] = convert(values[place])
    return tuple(values)


@cache
def _readers(table: Table, columns: Columns) -> Converters:
    """How values come out of SQLite, which knows few types; PostgreSQL's driver knows them all."""
    by_type: dict[type[TypeEngine[Any]], Converter] = {
        UtcDateTime: _read_moment,
        Date: date.fromisoformat,
        Boolean: bool,
        JSON: orjson.loads,
    }
    return _converters(table, columns, by_type)


@cache
def _writers(table: Table, columns: Columns, dialect: str) -> Converters:
    by_type: dict[type[TypeEngine[Any]], Converter] = {JSON: _as_json}
    if dialect == "sqlite":
        by_type |= {UtcDateTime: _write_moment, Date: date.isoformat}
    return _converters(table, columns, by_type)


def _converters(
    table: Table, columns: Columns, by_type: Mapping[type[TypeEngine[Any]], Converter]
) -> Converters:
    found = ((place, by_type.get(type(table.c[name].type))) for place, name in enumerate(columns))
    return tuple((place, convert) for place, convert in found if convert)


def _as_json(value: Any) -> str:
    return orjson.dumps(value).decode()


def _read_moment(value: str) -> datetime:
    return datetime.fromisoformat(value).replace(tzinfo=UTC)


@lru_cache(1_000)  # the moment of a transaction comes in each of its rows
@lru_cache(1_000)
def _write_moment(value: datetime) -> str:
    return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


@cache
def _select(table: Table, columns: Columns) -> str:
    listed = ", ".join(f"{table.name}.{name}" for name in columns)
    return f"SELECT {listed} FROM {table.name}"


Part = tuple[Table, Columns, bool, bool]


@cache
def _all_writes(parts: tuple[Part, ...]) -> str:
    """One statement for PostgreSQL that does all of these, and says how many rows each wrote."""
    steps, first = [], 0
    for number, part in enumerate(parts):
        steps.append(f"w{number} AS ({_one_write(part, 'postgresql', first)} RETURNING 1)")
        first += len(part[1])
    counts = ", ".join(f"(SELECT count(*) FROM w{number})" for number in range(len(parts)))
    return f"WITH {', '.join(steps)} SELECT {counts}"


@cache
def _one_write(part: Part, dialect: str, first: int) -> str:
    table, columns, is_update, unless_there = part
    if is_update:
        return _update(table, columns, dialect, first)
    return _insert(table, columns, dialect, first) + (
        " ON CONFLICT DO NOTHING" if unless_there else ""
    )


def _insert(table: Table, columns: Columns, dialect: str, first: int) -> str:
    is_postgresql = dialect == "postgresql"
    into = list(columns)
    values = [_value(table, name) if is_postgresql else "?" for name in columns]
    if "changed_in" in table.c:
        into.append("changed_in")
        values.append(_THIS_TRANSACTION[dialect])
    source = f"VALUES ({', '.join(values)})"
    if is_postgresql:
        given = f"{_unnested(table, columns, first)} AS v({_list(columns)})"
        source = f"SELECT {', '.join(values)} FROM {given}"
    return f"INSERT INTO {table.name} ({', '.join(into)}) {source}"


def _update(table: Table, columns: Columns, dialect: str, first: int) -> str:
    key, *written = columns
    is_postgresql = dialect == "postgresql"
    sets = [
        f"{name} = {f'v.{name}' if is_postgresql else f'?{place}'}"
        for place, name in enumerate(written, 2)
    ]
    if "changed_in" in table.c:
        sets.append(f"changed_in = {_THIS_TRANSACTION[dialect]}")
    change = f"UPDATE {table.name} SET {', '.join(sets)}"
    if not is_postgresql:
        return f"{change} WHERE {key} = ?1"
    given = f"{_unnested(table, columns, first)} AS v({_list(columns)})"
    return f"{change} FROM {given} WHERE {table.name}.{key} = v.{key}"


def _unnested(table: Table, columns: Columns, first: int = 0) -> str:
    arrays = (f"${n}::{_array(table, name)}" for n, name in enumerate(columns, first + 1))
    return f"unnest({', '.join(arrays)})"


def _array(table: Table, name: str) -> str:
    kind = table.c[name].type
    return "text[]" if isinstance(kind, JSON) else f"{kind.compile(dialect=_PG)}[]"


def _value(table: Table, name: str) -> str:
    return f"v.{name}::json" if isinstance(table.c[name].type, JSON) else f"v.{name}"


def _list(columns: Columns) -> str:
    return ", ".join(columns)


def _table(model: type[SQLModel]) -> Table:
    table: Table = model.__table__  # type: ignore[attr-defined]
    return table


async def expect_whole_tables(session: AsyncSession) -> None:
    """Say that this transaction joins whole tables with one another. PostgreSQL, where it last
    looked at a table while that was empty, would go through one for each row of the other."""
    if _dialect(session) == "postgresql":
        await (await session.connection()).execute(text("SET LOCAL enable_nestloop = off"))


def _dialect(session: AsyncSession) -> str:
    return session.get_bind().dialect.name
