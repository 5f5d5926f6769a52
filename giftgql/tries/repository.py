from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, or_, tuple_
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from giftgql.tries.models import LookedUp, Tries

Key = tuple[bytes, str]
"""A subject and a scope. Rows are locked in the order of these."""


class TriesRepository:
    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def add_or_lock(
        self, keys: Collection[Key], *, at: datetime, free_at: datetime
    ) -> dict[Key, Tries]:
        """Lock the rows of these keys; where there is none, add one without failures.

        One statement: writing what is there is what locks it, or waits for who holds it.
        """
        rows = [
            {"subject": subject, "scope": scope, "failures": 0, "failed_at": at, "free_at": free_at}
            for subject, scope in sorted(keys)
        ]
        add = self._upsert(rows).returning(Tries).execution_options(populate_existing=True)
        found = (await self.session.exec(add)).scalars().all()
        return {(row.subject, row.scope): row for row in found}

    def _upsert(self, rows: list[dict[str, object]]) -> Any:
        unique, as_it_is = ["subject", "scope"], {"failures": col(Tries.failures)}
        into = self._insert(Tries).values(rows)
        return into.on_conflict_do_update(index_elements=unique, set_=as_it_is)

    def _insert(self, model: type[SQLModel]) -> Any:
        is_postgresql = self.session.get_bind().dialect.name == "postgresql"
        return postgresql.insert(model) if is_postgresql else sqlite.insert(model)

    async def find(self, subject: bytes, scope: str) -> Tries | None:
        query = select(Tries).where(Tries.subject == subject, Tries.scope == scope)
        return (await self.session.exec(query)).first()

    async def limits(
        self, subjects: Collection[bytes], always: Collection[str], *, now: datetime
    ) -> Sequence[Tries]:
        """What limits these subjects now, and their rows of these scopes."""
        limiting = or_(col(Tries.free_at) > now, col(Tries.scope).in_(always))
        query = select(Tries).where(col(Tries.subject).in_(subjects), limiting)
        return (await self.session.exec(query)).all()

    async def count(self, subject: bytes, hour: datetime, more: Mapping[str, int]) -> LookedUp:
        """Add to what was looked up in an hour; returns it with that."""
        add = self._insert(LookedUp).values(subject=subject, hour=hour, **more)
        sums = {name: col(getattr(LookedUp, name)) + add.excluded[name] for name in more}
        add = add.on_conflict_do_update(index_elements=["subject", "hour"], set_=sums)
        counted = add.returning(LookedUp).execution_options(populate_existing=True)
        found: LookedUp = (await self.session.exec(counted)).scalars().one()
        return found

    async def looked_up(self, subject: bytes, since: datetime) -> Sequence[LookedUp]:
        query = select(LookedUp).where(LookedUp.subject == subject, LookedUp.hour >= since)
        return (await self.session.exec(query.order_by(col(LookedUp.hour)))).all()

    async def delete_limits(self, subject: bytes) -> None:
        """Remove all that a subject has failed, and what it looked up."""
        for model in (Tries, LookedUp):
            await self.session.exec(delete(model).where(col(model.subject) == subject))

    async def delete_hours(self, before: datetime) -> None:
        await self.session.exec(delete(LookedUp).where(col(LookedUp.hour) < before))

    async def lock_by_subjects(self, subjects: Collection[bytes]) -> Sequence[Tries]:
        query = (
            select(Tries)
            .where(col(Tries.subject).in_(subjects))
            .order_by(col(Tries.subject), col(Tries.scope))
            .with_for_update()
        )
        return (await self.session.exec(query)).all()

    async def update(self) -> None:
        """Write what was changed of locked rows."""
        await self.session.flush()

    async def delete_older(self, than: datetime, *, at_most: int) -> int:
        """Remove rows whose last failure is older; returns how many. Rows in use stay.

        They are chosen in a CTE, once: a plan may run a subquery again and again, and one that
        locks has other rows each time."""
        key = (col(Tries.subject), col(Tries.scope))
        old = (
            select(*key)
            .where(col(Tries.failed_at) < than)
            .limit(at_most)
            .with_for_update(skip_locked=True)
            .cte("old")
        )
        remove = delete(Tries).where(tuple_(*key).in_(old.select())).returning(*key)
        return len((await self.session.exec(remove)).all())
