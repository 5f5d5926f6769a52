from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete
from sqlalchemy.orm.attributes import flag_modified
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from giftgql.clients.models import Client
from giftgql.members.models import Member, MemberToken
from giftgql.paging import Cut
from giftgql.rows import insert_unless_there, page_query


class MemberRepository:
    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def add(self, member: Member) -> bool:
        """Add a member; False if the id is taken."""
        values = member.model_dump(exclude={"changed_in"})
        insert = insert_unless_there(self.session, Member, "id").values(values)
        added = await self.session.exec(insert.returning(col(Member.id)))
        return added.first() is not None

    async def get(self, member_id: str) -> Member | None:
        return await self.session.get(Member, member_id)

    async def lock(self, member_id: str, *, is_to_be_named: bool = True) -> Member | None:
        """A member whom nobody changes; nor names meanwhile, unless it `is_to_be_named`."""
        query = select(Member).where(Member.id == member_id)
        query = query.with_for_update(key_share=is_to_be_named)
        fresh = query.execution_options(populate_existing=True)
        return (await self.session.exec(fresh)).first()

    async def share(self, member_ids: Collection[str]) -> Sequence[Member]:
        """Members who are not erased until the transaction ends."""
        query = select(Member).where(col(Member.id).in_(member_ids)).order_by(col(Member.id))
        query = query.with_for_update(read=True, key_share=True)
        fresh = query.execution_options(populate_existing=True)
        return (await self.session.exec(fresh)).all()

    async def update(self, member: Member, facts: Mapping[str, Any], *, at: datetime) -> None:
        """Write facts of a member, who has changed even if nothing is different."""
        for name, value in {**facts, "modified_at": at}.items():
            setattr(member, name, value)
        flag_modified(member, "modified_at")
        await self.session.flush()

    async def by_ids(self, member_ids: Sequence[str]) -> Sequence[Member]:
        query = select(Member).where(col(Member.id).in_(member_ids))
        return (await self.session.exec(query)).all()

    async def page(
        self, cut: Cut, *, member_id: str | None = None, email: str | None = None
    ) -> Sequence[Member]:
        """One row more than the page shows."""
        query = select(Member)
        if member_id is not None:
            query = query.where(Member.id == member_id)
        if email is not None:
            query = query.where(Member.email == email)
        return (await self.session.exec(page_query(query, Member, cut))).all()

    async def add_token(self, token: MemberToken) -> None:
        self.session.add(token)
        await self.session.flush()

    async def delete_tokens(self, member_id: str, *, expired_at: datetime) -> None:
        """Clear away the member's expired tokens."""
        done = (col(MemberToken.member_id) == member_id) & (
            col(MemberToken.expires_at) <= expired_at
        )
        await self.session.exec(delete(MemberToken).where(done))

    async def delete_all_tokens(self, member_id: str) -> None:
        mine = col(MemberToken.member_id) == member_id
        await self.session.exec(delete(MemberToken).where(mine))

    async def find_by_token(self, digest: bytes) -> tuple[MemberToken, Client] | None:
        """A token with the client that minted it."""
        query = (
            select(MemberToken, Client)
            .join(Client, col(Client.id) == MemberToken.client_id)
            .where(MemberToken.digest == digest)
        )
        return (await self.session.exec(query)).first()
