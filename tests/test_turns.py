"""Requests that take turns."""

import asyncio

import pytest

from giftgql.errors import Unavailable
from giftgql.turns import AT_MOST, Turns


async def test_one_at_a_time_has_a_thing_and_others_go_on() -> None:
    turns, having, most = Turns(), 0, 0

    async def want(thing: str) -> None:
        nonlocal having, most
        async with turns.at(thing):
            having += 1
            most = max(most, having)
            await asyncio.sleep(0)
            having -= 1

    await asyncio.gather(*(want("one") for _ in range(AT_MOST)))
    assert most == 1
    await asyncio.gather(want("one"), want("another"))
    assert most == 2


async def test_more_than_may_wait_are_sent_away_and_whoever_gives_up_makes_room() -> None:
    turns = Turns()

    async def want() -> None:
        async with turns.at("one"):
            await asyncio.Event().wait()

    waiting = [asyncio.create_task(want()) for _ in range(AT_MOST)]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await want()
    for each in waiting:
        each.cancel()
    await asyncio.wait(waiting)
    async with asyncio.timeout(1), turns.at("one"):
        pass
