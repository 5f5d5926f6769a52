"""The log: a line each, in a file of the data folder or on standard error. Programs read it as
JSON, people at a terminal as columns. What is logged for a request has its `request_id`.

It holds no query text, no variables, no values. A fault is logged with its type and its places in
the code, without its message and its local variables: either may hold a code.
"""

import logging
import logging.handlers
import os
import sys
import traceback
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import orjson
import structlog
from structlog.typing import Processor

from giftgql.choices import LogFormat, LogTo
from giftgql.settings import Settings

_SURROUNDINGS = frozenset({"event", "level", "logger", "timestamp"})
FILE_BYTES, FILES_KEPT = 10_000_000, 5
_QUIET = (
    *("aiosqlite", "asyncio", "sqlalchemy", "asyncpg", "strawberry", "alembic", "multipart"),
    "httpcore2",
)
"""Libraries that would log statements, values or queries at their lower levels."""


def configure(settings: Settings, *, file_name: str | None = None, plain: bool = False) -> None:
    """Send the log of this process to `logs/<file_name>`, or to standard error without one;
    `plain` for a person who has just typed a command."""
    handler: logging.Handler = logging.StreamHandler()
    render = _sentence if plain else _renderer(settings, is_terminal=sys.stderr.isatty())
    if file_name is not None and settings.log_to is LogTo.FILE:
        folder = log_folder(settings)
        folder.mkdir(parents=True, exist_ok=True)
        handler = _Rotating(
            folder / file_name, maxBytes=FILE_BYTES, backupCount=FILES_KEPT, encoding="utf-8"
        )
        render = _renderer(settings, is_terminal=False)
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _places_only,
        _no_surroundings,
    ]
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                render,
            ],
        )
    )
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)
    root.setLevel(settings.log_level.value)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


class _Rotating(logging.handlers.RotatingFileHandler):
    """Begins a new file when this one is full. The library's renders each line a second time, to
    begin it one line earlier; a request's line is the dearest part of a small request."""

    def shouldRollover(self, record: logging.LogRecord) -> bool:  # noqa: N802  as logging has it
        if self.stream is None:  # it was closed; a line opens it
            return False
        return os.fstat(self.stream.fileno()).st_size >= self.maxBytes


def _renderer(settings: Settings, *, is_terminal: bool) -> Processor:
    by_itself = LogFormat.CONSOLE if is_terminal else LogFormat.JSON
    if (settings.log_format or by_itself) is LogFormat.CONSOLE:
        return structlog.dev.ConsoleRenderer(colors=is_terminal)
    return structlog.processors.JSONRenderer(serializer=_json)


def log_folder(settings: Settings) -> Path:
    return settings.data_dir / "logs"


def _places_only(
    _logger: Any, _name: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Put an exception's type and its places where its message and values would go."""
    found = event.pop("exc_info", None)
    if isinstance(found, tuple):
        found = found[1]
    if found is True:
        found = sys.exc_info()[1]
    if isinstance(found, BaseException):
        event["exception"] = [type(each).__name__ for each in _chain(found)]
        event["state"] = getattr(getattr(found, "orig", None), "sqlstate", None)
        event["places"] = [
            f"{Path(frame.filename).name}:{frame.lineno} {frame.name}"
            for frame in traceback.extract_tb(found.__traceback__)[-12:]
        ]
    return event


def _no_surroundings(
    _logger: Any, _name: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Leave out what asyncio says below its first line: tasks with their exceptions' messages."""
    if event.get("logger") == "asyncio":
        event["event"] = str(event["event"]).partition("\n")[0]
    return event


def _chain(error: BaseException | None) -> list[BaseException]:
    chain: list[BaseException] = []
    while error is not None and len(chain) < 5:
        chain.append(error)
        error = error.__cause__ or error.__context__
    return chain


def _sentence(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> str:
    facts = (f"{key}={event[key]}" for key in event.keys() - _SURROUNDINGS)
    return " ".join([f"giftgql: {event['event']}", *sorted(facts)])


def _json(event: Any, **_: Any) -> str:
    return orjson.dumps(event, default=str).decode()
