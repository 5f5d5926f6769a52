from collections.abc import Sequence

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from giftgql.audit.models import AuditEvent


class AuditRepository:
    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def add(self, event: AuditEvent) -> None:
        self.session.add(event)
        await self.session.flush()

    async def find_by_subject(self, subject: str) -> Sequence[AuditEvent]:
        """All that was done to a subject, the first event first."""
        query = select(AuditEvent).where(AuditEvent.subject == subject)
        return (await self.session.exec(query.order_by(col(AuditEvent.id)))).all()
