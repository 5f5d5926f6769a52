import asyncio
from collections.abc import Sequence

import pytest

from giftgql.together import MOST_AT_ONCE, Together


class Reader:
    """Reads that end when they are let go, and remember what was asked of each."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []
        self.begun = asyncio.Event()
        self.let_go = asyncio.Event()
        self.fails = False

    async def __call__(self, keys: Sequence[int]) -> list[str]:
        self.asked.append(list(keys))
        self.begun.set()
        await self.let_go.wait()
        if self.fails:
            raise ValueError("the read failed")
        return [f"value of {key}" for key in keys]


@pytest.fixture
async def reader() -> Reader:
    return Reader()


async def test_what_is_asked_during_a_read_goes_together_into_the_next(reader: Reader) -> None:
    together = Together(reader)
    first = asyncio.create_task(together.get(1))
    await reader.begun.wait()
    others = [asyncio.create_task(together.get(key)) for key in (2, 3, 2)]
    await asyncio.sleep(0)
    reader.let_go.set()
    assert await first == "value of 1"
    assert await asyncio.gather(*others) == ["value of 2", "value of 3", "value of 2"]
    assert reader.asked == [[1], [2, 3, 2]]


async def test_a_read_takes_no_more_than_its_limit(reader: Reader) -> None:
    together = Together(reader)
    reader.let_go.set()
    wanted = range(2 * MOST_AT_ONCE + 1)
    answers = await asyncio.gather(*(together.get(key) for key in wanted))
    assert answers == [f"value of {key}" for key in wanted]
    assert max(len(keys) for keys in reader.asked) == MOST_AT_ONCE


async def test_a_failure_goes_to_those_who_asked_and_to_nobody_after(reader: Reader) -> None:
    together = Together(reader)
    reader.fails = True
    reader.let_go.set()
    with pytest.raises(ValueError, match="the read failed"):
        await together.get(1)
    reader.fails = False
    assert await together.get(2) == "value of 2"


async def test_who_goes_away_takes_nobody_along(reader: Reader) -> None:
    together = Together(reader)
    leaving, staying = (asyncio.create_task(together.get(key)) for key in (1, 2))
    await reader.begun.wait()
    leaving.cancel()
    reader.let_go.set()
    assert await staying == "value of 2"
    assert leaving.cancelled() or leaving.cancelling()
