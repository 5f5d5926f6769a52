from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import Insert, delete, tuple_
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from giftgql.tries.models import Tries

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

    def _upsert(self, rows: list[dict[str, object]]) -> Insert:
        unique, as_it_is = ["subject", "scope"], {"failures": col(Tries.failures)}
        if self.session.get_bind().dialect.name == "postgresql":
            into = postgresql.insert(Tries).values(rows)
            return into.on_conflict_do_update(index_elements=unique, set_=as_it_is)
        onto = sqlite.insert(Tries).values(rows)
        return onto.on_conflict_do_update(index_elements=unique, set_=as_it_is)

    async def find(self, subject: bytes, scope: str) -> Tries | None:
        query = select(Tries).where(Tries.subject == subject, Tries.scope == scope)
        return (await self.session.exec(query)).first()

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
        """Remove rows whose last failure is older; returns how many. Rows in use stay."""
        key = (col(Tries.subject), col(Tries.scope))
        old = (
            select(*key)
            .where(col(Tries.failed_at) < than)
            .limit(at_most)
            .with_for_update(skip_locked=True)
        )
        remove = delete(Tries).where(tuple_(*key).in_(old)).returning(*key)
        return len((await self.session.exec(remove)).all())
