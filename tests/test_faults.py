"""Ways to and from a server that break: nothing is lost or doubled, and all ends in time."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from sqlalchemy.exc import DisconnectionError
from structlog.testing import capture_logs

from giftgql.errors import Unavailable
from giftgql.ledger import service as ledger
from giftgql.ledger.books import Outcome
from giftgql.ledger.service import Result
from giftgql.postgres import Hosts
from giftgql.settings import Settings
from giftgql.startup import open_store
from tests import fault_loop, servers
from tests.conftest import on_postgresql
from tests.factories import code_of, funded
from tests.fault_shop import Shop, held_up, keys, once, shop_with
from tests.hops import Fault, hop_to_database

QUICK: dict[str, Any] = fault_loop.QUICK


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[Any]]:
    """What is logged meanwhile; it is not printed, which takes seconds for each traceback."""
    with capture_logs() as seen:
        yield seen


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_ways_that_break_lose_and_double_no_movement(
    kind: str, postgres: servers.PostgresServer
) -> None:
    async with asyncio.timeout(120):
        report = await fault_loop.run(kind, 8, seed=5, postgres=postgres)
    assert report.is_clean, str(report)
    sides = ["tills", "database"] if kind == "postgresql" else ["tills"]
    assert report.breaks.keys() == {f"{side}: {each.value}" for side in sides for each in Fault}
    assert report.sums is not None
    assert report.sums.repeated > 0


# Requests that take too long


async def until_done(shop: Shop) -> None:
    async with asyncio.timeout(servers.PATIENCE):
        while shop.waiting:  # noqa: ASYNC110  it goes on by itself
            await asyncio.sleep(0.01)


async def test_a_request_that_takes_too_long_is_unavailable_and_its_money_moves_once(
    settings: Settings,
) -> None:
    async with shop_with(settings, request_seconds=1) as shop:
        card = await funded(shop.till)
        async with held_up(shop):
            answer = await shop.use(card, "fault 0")
            assert (answer.status, answer.code) == (503, "UNAVAILABLE")
            assert answer.errors[0]["extensions"]["retryAfter"] == 1
            assert shop.waiting == 1
        await until_done(shop)
        assert await shop.made(["fault 0"]) == once(["fault 0"])
        again = await shop.use(card, "fault 0")
        assert (again.code, again.is_replayed) == (None, True)


async def test_a_request_that_has_been_answered_for_begins_nothing_more(
    settings: Settings,
) -> None:
    both = """mutation ($a: GiftcardTransAddInput!, $b: GiftcardTransAddInput!) {
        a: giftcardTransAdd(trans: $a) { id } b: giftcardTransAdd(trans: $b) { id } }"""
    async with shop_with(settings, request_seconds=1) as shop:
        card = await funded(shop.till)
        use = {"code": code_of(card), "transType": "USE", "amount": "-0.10"}
        async with held_up(shop):
            answer = await shop.till.run(both, a={**use, "refNo": "a"}, b={**use, "refNo": "b"})
            assert (answer.status, answer.code) == (503, "UNAVAILABLE")
        await until_done(shop)
        assert (await shop.use(card, "c")).code is None
        assert await shop.made(["a", "b", "c"]) == once(["a", "c"])


async def test_who_waits_behind_a_transaction_that_does_not_end_is_refused_in_time(
    settings: Settings,
) -> None:
    async with shop_with(settings, request_seconds=60) as shop:
        card, wanted = await funded(shop.till), keys(20)
        async with held_up(shop):
            first = asyncio.create_task(shop.use(card, "first"))
            await shop.until_waiting(1)
            quick = shop.store.settings.model_copy(update={"lock_seconds": 1})
            shop.store.settings = quick  # the first one waits for 30 s
            assert await shop.uses(card, wanted) == {"UNAVAILABLE": 20}
            assert not first.done()
        assert (await first).code is None
        assert await shop.made(["first", *wanted]) == once(["first"])


# A database that is out of reach


async def ready(shop: Shop) -> int:
    return (await shop.till.http.get("/readyz")).status_code


@on_postgresql
async def test_a_database_that_falls_silent_is_unavailable_and_used_again_when_it_speaks(
    settings: Settings,
) -> None:
    async with (
        hop_to_database(settings.database_url) as (hop, way),
        shop_with(settings, database_url=way, **QUICK) as shop,
    ):
        card, wanted = await funded(shop.till), keys(20)
        hop.fall_silent()
        async with asyncio.timeout(20):  # TCP would wait for minutes
            assert (await shop.uses(card, wanted)).keys() == {"UNAVAILABLE"}
            assert await ready(shop) == 503
        hop.speak()
        assert await shop.uses_at_last(card, wanted) == {None: 20}
        assert await shop.made(wanted) == once(wanted)
        assert await ready(shop) == 200


@on_postgresql
async def test_a_database_that_is_gone_is_unavailable_at_once_and_used_again_when_it_is_back(
    settings: Settings,
) -> None:
    async with (
        hop_to_database(settings.database_url) as (hop, way),
        shop_with(settings, database_url=way) as shop,
    ):
        card, wanted = await funded(shop.till), keys(20)
        hop.close()
        async with asyncio.timeout(20):  # a lock, or a connection, is waited for for 30 s
            assert await shop.uses(card, wanted) == {"UNAVAILABLE": 20}
            assert await ready(shop) == 503
        hop.reopen()
        assert await shop.uses(card, wanted) == {None: 20}
        assert await ready(shop) == 200


@on_postgresql
async def test_connections_that_are_lost_as_soon_as_they_are_made_are_no_fault(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As while statements that had no answer end one after the other."""
    is_lost = False

    def refuse_lost(*_: Any) -> None:
        if is_lost:
            raise DisconnectionError

    monkeypatch.setattr(Hosts, "_refuse_lost", refuse_lost)
    async with shop_with(settings) as shop:
        card = await funded(shop.till)
        is_lost = True
        assert (await shop.use(card, "key")).code == "UNAVAILABLE"
        assert await ready(shop) == 503
        is_lost = False
        assert (await shop.use(card, "key")).code is None
        assert await shop.made(["key"]) == once(["key"])


async def test_who_finds_no_free_connection_is_refused_until_there_is_one(
    settings: Settings,
) -> None:
    asked = "{ giftcard(first: 1) { results { id } } }"
    async with shop_with(settings, database_pool=1, pool_seconds=1) as shop:
        async with AsyncExitStack() as stack:
            for _ in range(2 if shop.is_sqlite else 1):
                reading = await stack.enter_async_context(shop.store.read())
                await reading.session.connection()
            assert (await shop.till.run(asked)).code == "UNAVAILABLE"
            assert await ready(shop) == 503
        assert (await shop.till.run(asked)).code is None
        assert await ready(shop) == 200


@on_postgresql
async def test_of_several_hosts_one_that_says_nothing_is_passed_over(settings: Settings) -> None:
    async with (
        hop_to_database(settings.database_url) as (deaf, _),
        hop_to_database(settings.database_url) as (other, way),
    ):
        deaf.fall_silent()
        both = way.replace(f":{other.port}", f":{deaf.port},127.0.0.1:{other.port}")
        async with shop_with(settings, database_url=both, connect_seconds=2) as shop:
            assert (await shop.use(await funded(shop.till), "fault 0")).code is None
            assert await ready(shop) == 200


@on_postgresql
async def test_a_host_that_takes_no_writes_is_none_of_several(
    settings: Settings, postgres: servers.PostgresServer
) -> None:
    """As a replica does, or a primary that is one no more."""
    name = postgres.name(settings.database_url)
    postgres.sql(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    writable = f"{settings.database_url}&target_session_attrs=read-write"
    changed = settings.model_copy(update={"database_url": writable})
    with pytest.raises(Unavailable, match="cannot be reached"):
        await open_store(changed)
    postgres.sql(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    await (await open_store(changed)).close()


@on_postgresql
async def test_a_dead_connection_is_found_out_by_the_kernel(settings: Settings) -> None:
    async with (
        hop_to_database(settings.database_url) as (_, way),
        shop_with(settings, database_url=way, silence_seconds=8) as shop,
        shop.store.read() as reading,
    ):
        connection = await reading.session.connection()
        driver: Any = (await connection.get_raw_connection()).driver_connection
        at = driver._transport.get_extra_info("socket")
        assert at.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert at.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 8_000
        kept = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        assert [at.getsockopt(socket.IPPROTO_TCP, each) for each in kept] == [4, 2, 2]


# What became of a transaction whose COMMIT had no answer


@on_postgresql
async def test_a_transaction_that_the_database_has_never_heard_of_was_not_committed(
    settings: Settings,
) -> None:
    """A replica that took over, say, before it had got any of it."""
    async with shop_with(settings) as shop:
        assert not await shop.store.database.has_committed(2**40)


async def test_a_number_that_was_given_out_twice_vouches_for_nobody_s_rows(
    settings: Settings,
) -> None:
    async with shop_with(settings) as shop:
        card = await funded(shop.till)
        used = await shop.use(card, "fault 0")
        [row] = await shop.tables.by_ref_nos(["fault 0"])
        async with shop.store.read() as reading:
            for known, written in ((row.id, True), (row.id + 1, False)):
                entry: Any = type("Entry", (), {"id": known, "error": None})
                assert await ledger.is_written(reading, [Result(Outcome(entry), "EUR")]) is written
            assert await ledger.is_written(reading, [None])
        assert used.code is None
