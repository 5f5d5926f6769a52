from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Index
from sqlmodel import Field, SQLModel

from giftgql.columns import CHANGED_IN, BigId, UtcDateTime


class Member(SQLModel, table=True):
    """A customer of the retailer; `id` is the retailer's own, e.g. C000000212."""

    __table_args__ = (Index("ix_member_changed_in", "changed_in", "id"),)

    id: str = Field(primary_key=True, max_length=64)
    name: str | None = Field(default=None, max_length=200)
    email: str | None = Field(default=None, max_length=254, index=True)
    phone: str | None = Field(default=None, max_length=32)
    # "metadata" is taken by SQLAlchemy.
    details: dict[str, Any] | None = Field(default=None, sa_type=JSON)
    created_at: datetime = Field(sa_type=UtcDateTime)
    modified_at: datetime = Field(sa_type=UtcDateTime)
    erased_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    changed_in: int | None = Field(
        default=None, sa_type=BigInteger, nullable=False, sa_column_kwargs=CHANGED_IN
    )


class MemberToken(SQLModel, table=True):
    """A token with which a member signs in, minted by a client."""

    __tablename__ = "member_token"

    digest: bytes = Field(primary_key=True)
    member_id: str = Field(foreign_key="member.id", index=True, max_length=64)
    client_id: int = Field(foreign_key="client.id", sa_type=BigId)
    expires_at: datetime = Field(sa_type=UtcDateTime)
