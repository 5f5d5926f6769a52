"""Limits on failed look-ups hold whatever the database, the clock and other processes are at."""

from datetime import datetime
from typing import Any

import pytest

from giftgql.codes import CodeText
from giftgql.errors import RateLimited, Unavailable
from giftgql.startup import open_store
from giftgql.store import Store
from giftgql.tries import failures
from giftgql.tries.rates import HOUR
from tests.conftest import SetClock
from tests.test_throttle import CODE, SHOP, UNKNOWN


async def test_to_keep_the_database_busy_is_no_way_to_guess_for_nothing(
    store: Store, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_: Any, **__: Any) -> Any:
        raise Unavailable

    async def guess(number: int, found: str | None = None) -> str | None:
        async def read() -> str | None:
            return found

        try:
            return await failures.look_up(store, SHOP, CodeText(UNKNOWN.format(number)), read)
        except (RateLimited, Unavailable) as refused:
            return refused.code

    monkeypatch.setattr(store, "write", busy)
    told = [await guess(number) for number in range(40)]
    assert told == ["UNAVAILABLE"] * 20 + ["RATE_LIMITED"] * 20
    assert await guess(40, "a card") == "RATE_LIMITED"
    clock.forward(seconds=20)
    assert await guess(40, "a card") == "a card"


async def test_a_limit_goes_by_the_clock_of_the_database_however_wrong_this_machine_s_is(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = store.database.clock

    async def behind(session: Any) -> tuple[datetime, int]:
        now, number = await clock(session)
        return now - HOUR, number

    async def right() -> str:
        return "a card"

    monkeypatch.setattr(store.database, "clock", behind)
    for _ in range(20):
        await failures.fail(store, SHOP, CodeText(CODE), source=None, is_unknown=False)
    with pytest.raises(RateLimited):
        await failures.look_up(store, SHOP, CodeText(CODE), right)


async def test_what_other_processes_found_counts_for_the_share_that_fails(
    store: Store, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One process may have all the failures of a client, and few of the others' look-ups."""
    monkeypatch.setattr(failures, "TELL_SECONDS", 0.0)
    code, other = CodeText(CODE), await open_store(store.settings)
    other.clock = clock

    async def right() -> str:
        return "a card"

    try:
        for process, times in ((other, 30), (store, 80)):
            for _ in range(times):
                assert await failures.look_up(process, SHOP, code, right)
    finally:
        await other.close()
    for _ in range(21):
        await failures.fail(store, SHOP, code, source=None, is_unknown=False)
        clock.forward(seconds=20)
    assert await failures.look_up(store, SHOP, code, right)
