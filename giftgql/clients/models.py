from datetime import datetime

from sqlalchemy import JSON, false
from sqlmodel import Field, SQLModel

from giftgql.columns import BigId, UtcDateTime, enum_type
from giftgql.permissions import Channel


class Client(SQLModel, table=True):
    """A system that calls the server. `public_id` is its client_id. `only_trusted` binds it, and
    members with its tokens, to the trusted documents."""

    id: int | None = Field(default=None, primary_key=True, sa_type=BigId)
    public_id: str = Field(unique=True, max_length=20)
    name: str = Field(max_length=100)
    channel: Channel = Field(sa_type=enum_type(Channel))
    roles: list[str] = Field(sa_type=JSON)
    permissions: list[str] = Field(sa_type=JSON)
    only_trusted: bool = Field(default=False, sa_column_kwargs={"server_default": false()})
    created_at: datetime = Field(sa_type=UtcDateTime)
    disabled_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class ClientKey(SQLModel, table=True):
    """A key of a client; `id` is the public part within it."""

    __tablename__ = "client_key"

    id: str = Field(primary_key=True, max_length=8)
    client_id: int = Field(foreign_key="client.id", index=True, sa_type=BigId)
    digest: bytes
    created_at: datetime = Field(sa_type=UtcDateTime)
    revoked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class AccessToken(SQLModel, table=True):
    """A short-lived token got with a key."""

    __tablename__ = "access_token"

    digest: bytes = Field(primary_key=True)
    key_id: str = Field(foreign_key="client_key.id", index=True, max_length=8)
    expires_at: datetime = Field(sa_type=UtcDateTime)
