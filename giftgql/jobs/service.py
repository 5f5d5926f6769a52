from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from giftgql.jobs.models import Job, JobState
from giftgql.jobs.pace import Pace
from giftgql.store import Reading, Transaction

Subject = tuple[str, int]
"""What a job is about: its kind, and the id of a record."""

LEASE = timedelta(seconds=10)
"""For how long a job is left to a worker that says nothing; each piece renews it."""


@dataclass(frozen=True)
class Patience:
    """How often in a row a job may fail before it is dead, and how long it rests in between:
    twice as long each time."""

    attempts: int
    first_pause: timedelta
    longest_pause: timedelta

    def pause(self, attempts: int) -> timedelta:
        """The rest after so many failures in a row."""
        doubled: int = 2 ** min(attempts - 1, 20)
        return min(self.first_pause * doubled, self.longest_pause)


MINUTES = Patience(8, timedelta(seconds=2), timedelta(minutes=5))
"""For what depends on nothing but the database: the last try comes about four minutes after the
first."""

A_DAY = Patience(56, timedelta(seconds=10), timedelta(minutes=30))
"""For what depends on others, who may be down for hours: the last try comes a day later."""


FOR_EVER = Patience(1_000_000, timedelta(seconds=10), timedelta(minutes=30))
"""For what goes on for as long as whom it depends on is wanted, be they down for weeks."""


class LeaseLost(Exception):
    """The job is another worker's by now, or has ended: what was to be committed must not be."""


class NotDone(Exception):
    """Raised by a step that cannot be done now through no fault of the program, or never where
    that `is_final`. `why` is a few words for whoever looks after it, without a secret."""

    def __init__(self, why: str, *, is_final: bool = False) -> None:
        super().__init__(why)
        self.why = why
        self.is_final = is_final


@dataclass(frozen=True)
class Lease:
    """A job in the hands of a worker."""

    job_id: int
    kind: str
    subject_id: int
    worker: str
    run_at: datetime
    length: timedelta = LEASE


async def add(
    tx: Transaction,
    kind: str,
    subject_id: int = 0,
    *,
    run_at: datetime | None = None,
    lets_rest: bool = False,
) -> None:
    """Have work done once this transaction is committed. Where the same is open already it is
    due now, and begun once more if it is just being done: what is new might be overlooked. With
    `lets_rest` one that has failed rests for as long as it would have."""
    new = Job(kind=kind, subject_id=subject_id, run_at=run_at or tx.now, created_at=tx.now)
    while (job := await tx.jobs.open_of(kind, subject_id)) is None:
        if await tx.jobs.add(new):
            return
        # Somebody else has just added it, and it may have ended since.
    assert job.id is not None
    if job.worker is None:
        if not (lets_rest and job.attempts):
            await tx.jobs.update(job.id, run_at=tx.now)
    else:
        await tx.jobs.update(job.id, run_at=max(tx.now, job.run_at + _A_LITTLE))


async def cancel(tx: Transaction, kind: str, subject_id: int) -> None:
    """End an open job; a worker that is at it can commit no further piece."""
    job = await tx.jobs.open_of(kind, subject_id)
    if job is not None:
        await _end(tx, job, JobState.CANCELLED)


async def claim(
    tx: Transaction, kinds: Collection[str], worker: str, length: timedelta = LEASE
) -> Lease | None:
    """Lease the job that has been due for longest; None if there is none."""
    job = await tx.jobs.next_due(kinds, tx.now)
    return None if job is None else await _leased(tx, job, worker, length)


async def claim_of(
    tx: Transaction, kind: str, subject_id: int, worker: str, length: timedelta = LEASE
) -> Lease | None:
    """Lease the open job on one record, due or not; None if there is none or another has it."""
    job = await tx.jobs.open_of(kind, subject_id)
    if job is None or (job.leased_until is not None and job.leased_until > tx.now):
        return None
    return await _leased(tx, job, worker, length)


async def hold(tx: Transaction, lease: Lease) -> None:
    """Make this transaction a piece of the job: nobody else does one until it ends. Renews the
    lease. Raises LeaseLost."""
    job = await tx.jobs.lock(lease.job_id)
    if job is None or job.state is not JobState.QUEUED or job.worker != lease.worker:
        raise LeaseLost
    await tx.jobs.update(lease.job_id, leased_until=tx.now + lease.length, attempts=0, error=None)


async def measure(tx: Transaction, lease: Lease, units: int) -> None:
    """Count what this piece of the job has done, so that its pace is known."""
    job = await _mine(tx, lease)
    pace = _pace(job).after(units, tx.now)
    await tx.jobs.update(
        lease.job_id, recent_units=pace.units, recent_seconds=pace.seconds, paced_at=pace.at
    )


async def finish(tx: Transaction, lease: Lease, *, again_at: datetime | None = None) -> None:
    """Say that there is nothing left to do, or nothing until then."""
    job = await _mine(tx, lease)
    if job.run_at != lease.run_at:  # it was added again meanwhile
        await tx.jobs.update(lease.job_id, **_FREE)
    elif again_at is None:
        await _end(tx, job, JobState.DONE)
    else:
        await tx.jobs.update(lease.job_id, run_at=again_at, **_FREE, attempts=0, error=None)


async def give_back(tx: Transaction, lease: Lease, *, is_last: bool = False) -> None:
    """Leave the job to whoever comes next; `is_last`: after all others that are due."""
    await _mine(tx, lease)
    later = {"run_at": tx.now} if is_last else {}
    await tx.jobs.update(lease.job_id, **_FREE, **later)


async def is_last_try(tx: Transaction, lease: Lease, patience: Patience) -> bool:
    """Whether nobody would try the job again if it failed now."""
    job = await tx.jobs.get(lease.job_id)
    return job is not None and job.attempts + 1 >= patience.attempts


async def fail(
    tx: Transaction,
    lease: Lease,
    error: str,
    *,
    patience: Patience = MINUTES,
    is_last: bool = False,
) -> None:
    """Put the job off, for longer each time, or bury it."""
    job = await _mine(tx, lease)
    attempts = min(job.attempts + 1, patience.attempts)
    facts = {"attempts": attempts, "error": error[:200]}
    if is_last:
        await tx.jobs.update(lease.job_id, **facts)
        await _end(tx, job, JobState.DEAD)
        return
    run_at = tx.now + patience.pause(attempts)
    await tx.jobs.update(lease.job_id, run_at=run_at, **_FREE, **facts)


@dataclass(frozen=True)
class Standing:
    """How many jobs of a kind are where: `due`, `running`, `failing` (and tried again), or to be
    done `later`; `overdue` is by how long the first of them is late."""

    kind: str
    state: str
    jobs: int
    overdue: timedelta


async def standing(reading: Reading, *, at_most: int) -> list[Standing]:
    """Where the open jobs stand that are due first."""
    found = await reading.jobs.standing(reading.now, at_most=at_most)

    def late(state: str, first: datetime) -> timedelta:
        is_waited_for = state != "running" and first < reading.now
        return reading.now - first if is_waited_for else timedelta()

    return [Standing(kind, state, many, late(state, first)) for kind, state, many, first in found]


async def died(reading: Reading, since: datetime) -> Sequence[tuple[str, int]]:
    """By kind, how many jobs were given up from a moment on."""
    return await reading.jobs.count_dead(since)


async def is_any_due(reading: Reading, kinds: Collection[str]) -> bool:
    return await reading.jobs.is_any_due(kinds, reading.now)


async def latest(reading: Reading, kind: str, subject_id: int) -> Job | None:
    """The job on a record that was begun last."""
    return await reading.jobs.latest_of(kind, subject_id)


async def paces(reading: Reading, subjects: Collection[Subject]) -> dict[Subject, Pace]:
    """How fast the jobs on these records are done, of those that have not ended."""
    found = await reading.jobs.open_of_each(subjects)
    return {(job.kind, job.subject_id): _pace(job) for job in found}


_A_LITTLE = timedelta(microseconds=1)
_FREE = {"worker": None, "leased_until": None}


async def _leased(tx: Transaction, job: Job, worker: str, length: timedelta) -> Lease:
    assert job.id is not None
    await tx.jobs.update(job.id, worker=worker, leased_until=tx.now + length)
    return Lease(job.id, job.kind, job.subject_id, worker, job.run_at, length)


async def _mine(tx: Transaction, lease: Lease) -> Job:
    job = await tx.jobs.lock(lease.job_id)
    if job is None or job.state is not JobState.QUEUED or job.worker != lease.worker:
        raise LeaseLost
    return job


async def _end(tx: Transaction, job: Job, state: JobState) -> None:
    assert job.id is not None
    await tx.jobs.update(job.id, state=state, ended_at=tx.now, **_FREE)


def _pace(job: Job) -> Pace:
    return Pace(job.recent_units, job.recent_seconds, job.paced_at)
