"""Servers and databases that die under load lose no money and double none (`crash_loop`)."""

import asyncio
import signal
import time
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from giftgql.settings import Settings
from tests import crash_loop, servers
from tests.client import Client
from tests.factories import code_of, funded, money, trans
from tests.tables import Tables

BREAKS = 10
ROOT = str(Path(__file__).parent.parent)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_no_movement_is_lost_or_doubled_whatever_dies(
    kind: str, postgres: servers.PostgresServer
) -> None:
    async with asyncio.timeout(300):
        report = await crash_loop.run(kind, BREAKS, seed=3, postgres=postgres)
    assert report.is_clean, str(report)
    assert report.breaks.total() == BREAKS
    assert report.sums is not None
    # Some were committed and not answered: asked for again, they were found done.
    assert report.sums.found_done > 0
    assert report.sums.acknowledged > report.sums.repeated > report.sums.found_done


async def test_a_server_that_freezes_before_its_commit_and_wakes_up_later_doubles_nothing(
    tmp_path: Path, postgres: servers.PostgresServer
) -> None:
    url = postgres.create()
    quick = {"GIFTGQL_IDLE_SECONDS": "2", "PYTHONPATH": ROOT}
    environment = servers.environment(tmp_path, url, **quick)
    freezing = environment | {"CRASH_AT": "before commit:2:SIGSTOP"}
    async with AsyncExitStack() as stack:
        server = stack.enter_context(servers.serving(freezing, program="tests.crashing"))
        other = stack.enter_context(servers.serving(environment))
        frozen, awake = [
            Client(await stack.enter_async_context(_http(each)), server.development_key)
            for each in (server, other)
        ]
        card = await funded(frozen)
        wish = {"code": code_of(card), "transType": "USE", "amount": "-1.00"}
        early = asyncio.create_task(trans(frozen, **wish, idempotencyKey="once"))
        await asyncio.to_thread(_wait_until_frozen, server)
        answer = await trans(awake, **wish, idempotencyKey="once")
        server.process.send_signal(signal.SIGCONT)
        late = await early
        assert late["giftcardTransAdd"] == answer["giftcardTransAdd"]
        assert (answer.is_replayed, late.is_replayed) == (False, True)
        assert (await money(awake, card["id"]))["balance"] == "9.00"
    settings = Settings(data_dir=tmp_path, database_url=url, _env_file=None)
    async with Tables.of(settings) as tables:
        assert len(await tables.movements(card["id"])) == 2
        assert await tables.findings() == []
    postgres.drop(url)


def _http(server: servers.Server) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=server.url, timeout=30)


def _wait_until_frozen(server: servers.Server) -> None:
    state = Path(f"/proc/{server.process.pid}/stat")
    deadline = time.monotonic() + servers.PATIENCE
    while state.read_text().rpartition(")")[2].split()[0] != "T":
        assert time.monotonic() < deadline
        time.sleep(0.01)
