"""Rows in, rows out: what repositories have in common.

`lock_rows`, `rows_by`, `insert_rows` and `update_rows` take many rows as plain tuples in one
statement: one round trip on PostgreSQL, one visit to the thread on SQLite, no ORM objects.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import cache
from typing import Any, TypeVar

import orjson
from sqlalchemy import JSON, Boolean, Date, Insert, Select, Table, tuple_
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import CursorResult
from sqlalchemy.types import TypeEngine
from sqlmodel import SQLModel
from sqlmodel.ext.asyncio.session import AsyncSession

from giftgql.columns import UtcDateTime, this_transaction
from giftgql.paging import Cut

Select_ = TypeVar("Select_", bound=Select[*tuple[Any, ...]])
Rows = Sequence[tuple[Any, ...]]
Columns = tuple[str, ...]

_PG = postgresql.dialect()  # type: ignore[no-untyped-call]
_THIS_TRANSACTION = {
    name: str(this_transaction().compile(dialect=dialect))
    for name, dialect in (("postgresql", _PG), ("sqlite", sqlite.dialect()))
}


def insert_unless_there(session: AsyncSession, model: type[Any], *unique: str) -> Insert:
    """An INSERT that does nothing where the columns are taken; it waits for a running one."""
    if _dialect(session) == "postgresql":
        return postgresql.insert(model).on_conflict_do_nothing(index_elements=unique)
    return sqlite.insert(model).on_conflict_do_nothing(index_elements=unique)


def page_query(query: Select_, model: type[Any], cut: Cut) -> Select_:
    """Order and cut a query over a synchronised model, with one row more than the page shows."""
    window = cut.window
    if window is None:
        return query.order_by(model.id).offset(cut.skip).limit(cut.first + 1)
    query = query.where(model.changed_in < window.horizon).order_by(model.changed_in, model.id)
    if window.after is not None:
        query = query.where(tuple_(model.changed_in, model.id) > tuple_(*window.after))
    return query.offset(cut.skip).limit(cut.first + 1)


async def lock_rows(
    session: AsyncSession,
    model: type[SQLModel],
    columns: Columns,
    ids: Sequence[int],
    *,
    skip_locked: bool = False,
) -> Rows:
    """Rows by ids, locked in the order of their ids; SQLite's writer is alone already."""
    table = _table(model)
    if _dialect(session) == "postgresql":
        skip = " SKIP LOCKED" if skip_locked else ""
        query = f"{_select(table, columns)} WHERE id = ANY($1::bigint[]) ORDER BY id FOR UPDATE"
        return await _fetch(session, table, columns, query + skip, (ids,))
    marks = ", ".join("?" * len(ids))
    query = f"{_select(table, columns)} WHERE id IN ({marks}) ORDER BY id"
    return await _fetch(session, table, columns, query, tuple(ids))


async def rows_by(
    session: AsyncSession, model: type[SQLModel], columns: Columns, key: Columns, keys: Rows
) -> Rows:
    """The rows that have one of these keys, in no order."""
    if not keys:
        return []
    table = _table(model)
    match = " AND ".join(f"{table.name}.{name} = k.{name}" for name in key)
    if _dialect(session) == "postgresql":
        query = (
            f"{_select(table, columns)} JOIN {_unnested(table, key)} AS k({_list(key)}) ON {match}"
        )
        return await _fetch(session, table, columns, query, tuple(zip(*keys, strict=True)))
    marks = ", ".join([f"({', '.join('?' * len(key))})"] * len(keys))
    query = (
        f"WITH k({_list(key)}) AS (VALUES {marks}) {_select(table, columns, 'k CROSS JOIN ')} "
        f"ON {match}"
    )
    return await _fetch(session, table, columns, query, tuple(each for row in keys for each in row))


async def insert_rows(
    session: AsyncSession,
    model: type[SQLModel],
    columns: Columns,
    rows: Rows,
    *,
    unless_there: bool = False,
) -> int:
    """Insert rows; says how many. `unless_there` passes over those whose key is taken, after
    waiting for whoever is just taking it."""
    if not rows:
        return 0
    query = _insert(_table(model), columns, _dialect(session), unless_there)
    return await _change(session, _table(model), columns, query, rows)


async def update_rows(
    session: AsyncSession, model: type[SQLModel], columns: Columns, rows: Rows
) -> None:
    """Write columns of rows that are locked; the first column is their key."""
    if rows:
        query = _update(_table(model), columns, _dialect(session))
        await _change(session, _table(model), columns, query, rows)


async def _fetch(
    session: AsyncSession, table: Table, columns: Columns, query: str, given: tuple[Any, ...]
) -> Rows:
    found = await (await session.connection()).exec_driver_sql(query, given)
    readers = _readers(table, columns, _dialect(session))
    rows = [tuple(row) for row in found.all()]
    if not readers:
        return rows
    return [_converted(row, readers) for row in rows]


async def _change(
    session: AsyncSession, table: Table, columns: Columns, query: str, rows: Rows
) -> int:
    dialect = _dialect(session)
    if writers := _writers(table, columns, dialect):
        rows = [_converted(row, writers) for row in rows]
    given: Any = tuple(zip(*rows, strict=True)) if dialect == "postgresql" else list(rows)
    done: CursorResult[Any] = await (await session.connection()).exec_driver_sql(query, given)
    return done.rowcount


Converter = Callable[[Any], Any]
Converters = tuple[tuple[int, Converter], ...]


def _converted(row: tuple[Any, ...], converters: Converters) -> tuple[Any, ...]:
    values = list(row)
    for place, convert in converters:
        if values[place] is not None:
            values[place] = convert(values[place])
    return tuple(values)


@cache
def _readers(table: Table, columns: Columns, dialect: str) -> Converters:
    """How values come out of SQLite, which knows few types; PostgreSQL's driver knows them all."""
    if dialect == "postgresql":
        return ()
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


def _write_moment(value: datetime) -> str:
    return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


@cache
def _select(table: Table, columns: Columns, before: str = "") -> str:
    listed = ", ".join(f"{table.name}.{name}" for name in columns)
    return f"SELECT {listed} FROM {before}{table.name}"


@cache
def _insert(table: Table, columns: Columns, dialect: str, unless_there: bool) -> str:
    into, values = list(columns), [_value(table, name) for name in columns]
    if "changed_in" in table.c:
        into.append("changed_in")
        values.append(_THIS_TRANSACTION[dialect])
    marks = values if dialect == "postgresql" else ["?"] * len(columns) + values[len(columns) :]
    source = f"VALUES ({', '.join(marks)})"
    if dialect == "postgresql":
        source = (
            f"SELECT {', '.join(marks)} FROM {_unnested(table, columns)} AS v({_list(columns)})"
        )
    conflict = " ON CONFLICT DO NOTHING" if unless_there else ""
    return f"INSERT INTO {table.name} ({', '.join(into)}) {source}{conflict}"


@cache
def _update(table: Table, columns: Columns, dialect: str) -> str:
    key, *written = columns
    is_postgresql = dialect == "postgresql"
    places = range(2, len(columns) + 1)
    sets = [
        f"{name} = {f'v.{name}' if is_postgresql else f'?{place}'}"
        for name, place in zip(written, places, strict=True)
    ]
    if "changed_in" in table.c:
        sets.append(f"changed_in = {_THIS_TRANSACTION[dialect]}")
    change = f"UPDATE {table.name} SET {', '.join(sets)}"
    if not is_postgresql:
        return f"{change} WHERE {key} = ?1"
    given = f"{_unnested(table, columns)} AS v({_list(columns)})"
    return f"{change} FROM {given} WHERE {table.name}.{key} = v.{key}"


def _unnested(table: Table, columns: Columns) -> str:
    arrays = (f"${n}::{_array(table, name)}" for n, name in enumerate(columns, 1))
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


def _dialect(session: AsyncSession) -> str:
    return session.get_bind().dialect.name
