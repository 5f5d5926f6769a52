from collections.abc import Collection, Sequence
from datetime import datetime

import orjson
from sqlalchemy import func, text
from sqlmodel import SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from giftgql.audit.criteria import Criteria
from giftgql.audit.models import AuditEvent, AuditSeal, Event
from giftgql.columns import UtcDateTime, first_unfinished, this_transaction
from giftgql.paging import Cut

_TABLE = SQLModel.metadata.tables["audit_event"]


class AuditRepository:
    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def add(self, event: AuditEvent) -> None:
        self.session.add(event)
        await self.session.flush()

    async def since(
        self, subjects: Collection[str], events: Collection[Event], at: datetime
    ) -> Sequence[AuditEvent]:
        """What of this was done to subjects from a moment on, the first event first."""
        query = select(AuditEvent).where(
            col(AuditEvent.subject).in_(subjects),
            col(AuditEvent.event).in_(events),
            col(AuditEvent.created_at) >= at,
        )
        return (await self.session.exec(query.order_by(col(AuditEvent.id)))).all()

    async def find_by_subject(self, subject: str) -> Sequence[AuditEvent]:
        """All that was done to a subject, the first event first."""
        query = select(AuditEvent).where(AuditEvent.subject == subject)
        return (await self.session.exec(query.order_by(col(AuditEvent.id)))).all()

    async def revealed(self, caller: str, at: datetime) -> dict[str, datetime]:
        """The subjects of which a caller saw codes from a moment on, and when last."""
        last = func.max(AuditEvent.created_at, type_=UtcDateTime())
        query = select(AuditEvent.subject, last).where(
            AuditEvent.caller == caller,
            text("event = 'CODE_REVEALED'"),  # as the index has it, which no parameter would match
            col(AuditEvent.created_at) >= at,
        )
        return dict((await self.session.exec(query.group_by(col(AuditEvent.subject)))).all())

    async def page(self, cut: Cut, criteria: Criteria) -> Sequence[AuditEvent]:
        """One row more than the page shows."""
        query = _fitting(criteria).order_by(col(AuditEvent.id))
        return (await self.session.exec(query.offset(cut.skip).limit(cut.first + 1))).all()

    async def latest(
        self, criteria: Criteria, *, before: int | None, many: int
    ) -> Sequence[AuditEvent]:
        """The newest first, from those before one."""
        query = _fitting(criteria)
        if before is not None:
            query = query.where(col(AuditEvent.id) < before)
        return (
            await self.session.exec(query.order_by(col(AuditEvent.id).desc()).limit(many))
        ).all()

    async def newest_id(self) -> int:
        """The id of the newest event; 0 where there is none."""
        return (await self.session.exec(select(func.max(AuditEvent.id)))).one() or 0

    async def this_transaction(self) -> int:
        """The number of a transaction that begins now."""
        return (await self.session.exec(select(this_transaction()))).one()

    async def first_unfinished(self) -> int:
        """All transactions with a smaller number have ended."""
        return (await self.session.exec(select(first_unfinished()))).one()

    async def canonical(
        self, after: int, up_to: int, *, at_most: int
    ) -> Sequence[tuple[int, bytes]]:
        """Events in the order of their ids: each its id, and all that is in it in one form."""
        query = (
            select(*_TABLE.c)
            .where(_TABLE.c.id > after, _TABLE.c.id <= up_to)
            .order_by(_TABLE.c.id)
            .limit(at_most)
        )
        rows = (await (await self.session.connection()).execute(query)).all()
        return [(row[0], orjson.dumps(tuple(row), option=orjson.OPT_SORT_KEYS)) for row in rows]

    async def count_after(self, after: int, *, up_to: int | None = None) -> int:
        query = select(func.count()).select_from(AuditEvent).where(col(AuditEvent.id) > after)
        if up_to is not None:
            query = query.where(col(AuditEvent.id) <= up_to)
        return (await self.session.exec(query)).one()

    async def add_seal(self, seal: AuditSeal) -> None:
        self.session.add(seal)
        await self.session.flush()

    async def last_seal(self) -> AuditSeal | None:
        query = select(AuditSeal).order_by(col(AuditSeal.number).desc()).limit(1)
        return (await self.session.exec(query)).first()

    async def seals_after(self, number: int, *, at_most: int) -> Sequence[AuditSeal]:
        query = select(AuditSeal).where(col(AuditSeal.number) > number)
        return (await self.session.exec(query.order_by(col(AuditSeal.number)).limit(at_most))).all()


_IS = ("caller", "event", "subject", "source_id")


def _fitting(criteria: Criteria) -> SelectOfScalar[AuditEvent]:
    query = select(AuditEvent)
    for name in _IS:
        if (value := getattr(criteria, name)) is not None:
            query = query.where(getattr(AuditEvent, name) == value)
    if criteria.begins is not None:
        query = query.where(col(AuditEvent.created_at) >= criteria.begins)
    if criteria.ends is not None:
        query = query.where(col(AuditEvent.created_at) < criteria.ends)
    if criteria.after_id is not None:
        query = query.where(col(AuditEvent.id) > criteria.after_id)
    return query
