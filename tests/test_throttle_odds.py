"""Limits on failed look-ups hold whatever the database, the clock and other processes are at."""

from typing import Any

import pytest

from giftgql.codes import CodeText
from giftgql.errors import RateLimited, Unavailable
from giftgql.store import Store
from giftgql.tries import failures
from tests.conftest import SetClock
from tests.test_throttle import SHOP, UNKNOWN


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
