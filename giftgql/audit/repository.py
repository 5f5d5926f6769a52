from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import func, text
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from giftgql.audit.criteria import Criteria
from giftgql.audit.models import AuditEvent, Event
from giftgql.columns import UtcDateTime
from giftgql.paging import Cut


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
