from datetime import datetime
from typing import Any

from sqlalchemy import JSON
from sqlmodel import Field, SQLModel

from giftgql.columns import UtcDateTime


class Request(SQLModel, table=True):
    """A request that was made with an idempotency key, and the ids of what it did."""

    caller: str = Field(primary_key=True, max_length=80)
    key: str = Field(primary_key=True, max_length=128)
    mutation: str = Field(max_length=40)
    fingerprint: bytes
    outcome: dict[str, Any] | None = Field(default=None, sa_type=JSON)
    created_at: datetime = Field(sa_type=UtcDateTime)
