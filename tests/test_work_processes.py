"""Jobs in processes of their own: killed, several at once, and beside the server."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from giftgql.campaigns import service as campaigns
from giftgql.settings import Settings
from giftgql.startup import open_store
from tests import servers
from tests.client import Client
from tests.factories import done
from tests.stock import campaign, campaign_now, issue, pool, stocked

CARDS = 12_000


@contextmanager
def database(kind: str, postgres: servers.PostgresServer) -> Iterator[str]:
    """The URL of a fresh database of this kind; none for SQLite."""
    url = postgres.create() if kind == "postgresql" else ""
    yield url
    if url:
        postgres.drop(url)


async def progress(caller: Client, made: dict[str, Any], wanted: int) -> dict[str, Any]:
    """Wait until so many cards are made; returns the campaign."""
    async with asyncio.timeout(2 * servers.PATIENCE):
        while True:
            now = await campaign_now(caller, made)
            if now["progress"]["done"] >= wanted:
                return now
            await asyncio.sleep(0.01)


async def require_all_once(caller: Client, made: dict[str, Any]) -> None:
    """All cards are there, counted one by one."""
    ids, codes, skip = set[str](), set[str](), 0
    query = """query ($id: ID!, $skip: Int!) { giftcard(campaignId: $id, first: 1000, skip: $skip)
        { hasMoreResults results { id codes { id } } } }"""
    while True:
        page = (await caller.run(query, id=made["id"], skip=skip))["giftcard"]
        ids |= {each["id"] for each in page["results"]}
        codes |= {code["id"] for each in page["results"] for code in each["codes"]}
        skip += len(page["results"])
        if not page["hasMoreResults"]:
            break
    assert (skip, len(ids), len(codes)) == (CARDS, CARDS, CARDS)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_a_campaign_survives_kills_and_has_each_card_once(
    kind: str, tmp_path: Path, postgres: servers.PostgresServer
) -> None:
    with database(kind, postgres) as url:
        environment = servers.environment(tmp_path, url)
        made: dict[str, Any] = {}
        for wanted in (1_000, 5_000):
            with servers.serving(environment) as server:
                async with httpx.AsyncClient(base_url=server.url, timeout=20) as http:
                    admin = Client(http, server.development_key)
                    made = made or await campaign(admin, count=CARDS, startActivated=True)
                    now = await progress(admin, made, wanted)
                    server.stop(signal.SIGKILL)
            await end_leases(Settings(data_dir=tmp_path, database_url=url, _env_file=None))
        assert now["progress"]["done"] < CARDS, "all was done before the last kill"
        with servers.serving(environment) as server:
            async with httpx.AsyncClient(base_url=server.url, timeout=20) as http:
                admin = Client(http, server.development_key)
                assert (await progress(admin, made, CARDS))["status"] == "DONE"
                await require_all_once(admin, made)
        verified = servers.giftgql(environment, "verify")
        assert verified.returncode == 0, verified.stdout + verified.stderr


async def end_leases(settings: Settings) -> None:
    """Do not wait for half a minute until a killed worker's lease has ended."""
    store = await open_store(settings)
    try:
        async with store.write() as tx:
            job = await tx.jobs.open_of(campaigns.JOB, 1)
            assert job is not None
            assert job.id is not None
            await tx.jobs.update(job.id, leased_until=tx.now)
    finally:
        await store.close()


async def test_two_servers_make_a_campaign_and_sell_a_pool_once(
    tmp_path: Path, postgres: servers.PostgresServer
) -> None:
    with database("postgresql", postgres) as url, ExitStack() as stack:
        environment = servers.environment(tmp_path, url)
        both = [stack.enter_context(servers.serving(environment)) for _ in range(2)]
        clients = []
        for server in both:
            http = httpx.AsyncClient(base_url=server.url, timeout=20)
            clients.append(Client(http, both[0].development_key))
        first, second = clients
        try:
            made = await campaign(first, count=CARDS)
            more = [await campaign(second, name=f"more {n}", count=500) for n in range(4)]
            await sell_a_pool(
                clients, Settings(data_dir=tmp_path, database_url=url, _env_file=None)
            )
            assert (await progress(second, made, CARDS))["status"] == "DONE"
            for each in more:
                assert (await progress(first, each, 500))["status"] == "DONE"
            await require_all_once(second, made)
        finally:
            for caller in clients:
                await caller.http.aclose()


async def sell_a_pool(clients: list[Client], settings: Settings) -> None:
    """Sell ten cards to twenty at once, of two servers."""
    boxes = await pool(clients[0])
    store = await open_store(settings)
    try:
        await stocked(store, boxes, 10)
    finally:
        await store.close()
    answer = await clients[0].run("{ giftcardProduct { results { id presets { id } } } }")
    [sold_as] = answer["giftcardProduct"]["results"]
    answers = await asyncio.gather(*(issue(clients[n % 2], sold_as) for n in range(20)))
    sold = [done(each)["id"] for each in answers if not each.errors]
    assert (len(sold), len(set(sold))) == (10, 10)
    assert {each.code for each in answers if each.errors} == {"POOL_EXHAUSTED"}


async def test_a_worker_of_its_own_makes_the_cards_and_ends_when_told(
    tmp_path: Path, postgres: servers.PostgresServer
) -> None:
    with database("postgresql", postgres) as url:
        environment = servers.environment(tmp_path, url, GIFTGQL_WORKS="false")
        with servers.serving(environment) as server:
            async with httpx.AsyncClient(base_url=server.url, timeout=20) as http:
                admin = Client(http, server.development_key)
                made = await campaign(admin, count=CARDS)
                with servers.working(environment) as worker:
                    await progress(admin, made, 1_000)
                    worker.send_signal(signal.SIGTERM)
                    code = await asyncio.to_thread(worker.wait, servers.PATIENCE)
                left = (await campaign_now(admin, made))["progress"]["done"]
                await asyncio.sleep(0.3)
                now = await campaign_now(admin, made)
                assert (code, now["progress"]["done"]) == (0, left)
                assert 0 < left < CARDS, "nobody else makes them"
                async with asyncio.timeout(servers.PATIENCE):
                    with servers.working(environment):
                        assert (await progress(admin, made, CARDS))["status"] == "DONE"
