from datetime import datetime

from sqlalchemy import JSON, Index
from sqlmodel import Field, SQLModel

from giftgql.columns import BigId, UtcDateTime


class StaffMember(SQLModel, table=True):
    """A person. Who signs in by a provider is known by its `issuer` and `subject`."""

    __tablename__ = "staff_member"
    __table_args__ = (Index("uq_staff_member_subject", "issuer", "subject", unique=True),)

    id: int | None = Field(default=None, primary_key=True, sa_type=BigId)
    public_id: str = Field(unique=True, max_length=20)
    name: str = Field(max_length=100)
    roles: list[str] = Field(sa_type=JSON)
    permissions: list[str] = Field(sa_type=JSON)
    issuer: str | None = Field(default=None, max_length=255)
    subject: str | None = Field(default=None, max_length=255)
    created_at: datetime = Field(sa_type=UtcDateTime)
    disabled_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class StaffKey(SQLModel, table=True):
    """A personal access key; `id` is the public part within it."""

    __tablename__ = "staff_key"

    id: str = Field(primary_key=True, max_length=8)
    staff_id: int = Field(foreign_key="staff_member.id", index=True, sa_type=BigId)
    digest: bytes
    created_at: datetime = Field(sa_type=UtcDateTime)
    revoked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class StaffSession(SQLModel, table=True):
    """A browser that is signed in, by a key or, without one, by a provider."""

    __tablename__ = "staff_session"

    digest: bytes = Field(primary_key=True)
    staff_id: int = Field(foreign_key="staff_member.id", index=True, sa_type=BigId)
    key_id: str | None = Field(default=None, foreign_key="staff_key.id", max_length=8)
    seen_at: datetime = Field(sa_type=UtcDateTime)
    ends_at: datetime = Field(index=True, sa_type=UtcDateTime)
