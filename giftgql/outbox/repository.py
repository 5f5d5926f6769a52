from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, or_, update
from sqlalchemy import select as sql_select
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from giftgql.outbox.criteria import Criteria
from giftgql.outbox.models import OutboxChannel, OutboxMessage, OutboxState
from giftgql.paging import Cut
from giftgql.rows import Write, copy_rows, page_query


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
        """The mails about a card, an order or both that are still to be sent."""
        query = select(OutboxMessage).where(
            OutboxMessage.state == OutboxState.WAITING, OutboxMessage.channel == OutboxChannel.MAIL
        )
        if card_id is not None:
            query = query.where(OutboxMessage.card_id == card_id)
        if order_id is not None:
            query = query.where(OutboxMessage.order_id == order_id)
        query = query.order_by(col(OutboxMessage.id)).with_for_update()
        query = query.execution_options(populate_existing=True)
        return (await self.session.exec(query)).all()

    async def lock_mails(
        self, *, card_ids: Collection[int], order_ids: Collection[int]
    ) -> Sequence[OutboxMessage]:
        """All mails about any of these cards or orders."""
        about = or_(
            col(OutboxMessage.card_id).in_(card_ids), col(OutboxMessage.order_id).in_(order_ids)
        )
        query = select(OutboxMessage).where(about, OutboxMessage.channel == OutboxChannel.MAIL)
        query = query.order_by(col(OutboxMessage.id)).with_for_update()
        query = query.execution_options(populate_existing=True)
        return (await self.session.exec(query)).all()

    async def add_all(self, messages: Sequence[Mapping[str, Any]]) -> None:
        """Add messages, of which the same columns are given, in the order of their ids to be."""
        if not messages:
            return
        columns = tuple(messages[0])
        rows = [tuple(each.values()) for each in messages]
        await copy_rows(self.session, [Write(OutboxMessage, columns, rows)])

    async def line(self, endpoint_id: int, *, at_most: int) -> list[OutboxMessage]:
        """What waits for an endpoint, in the order in which it is to be sent."""
        query = _in_line(endpoint_id).order_by(col(OutboxMessage.due_at), col(OutboxMessage.id))
        fresh = query.limit(at_most).execution_options(populate_existing=True)
        return list((await self.session.exec(fresh)).all())

    async def end_waiting(
        self, message_ids: Collection[int], state: OutboxState, *, at: datetime
    ) -> None:
        """End those of the messages in another state that wait."""
        is_waiting = col(OutboxMessage.state) == OutboxState.WAITING
        waiting = (col(OutboxMessage.id).in_(message_ids), is_waiting)
        facts = {"state": state, "ended_at": at, "error": None}
        await self.session.exec(update(OutboxMessage).where(*waiting).values(**facts))

    async def end_line(
        self,
        endpoint_id: int,
        state: OutboxState,
        *,
        at: datetime,
        at_most: int,
        made_until: datetime | None = None,
        why: str | None = None,
    ) -> int:
        """End the oldest that wait for an endpoint in another state; returns how many."""
        ids = _in_line(endpoint_id).with_only_columns(col(OutboxMessage.id))
        if made_until is not None:
            ids = ids.where(col(OutboxMessage.created_at) <= made_until)
        ids = ids.order_by(col(OutboxMessage.id)).limit(at_most).with_for_update(skip_locked=True)
        chosen = ids.cte("chosen")  # once: a plan may run a subquery again, which locks others
        facts = {"state": state, "ended_at": at, **({} if why is None else {"error": why})}
        change = update(OutboxMessage).where(col(OutboxMessage.id).in_(chosen.select()))
        return (await self.session.exec(change.values(**facts))).rowcount

    async def delete_ended(self, endpoint_id: int, *, made_until: datetime, at_most: int) -> int:
        """Remove what an endpoint was once told, of its oldest messages; returns how many."""
        oldest = select(OutboxMessage).where(OutboxMessage.endpoint_id == endpoint_id)
        rows = oldest.order_by(col(OutboxMessage.id)).limit(at_most).subquery()
        old = select(rows.c.id).where(
            rows.c.created_at <= made_until, rows.c.state != OutboxState.WAITING
        )
        gone = delete(OutboxMessage).where(col(OutboxMessage.id).in_(old))
        return (await self.session.exec(gone)).rowcount

    async def update(self, message: OutboxMessage, **facts: Any) -> None:
        for name, value in facts.items():
            setattr(message, name, value)
        await self.session.flush()

    async def standing(self, state: OutboxState, *, at_most: int) -> Sequence[Any]:
        """Of the oldest messages in a state: for each channel how many, and the first due."""
        oldest = select(OutboxMessage).where(OutboxMessage.state == state)
        of = oldest.order_by(col(OutboxMessage.id)).limit(at_most).subquery().c
        query = sql_select(of.channel, func.count(), func.min(of.due_at)).group_by(of.channel)
        return list((await self.session.exec(query)).all())  # type: ignore[call-overload]

    async def page(self, cut: Cut, criteria: Criteria) -> Sequence[OutboxMessage]:
        """One row more than the page shows."""
        query = page_query(_fitting(criteria), OutboxMessage, cut)
        return (await self.session.exec(query)).all()

    async def latest(
        self, criteria: Criteria, *, before: int | None, many: int
    ) -> Sequence[OutboxMessage]:
        """The newest first, from those before one."""
        query = _fitting(criteria)
        if before is not None:
            query = query.where(col(OutboxMessage.id) < before)
        query = query.order_by(col(OutboxMessage.id).desc()).limit(many)
        return (await self.session.exec(query)).all()


def _fitting(criteria: Criteria) -> SelectOfScalar[OutboxMessage]:
    query = select(OutboxMessage)
    for name, value in vars(criteria).items():
        if value is not None:
            query = query.where(getattr(OutboxMessage, name) == value)
    return query


def _in_line(endpoint_id: int) -> Any:
    return select(OutboxMessage).where(
        OutboxMessage.endpoint_id == endpoint_id, OutboxMessage.state == OutboxState.WAITING
    )
