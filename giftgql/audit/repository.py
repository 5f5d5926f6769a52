from collections.abc import Collection, Sequence
from datetime import datetime

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from giftgql.audit.models import AuditEvent, Event


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
