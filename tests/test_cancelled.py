"""Work that is cancelled ends, whatever has become of the database under it."""

import asyncio

import pytest

from giftgql.errors import Unavailable
from giftgql.jobs import service as jobs
from giftgql.jobs.runner import Lane, Work
from giftgql.jobs.service import Lease
from giftgql.outages import translated
from giftgql.store import Store


async def test_what_fails_because_it_was_cancelled_is_no_outage() -> None:
    async def cut_off() -> None:
        async with translated():
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                raise ConnectionResetError from None  # as a connection that is cut off then says

    working = asyncio.create_task(cut_off())
    await asyncio.sleep(0)
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    with pytest.raises(Unavailable):
        async with translated():
            raise ConnectionResetError


async def test_a_lane_ends_also_where_a_step_made_something_else_of_it(store: Store) -> None:
    begun = asyncio.Event()

    async def step(store: Store, lease: Lease) -> bool:
        begun.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise RuntimeError("closed") from None
        return False

    async with store.write() as tx:
        await jobs.add(tx, "mail", 1)
    lane = asyncio.create_task(Lane(store, {"mail": Work(step)}, ["mail"]).run())
    await begun.wait()
    lane.cancel()
    done, _ = await asyncio.wait([lane], timeout=20)
    assert done
    assert lane.cancelled()
