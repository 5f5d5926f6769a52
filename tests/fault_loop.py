"""Break the ways to and from servers under load, and look whether the ledger tells the truth.

Between tills and server, and on PostgreSQL between server and database, is a hop that cuts
connections within a question or an answer, drops answers and delays them; on PostgreSQL it also
falls silent for longer than anybody waits.

`scripts/faults` is the long form; the suite runs a short one.
"""

import argparse
import asyncio
import logging
import os
import secrets
import tempfile
from collections import Counter
from contextlib import AsyncExitStack
from itertools import cycle, islice
from pathlib import Path

import structlog

from tests import servers, trial
from tests.hops import LONGEST_DELAY, Fault, Hop, hop_to, hop_to_database
from tests.trial import Report, Trial

QUICK = dict.fromkeys(
    ("lock_seconds", "pool_seconds", "connect_seconds", "statement_seconds", "silence_seconds"), 2
)
SILENCE = 5.0
"""Longer than a statement is waited for: two seconds, and two more for what does not answer."""

SILENT_EVERY = 40
SILENT = "database silent"


class FaultLoop(Trial):
    """A server, a hop on each of its sides, and what happens there."""

    def __init__(self, folder: Path, breaks: int, seed: int, url: str) -> None:
        super().__init__(folder, seed, url, **QUICK)
        self._breaks = breaks

    async def break_things(self) -> None:
        async with AsyncExitStack() as stack:
            through, sides = dict[str, str](), dict[str, Hop]()
            if url := self.settings.database_url:
                hop, way = await stack.enter_async_context(hop_to_database(url))
                through["GIFTGQL_DATABASE_URL"] = way
                sides["database"] = hop
            server = await self.start(**through)
            stack.callback(trial.end, server)
            stack.callback(server.stop)
            sides["tills"] = await stack.enter_async_context(hop_to(server.port))
            self.tills.urls = [sides["tills"].url]
            await self._break(sides)
            self.tills.urls = [None]

    async def _break(self, sides: dict[str, Hop]) -> None:
        ways = cycle((side, fault) for fault in Fault for side in sides)
        for number, (side, fault) in enumerate(islice(ways, self._breaks), 1):
            await self.tills.answers(self.random.randint(1, 5))
            hop = sides[side]
            hop.delay = self.random.random() * LONGEST_DELAY
            await hop.happens(fault)
            self.report.breaks[f"{side}: {fault.value}"] += 1
            if number % SILENT_EVERY == 0 and "database" in sides:
                await self._fall_silent(sides["database"])

    async def _fall_silent(self, hop: Hop) -> None:
        hop.fall_silent()
        await asyncio.sleep(SILENCE)
        hop.speak()
        self.report.breaks[SILENT] += 1


async def run(kind: str, breaks: int, seed: int, postgres: servers.PostgresServer) -> Report:
    """The loop on a database of a kind: "sqlite" or "postgresql"."""
    url = postgres.create() if kind == "postgresql" else ""
    with tempfile.TemporaryDirectory() as folder:
        report = await FaultLoop(Path(folder), breaks, seed, url).run()
    if url:
        postgres.drop(url)
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--breaks", type=int, default=1_000, help="how many, over both databases")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    print(f"seed {arguments.seed}, process {os.getpid()}", flush=True)
    outcomes = Counter[bool]()
    with servers.postgres() as postgres:
        for kind in ("sqlite", "postgresql"):
            report = asyncio.run(run(kind, arguments.breaks // 2, arguments.seed, postgres))
            print(f"\n{kind}\n{report}", flush=True)
            outcomes[report.is_clean] += 1
    raise SystemExit(1 if outcomes[False] else 0)


if __name__ == "__main__":
    main()
