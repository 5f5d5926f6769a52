from datetime import datetime

from sqlmodel import Field, SQLModel

from giftgql.columns import BigId, UtcDateTime


class Publication(SQLModel, table=True):
    """A campaign's card that was given to a member, by the caller's own id of that event."""

    campaign_id: int = Field(foreign_key="campaign.id", primary_key=True, sa_type=BigId)
    source_id: str = Field(primary_key=True, max_length=64)
    member_id: str = Field(foreign_key="member.id", max_length=64)
    card_id: int | None = Field(default=None, foreign_key="gift_card.id", index=True, sa_type=BigId)
    created_at: datetime = Field(sa_type=UtcDateTime)
