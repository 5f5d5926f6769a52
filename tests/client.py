"""Clients for tests: GraphQL in, answers out."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

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


@dataclass(frozen=True)
class Client:
    """A caller with a bearer token."""

    http: httpx.AsyncClient
    token: str

    async def run(self, query: str, **variables: Any) -> Answer:
        response = await self.http.post(
            "/graphql",
            json={"query": query, "variables": variables},
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
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://giftgql") as http,
        ):
            yield cls(http)

    def client(self, token: str) -> Client:
        return Client(self.http, token)
