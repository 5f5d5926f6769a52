import structlog
from starlette.requests import Request
from starlette.responses import Response

from giftgql.app.responses import json_response
from giftgql.errors import Unavailable
from giftgql.startup import DatabaseTooNew, pending_migration

log = structlog.get_logger("giftgql.health")


async def alive(_: Request) -> Response:
    """`GET /healthz`: the process answers."""
    return json_response({"status": "ok"})


async def ready(request: Request) -> Response:
    """`GET /readyz`: the database can be reached and is in the form this version works with."""
    try:
        async with request.app.state.store.read() as reading:
            pending = await pending_migration(reading.session)
    except DatabaseTooNew:
        return json_response({"status": "unavailable", "database": "is newer"}, 503)
    except Exception as error:
        if not isinstance(error, Unavailable):  # a database that is no longer one, say
            log.exception("not ready", exc_info=error)
        return json_response({"status": "unavailable", "database": "unreachable"}, 503)
    if pending:
        return json_response({"status": "unavailable", "database": "needs migration"}, 503)
    return json_response({"status": "ok"})
