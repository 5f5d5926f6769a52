from datetime import date, datetime

from sqlalchemy import BigInteger, CheckConstraint, Index
from sqlmodel import Field, SQLModel

from giftgql.choices import RedemptionStrategy
from giftgql.columns import CHANGED_IN, BigId, UtcDateTime, enum_type
from giftgql.errors import Described


class ProductSort(Described):
    ID = "ID", "In the order in which they were made."
    NAME = "NAME", "By name, as the database compares text."
    CREATED_AT = "CREATED_AT", "By when they were made."
    MODIFIED_AT = "MODIFIED_AT", "By when they last changed."


class Product(SQLModel, table=True):
    """What a gift card that can be bought looks like. Cards keep what they were sold with.

    Its cards expire on `expires_on` or `expires_after` a time from their purchase, or not at all.
    An automatic product is a pool's: what it sells for and when it expires is the pool's to say.
    """

    __table_args__ = (
        Index("ix_product_changed_in", "changed_in", "id"),
        {"sqlite_autoincrement": True},
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=BigId)
    name: str = Field(max_length=55, index=True)
    description: str | None = Field(default=None, max_length=3_000)
    image_url: str | None = Field(default=None, max_length=2_000)
    currency: str = Field(max_length=3)
    expires_on: date | None = None
    expires_after: str | None = Field(default=None, max_length=20)
    is_active: bool = True
    is_automatic: bool = False
    strategy: RedemptionStrategy = Field(
        default=RedemptionStrategy.BALANCE,
        sa_type=enum_type(RedemptionStrategy),
        sa_column_kwargs={"server_default": RedemptionStrategy.BALANCE.value},
    )
    revision: int = 1
    created_at: datetime = Field(sa_type=UtcDateTime)
    modified_at: datetime = Field(sa_type=UtcDateTime)
    removed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    changed_in: int | None = Field(
        default=None, sa_type=BigInteger, nullable=False, sa_column_kwargs=CHANGED_IN
    )


class Variant(SQLModel, table=True):
    """A preset with its price and value, or the range that a buyer may choose from: then price
    and value are the same. In minor units."""

    __tablename__ = "product_variant"
    __table_args__ = (
        CheckConstraint(
            "price IS NOT NULL AND value IS NOT NULL AND minimum IS NULL AND maximum IS NULL"
            " OR price IS NULL AND value IS NULL AND minimum < maximum",
            name="kind",
        ),
        {"sqlite_autoincrement": True},
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=BigId)
    product_id: int = Field(foreign_key="product.id", index=True, sa_type=BigId)
    place: int
    price: int | None = Field(default=None, sa_type=BigInteger)
    value: int | None = Field(default=None, sa_type=BigInteger)
    minimum: int | None = Field(default=None, sa_type=BigInteger)
    maximum: int | None = Field(default=None, sa_type=BigInteger)

    @property
    def is_custom(self) -> bool:
        return self.minimum is not None
