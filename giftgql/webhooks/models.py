from datetime import datetime

from sqlalchemy import JSON, BigInteger, Index
from sqlmodel import Field, SQLModel

from giftgql.columns import CHANGED_IN, BigId, UtcDateTime


class WebhookEndpoint(SQLModel, table=True):
    """Where events are sent to: those named, or all where none is. While it is active it is told
    what transactions from `active_in` on have done."""

    __tablename__ = "webhook_endpoint"
    __table_args__ = (
        Index("ix_webhook_endpoint_changed_in", "changed_in", "id"),
        {"sqlite_autoincrement": True},
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=BigId)
    url: str = Field(max_length=2048)
    description: str | None = Field(default=None, max_length=255)
    events: list[str] = Field(sa_type=JSON)
    is_active: bool
    active_since: datetime = Field(sa_type=UtcDateTime)
    active_in: int = Field(sa_type=BigInteger)
    created_at: datetime = Field(sa_type=UtcDateTime)
    modified_at: datetime = Field(sa_type=UtcDateTime)
    removed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    changed_in: int | None = Field(
        default=None, sa_type=BigInteger, nullable=False, sa_column_kwargs=CHANGED_IN
    )


class WebhookSecret(SQLModel, table=True):
    """A secret with which an endpoint's messages are signed, sealed; until `ends_at`, if it has
    been replaced."""

    __tablename__ = "webhook_secret"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: int | None = Field(default=None, primary_key=True, sa_type=BigId)
    endpoint_id: int = Field(foreign_key="webhook_endpoint.id", index=True, sa_type=BigId)
    ciphertext: bytes = Field(repr=False)
    cipher_key: int = Field(index=True)
    created_at: datetime = Field(sa_type=UtcDateTime)
    ends_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class WebhookCursor(SQLModel, table=True):
    """One row: what transactions up to `announced` have done is told. They have been followed
    without a gap since `begins_at`, from `begins_in` on, by the numbers of an `epoch`."""

    __tablename__ = "webhook_cursor"

    id: int = Field(default=1, primary_key=True)
    epoch: str = Field(max_length=16)
    announced: int = Field(sa_type=BigInteger)
    begins_in: int = Field(sa_type=BigInteger)
    begins_at: datetime = Field(sa_type=UtcDateTime)


class WebhookOrder(SQLModel, table=True):
    """What was last told of an order. `refunded` is in minor units."""

    __tablename__ = "webhook_order"

    order_id: int = Field(
        foreign_key="customer_order.id",
        primary_key=True,
        sa_type=BigId,
        sa_column_kwargs={"autoincrement": False},
    )
    is_paid: bool
    is_cancelled: bool
    refunded: int = Field(sa_type=BigInteger)
    changed_in: int | None = Field(
        default=None, sa_type=BigInteger, nullable=False, sa_column_kwargs=CHANGED_IN
    )


class WebhookCard(SQLModel, table=True):
    """What was last told of a card, and the number of its last event. `redeemed` is in minor
    units."""

    __tablename__ = "webhook_card"

    card_id: int = Field(
        foreign_key="gift_card.id",
        primary_key=True,
        sa_type=BigId,
        sa_column_kwargs={"autoincrement": False},
    )
    sequence: int
    is_funded: bool
    redeemed: int = Field(sa_type=BigInteger)
    is_blocked: bool
    is_closed: bool
    is_expired: bool
    changed_in: int | None = Field(
        default=None, sa_type=BigInteger, nullable=False, sa_column_kwargs=CHANGED_IN
    )
