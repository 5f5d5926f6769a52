import structlog
from starlette.requests import Request
from starlette.responses import Response

from giftgql.app.responses import json_response
from giftgql.errors import Unavailable
from giftgql.startup import DatabaseTooNew, Form, form_of

log = structlog.get_logger("giftgql.health")


async def alive(_: Request) -> Response:
    """`GET /healthz`: the process answers."""
    return json_response({"status": "ok"})


async def ready(request: Request) -> Response:
    """`GET /readyz`: the database can be reached and is in a form this version works with: its
    own, or one to which a newer version has only added."""
    try:
        async with request.app.state.store.read() as reading:
            form = await form_of(reading.session)
    except DatabaseTooNew:
        return json_response({"status": "unavailable", "database": "is newer"}, 503)
    except Exception as error:
        if not isinstance(error, Unavailable):  # a database that is no longer one, say
            log.exception("not ready", exc_info=error)
        return json_response({"status": "unavailable", "database": "unreachable"}, 503)
    if form is Form.OLDER:
        return json_response({"status": "unavailable", "database": "needs migration"}, 503)
    newer = {"database": "is newer"} if form is Form.NEWER else {}
    return json_response({"status": "ok", **newer})
