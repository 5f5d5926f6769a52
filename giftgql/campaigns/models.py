from datetime import date, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Index
from sqlmodel import Field, SQLModel

from giftgql.codes import CodeType
from giftgql.columns import CHANGED_IN, BigId, UtcDateTime, enum_type
from giftgql.errors import Described


class CampaignStatus(Described):
    IN_PROGRESS = "IN_PROGRESS", "Its cards are being made."
    PAUSED = "PAUSED", "The making of its cards was paused."
    DONE = "DONE", "All its cards are made."
    FAILED = "FAILED", "Its cards could not be made; resuming tries again."
    CANCELLED = "CANCELLED", "No more cards are made; those there are stay."


class Campaign(SQLModel, table=True):
    """Cards that are made alike: `made` of `count` are there. `value` is in minor units."""

    __table_args__ = (
        Index("ix_campaign_changed_in", "changed_in", "id"),
        {"sqlite_autoincrement": True},
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=BigId)
    name: str = Field(max_length=100, unique=True)
    status: CampaignStatus = Field(
        default=CampaignStatus.IN_PROGRESS, sa_type=enum_type(CampaignStatus)
    )
    count: int
    made: int = 0
    value: int = Field(sa_type=BigInteger)
    currency: str = Field(max_length=3)
    code_type: CodeType = Field(sa_type=enum_type(CodeType))
    code_config: dict[str, Any] = Field(sa_type=JSON)
    code_space: bytes = Field(index=True)
    starts_on: date | None = None
    expires_on: date | None = None
    expires_after: str | None = Field(default=None, max_length=20)
    is_activated: bool = False
    pin_length: int | None = None
    redemption_limit: int | None = None
    created_by: str = Field(max_length=80)
    created_at: datetime = Field(sa_type=UtcDateTime)
    modified_at: datetime = Field(sa_type=UtcDateTime)
    changed_in: int | None = Field(
        default=None, sa_type=BigInteger, nullable=False, sa_column_kwargs=CHANGED_IN
    )
