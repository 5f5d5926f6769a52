"""Servers over a primary with a replica, by way of pgbouncers in transaction mode."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from giftgql.settings import Settings
from giftgql.startup import DatabaseUnusable, open_store
from tests import failover_loop, replication
from tests.factories import funded
from tests.fault_loop import QUICK
from tests.fault_shop import keys, once, shop_with
from tests.needed import skip_without
from tests.replication import Pair


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[Any]]:
    """What is logged meanwhile; it is not printed, which takes seconds for each traceback."""
    with capture_logs() as seen:
        yield seen


@pytest.fixture
def pair() -> Iterator[Pair]:
    if replication.pgbouncer() is None:
        skip_without("pgbouncer")
    with replication.pair() as made:
        yield made


async def test_what_no_replica_has_is_not_acknowledged_and_after_a_failover_done_once(
    pair: Pair, tmp_path: Path
) -> None:
    given: dict[str, Any] = {"data_dir": tmp_path, "database_url": pair.url, **QUICK}
    with pytest.raises(DatabaseUnusable, match="Set GIFTGQL_DATABASE_POOLER=true"):
        await open_store(Settings(_env_file=None, **given))
    settings = Settings(database_pooler=True, _env_file=None, **given)
    async with shop_with(settings) as shop:
        card, wanted = await funded(shop.till), keys(40)
        assert await shop.uses_at_last(card, wanted[:20]) == {None: 20}
        await asyncio.to_thread(pair.replica.stop)
        assert (await shop.uses(card, wanted[20:])).keys() == {"UNAVAILABLE"}
        await asyncio.to_thread(pair.primary.kill)
        await asyncio.to_thread(pair.replica.start)
        await asyncio.to_thread(pair.fail_over)
        assert await shop.uses_at_last(card, wanted) == {None: 40}
        assert await shop.made(wanted) == once(wanted)
        async with shop.store.write() as tx:  # another connection's limits are not ours
            connection = await tx.session.connection()
            shown = await connection.exec_driver_sql("SELECT current_setting('lock_timeout')")
            assert shown.scalar_one() == f"{settings.lock_seconds}s"


async def test_when_a_primary_is_killed_its_replica_has_all_that_was_acknowledged(
    pair: Pair,
) -> None:
    async with asyncio.timeout(200):
        report, _ = await failover_loop.run(1, seed=7, pair=pair)
    assert report.is_clean, str(report)
    assert report.breaks == Counter({failover_loop.KILLED: 1})
    assert report.sums is not None
    assert report.sums.acknowledged > report.sums.repeated > 0
