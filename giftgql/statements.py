"""Statements that take long are logged and counted: what they are about, never a value.

A statement is told by its verb, its tables and a digest of its text, by which the same one is
known again. Values are parameters, and are not looked at.
"""

import hashlib
import re
from time import perf_counter
from typing import Any

import structlog
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import SQLModel

from giftgql import metrics

log = structlog.get_logger("giftgql.statements")

_STARTED = "giftgql_started"
_VERB = re.compile(r"\b(SELECT|INSERT|UPDATE|DELETE|COMMIT|COPY)\b", re.IGNORECASE)
_NAMES = re.compile(r"\b(?:FROM|INTO|UPDATE|JOIN) +([a-z_]+)", re.IGNORECASE)
_MOST_NAMES = 4


class Slow:
    """Watches the engines of a database for statements that take `slow_ms` or longer."""

    def __init__(self, slow_ms: int) -> None:
        self._seconds = slow_ms / 1000

    def watch(self, *engines: AsyncEngine) -> None:
        if self._seconds:
            for engine in engines:
                event.listen(engine.sync_engine, "connect", self._connected)
                event.listen(engine.sync_engine, "before_cursor_execute", self._before)
                event.listen(engine.sync_engine, "after_cursor_execute", self._after)

    def took(self, statement: str, seconds: float) -> None:
        if seconds >= self._seconds:
            metrics.SLOW_STATEMENTS.inc()
            log.warning("slow statement", ms=round(seconds * 1000, 1), **about(statement))

    def _connected(self, connection: Any, _: Any) -> None:
        """What goes past SQLAlchemy is told by the driver."""
        driver = connection.driver_connection
        if hasattr(driver, "add_query_logger"):
            driver.add_query_logger(lambda done: self.took(done.query, done.elapsed))
        else:
            driver.took = self.took

    def _before(self, connection: Any, *_: Any) -> None:
        connection.info[_STARTED] = perf_counter()

    def _after(self, connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        self.took(statement, perf_counter() - connection.info[_STARTED])


def about(statement: str) -> dict[str, Any]:
    """What may be said of a statement."""
    verb = _VERB.search(statement)
    named = dict.fromkeys(name.lower() for name in _NAMES.findall(statement))
    tables = [name for name in named if name in SQLModel.metadata.tables]
    return {
        "verb": verb[1].upper() if verb else "other",
        "tables": tables[:_MOST_NAMES],
        "digest": hashlib.sha256(statement.encode()).hexdigest()[:12],
    }
