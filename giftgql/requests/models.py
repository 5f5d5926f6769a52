from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Index, text
from sqlmodel import Field, SQLModel

from giftgql.columns import UtcDateTime

_HAS_CARD = text("card_id IS NOT NULL")
_OF_A_CARD: dict[str, Any] = {"sqlite_where": _HAS_CARD, "postgresql_where": _HAS_CARD}


class Request(SQLModel, table=True):
    """A request that was made with an idempotency key, and the ids of what it did; `card_id` where
    its answer holds what was said of a card."""

    __table_args__ = (Index("ix_request_card_id", "card_id", **_OF_A_CARD),)

    caller: str = Field(primary_key=True, max_length=80)
    key: str = Field(primary_key=True, max_length=128)
    mutation: str = Field(max_length=40)
    fingerprint: bytes
    outcome: dict[str, Any] | None = Field(default=None, sa_type=JSON)
    card_id: int | None = Field(default=None, sa_type=BigInteger)
    created_at: datetime = Field(sa_type=UtcDateTime)
