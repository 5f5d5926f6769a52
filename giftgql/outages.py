"""What an outage is: a database that is gone, cut off, busy or slow, told from a bug."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import structlog
from sqlalchemy.exc import DBAPIError, InvalidRequestError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from giftgql import metrics
from giftgql.errors import Unavailable

log = structlog.get_logger("giftgql.database")

_TOLD_ITS_END: Any = asyncpg.InternalClientError  # of a connection that has not seen it yet
_NEVER_SOUND = "This connection is closed"
"""What SQLAlchemy says where each connection it has made was lost before it was used."""

_PASSING_STATES = ("08", "25006", "40", "53", "55P03", "57")
"""PostgreSQL's: cut off; no longer the primary; run it again; no room; locked; stopped."""

_NO_ROOM = "53100"
"""PostgreSQL's: the disk is full."""

_PASSING = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_LOCKED}


@asynccontextmanager
async def translated() -> AsyncIterator[None]:
    """A database that is busy, gone or slow is a refusal, and logged; any other failure a bug.

    What fails because its task was cancelled, which cuts its connection off, stays cancelled:
    whoever goes on after a refusal would never end."""
    try:
        yield
    except Exception as error:
        why = _why_unavailable(error)
        if why is None:
            raise
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise asyncio.CancelledError from error
        metrics.DATABASE_UNAVAILABLE.inc()
        log.warning("database unavailable", exc_info=error)
        raise Unavailable(why) from error


def _why_unavailable(error: Exception) -> str | None:
    match error:
        case PoolTimeoutError() | OSError() | asyncpg.InterfaceError() | _TOLD_ITS_END():
            return "The database cannot be reached."
        case asyncpg.PostgresConnectionError() | asyncpg.OperatorInterventionError():
            return "The database cannot be reached."
        case InvalidRequestError() if str(error) == _NEVER_SOUND:
            return "The database cannot be reached."
        case asyncpg.PostgresError() | sqlite3.Error() if _passes(error):
            return _busy(error)
        case DBAPIError() if error.connection_invalidated or _passes(error.orig):
            return _busy(error.orig)
    return None


def _busy(cause: BaseException | None) -> str:
    code = getattr(cause, "sqlite_errorcode", None) or getattr(cause, "sqlstate", None)
    if code in (sqlite3.SQLITE_FULL, _NO_ROOM):
        return "There is no room left on the disk."
    return "The database is busy."


def _passes(cause: BaseException | None) -> bool:
    """Whether the same statement may well succeed when it is tried again."""
    if isinstance(cause, sqlite3.Error):
        return getattr(cause, "sqlite_errorcode", 0) & 0xFF in _PASSING
    return str(getattr(cause, "sqlstate", None) or "").startswith(_PASSING_STATES)
