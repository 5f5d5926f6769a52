"""A purse of cards, each replaced by the next one, under random uses: a small model knows what is
left, and after every step it is on the last card and nowhere else."""

from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest

from giftgql.store import Store
from tests import heirs
from tests.card_model import money
from tests.client import Answer, Client
from tests.conftest import SetClock
from tests.factories import cancel, done, hold, refund, top_up, undo
from tests.heirs import are_clean, capture, heir, use

STEPS = 30
SECONDS = 60


@dataclass
class Done:
    """A transaction that moved so much, signed, of which so much was refunded."""

    id: str
    amount: int
    refunded: int = 0
    key: str | None = None

    @property
    def left(self) -> int:
        return abs(self.amount) - self.refunded


@dataclass
class Purse:
    """What was made of one card: the cards, the last of which has what is free."""

    cards: list[dict[str, Any]]
    free: int
    held: dict[str, Any] | None = None
    size: int = 0
    moved: list[Done] = field(default_factory=list)


class Walk:
    def __init__(self, admin: Client, store: Store, clock: SetClock, seed: int) -> None:
        self.admin, self.store, self.clock, self.random = admin, store, clock, Random(seed)

    async def begin(self) -> None:
        made = await heirs.owned(self.admin, "50.00")
        self.purse = Purse([made], 5_000)

    @property
    def last(self) -> dict[str, Any]:
        return self.purse.cards[-1]

    async def step(self) -> None:
        steps = (self.use, self.use, self.add, self.hold, self.capture, self.cancel)
        await self.random.choice((*steps, self.refund, self.refund, self.undo, self.use_old))()

    def _size(self) -> int:
        return self.random.choice((1, 500, 1_500, self.purse.free, self.purse.free + 1)) or 1

    def _why_not(self, size: int) -> str | None:
        if self.purse.held:
            return "CONFLICT"
        return "INSUFFICIENT_FUNDS" if size > self.purse.free else None

    async def _took(self, answer: Answer, size: int, key: str | None = None) -> None:
        """A use or a capture came through: what is left is on a new card."""
        trans, purse = done(answer), self.purse
        purse.moved.append(Done(trans["id"], -size, key=key))
        assert (trans["replacedById"] is not None) == (purse.free > 0)
        if purse.free:
            purse.cards.append(await heir(self.store, trans))

    async def use(self) -> None:
        size, key = self._size(), f"use {len(self.purse.moved)} {self.clock.now.timestamp()}"
        wanted = self._why_not(size)
        answer = await use(self.admin, self.last, money(-size), idempotencyKey=key)
        assert answer.code == wanted
        if wanted is None:
            self.purse.free -= size
            await self._took(answer, size, key)

    async def use_old(self) -> None:
        for old in self.purse.cards[:-1]:
            assert (await use(self.admin, old, "-0.01")).code == "CARD_REPLACED"

    async def add(self) -> None:
        size = self.random.randint(1, 1_000)
        trans = await top_up(self.admin, self.last, money(size))
        self.purse.moved.append(Done(trans["id"], size))
        self.purse.free += size

    async def hold(self) -> None:
        size = self._size()
        if (wanted := self._why_not(size)) is not None:
            answer = await use(self.admin, self.last, money(-size), authorizeOnly=True)
            assert answer.code == wanted
            return
        self.purse.held = await hold(self.admin, self.last, money(-size))
        self.purse.free, self.purse.size = self.purse.free - size, size

    async def capture(self) -> None:
        purse = self.purse
        if purse.held is None:
            return
        size = self.random.choice((1, purse.size, (purse.size + 1) // 2))
        answer = await capture(self.admin, purse.held, money(size))
        purse.free, purse.held = purse.free + purse.size - size, None
        await self._took(answer, size)

    async def cancel(self) -> None:
        purse = self.purse
        if purse.held is not None:
            done(await cancel(self.admin, purse.held["id"]))
            purse.free, purse.held = purse.free + purse.size, None

    async def refund(self) -> None:
        if not self.purse.moved:
            return
        each = self.random.choice(self.purse.moved)
        size = self.random.choice((1, each.left, each.left + 1))
        wanted = "REFUND_EXCEEDS_CAPTURED" if size > each.left or not each.left else None
        if not size:
            return
        if wanted is None and each.amount > 0 and size > self.purse.free:
            wanted = "INSUFFICIENT_FUNDS"
        answer = await refund(self.admin, each.id, money(size))
        assert answer.code == wanted
        if wanted is None:
            each.refunded += size
            self.purse.free += size if each.amount < 0 else -size
            assert done(answer)["balance"] == money(self.purse.free)

    async def undo(self) -> None:
        keyed = [each for each in self.purse.moved if each.key]
        if keyed:
            each = self.random.choice(keyed)
            done(await undo(self.admin, str(each.key)))
            self.purse.free += each.left
            each.refunded += each.left

    async def check(self) -> None:
        purse = self.purse
        asked = " ".join(
            f'c{each["id"]}: giftcard(id: "{each["id"]}") '
            "{ results { id balance held replacedBy { id } } }"
            for each in purse.cards[-3:]
        )
        answer = await self.admin.run(f"{{ {asked} }}")
        shown = [found["results"][0] for found in answer.body["data"].values()]
        held = money(purse.size if purse.held else 0)
        assert (shown[-1]["balance"], shown[-1]["held"]) == (money(purse.free), held)
        assert {(each["balance"], each["held"]) for each in shown[:-1]} <= {("0.00", "0.00")}
        line = [each["replacedBy"] and each["replacedBy"]["id"] for each in shown]
        assert line == [*(each["id"] for each in shown[1:]), None]


@pytest.mark.parametrize("seed", range(2))
async def test_what_is_left_is_always_on_the_last_card(
    admin: Client, store: Store, clock: SetClock, seed: int
) -> None:
    heirs.replace_on_use(store)
    walk = Walk(admin, store, clock, seed)
    await walk.begin()
    for _ in range(STEPS):
        clock.forward(seconds=SECONDS)
        await walk.step()
        await walk.check()
    assert len(walk.purse.cards) > 3
    await are_clean(store)
