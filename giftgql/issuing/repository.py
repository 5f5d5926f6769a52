from sqlalchemy import update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from giftgql.issuing.models import Publication
from giftgql.rows import insert_unless_there


class PublicationRepository:
    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def add(self, publication: Publication) -> bool:
        """Add one; False if the campaign has one of this source id. Waits for a running add."""
        values = publication.model_dump()
        insert = insert_unless_there(self.session, Publication, "campaign_id", "source_id")
        added = await self.session.exec(insert.values(values).returning(col(Publication.source_id)))
        return added.first() is not None

    async def get(self, campaign_id: int, source_id: str) -> Publication | None:
        query = select(Publication).where(
            Publication.campaign_id == campaign_id, Publication.source_id == source_id
        )
        return (await self.session.exec(query)).first()

    async def set_card(self, campaign_id: int, source_id: str, card_id: int) -> None:
        mine = (col(Publication.campaign_id) == campaign_id) & (
            col(Publication.source_id) == source_id
        )
        await self.session.exec(update(Publication).where(mine).values(card_id=card_id))
