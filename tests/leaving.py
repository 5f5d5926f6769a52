"""Callers who send a request over HTTP and go away before it is answered."""

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import httpx

from giftgql.settings import Settings
from tests import factories, servers
from tests.client import Client
from tests.tables import Tables

PER_SECOND = 250
"""How many come: fewer than a server can serve, so that it refuses nobody."""

LONGEST = 0.03
"""Seconds after which the last of those who leave has left."""

USE = """mutation ($t: GiftcardTransAddInput!) { giftcardTransAdd(trans: $t) { id } }"""


@dataclass
class Leaving:
    """Callers of a server who take 0.01 from a card each, under a key of their own."""

    server: servers.Server
    token: str
    code: str

    async def ask(self, keys: Sequence[str], staying: int, random: Random) -> list[str]:
        """Ask once for each key. All but so many leave; returns the keys of those answered."""
        stayed = set(random.sample(keys, staying))
        answered = list[str]()

        async def caller(number: int, key: str) -> None:
            await asyncio.sleep(number / PER_SECOND)
            if await self._call(key, None if key in stayed else random.random() * LONGEST):
                answered.append(key)

        await asyncio.gather(*(caller(number, key) for number, key in enumerate(keys)))
        return answered

    async def _call(self, key: str, leaves_after: float | None) -> bool:
        """Say whether the answer was a movement; who leaves gets none."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.server.port)
        try:
            writer.write(self._request(key))
            await writer.drain()
            if leaves_after is not None:
                await asyncio.sleep(leaves_after)
                writer.transport.abort()
                return False
            answer = await reader.read()
            return b'"giftcardTransAdd":{"id":' in answer
        finally:
            writer.close()

    def _request(self, key: str) -> bytes:
        trans = {"code": self.code, "transType": "USE", "amount": "-0.01"}
        trans |= {"refNo": key, "idempotencyKey": key}
        body = json.dumps({"query": USE, "variables": {"t": trans}})
        head = (
            "POST /graphql HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
            f"Content-Type: application/json\r\nAuthorization: Bearer {self.token}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        return (head + body).encode()


@dataclass
class Outcome:
    """How many were answered, how often each key moved money then, and after all had asked once
    more, and what was left of 100.00 on the card."""

    answered: list[str]
    made: Counter[str | None]
    made_in_the_end: Counter[str | None]
    left: int


async def give_up(settings: Settings, keys: Sequence[str], staying: int, seed: int) -> Outcome:
    """Let callers leave a server, stop it when it has done what it took, and let all ask again."""
    environment = servers.environment(settings.data_dir, settings.database_url)
    random = Random(seed)
    with servers.serving(environment) as server:
        token = server.development_key
        async with httpx.AsyncClient(base_url=server.url, timeout=20) as http:
            card = await factories.funded(Client(http, token), "100.00")
        code = factories.code_of(card)
        answered = await Leaving(server, token, code).ask(keys, staying, random)
        await asyncio.to_thread(server.stop)
    async with Tables.of(settings) as tables:
        made = await tables.made(keys)
    with servers.serving(environment) as server:
        await Leaving(server, token, code).ask(keys, len(keys), random)
    async with Tables.of(settings) as tables:
        account = await tables.account(card["id"])
        assert await tables.findings() == []
        return Outcome(answered, made, await tables.made(keys), account.posted)
