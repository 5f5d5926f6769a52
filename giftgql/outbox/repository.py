from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from giftgql.outbox.models import OutboxChannel, OutboxMessage, OutboxState
from giftgql.paging import Cut
from giftgql.rows import page_query


@dataclass(frozen=True)
class Criteria:
    """What a list of messages is narrowed to; None narrows nothing."""

    id: int | None = None
    state: OutboxState | None = None
    channel: OutboxChannel | None = None
    topic: str | None = None
    card_id: int | None = None
    order_id: int | None = None


class OutboxRepository:
    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def add(self, message: OutboxMessage) -> int:
        self.session.add(message)
        await self.session.flush()
        assert message.id is not None
        return message.id

    async def get(self, message_id: int) -> OutboxMessage | None:
        return await self.session.get(OutboxMessage, message_id)

    async def lock(self, message_id: int) -> OutboxMessage | None:
        query = select(OutboxMessage).where(OutboxMessage.id == message_id).with_for_update()
        query = query.execution_options(populate_existing=True)
        return (await self.session.exec(query)).first()

    async def lock_waiting(
        self, *, card_id: int | None, order_id: int | None
    ) -> Sequence[OutboxMessage]:
        """The messages about a card, an order or both that are still to be sent."""
        query = select(OutboxMessage).where(OutboxMessage.state == OutboxState.WAITING)
        if card_id is not None:
            query = query.where(OutboxMessage.card_id == card_id)
        if order_id is not None:
            query = query.where(OutboxMessage.order_id == order_id)
        query = query.order_by(col(OutboxMessage.id)).with_for_update()
        query = query.execution_options(populate_existing=True)
        return (await self.session.exec(query)).all()

    async def update(self, message: OutboxMessage, **facts: Any) -> None:
        for name, value in facts.items():
            setattr(message, name, value)
        await self.session.flush()

    async def page(self, cut: Cut, criteria: Criteria) -> Sequence[OutboxMessage]:
        """One row more than the page shows."""
        query = select(OutboxMessage)
        for name, value in vars(criteria).items():
            if value is not None:
                query = query.where(getattr(OutboxMessage, name) == value)
        return (await self.session.exec(page_query(query, OutboxMessage, cut))).all()
