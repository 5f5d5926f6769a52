"""A server that is killed while tills add cards: each key's card is there, and there once."""

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import servers

KILLS, CARDS, TILLS = 3, 150, 8

ADD = """mutation ($code: String, $key: String) {
    giftcardAdd(giftcard: {physicalCode: $code, idempotencyKey: $key}) { id }
}"""
ALL = "{ giftcard(first: 1000) { results { id codes { code } } } }"


class Tills:
    """Tills that add numbered cards and repeat, with the same key, what was not answered."""

    def __init__(self) -> None:
        self.waiting = list(range(CARDS))
        self.answered: dict[int, str] = {}
        self.wanted = 0
        self.enough = asyncio.Event()

    def tell_at(self, wanted: int) -> None:
        """Set `enough` as soon as so many cards are answered."""
        self.wanted = wanted
        self.enough.clear()

    async def work(self, server: servers.Server, key: str) -> None:
        """Add cards until none is left or the server is gone."""
        headers = {"Authorization": f"Bearer {key}"}
        async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=30) as http:
            await asyncio.gather(*(self._till(http) for _ in range(TILLS)))

    async def _till(self, http: httpx.AsyncClient) -> None:
        while self.waiting:
            number = self.waiting.pop(0)
            try:
                card_id = await self._add(http, number)
            except (httpx.HTTPError, json.JSONDecodeError):
                self.waiting.append(number)
                return
            assert self.answered.setdefault(number, card_id) == card_id
            if len(self.answered) >= self.wanted:
                self.enough.set()

    async def _add(self, http: httpx.AsyncClient, number: int) -> str:
        body = await run(http, ADD, code=f"CRASH{number:04}", key=f"till {number}")
        return str(body["data"]["giftcardAdd"]["id"])


async def run(http: httpx.AsyncClient, query: str, **variables: Any) -> Any:
    answer = await http.post("/graphql", json={"query": query, "variables": variables})
    body = answer.json()
    assert "errors" not in body, body
    return body


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_no_card_is_lost_or_doubled_when_the_server_is_killed(
    kind: str, tmp_path: Path, postgres: servers.PostgresServer
) -> None:
    url = postgres.create() if kind == "postgresql" else ""
    environment, tills, key = servers.environment(tmp_path, url), Tills(), ""
    for kill in range(1, KILLS + 1):
        with servers.serving(environment) as server:
            key = key or server.development_key
            tills.tell_at(CARDS * kill // (KILLS + 1))
            working = asyncio.create_task(tills.work(server, key))
            async with asyncio.timeout(servers.PATIENCE):
                await tills.enough.wait()
            server.stop(signal.SIGKILL)
            await working
    assert tills.waiting, "all was done before the last kill"
    with servers.serving(environment) as server:
        await tills.work(server, key)
        headers = {"Authorization": f"Bearer {key}"}
        async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=30) as http:
            found = (await run(http, ALL))["data"]["giftcard"]["results"]
    there = {each["id"]: [code["code"] for code in each["codes"]] for each in found}
    assert there == {tills.answered[n]: [f"CRASH{n:04}"] for n in range(CARDS)}
    if kind == "postgresql":
        postgres.drop(url)
