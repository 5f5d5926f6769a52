"""How the server stands, by what its database knows: asked for when somebody looks.

Nothing is counted through: counts end at 10,000, so that to look costs a few milliseconds however
much there is. `metrics` has what a process counts itself.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from giftgql import migrations
from giftgql.jobs import service as jobs
from giftgql.outbox import service as outbox
from giftgql.store import Store

MOST = 10_000
"""Counts end here."""

PATIENCE = 2.0
"""Seconds after which a database that does not answer counts as gone."""

Jobs = Sequence[jobs.Standing]
Messages = Sequence[outbox.Standing]


@dataclass(frozen=True)
class Pool:
    """Connections of this process to the database: `name` is what for."""

    name: str
    in_use: int
    size: int


@dataclass(frozen=True)
class Condition:
    """What was found. Without an answer of the database `is_up` is false and the rest is empty."""

    pools: Sequence[Pool]
    is_up: bool = False
    form: str = ""
    """The form of the database: the number of its newest migration."""

    jobs: Jobs = ()
    messages: Messages = ()

    @property
    def failing_webhooks(self) -> int:
        """Endpoints that rest since they did not take what they were told."""
        failing = (each for each in self.jobs if each.state == "failing")
        return sum(each.jobs for each in failing if each.kind == outbox.WEBHOOK)


async def look(store: Store) -> Condition:
    pools = _pools(store)  # before one of them is used for this
    try:
        async with asyncio.timeout(PATIENCE), store.read() as reading:
            connection = await reading.session.connection()
            return Condition(
                pools,
                is_up=True,
                form=str(await connection.run_sync(migrations.current)),
                jobs=await jobs.standing(reading, at_most=MOST),
                messages=await outbox.standing(reading, at_most=MOST),
            )
    except Exception:  # it is logged where it was met; whoever looks is told that it is so
        return Condition(pools)


def _pools(store: Store) -> list[Pool]:
    engines = (("read", store.database.reader), ("write", store.database.writer))
    found = ((name, engine.pool) for name, engine in engines)
    return [Pool(name, pool.checkedout(), pool.size()) for name, pool in found]  # type: ignore[attr-defined]
