"""Whoever does the jobs: one lane a process for each group of kinds, one piece after the other."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic
from typing import Protocol

import structlog

from giftgql import metrics
from giftgql.errors import Unavailable
from giftgql.jobs import service
from giftgql.jobs.service import LEASE, MINUTES, Lease, LeaseLost, NotDone, Patience
from giftgql.store import Store, Transaction

log = structlog.get_logger("giftgql.jobs")

POLL_SECONDS = 1.0
"""How often a lane looks whether something is due."""

TURN_SECONDS = 5.0
"""How long a job is done before others that are due have their turn: fifty cards do not wait for
a million."""

BUSY_PAUSE = 1.0
"""How long a job waits for a database that is busy or gone."""


class Step(Protocol):
    """Does the next piece of a job, in transactions that `hold` its lease; says whether there
    is more to do. Raises `NotDone` for what is no fault of the program."""

    def __call__(self, store: Store, lease: Lease) -> Awaitable[bool]: ...


@dataclass(frozen=True)
class Work:
    """How jobs of a kind are done. `again_in` seconds it is to be done anew, for ever; others have
    some `patience`. In the transaction that ends a job `again_at` is asked when there will be more
    to do on its record, if ever; in the one that puts it off or buries it `failed` is told of each
    failure and why, `give_up` of the last one. No piece may take longer than the `lease`."""

    step: Step
    again_in: Callable[[Store], float] | None = None
    again_at: Callable[[Transaction, int], Awaitable[datetime | None]] | None = None
    give_up: Callable[[Transaction, int], Awaitable[None]] | None = None
    failed: Callable[[Transaction, int, str], Awaitable[None]] | None = None
    patience: Patience = MINUTES
    lease: timedelta = LEASE


Works = Mapping[str, Work]


class Lane:
    """Does the jobs of some kinds, one at a time."""

    def __init__(self, store: Store, works: Works, kinds: Sequence[str]) -> None:
        self._store = store
        self._works = {kind: works[kind] for kind in kinds}
        self._lease = max(work.lease for work in self._works.values())
        self._worker = secrets.token_hex(8)
        for kind in kinds:
            metrics.JOBS_DEAD.labels(kind)  # told as 0: an alarm sees a counter only grow

    async def run(self) -> None:
        """Do what is due as it comes, until cancelled."""
        while True:
            try:
                did_something = await self.do_next()
            except Unavailable:
                did_something = False
            except Exception as error:
                log.error("jobs are not done", exc_info=error)
                did_something = False
            if _is_told_to_end():  # whatever a step has made of it
                raise asyncio.CancelledError
            if not did_something:
                await asyncio.sleep(POLL_SECONDS)

    async def do_next(self) -> bool:
        """Do the job that has been due for longest, to its end or for a turn; False if nothing
        is due."""
        async with self._store.read() as reading:
            if not await service.is_any_due(reading, self._works.keys()):
                return False
        async with self._store.write() as tx:
            lease = await service.claim(tx, self._works.keys(), self._worker, self._lease)
        if lease is None:
            return False
        await self.do(lease)
        return True

    async def do_of(self, kind: str, subject_id: int) -> bool:
        """Do the open job on one record, due or not, to its end or for a turn; False where there
        is none, or it is another's."""
        async with self._store.write() as tx:
            lease = await service.claim_of(tx, kind, subject_id, self._worker, self._lease)
        if lease is None:
            return False
        await self.do(lease)
        return True

    async def do(self, lease: Lease) -> None:
        """Do a job piece by piece until it is done, fails, or is somebody else's; or until its
        turn is over, when it is put behind all that are due."""
        work, ends = self._works[lease.kind], monotonic() + TURN_SECONDS
        try:
            while await work.step(self._store, lease):
                if monotonic() > ends:
                    async with self._store.write() as tx:
                        await service.give_back(tx, lease, is_last=True)
                    return
            async with self._store.write() as tx:
                await service.finish(tx, lease, again_at=await self._again_at(tx, lease))
        except LeaseLost:
            log.info("job is another's or has ended", kind=lease.kind, subject=lease.subject_id)
        except Unavailable:
            await asyncio.sleep(BUSY_PAUSE)
            await self._give_back(lease)
        except asyncio.CancelledError:
            await asyncio.shield(self._give_back(lease))
            raise
        except NotDone as reason:
            log.warning(
                "job is not done", kind=lease.kind, subject=lease.subject_id, why=reason.why
            )
            await self._fail(lease, reason.why, is_final=reason.is_final)
        except Exception as error:
            log.error("job failed", kind=lease.kind, subject=lease.subject_id, exc_info=error)
            await self._fail(lease, type(error).__name__)

    async def _again_at(self, tx: Transaction, lease: Lease) -> datetime | None:
        work = self._works[lease.kind]
        if work.again_in is not None:
            return tx.now + timedelta(seconds=work.again_in(self._store))
        return await work.again_at(tx, lease.subject_id) if work.again_at else None

    async def _give_back(self, lease: Lease) -> None:
        """So that the next one need not wait for the lease to end."""
        try:
            async with self._store.write() as tx:
                await service.give_back(tx, lease)
        except (LeaseLost, Unavailable):
            pass  # it ends by itself

    async def _fail(self, lease: Lease, why: str, *, is_final: bool = False) -> None:
        work = self._works[lease.kind]
        try:
            async with self._store.write() as tx:
                is_last = is_final or (
                    work.again_in is None and await service.is_last_try(tx, lease, work.patience)
                )
                # First the record, then its job: the order in which all others lock them.
                if work.failed:
                    await work.failed(tx, lease.subject_id, why)
                if work.give_up and is_last:
                    await work.give_up(tx, lease.subject_id)
                await service.fail(tx, lease, why, patience=work.patience, is_last=is_last)
        except (LeaseLost, Unavailable):
            return  # the lease ends by itself
        (metrics.JOBS_DEAD if is_last else metrics.JOBS_FAILED).labels(lease.kind).inc()


def _is_told_to_end() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
