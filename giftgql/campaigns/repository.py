from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func
from sqlalchemy.orm.attributes import flag_modified
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from giftgql.campaigns.models import Campaign, CampaignStatus
from giftgql.paging import Cut
from giftgql.rows import insert_unless_there, page_query


@dataclass(frozen=True)
class Criteria:
    """What a list of campaigns is narrowed to; None narrows nothing."""

    campaign_id: int | None = None
    name: str | None = None
    status: CampaignStatus | None = None
    newest_first: bool = False


class CampaignRepository:
    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def add(self, campaign: Campaign) -> int | None:
        """Add a campaign; None if its name is taken."""
        values = campaign.model_dump(exclude={"id", "changed_in"})
        insert = insert_unless_there(self.session, Campaign, "name").values(values)
        added = (await self.session.exec(insert.returning(col(Campaign.id)))).first()
        return None if added is None else int(added[0])

    async def get(self, campaign_id: int) -> Campaign | None:
        return await self.session.get(Campaign, campaign_id)

    async def lock(self, campaign_id: int) -> Campaign | None:
        query = select(Campaign).where(Campaign.id == campaign_id).with_for_update()
        return (await self.session.exec(query)).first()

    async def by_ids(self, campaign_ids: Collection[int]) -> Sequence[Campaign]:
        query = select(Campaign).where(col(Campaign.id).in_(campaign_ids))
        return (await self.session.exec(query)).all()

    async def cards_in(self, code_space: bytes) -> int:
        """How many cards all campaigns with codes of this space are to have."""
        query = select(func.coalesce(func.sum(Campaign.count), 0))
        found = await self.session.exec(query.where(Campaign.code_space == code_space))
        return int(found.one())

    async def update(self, campaign: Campaign, facts: Mapping[str, Any]) -> None:
        for name, value in facts.items():
            setattr(campaign, name, value)
        flag_modified(campaign, "modified_at")
        await self.session.flush()

    async def page(self, cut: Cut, criteria: Criteria) -> Sequence[Campaign]:
        """One row more than the page shows."""
        query = select(Campaign)
        if criteria.campaign_id is not None:
            query = query.where(Campaign.id == criteria.campaign_id)
        if criteria.name is not None:
            query = query.where(Campaign.name == criteria.name)
        if criteria.status is not None:
            query = query.where(Campaign.status == criteria.status)
        if criteria.newest_first:
            query = query.order_by(col(Campaign.id).desc())
        return (await self.session.exec(page_query(query, Campaign, cut))).all()
