from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from giftgql.jobs.models import Job, JobState
from giftgql.store import Reading, Transaction

LEASE = timedelta(seconds=10)
"""For how long a job is left to a worker that says nothing; each piece renews it."""

MOST_ATTEMPTS = 8
"""Failures in a row after which a job is dead: the last try comes about four minutes after the
first."""

FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=2), timedelta(minutes=5)


class LeaseLost(Exception):
    """The job is another worker's by now, or has ended: what was to be committed must not be."""


@dataclass(frozen=True)
class Lease:
    """A job in the hands of a worker."""

    job_id: int
    kind: str
    subject_id: int
    worker: str
    run_at: datetime


async def add(
    tx: Transaction, kind: str, subject_id: int = 0, *, run_at: datetime | None = None
) -> None:
    """Have work done once this transaction is committed. Where the same is open already it is
    due now, and begun once more if it is just being done: what is new might be overlooked."""
    new = Job(kind=kind, subject_id=subject_id, run_at=run_at or tx.now, created_at=tx.now)
    while (job := await tx.jobs.open_of(kind, subject_id)) is None:
        if await tx.jobs.add(new):
            return
        # Somebody else has just added it, and it may have ended since.
    assert job.id is not None
    if job.worker is None:
        await tx.jobs.update(job.id, run_at=tx.now)
    else:
        await tx.jobs.update(job.id, run_at=max(tx.now, job.run_at + _A_LITTLE))


async def cancel(tx: Transaction, kind: str, subject_id: int) -> None:
    """End an open job; a worker that is at it can commit no further piece."""
    job = await tx.jobs.open_of(kind, subject_id)
    if job is not None:
        await _end(tx, job, JobState.CANCELLED)


async def claim(tx: Transaction, kinds: Collection[str], worker: str) -> Lease | None:
    """Lease the job that has been due for longest; None if there is none."""
    job = await tx.jobs.next_due(kinds, tx.now)
    return None if job is None else await _leased(tx, job, worker)


async def claim_of(tx: Transaction, kind: str, subject_id: int, worker: str) -> Lease | None:
    """Lease the open job on one record, due or not; None if there is none or another has it."""
    job = await tx.jobs.open_of(kind, subject_id)
    if job is None or (job.leased_until is not None and job.leased_until > tx.now):
        return None
    return await _leased(tx, job, worker)


async def hold(tx: Transaction, lease: Lease) -> None:
    """Make this transaction a piece of the job: nobody else does one until it ends. Renews the
    lease. Raises LeaseLost."""
    job = await tx.jobs.lock(lease.job_id)
    if job is None or job.state is not JobState.QUEUED or job.worker != lease.worker:
        raise LeaseLost
    await tx.jobs.update(lease.job_id, leased_until=tx.now + LEASE, attempts=0, error=None)


async def finish(tx: Transaction, lease: Lease, *, again_in: float | None = None) -> None:
    """Say that there is nothing left to do, or nothing for so many seconds."""
    job = await _mine(tx, lease)
    if job.run_at != lease.run_at:  # it was added again meanwhile
        await tx.jobs.update(lease.job_id, **_FREE)
    elif again_in is None:
        await _end(tx, job, JobState.DONE)
    else:
        run_at = tx.now + timedelta(seconds=again_in)
        await tx.jobs.update(lease.job_id, run_at=run_at, **_FREE, attempts=0, error=None)


async def give_back(tx: Transaction, lease: Lease, *, is_last: bool = False) -> None:
    """Leave the job to whoever comes next; `is_last`: after all others that are due."""
    await _mine(tx, lease)
    later = {"run_at": tx.now} if is_last else {}
    await tx.jobs.update(lease.job_id, **_FREE, **later)


async def dies_next(tx: Transaction, lease: Lease) -> bool:
    """Whether the job will be dead when it fails once more."""
    job = await tx.jobs.get(lease.job_id)
    return job is not None and job.attempts + 1 >= MOST_ATTEMPTS


async def fail(tx: Transaction, lease: Lease, error: str, *, is_for_ever: bool = False) -> None:
    """Put the job off, for longer each time, or bury it; one that is done for ever never dies."""
    job = await _mine(tx, lease)
    attempts = min(job.attempts + 1, MOST_ATTEMPTS)
    facts = {"attempts": attempts, "error": error[:200]}
    if attempts >= MOST_ATTEMPTS and not is_for_ever:
        await tx.jobs.update(lease.job_id, **facts)
        await _end(tx, job, JobState.DEAD)
        return
    pause = min(FIRST_PAUSE * 2 ** (attempts - 1), LONGEST_PAUSE)
    await tx.jobs.update(lease.job_id, run_at=tx.now + pause, **_FREE, **facts)


async def is_any_due(reading: Reading, kinds: Collection[str]) -> bool:
    return await reading.jobs.is_any_due(kinds, reading.now)


async def latest(reading: Reading, kind: str, subject_id: int) -> Job | None:
    """The job on a record that was begun last."""
    return await reading.jobs.latest_of(kind, subject_id)


_A_LITTLE = timedelta(microseconds=1)
_FREE = {"worker": None, "leased_until": None}


async def _leased(tx: Transaction, job: Job, worker: str) -> Lease:
    assert job.id is not None
    await tx.jobs.update(job.id, worker=worker, leased_until=tx.now + LEASE)
    return Lease(job.id, job.kind, job.subject_id, worker, job.run_at)


async def _mine(tx: Transaction, lease: Lease) -> Job:
    job = await tx.jobs.lock(lease.job_id)
    if job is None or job.state is not JobState.QUEUED or job.worker != lease.worker:
        raise LeaseLost
    return job


async def _end(tx: Transaction, job: Job, state: JobState) -> None:
    assert job.id is not None
    await tx.jobs.update(job.id, state=state, ended_at=tx.now, **_FREE)
