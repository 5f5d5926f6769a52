"""Servers and databases that die under load lose no money and double none (`crash_loop`)."""

import asyncio

import pytest

from tests import crash_loop, servers

BREAKS = 10


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_no_movement_is_lost_or_doubled_whatever_dies(
    kind: str, postgres: servers.PostgresServer
) -> None:
    async with asyncio.timeout(120):
        report = await crash_loop.run(kind, BREAKS, seed=3, postgres=postgres)
    assert report.is_clean, str(report)
    assert report.breaks.total() == BREAKS
    assert report.sums is not None
    # Some were committed and not answered: asked for again, they were found done.
    assert report.sums.found_done > 0
    assert report.sums.acknowledged > report.sums.repeated > report.sums.found_done
