"""Callers who go away and servers that are told to: what was taken is made once."""

import asyncio
import signal
from collections.abc import AsyncIterator
from random import Random

import httpx
import pytest

from giftgql.settings import Settings
from tests import factories, leaving, servers
from tests.client import Client
from tests.factories import funded
from tests.fault_shop import Shop, held_up, keys, once, shop_with


@pytest.fixture
async def shop(settings: Settings) -> AsyncIterator[Shop]:
    async with shop_with(settings) as opened:
        yield opened


async def test_callers_who_give_up_change_nothing_about_what_was_taken(shop: Shop) -> None:
    card, wanted, random = await funded(shop.till, "100.00"), keys(300), Random(1)
    staying = wanted[::15]
    asking = {key: asyncio.create_task(shop.use(card, key)) for key in wanted}
    for key in random.sample(wanted, len(wanted)):
        await asyncio.sleep(random.random() / 300)
        if key not in staying:
            asking[key].cancel()
    await asyncio.wait(asking.values())
    assert all(asking[key].result().code is None for key in staying)
    assert (await shop.use(card, "one more")).code is None
    made = await shop.made(wanted)
    assert set(made.values()) == {1}
    assert made.keys() >= set(staying)
    answered = {key for key, task in asking.items() if not task.cancelled()}
    assert made.keys() - answered, "nobody gave up whose movement was taken"
    assert await shop.uses(card, wanted) == {None: 300}
    assert await shop.made(wanted) == once(wanted)


async def test_callers_who_hang_up_change_nothing_about_what_was_taken(
    settings: Settings,
) -> None:
    wanted = keys(300)
    outcome = await leaving.give_up(settings, wanted, staying=20, seed=2)
    assert len(outcome.answered) == 20
    assert set(outcome.made.values()) == {1}
    assert outcome.made.keys() > set(outcome.answered)
    assert outcome.made_in_the_end == once(wanted)
    assert outcome.left == 9_700


async def test_a_server_that_is_told_to_stop_finishes_what_it_has_taken(
    settings: Settings,
) -> None:
    environment = servers.environment(settings.data_dir, settings.database_url)
    wanted = keys(200)
    with servers.serving(environment) as server:
        async with httpx.AsyncClient(base_url=server.url, timeout=20) as http:
            till = Client(http, server.development_key)
            card = await funded(till, "100.00")
            asking = [
                asyncio.create_task(
                    factories.spend(till, card, "-0.10", refNo=key, idempotencyKey=key)
                )
                for key in wanted
            ]
            await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
            server.process.send_signal(signal.SIGTERM)
            await asyncio.wait(asking)
        await asyncio.to_thread(server.process.wait, servers.PATIENCE)
    answered = [key for key, task in zip(wanted, asking, strict=True) if task.exception() is None]
    async with shop_with(settings) as shop:
        assert await shop.made(wanted) == once(answered)


async def test_a_store_that_closes_finishes_what_waits_and_takes_no_more(shop: Shop) -> None:
    card, wanted = await funded(shop.till), keys(30)
    assert shop.store.poster is not None
    async with held_up(shop):
        waiting = asyncio.create_task(shop.uses(card, wanted))
        await shop.until_waiting(30)
        closing = asyncio.create_task(shop.store.poster.close())
        await asyncio.sleep(0.1)
        assert (await shop.use(card, "too late")).code == "UNAVAILABLE"
        assert not closing.done()
    await closing
    assert await shop.made([*wanted, "too late"]) == once(wanted)
    assert await waiting == {None: 30}
