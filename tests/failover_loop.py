"""Kill the primary under load again and again, and look whether its replica has every movement.

Two servers use two machines of `replication`, by way of pgbouncers in transaction mode. The primary
is killed, the replica takes over and gets a replica of its own, and so on.

`scripts/failover` is the long form; the suite runs a short one.
"""

import argparse
import asyncio
import logging
import os
import secrets
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import structlog

from tests import replication, trial
from tests.replication import Pair
from tests.trial import Report, Trial

KILLED = "primary killed"
SERVERS = 2
MOST_ANSWERS = 60
QUICK = {"lock_seconds": 2, "pool_seconds": 2, "connect_seconds": 2, "statement_seconds": 3}


class FailoverLoop(Trial):
    """Servers and tills that go on while primaries are killed."""

    def __init__(self, folder: Path, kills: int, seed: int, pair: Pair) -> None:
        super().__init__(folder, seed, pair.url, database_pooler=True, **QUICK)
        self._kills = kills
        self._pair = pair
        self.away = list[float]()
        """For how many seconds nobody was answered, each time: from the kill to the first answer
        of the new primary, its promotion included."""

    async def break_things(self) -> None:
        with ExitStack() as stack:
            for _ in range(SERVERS):
                server = await self.start()
                stack.callback(trial.end, server)
                self.tills.urls.append(server.url)
            for number in range(self._kills):
                if number:
                    await asyncio.to_thread(self._pair.replicate)
                await self.tills.answers(self.random.randint(1, MOST_ANSWERS))
                began = time.monotonic()
                await asyncio.to_thread(self._pair.fail_over)
                self.report.breaks[KILLED] += 1
                await self.tills.answers(1)
                self.away.append(time.monotonic() - began)
            await self.tills.answers(MOST_ANSWERS)
            self.tills.urls = [None]


async def run(kills: int, seed: int, pair: Pair) -> tuple[Report, list[float]]:
    with tempfile.TemporaryDirectory() as folder:
        loop = FailoverLoop(Path(folder), kills, seed, pair)
        return await loop.run(), loop.away


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("kills", type=int, nargs="?", default=6)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    arguments = parser.parse_args()
    if replication.pgbouncer() is None:
        raise SystemExit("This needs pgbouncer.")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    print(f"seed {arguments.seed}, process {os.getpid()}", flush=True)
    with replication.pair() as pair:
        report, away = asyncio.run(run(arguments.kills, arguments.seed, pair))
    print(report)
    print("nobody was answered for", ", ".join(f"{each:.1f}" for each in away), "s")
    raise SystemExit(0 if report.is_clean else 1)


if __name__ == "__main__":
    main()
