"""Rates of failures, and what a process lets its callers have under way: no database."""

import asyncio
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from giftgql import pins
from giftgql.errors import RateLimited
from giftgql.permissions import CallerKind
from giftgql.tries.gates import CHECKING_AT_ONCE, LOOKING_AT_ONCE, Gate
from giftgql.tries.rates import DAY, HOUR, SOURCE, Rate, rates

TODAY = datetime(2026, 11, 27, tzinfo=UTC)


@pytest.mark.parametrize(
    ("rate", "of", "most"),
    [
        (rates(CallerKind.CLIENT, 200)[""], HOUR, 200),
        (rates(CallerKind.CLIENT, 200)["day"], DAY, 1_000),
        (rates(CallerKind.CLIENT, 20)[""], HOUR, 20),
        (rates(CallerKind.MEMBER, 200)[""], DAY, 10),
        (SOURCE, HOUR, 30),
        (SOURCE, timedelta(minutes=1), 5),
    ],
)
def test_no_stretch_of_time_has_more_failures_than_its_limit(
    rate: Rate, of: timedelta, most: int
) -> None:
    random, now, free_at = Random(1), TODAY, TODAY - DAY
    failed: list[datetime] = []
    while len(failed) < 3 * most:
        left = rate.left(free_at, now)
        assert (left > 0) == (free_at <= now)
        if left and random.random() < 0.7:
            free_at = rate.charged(free_at, now)
            assert rate.left(free_at, now) == left - 1
            failed.append(now)
        else:
            now += random.choice([timedelta(0), rate.interval / 3, 4 * rate.interval])
    most_found = max(sum(at <= each < at + of for each in failed) for at in failed)
    assert most_found <= most


def gate_of(now: datetime) -> Gate:
    return Gate(rates(CallerKind.CLIENT, 200), lambda: now)


async def test_as_many_are_under_way_as_may_still_fail_and_the_others_wait_in_order() -> None:
    gate, entered, leave = gate_of(TODAY), list[int](), asyncio.Event()
    gate.count({"": TODAY + timedelta(seconds=-2 * 20)})

    async def one(number: int) -> None:
        async with gate.looking:
            entered.append(number)
            await leave.wait()

    tasks = [asyncio.create_task(one(number)) for number in range(9)]
    await asyncio.sleep(0)
    assert (gate.at_once, entered) == (3, [0, 1, 2])
    tasks[3].cancel()
    tasks[0].cancel()
    await asyncio.sleep(0.01)
    assert entered == [0, 1, 2, 4]
    leave.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert entered == [0, 1, 2, 4, 5, 6, 7, 8]
    async with gate.looking, gate.checking:
        assert gate_of(TODAY).at_once == LOOKING_AT_ONCE


async def test_no_caller_takes_all_the_places_where_pins_are_checked() -> None:
    gate, many = gate_of(TODAY), list[int]()

    async def one() -> None:
        async with gate.checking:
            many.append(1)
            await asyncio.sleep(0.01)
            assert sum(many) <= CHECKING_AT_ONCE < pins.CHECKS_WAITING
            many.remove(1)

    await asyncio.gather(*(one() for _ in range(50)))
    assert many == []


async def test_who_may_fail_no_more_comes_one_by_one_and_is_refused() -> None:
    gate, under_way = gate_of(TODAY), list[int]()
    gate.count({"": TODAY + timedelta(seconds=1), "source x": TODAY + timedelta(seconds=9)})

    async def one() -> None:
        async with gate.looking:
            under_way.append(len(under_way))
            await asyncio.sleep(0)
            assert under_way.pop() == 0
            gate.require_free("source x")

    refused = await asyncio.gather(*(one() for _ in range(5)), return_exceptions=True)
    assert [str(each) for each in refused] == [str(RateLimited(9))] * 5
    gate.learn({}, changes=gate.changes)
    gate.require_free("source x")
    gate.count({"": TODAY + timedelta(seconds=1)})
    gate.learn({}, changes=gate.changes - 1)  # read before that failure was counted
    with pytest.raises(RateLimited):
        gate.require_free(None)
