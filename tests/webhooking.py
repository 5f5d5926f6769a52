"""Webhooks for tests: endpoints, receivers on 127.0.0.1 in all moods, and what they were told."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from sqlmodel import col, select
from standardwebhooks import Webhook

from giftgql import work
from giftgql.jobs.runner import Lane
from giftgql.outbox.models import OutboxMessage
from giftgql.store import Store
from giftgql.webhooks import service as webhooks
from tests.client import Answer, Client
from tests.factories import done

ENDPOINT = "id url description events active secret removed createdAt modifiedAt"
SENT = "id channel topic state giftcardId endpointId address facts attempts error dueAt"

Reply = int | bytes | Callable[[], Awaitable[bytes]]
"""A status, a whole answer, or whoever makes one."""


@dataclass
class Call:
    """A request that a receiver got."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        return dict(orjson.loads(self.body))

    @property
    def data(self) -> dict[str, Any]:
        return dict(self.event["data"])

    @property
    def type(self) -> str:
        return str(self.event["type"])


@dataclass
class Receiver:
    """A web server that notes what it is told; `replies` are those it has before it takes all."""

    port: int = 0
    scheme: str = "http"
    host: str = "127.0.0.1"
    calls: list[Call] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)
    connections: int = 0
    always: Reply | None = None

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}/hooks?a=b"

    @property
    def types(self) -> list[str]:
        return [call.type for call in self.calls]

    def take(self) -> list[Call]:
        """What was told since the last look."""
        taken, self.calls = self.calls, []
        return taken

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while await self._answer(reader, writer):
                pass
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError, ssl.SSLError):
            pass
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        whole = dict(line.split(": ", 1) for line in head[1:] if line)
        body = await reader.readexactly(int(headers["content-length"]))
        call = Call(head[0].split()[1], {k.lower(): v for k, v in whole.items()}, body)
        self.calls.append(call)
        reply = self.replies.pop(0) if self.replies else self.always or 204
        if isinstance(reply, int):
            reply = b"HTTP/1.1 %d X\r\ncontent-length: 0\r\n\r\n" % reply
        if callable(reply):
            reply = await reply()
        writer.write(reply)
        await writer.drain()
        return bool(reply)


@asynccontextmanager
async def receiver(tls: ssl.SSLContext | None = None, **facts: Any) -> AsyncIterator[Receiver]:
    found = Receiver(**{"scheme": "https" if tls else "http", **facts})
    server = await asyncio.start_server(found.serve, "127.0.0.1", 0, ssl=tls)
    found.port = server.sockets[0].getsockname()[1]
    try:
        yield found
    finally:
        server.close()


def allow_private(store: Store) -> None:
    store.settings = store.settings.model_copy(update={"webhooks_allow_private": True})


async def change(caller: Client, verb: str, **facts: Any) -> Answer:
    """`webhookAdd`, `webhookEdit`, `webhookRemove` or `webhookTest`; returns the answer."""
    shown = SENT if verb == "Test" else ENDPOINT
    return await caller.run(
        f"mutation ($w: Webhook{verb}Input!) {{ webhook{verb}(webhook: $w) {{ {shown} }} }}",
        w=facts,
    )


async def endpoint(caller: Client, at: Receiver | str, **facts: Any) -> dict[str, Any]:
    """Add an endpoint; returns it, with its secret."""
    url = at if isinstance(at, str) else at.url
    return done(await change(caller, "Add", url=url, **facts))


async def listed(caller: Client, **arguments: Any) -> Answer:
    return await caller.run(
        """query ($id: ID, $active: Boolean, $since: String) {
            webhook(id: $id, active: $active, since: $since) """
        f"{{ until results {{ {ENDPOINT} }} }} }}",
        **arguments,
    )


async def sent(caller: Client, **arguments: Any) -> list[dict[str, Any]]:
    """The webhooks in the outbox."""
    answer = await caller.run(
        "query ($e: ID, $s: OutboxState) {"
        " outbox(channel: WEBHOOK, endpointId: $e, state: $s, first: 1000)"
        f" {{ results {{ {SENT} }} }} }}",
        **{"e": None, "s": None, **arguments},
    )
    return list(answer["outbox"]["results"])


async def redo(caller: Client, verb: str, message: dict[str, Any]) -> Answer:
    """`outboxRetry` or `outboxResend`."""
    return await caller.run(
        f"mutation ($id: ID!) {{ outbox{verb}(outbox: {{id: $id}}) {{ {SENT} }} }}",
        id=message["id"],
    )


async def tell(store: Store) -> None:
    """Write what is to be told, as one of several lanes would, be its time come or not."""
    await Lane(store, work.WORKS, [webhooks.FAN_OUT]).do_of(webhooks.FAN_OUT, 0)


async def deliver(store: Store) -> None:
    """Send what is due, one endpoint after the other."""
    lane = Lane(store, work.WORKS, [webhooks.DELIVERY])
    while await lane.do_next():
        pass


async def run(store: Store) -> None:
    """Tell all that is to be told now."""
    await tell(store)
    await deliver(store)


def require_signed(call: Call, *secrets: str) -> None:
    """By all of these secrets."""
    assert len(call.headers["webhook-signature"].split()) == len(secrets)
    for secret in secrets:
        assert Webhook(secret).verify(call.body, call.headers) == call.event


def require_numbered(calls: Sequence[Call]) -> None:
    """Each card's events have the numbers 1, 2, 3 …, in that order."""
    numbers: dict[str, list[int]] = {}
    for call in calls:
        numbers.setdefault(call.data["giftcardId"], []).append(call.data["sequence"])
    for found in numbers.values():
        assert found == list(range(1, len(found) + 1))


async def rows(store: Store) -> list[OutboxMessage]:
    async with store.database.reading() as session:
        query = select(OutboxMessage).order_by(col(OutboxMessage.id))
        return list((await session.exec(query)).all())
