from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm.attributes import flag_modified
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from giftgql.paging import Cut
from giftgql.pools.models import Pool
from giftgql.rows import insert_unless_there, page_query


@dataclass(frozen=True)
class Criteria:
    """What a list of pools is narrowed to; None narrows nothing."""

    pool_id: int | None = None
    system_name: str | None = None
    newest_first: bool = False


class PoolRepository:
    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def add(self, pool: Pool) -> int | None:
        """Add a pool; None if its system name is taken."""
        values = pool.model_dump(exclude={"id", "changed_in"})
        insert = insert_unless_there(self.session, Pool).values(values)
        added = (await self.session.exec(insert.returning(col(Pool.id)))).first()
        return None if added is None else int(added[0])

    async def lock(self, pool_id: int) -> Pool | None:
        query = select(Pool).where(Pool.id == pool_id).with_for_update()
        return (await self.session.exec(query)).first()

    async def lock_all(self, system_names: Collection[str]) -> Sequence[Pool]:
        """The pools of these names that are there, locked in the order of their ids."""
        query = (
            select(Pool)
            .where(col(Pool.system_name).in_(system_names), col(Pool.removed_at).is_(None))
            .order_by(col(Pool.id))
            .with_for_update()
            .execution_options(populate_existing=True)
        )
        return (await self.session.exec(query)).all()

    async def by_ids(self, pool_ids: Collection[int]) -> Sequence[Pool]:
        query = select(Pool).where(col(Pool.id).in_(pool_ids))
        return (await self.session.exec(query)).all()

    async def by_system_name(self, system_name: str) -> Pool | None:
        query = select(Pool).where(Pool.system_name == system_name, col(Pool.removed_at).is_(None))
        return (await self.session.exec(query)).first()

    async def by_product(self, product_id: int) -> Pool | None:
        return (await self.session.exec(select(Pool).where(Pool.product_id == product_id))).first()

    async def rename(self, pool_id: int, system_name: str) -> bool:
        """Give a pool another system name; False if it is taken, which is the end of this
        transaction. Waits for who is just taking it."""
        change = update(Pool).where(col(Pool.id) == pool_id)
        try:
            await self.session.exec(change.values(system_name=system_name))
        except IntegrityError:
            return False
        return True

    async def update(self, pool: Pool, facts: Mapping[str, Any]) -> None:
        for name, value in facts.items():
            setattr(pool, name, value)
        flag_modified(pool, "modified_at")
        await self.session.flush()

    async def count(self, pool_id: int, more: int, *, at: datetime) -> None:
        """Count cards that were added, or removed, if fewer."""
        change = update(Pool).where(col(Pool.id) == pool_id)
        await self.session.exec(change.values(cards=Pool.cards + more, modified_at=at))

    async def page(self, cut: Cut, criteria: Criteria) -> Sequence[Pool]:
        """One row more than the page shows; removed ones only in a synchronisation."""
        query = select(Pool)
        if criteria.pool_id is not None:
            query = query.where(Pool.id == criteria.pool_id)
        if criteria.system_name is not None:
            query = query.where(Pool.system_name == criteria.system_name)
        if cut.window is None:
            query = query.where(col(Pool.removed_at).is_(None))
        if criteria.newest_first:
            query = query.order_by(col(Pool.id).desc())
        return (await self.session.exec(page_query(query, Pool, cut))).all()
