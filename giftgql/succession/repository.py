from collections.abc import Collection, Sequence

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from giftgql.ledger.models import Movement
from giftgql.succession.models import Succession


class SuccessionRepository:
    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def add(self, succession: Succession) -> None:
        self.session.add(succession)
        await self.session.flush()

    async def by_ids(self, movement_ids: Collection[int]) -> Sequence[Succession]:
        query = select(Succession).where(col(Succession.movement_id).in_(movement_ids))
        return (await self.session.exec(query)).all()

    async def predecessors(self, card_ids: Collection[int]) -> dict[int, int]:
        """The cards that these have replaced, by their successors."""
        query = (
            select(Succession.successor_id, Movement.account_id)
            .join(Movement, col(Movement.id) == Succession.movement_id)
            .where(col(Succession.successor_id).in_(card_ids))
        )
        found = (await self.session.exec(query)).all()
        return {successor: card_id for successor, card_id in found if successor is not None}
