import asyncio
import re
import secrets
from time import perf_counter
from typing import Any

import structlog
from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from giftgql.app import ended
from giftgql.app.responses import failure, refused
from giftgql.errors import ErrorCode, Unavailable
from giftgql.settings import Settings

log = structlog.get_logger("giftgql.request")

Unfinished = set["asyncio.Task[None]"]
"""Requests under way, those that have been answered for among them."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
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
    A request that is not answered in time is answered `UNAVAILABLE`. What it has begun is never
    cancelled, lest money move half way: it is `unfinished`, and begins no other transaction.
    """

    def __init__(self, app: ASGIApp, settings: Settings, unfinished: Unfinished) -> None:
        self._app = app
        self._settings = settings
        self._unfinished = unfinished

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, seconds = perf_counter(), self._settings.request_seconds
        request_id = _given_id(scope) or secrets.token_hex(8)
        bound = structlog.contextvars.bind_contextvars(request_id=request_id)
        facts: dict[str, Any] = {"request_id": request_id}
        ends_at = asyncio.get_running_loop().time() + seconds
        own = {"log": facts, "settings": self._settings, "ends_at": ends_at}
        scope["state"] = {**scope.get("state", {}), **own}
        takes_files_in = scope["path"].startswith("/imports/")
        answer = _Answer(send, request_id)
        work = asyncio.create_task(self._work(scope, receive, answer))
        self._unfinished.add(work)
        work.add_done_callback(self._unfinished.discard)
        try:
            if takes_files_in or await _is_done_within(seconds, work) or answer.status:
                if not work.done():
                    await asyncio.wait([work])
            else:
                facts["errors"] = [ErrorCode.UNAVAILABLE.value]
                too_late = Unavailable("It was not done in time, and may yet be.")
                await answer.instead(refused(too_late, 503), scope, receive)
        except asyncio.CancelledError:
            if answer.status or takes_files_in:  # only bytes are under way
                work.cancel()
            raise
        finally:
            ended.tell(scope, facts, answer.status, perf_counter() - started)
            structlog.contextvars.reset_contextvars(**bound)

    async def _work(self, scope: Scope, receive: Receive, answer: "_Answer") -> None:
        request_id = scope["state"]["log"]["request_id"]
        try:
            await self._app(scope, receive, answer.send)
        except Exception as error:
            log.exception("fault", request_id=request_id, exc_info=error)
            if answer.status == 0:
                said = failure(500, ErrorCode.INTERNAL, "The server failed.", requestId=request_id)
                await answer.instead(said, scope, receive)


async def _is_done_within(seconds: float, work: "asyncio.Task[None]") -> bool:
    """Wait for a task, which goes on in any case. `asyncio.wait` takes twice as long."""
    loop = asyncio.get_running_loop()
    over: asyncio.Future[bool] = loop.create_future()

    def end(is_done: bool) -> None:
        if not over.done():
            over.set_result(is_done)

    work.add_done_callback(lambda _: end(True))
    timer = loop.call_later(seconds, end, False)
    try:
        return await over
    finally:
        timer.cancel()


class _Answer:
    """What goes out: headers are added. Of two answers the first one counts."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._request_id = request_id
        self._is_replaced = False
        self.status = 0

    async def send(self, message: Message) -> None:
        """Send what the application says, unless it has been answered for."""
        if not self._is_replaced:
            await self._pass_on(message)

    async def instead(self, response: Response, scope: Scope, receive: Receive) -> None:
        """Answer in place of the application."""
        self._is_replaced = True
        await response(scope, receive, self._pass_on)

    async def _pass_on(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["X-Request-ID"] = self._request_id
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await self._send(message)


def _given_id(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            text = value.decode("latin-1")
            return text if _REQUEST_ID.fullmatch(text) else None
    return None
