"""Clients for tests: GraphQL in, answers out."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import orjson
from starlette.types import ASGIApp, Message

from giftgql.app import create_app
from giftgql.store import Store


@dataclass(frozen=True)
class Answer:
    """What came back. `await till.run(…)` gives one; `answer["giftcardAdd"]` is its data."""

    status: int
    body: dict[str, Any]

    def __getitem__(self, field: str) -> Any:
        assert "errors" not in self.body, self.body
        return self.body["data"][field]

    @property
    def errors(self) -> list[dict[str, Any]]:
        return list(self.body.get("errors", []))

    @property
    def code(self) -> str | None:
        """The code of the one error; None if all went well."""
        assert len(self.errors) <= 1, self.errors
        return self.errors[0]["extensions"]["code"] if self.errors else None

    @property
    def field(self) -> str | None:
        return self.errors[0]["extensions"].get("field") if self.errors else None

    @property
    def is_replayed(self) -> bool:
        return self.body.get("extensions", {}).get("replayed") is True


class InProcess(httpx.AsyncClient):
    """Calls the application without a network in between.

    A GraphQL request goes past httpx, which costs more than the server does.
    """

    def __init__(self, app: ASGIApp) -> None:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        super().__init__(transport=transport, base_url="http://giftgql")
        self._app = app

    async def ask(self, asked: Any, token: str) -> Answer:
        body = orjson.dumps(asked)
        sent: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
        got = list[Message]()
        headers = {
            "host": "giftgql",
            "accept": "*/*",
            "authorization": f"Bearer {token}",
            "content-type": "application/json",
            "content-length": str(len(body)),
        }
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            "scheme": "http",
            "path": "/graphql",
            "raw_path": b"/graphql",
            "query_string": b"",
            "server": ("giftgql", None),
            "client": ("127.0.0.1", 123),
            "root_path": "",
        }

        async def receive() -> Message:
            return sent.pop() if sent else {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            got.append(message)

        await self._app(scope, receive, send)
        status = next(m["status"] for m in got if m["type"] == "http.response.start")
        return Answer(status, orjson.loads(b"".join(m.get("body", b"") for m in got)))


@dataclass(frozen=True)
class Client:
    """A caller with a bearer token."""

    http: httpx.AsyncClient
    token: str

    async def run(self, query: str, **variables: Any) -> Answer:
        asked = {"query": query, "variables": variables}
        if isinstance(self.http, InProcess):
            return await self.http.ask(asked, self.token)
        response = await self.http.post(
            "/graphql",
            json=asked,
            headers={"Authorization": f"Bearer {self.token}"},
        )
        return Answer(response.status_code, response.json())


@dataclass(frozen=True)
class Server:
    """The application, called without a network in between."""

    http: httpx.AsyncClient

    @classmethod
    @asynccontextmanager
    async def over(cls, store: Store) -> AsyncIterator["Server"]:
        app = create_app(store.settings, store)
        async with app.router.lifespan_context(app), InProcess(app) as http:
            yield cls(http)

    def client(self, token: str) -> Client:
        return Client(self.http, token)
