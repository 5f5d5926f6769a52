"""A connection that is lost at COMMIT: what became of the money is found out, or not known."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from giftgql.errors import Unavailable
from giftgql.settings import Settings
from tests import factories, servers
from tests.conftest import on_postgresql
from tests.cutting import Cut, way_to
from tests.factories import funded
from tests.fault_shop import Shop, keys, logs, once, shop, shop_with
from tests.servers import PATIENCE

__all__ = ["logs", "shop"]


@on_postgresql
@pytest.mark.parametrize("is_keyed", [True, False], ids=["keyed", "without key"])
@pytest.mark.parametrize("how", Cut, ids=lambda how: how.value)
async def test_a_connection_lost_at_commit_loses_and_doubles_nothing(
    settings: Settings, how: Cut, is_keyed: bool
) -> None:
    async with (
        way_to(settings.database_url) as way,
        shop_with(settings, database_url=way.url) as shop,
    ):
        card, wanted = await funded(shop.till), keys(30)
        way.cut(how, after=1)
        assert await shop.uses_together(card, wanted, is_keyed=is_keyed) == {None: 30}
        assert way.cuts == 1
        assert await shop.made(wanted) == once(wanted)
        assert (await shop.tables.account(card["id"])).posted == 700


@on_postgresql
@pytest.mark.parametrize("how", Cut, ids=lambda how: how.value)
async def test_what_cannot_be_found_out_is_unavailable_and_the_key_tells_it_later(
    settings: Settings, how: Cut
) -> None:
    async with (
        way_to(settings.database_url) as way,
        shop_with(settings, database_url=way.url, lock_seconds=1) as shop,
    ):
        card, wanted = await funded(shop.till), keys(10)
        way.cut(how)
        asking = asyncio.create_task(shop.uses(card, wanted))
        async with asyncio.timeout(PATIENCE):
            while not way.cuts:  # noqa: ASYNC110  the proxy tells nobody
                await asyncio.sleep(0)
        way.block()
        assert (await asking)["UNAVAILABLE"] >= 9
        way.is_blocked = False
        assert await shop.uses_at_last(card, wanted) == {None: 10}
        assert await shop.made(wanted) == once(wanted)
        assert (await shop.tables.account(card["id"])).posted == 900


async def test_a_batch_whose_outcome_cannot_even_be_asked_for_is_not_done_again(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where whoever took over refuses the role until its rights are mended."""
    database, commits = shop.store.database, 0
    writing = database.writing

    @asynccontextmanager
    async def loses_the_second_answer() -> AsyncIterator[Any]:
        nonlocal commits
        async with writing() as session:
            yield session
        commits += 1
        if commits == 2:
            raise Unavailable

    async def refuses(_: int) -> bool:
        raise asyncpg.InvalidAuthorizationSpecificationError("no entry in pg_hba.conf")

    card, wanted = await funded(shop.till), keys(10)
    monkeypatch.setattr(database, "writing", loses_the_second_answer)
    monkeypatch.setattr(database, "has_committed", refuses)
    assert (await shop.uses_together(card, wanted, is_keyed=False))["UNAVAILABLE"] == 9
    assert await shop.made(wanted) == once(wanted)


@on_postgresql
@pytest.mark.parametrize("how", [Cut.BEFORE, Cut.AFTER], ids=lambda how: how.value)
async def test_a_new_card_lost_at_commit_is_found_under_its_key(
    settings: Settings, how: Cut
) -> None:
    async with (
        way_to(settings.database_url) as way,
        shop_with(settings, database_url=way.url) as shop,
    ):
        facts = {"physicalCode": "LOST4928", "idempotencyKey": "once"}
        way.cut(how)
        assert (await factories.add(shop.till, **facts)).code == "UNAVAILABLE"
        again = await factories.add(shop.till, **facts)
        assert (again.code, again.is_replayed) == (None, how is Cut.AFTER)
        found = (await factories.listed(shop.till))["giftcard"]["results"]
        assert [card["id"] for card in found] == [again["giftcardAdd"]["id"]]


@on_postgresql
async def test_a_connection_is_never_a_fault_however_much_of_its_end_has_been_heard(
    shop: Shop, postgres: servers.PostgresServer
) -> None:
    """Of a connection that PostgreSQL ends we read the farewell first and the end after it."""
    card, name = await funded(shop.till), postgres.name(shop.store.settings.database_url)
    for turns in range(8):
        assert (await shop.use(card, f"before {turns}")).code in (None, "UNAVAILABLE")
        postgres.sql(
            f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{name}'"
        )
        for _ in range(turns):
            await asyncio.sleep(0)
        assert (await shop.use(card, f"after {turns}")).code in (None, "UNAVAILABLE")
    assert (await shop.use(card, "in the end")).code is None
