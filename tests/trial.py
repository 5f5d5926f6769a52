"""A trial: tills move money while something is broken, and in the end the books are looked at.

What tills were not answered they ask for again with its key. In the end each movement that was
acknowledged must be on the books once, none twice, and `giftgql verify` must find nothing.
"""

import asyncio
import signal
import time
from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from sqlmodel import col, func, select

from giftgql.ledger.models import Account, HoldEnd, Movement, MovementState
from giftgql.permissions import Permission
from giftgql.requests.models import Request
from giftgql.settings import Settings
from giftgql.startup import open_store
from tests import factories, servers
from tests.client import Server
from tests.crash_load import Sums, Tills, Wish, posted
from tests.tables import Tables

CARDS = 6
FUNDS = "30.00"
MOST_REPLAYED = 2_000


@dataclass
class Report:
    """What a loop came to."""

    breaks: Counter[str] = field(default_factory=Counter)
    sums: Sums | None = None
    seconds: float = 0.0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    verified: str = ""

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.doubled or self.wrong)

    def __str__(self) -> str:
        assert self.sums is not None
        breaks = ", ".join(f"{how} {times}" for how, times in sorted(self.breaks.items()))
        lines = [
            f"{self.breaks.total()} breaks in {self.seconds:.0f} s: {breaks}",
            f"{self.sums}",
            f"lost {len(self.lost)}, doubled {len(self.doubled)}, wrong {len(self.wrong)}",
            self.verified,
            *(self.lost + self.doubled + self.wrong)[:20],
        ]
        return "\n".join(lines)


class Trial(ABC):
    """A database, the tills that use it by way of servers, and what became of their wishes."""

    tills: Tills

    def __init__(self, folder: Path, seed: int, url: str = "", **more: Any) -> None:
        self.settings = Settings(data_dir=folder, database_url=url, _env_file=None, **more)
        root = str(Path(__file__).parent.parent)
        # The server's own patience: with more it would wait for what is not there.
        own = dict.fromkeys(servers.PATIENT, "")
        own |= {f"GIFTGQL_{name.upper()}": str(value) for name, value in more.items()}
        self.environment = servers.environment(folder, url, PYTHONPATH=root, **own)
        self.random = Random(seed)
        self.report = Report()

    async def run(self) -> Report:
        began = time.monotonic()
        await self.open()
        working = asyncio.create_task(self.tills.work())
        try:
            await self.break_things()
            await self._finish(working)
        finally:
            working.cancel()
        await self._check()
        self.report.seconds = time.monotonic() - began
        return self.report

    @abstractmethod
    async def break_things(self) -> None:
        """Let servers come and go, with all that is to happen meanwhile."""

    async def open(self) -> None:
        """Make the cards, and the tills that have them."""
        store = await open_store(self.settings)
        client = await factories.client(store, permissions=Permission)
        async with Server.over(store) as server:
            till = server.client(client.client_secret)
            cards = [await factories.funded(till, FUNDS) for _ in range(CARDS)]
        await store.close()
        known = [{"id": card["id"], "code": factories.code_of(card)} for card in cards]
        self.tills = Tills(client.client_secret, known, self.random)

    async def start(self, program: str = "giftgql", **more: str) -> servers.Server:
        """A server that is up."""
        given = self.environment | more
        return await asyncio.to_thread(servers.start, given, program=program)

    async def _finish(self, working: "asyncio.Task[None]") -> None:
        """Get an answer to everything, and the same answers once more."""
        server = await self.start()
        try:
            self.tills.urls = [server.url]
            self.tills.is_closing = True
            async with asyncio.timeout(60):
                await working
            done = self.tills.acknowledged
            some = self.random.sample(done, min(len(done), MOST_REPLAYED))
            self.report.wrong += await self.tills.replay(some)
            self.report.wrong += self.tills.unexpected
        finally:
            server.stop()
            end(server)

    async def _check(self) -> None:
        report, done = self.report, self.tills.acknowledged
        report.sums = Sums.of(done)
        async with Tables.of(self.settings) as tables:
            await _compare(tables, done, report)
        if report.wrong:  # why, as far as a server knew
            logs = sorted((self.settings.data_dir / "logs").iterdir())
            lines = [line for log in logs for line in log.read_text().splitlines()]
            report.wrong += [line for line in lines if '"fault"' in line]
        checked = await asyncio.to_thread(servers.giftgql, self.environment, "verify")
        report.verified = checked.stdout.strip()
        if checked.returncode != 0:
            report.wrong.append(f"giftgql verify: {checked.stdout}{checked.stderr}")


async def _compare(tables: Tables, done: list[Wish], report: Report) -> None:
    """What was answered with what is there."""
    requests = {each.key: each for each in await tables.all(select(Request))}
    movements = {each.id: each for each in await tables.all(select(Movement))}
    ends = {each.hold_id: each for each in await tables.all(select(HoldEnd))}
    for wish in done:
        if not _is_there(wish, requests, movements, ends):
            report.lost.append(str(wish))
    doubles = select(Movement.ref_no, func.count()).group_by(col(Movement.ref_no))
    doubles = doubles.where(col(Movement.ref_no).is_not(None)).having(func.count() > 1)
    report.doubled += [f"{ref_no}: {times} times" for ref_no, times in await tables.all(doubles)]
    wanted = CARDS + len(done) - report.sums.captures if report.sums else 0
    if len(movements) != wanted:
        report.doubled.append(f"{len(movements)} movements where {wanted} were asked for")
    expected = posted(done)
    for account in await tables.all(select(Account)):
        wanted = 3_000 + expected[str(account.id)]
        if account.posted != wanted:
            report.doubled.append(f"{account.posted} on account {account.id}, not {wanted}")


def _is_there(
    wish: Wish, requests: dict[str, Request], movements: dict[int, Movement], ends: dict[int, Any]
) -> bool:
    request, movement = requests.get(wish.key), movements.get(wish.movement_id)
    if request is None or movement is None or movement.account_id != int(wish.card):
        return False
    if wish.code is not None:
        outcome = {"movement": movement.id}
        return request.outcome == outcome and movement.state is MovementState.DECLINED
    if wish.mutation != "giftcardTransCapture":
        is_same = movement.ref_no == wish.key and movement.error is None
        return is_same and request.outcome == {"movement": movement.id}
    end = ends.get(movement.id)
    taken = 0 if end is None else end.captured if movement.amount > 0 else -end.captured
    return request.outcome == {"end": movement.id} and taken == wish.effect


def end(server: servers.Server) -> None:
    """Kill a server, if it is there."""
    server.stop(signal.SIGKILL)
    assert server.process.stdout is not None
    server.process.stdout.close()
