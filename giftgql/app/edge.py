import re
import secrets
from time import perf_counter
from typing import Any

import structlog
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from giftgql import metrics
from giftgql.app.responses import failure
from giftgql.errors import ErrorCode
from giftgql.settings import Settings

log = structlog.get_logger("giftgql.request")

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_KINDS = {
    **{"imports": "import", "exports": "export", "office": "office", "oauth": "token"},
    **{"sign-in": "sign-in", "sign-out": "sign-in", "graphql": "graphql"},
    **{"healthz": "health", "readyz": "health", "metrics": "metrics"},
}
"""What a request is, by the first part of its path; all others are `other`."""

_MAY_TAKE_LONG = {"import", "export"}
_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}


class Edge:
    """Surrounds every request: gives it an id, headers and a log line, and hides what went wrong.

    `X-Request-ID` is taken over where it is 1 to 64 letters, digits, dots, dashes, underscores.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = perf_counter()
        request_id = _given_id(scope) or secrets.token_hex(8)
        bound = structlog.contextvars.bind_contextvars(request_id=request_id)
        facts: dict[str, Any] = {"request_id": request_id}
        scope["state"] = {**scope.get("state", {}), "log": facts, "settings": self._settings}
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except Exception as error:
            log.exception("fault", request_id=request_id, exc_info=error)
            if status == 0:
                answer = failure(
                    500, ErrorCode.INTERNAL, "The server failed.", requestId=request_id
                )
                await answer(scope, receive, send_with_headers)
        finally:
            self._tell(scope, facts, status, perf_counter() - started)
            structlog.contextvars.reset_contextvars(**bound)

    def _tell(self, scope: Scope, facts: dict[str, Any], status: int, seconds: float) -> None:
        """Log a request that has ended, and count it."""
        kind = facts.setdefault("kind", _kind(scope["path"]))
        metrics.request_ended(kind, _outcome(facts, status), seconds)
        ms, slow_ms = round(seconds * 1000, 1), self._settings.slow_ms
        is_slow = 0 < slow_ms <= ms and kind not in _MAY_TAKE_LONG
        say = log.warning if is_slow else log.info
        say("request", method=scope["method"], status=status, ms=ms, slow=is_slow, **facts)


def _kind(path: str) -> str:
    return _KINDS.get(path.lstrip("/").partition("/")[0], "other")


def _outcome(facts: dict[str, Any], status: int) -> str:
    """How a request ended, in one of few words."""
    if errors := facts.get("errors"):
        return str(errors[0])
    if status == 0:
        return "GONE"
    return "OK" if status < 400 else f"{status // 100}xx"


def _given_id(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            text = value.decode("latin-1")
            return text if _REQUEST_ID.fullmatch(text) else None
    return None
