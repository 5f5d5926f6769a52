from collections.abc import Awaitable, Callable
from functools import cache, wraps
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from giftgql.errors import ErrorCode, Refusal, Unauthenticated
from giftgql.web import sessions
from giftgql.web.bodies import BadBody

FOLDER = Path(__file__).parent

POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
)
_STATUS = {
    ErrorCode.PERMISSION_DENIED: 403,
    ErrorCode.NOT_FOUND: 404,
    ErrorCode.CONFLICT: 409,
    ErrorCode.RATE_LIMITED: 429,
    ErrorCode.UNAVAILABLE: 503,
}
Handler = Callable[[Request], Awaitable[Response]]

_MEDIA_TYPES = {".css": "text/css", ".js": "text/javascript"}


def page(name: str, status: int = 200, *, headers: Any = None, **known: Any) -> Response:
    """A template filled in. No script runs in it, and nothing is loaded from elsewhere."""
    return HTMLResponse(
        _environment().get_template(name).render(known),
        status,
        {
            "Content-Security-Policy": POLICY,
            "Referrer-Policy": "same-origin",  # else browsers send forms with `Origin: null`
            **(headers or {}),
        },
    )


def refused(title: str, sentence: str, status: int, *, headers: Any = None) -> Response:
    """A page that says why nothing was done, and leads on."""
    return page("refused.html", status, headers=headers, title=title, sentence=sentence)


def for_people(handler: Handler) -> Handler:
    """A route whose refusals are pages; who is not signed in is asked to."""

    @wraps(handler)
    async def answered(request: Request) -> Response:
        try:
            return await handler(request)
        except BadBody as bad:
            return refused("Not understood", str(bad), bad.status)
        except Unauthenticated:
            return sessions.to_sign_in(request)
        except Refusal as refusal:
            request.state.log["errors"] = [refusal.code.value]
            wait = refusal.facts.get("retryAfter")
            headers = {} if wait is None else {"Retry-After": str(wait)}
            status = _STATUS.get(refusal.code, 400)
            return refused("Not done", str(refusal), status, headers=headers)

    return answered


async def static(request: Request) -> Response:
    """`GET /static/{name}`: style sheets and scripts."""
    file = _files().get(request.path_params["name"])
    if file is None:
        raise HTTPException(404)
    headers = {"Cache-Control": "max-age=600"}
    return Response(file.read_bytes(), headers=headers, media_type=_MEDIA_TYPES[file.suffix])


@cache
def _files() -> dict[str, Path]:
    return {file.name: file for file in (FOLDER / "static").iterdir()}


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
