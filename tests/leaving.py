"""Callers who send a request over HTTP and go away before it is answered."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from tests import servers

AT_ONCE = 64
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
        free, answered = asyncio.Semaphore(AT_ONCE), list[str]()

        async def caller(key: str) -> None:
            async with free:
                if await self._call(key, None if key in stayed else random.random() * LONGEST):
                    answered.append(key)

        await asyncio.gather(*(caller(key) for key in keys))
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
