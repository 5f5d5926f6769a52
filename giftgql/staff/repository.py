from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import delete, update
from sqlmodel import SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from giftgql.rows import insert_unless_there
from giftgql.staff.models import StaffKey, StaffMember, StaffSession


class StaffRepository:
    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def add(self, row: SQLModel) -> None:
        self.session.add(row)
        await self.session.flush()

    async def add_by_subject(self, person: StaffMember) -> bool:
        """Add who signs in by a provider; False if somebody has just done so."""
        insert = insert_unless_there(self.session, StaffMember, "issuer", "subject")
        values = person.model_dump(exclude={"id"})
        added = await self.session.exec(insert.values(values).returning(col(StaffMember.id)))
        return added.first() is not None

    async def page(self) -> Sequence[StaffMember]:
        return (await self.session.exec(select(StaffMember).order_by(col(StaffMember.id)))).all()

    async def find_by_public_id(self, public_id: str) -> StaffMember | None:
        query = select(StaffMember).where(StaffMember.public_id == public_id)
        return (await self.session.exec(query)).first()

    async def names(self, public_ids: Collection[str]) -> dict[str, str]:
        """The names of these people, by their public ids."""
        query = select(StaffMember).where(col(StaffMember.public_id).in_(public_ids))
        return {each.public_id: each.name for each in (await self.session.exec(query)).all()}

    async def lock(self, public_id: str) -> StaffMember | None:
        query = select(StaffMember).where(StaffMember.public_id == public_id).with_for_update()
        return (await self.session.exec(query)).first()

    async def lock_by_subject(self, issuer: str, subject: str) -> StaffMember | None:
        query = select(StaffMember).where(
            StaffMember.issuer == issuer, StaffMember.subject == subject
        )
        return (await self.session.exec(query.with_for_update())).first()

    async def update(self) -> None:
        """Write what was changed of locked rows."""
        await self.session.flush()

    async def find_by_key(self, key_id: str) -> tuple[StaffMember, StaffKey] | None:
        query = (
            select(StaffMember, StaffKey)
            .join(StaffKey, col(StaffKey.staff_id) == StaffMember.id)
            .where(StaffKey.id == key_id)
        )
        return (await self.session.exec(query)).first()

    async def live_keys(self, staff_id: int) -> Sequence[StaffKey]:
        """The person's live keys, oldest first."""
        query = (
            select(StaffKey)
            .where(StaffKey.staff_id == staff_id, col(StaffKey.revoked_at).is_(None))
            .order_by(col(StaffKey.created_at), col(StaffKey.id))
        )
        return (await self.session.exec(query)).all()

    async def find_session(
        self, digest: bytes
    ) -> tuple[StaffMember, StaffSession, StaffKey | None] | None:
        """A session with its owner, and the key that it was opened with."""
        query = (
            select(StaffMember, StaffSession, StaffKey)
            .join(StaffSession, col(StaffSession.staff_id) == StaffMember.id)
            .join(StaffKey, col(StaffSession.key_id) == StaffKey.id, isouter=True)
            .where(StaffSession.digest == digest)
        )
        return (await self.session.exec(query)).first()

    async def see_session(self, digest: bytes, *, at: datetime) -> None:
        seen = update(StaffSession).where(col(StaffSession.digest) == digest).values(seen_at=at)
        await self.session.exec(seen)

    async def delete_session(self, digest: bytes) -> None:
        await self.session.exec(delete(StaffSession).where(col(StaffSession.digest) == digest))

    async def delete_sessions_of(self, staff_id: int) -> None:
        await self.session.exec(delete(StaffSession).where(col(StaffSession.staff_id) == staff_id))

    async def delete_ended(self, at: datetime, *, at_most: int) -> int:
        """Remove sessions whose time is up; returns how many."""
        ended = select(StaffSession.digest).where(col(StaffSession.ends_at) <= at).limit(at_most)
        done = delete(StaffSession).where(col(StaffSession.digest).in_(ended))
        return len((await self.session.exec(done.returning(col(StaffSession.digest)))).all())
