from datetime import date, datetime

from sqlalchemy import BigInteger, Index, column
from sqlmodel import Field, SQLModel

from giftgql.columns import CHANGED_IN, BigId, UtcDateTime

_IS_THERE = column("removed_at").is_(None)


class Pool(SQLModel, table=True):
    """A pool and what holds for all its cards. `face_value`, in minor units, is null where each
    card has its own; `cards` is how many it holds."""

    __table_args__ = (
        Index("ix_pool_changed_in", "changed_in", "id"),
        Index(
            "uq_pool_system_name",
            "system_name",
            unique=True,
            sqlite_where=_IS_THERE,
            postgresql_where=_IS_THERE,
        ),
        {"sqlite_autoincrement": True},
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=BigId)
    product_id: int = Field(foreign_key="product.id", index=True, sa_type=BigId)
    name: str = Field(max_length=55)
    system_name: str = Field(max_length=64)
    currency: str = Field(max_length=3)
    face_value: int | None = Field(default=None, sa_type=BigInteger)
    partial_redemption: bool = True
    is_cvv_required: bool = False
    expires_on: date | None = None
    expires_after: str | None = Field(default=None, max_length=20)
    cards: int = 0
    created_at: datetime = Field(sa_type=UtcDateTime)
    modified_at: datetime = Field(sa_type=UtcDateTime)
    removed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    changed_in: int | None = Field(
        default=None, sa_type=BigInteger, nullable=False, sa_column_kwargs=CHANGED_IN
    )
