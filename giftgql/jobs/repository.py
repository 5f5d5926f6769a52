from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Select, case, func, or_, tuple_, update
from sqlalchemy import select as sql_select
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from giftgql.jobs.models import Job, JobState
from giftgql.rows import insert_unless_there

_OPEN = col(Job.state) == JobState.QUEUED


class JobRepository:
    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def add(self, job: Job) -> bool:
        """Add one; False if the same is open already. Waits for a running add."""
        values = job.model_dump(exclude={"id"})
        insert = insert_unless_there(self.session, Job).values(values)
        return (await self.session.exec(insert.returning(col(Job.id)))).first() is not None

    async def open_of(self, kind: str, subject_id: int) -> Job | None:
        """The job of this kind on this record that has not ended, locked."""
        query = select(Job).where(Job.kind == kind, Job.subject_id == subject_id, _OPEN)
        query = query.with_for_update().execution_options(populate_existing=True)
        return (await self.session.exec(query)).first()

    async def next_due(self, kinds: Collection[str], now: datetime) -> Job | None:
        """The job that has been due for longest and that nobody has leased, locked."""
        query = _due(kinds, now).with_for_update(skip_locked=True)
        found: Job | None = (await self.session.exec(query)).first()
        return found

    async def is_any_due(self, kinds: Collection[str], now: datetime) -> bool:
        return (await self.session.exec(_due(kinds, now))).first() is not None

    async def get(self, job_id: int) -> Job | None:
        return (await self.session.exec(select(Job).where(Job.id == job_id))).first()

    async def lock(self, job_id: int) -> Job | None:
        query = select(Job).where(Job.id == job_id).with_for_update()
        query = query.execution_options(populate_existing=True)
        return (await self.session.exec(query)).first()

    async def latest_of(self, kind: str, subject_id: int) -> Job | None:
        query = select(Job).where(Job.kind == kind, Job.subject_id == subject_id)
        return (await self.session.exec(query.order_by(col(Job.id).desc()).limit(1))).first()

    async def open_of_each(self, subjects: Collection[tuple[str, int]]) -> Sequence[Job]:
        """The jobs of these kinds on these records that have not ended."""
        query = select(Job).where(tuple_(Job.kind, Job.subject_id).in_(subjects), _OPEN)
        return (await self.session.exec(query)).all()

    async def standing(self, now: datetime, *, at_most: int) -> Sequence[Any]:
        """Of the jobs that have not ended, those due first: their kind, where they stand, how many
        there are, and when the first of them was or is due."""
        first = select(Job).where(_OPEN).order_by(col(Job.run_at), col(Job.id)).limit(at_most)
        of = first.subquery().c
        is_leased = (of.leased_until.is_not(None)) & (of.leased_until > now)
        states = ((of.attempts > 0, "failing"), (is_leased, "running"), (of.run_at <= now, "due"))
        state = case(*states, else_="later").label("state")
        query = sql_select(of.kind, state, func.count(), func.min(of.run_at))
        found = await self.session.exec(query.group_by(of.kind, state))  # type: ignore[call-overload]
        return list(found.all())

    async def count_dead(self, since: datetime) -> Sequence[Any]:
        """By kind, how many were given up from a moment on. Goes through all jobs."""
        query = sql_select(col(Job.kind), func.count()).group_by(col(Job.kind))
        dead = query.where(col(Job.state) == JobState.DEAD, col(Job.ended_at) >= since)
        found = await self.session.exec(dead.order_by(col(Job.kind)))  # type: ignore[call-overload]
        return list(found.all())

    async def update(self, job_id: int, **facts: Any) -> None:
        await self.session.exec(update(Job).where(col(Job.id) == job_id).values(**facts))


def _due(kinds: Collection[str], now: datetime) -> Any:
    query: Select[Any] = (
        select(Job)
        .where(
            _OPEN,
            col(Job.kind).in_(kinds),
            col(Job.run_at) <= now,
            or_(col(Job.leased_until).is_(None), col(Job.leased_until) <= now),
        )
        .order_by(col(Job.run_at), col(Job.id))
        .limit(1)
    )
    return query
