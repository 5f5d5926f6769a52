"""Databases of PostgreSQL for tests, each as new, and few of them made.

To copy a database takes PostgreSQL a tenth of a second and more, to empty one a few milliseconds.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any

import asyncpg

from tests.servers import PostgresServer

FORM = """SELECT md5(string_agg(part, ',' ORDER BY part)) FROM (
    SELECT 'r' || oid || ':' || xmin AS part FROM pg_class WHERE oid >= 16384
    UNION ALL SELECT 'a' || attrelid || '.' || attnum || ':' || xmin FROM pg_attribute
        WHERE attrelid >= 16384
    UNION ALL SELECT 'c' || oid || ':' || xmin FROM pg_constraint WHERE oid >= 16384
    UNION ALL SELECT 'd' || oid || ':' || xmin FROM pg_attrdef
    UNION ALL SELECT 't' || oid || ':' || xmin FROM pg_trigger
    UNION ALL SELECT 'e' || oid || ':' || xmin FROM pg_event_trigger
    UNION ALL SELECT 'f' || oid || ':' || xmin FROM pg_proc WHERE oid >= 16384
    UNION ALL SELECT 'y' || oid || ':' || xmin FROM pg_type WHERE oid >= 16384
    UNION ALL SELECT 'u' || oid || ':' || xmin FROM pg_rewrite WHERE oid >= 16384
    UNION ALL SELECT 'p' || oid || ':' || xmin FROM pg_policy
    UNION ALL SELECT 'n' || oid || ':' || xmin FROM pg_namespace WHERE nspname !~ '^pg_'
    UNION ALL SELECT 'x' || oid || ':' || xmin FROM pg_extension
    UNION ALL SELECT 's' || setconfig::text FROM pg_db_role_setting
        JOIN pg_database ON pg_database.oid = setdatabase WHERE datname = current_database()
) AS parts"""
"""All that a database is but its rows: what makes or changes any of it leaves its number there."""

TABLES = """SELECT relname, pg_relation_size(oid) AS size FROM pg_class
    WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY relname"""
ALONE = """SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()"""

LARGEST = 1_000_000
"""Bytes of a table from which on a new database is quicker made than an old one emptied."""


class Databases:
    """Copies of a migrated database. One that is given back is emptied, and handed out again if
    it is in the form in which it was made."""

    def __init__(self, server: PostgresServer, template: str) -> None:
        self._server = server
        self._template = template
        self._loop = asyncio.new_event_loop()
        self._ready = list[str]()
        self._form, self._rows, self._counted = self._run(_look(server.url(template)))

    def take(self) -> str:
        """The URL of a database that is as the template is."""
        return self._ready.pop() if self._ready else self._server.create(self._template)

    def give_back(self, url: str) -> None:
        try:
            is_as_new = self._run(self._empty(url))
        except (OSError, asyncpg.PostgresError):  # the test has done away with it
            is_as_new = False
        if is_as_new:
            self._ready.append(url)
        else:
            self._server.drop(url)

    def close(self) -> None:
        self._loop.close()

    async def _empty(self, url: str) -> bool:
        """Whether a database is as new now."""
        connection = await asyncpg.connect(url)
        try:
            await connection.execute(ALONE)
            if await connection.fetchval(FORM) != self._form:
                return False
            sizes = dict(await connection.fetch(TABLES))
            if max(sizes.values()) > LARGEST:
                return False
            steps = ["BEGIN", "SET LOCAL session_replication_role = replica"]  # without triggers
            steps += [f"DELETE FROM {table}" for table, size in sizes.items() if size]
            await connection.execute(";".join([*steps, *self._rows, *self._counted, "COMMIT"]))
            return True
        finally:
            await connection.close()

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self._loop.run_until_complete(work)


async def _look(url: str) -> tuple[str, list[str], list[str]]:
    """A database's form, and what fills its tables and sets its sequences as they are now."""
    connection = await asyncpg.connect(url)
    try:
        rows, counted = list[str](), list[str]()
        for table, size in await connection.fetch(TABLES):
            found = await connection.fetchval(f"SELECT json_agg(t) FROM {table} AS t")
            if size and found:
                values = found.replace("'", "''")
                rows.append(
                    f"INSERT INTO {table} OVERRIDING SYSTEM VALUE "
                    f"SELECT * FROM json_populate_recordset(NULL::{table}, '{values}')"
                )
        listed = "SELECT sequencename, start_value, last_value FROM pg_sequences"
        for name, first, last in await connection.fetch(listed):
            is_used = str(last is not None).lower()
            counted.append(f"SELECT setval('{name}', {last or first}, {is_used})")
        return await connection.fetchval(FORM), rows, counted
    finally:
        await connection.close()
