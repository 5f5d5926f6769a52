from datetime import date, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, CheckConstraint, Index, column
from sqlmodel import Field, SQLModel

from giftgql.choices import RedemptionStrategy
from giftgql.columns import CHANGED_IN, BigId, UtcDateTime, enum_type
from giftgql.errors import Described

GIFT_CARD = "gift_card"
"""The method of payments by gift card."""


class OrderStatus(Described):
    PENDING = "PENDING", "Its cards' amounts are held, and something is left to be paid."
    PAID = "PAID", "All is paid; the gift cards bought are issued."
    CANCELLED = "CANCELLED", "It was cancelled, or its time was up before it was paid."


class LineKind(Described):
    GOODS = "GOODS", "Anything that is no gift card."
    GIFT_CARD = "GIFT_CARD", "Gift cards: never discounted, never paid by gift card."


class PaymentStatus(Described):
    HELD = "HELD", "Reserved on a gift card until the order is paid."
    PAID = "PAID", "Taken."
    RELEASED = "RELEASED", "Given back before it was taken: the order ended, or the hold did."


def _index_of(table: str, name: str) -> Index:
    where = column(name).is_not(None)
    return Index(f"ix_{table}_{name}", name, sqlite_where=where, postgresql_where=where)


class Order(SQLModel, table=True):
    """A purchase: what is bought, by whom, and what it comes to. Amounts are in minor units.

    `goods` is what its lines other than gift cards come to, of which `goods_refunded` was given
    back. A pending order ends at `hold_until`. `refund_due` is to be given back by the shop in the
    ways in which it was paid other than by gift card.
    """

    __tablename__ = "customer_order"
    __table_args__ = (
        CheckConstraint("goods_refunded >= 0 AND goods_refunded <= goods", name="goods"),
        Index("ix_customer_order_changed_in", "changed_in", "id"),
        Index(
            "ix_customer_order_pending",
            "hold_until",
            sqlite_where=column("status") == OrderStatus.PENDING.value,
            postgresql_where=column("status") == OrderStatus.PENDING.value,
        ),
        {"sqlite_autoincrement": True},
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=BigId)
    status: OrderStatus = Field(default=OrderStatus.PENDING, sa_type=enum_type(OrderStatus))
    currency: str = Field(max_length=3)
    prices_include_tax: bool
    subtotal: int = Field(sa_type=BigInteger)
    discount: int = Field(sa_type=BigInteger)
    tax: int = Field(sa_type=BigInteger)
    total: int = Field(sa_type=BigInteger)
    goods: int = Field(sa_type=BigInteger)
    goods_refunded: int = Field(default=0, sa_type=BigInteger)
    refund_due: int = Field(default=0, sa_type=BigInteger)
    member_id: str | None = Field(default=None, foreign_key="member.id", index=True, max_length=64)
    customer: dict[str, Any] | None = Field(default=None, sa_type=JSON)
    source_id: str | None = Field(default=None, max_length=64)
    ref_no: str | None = Field(default=None, max_length=64, index=True)
    caller: str = Field(max_length=80)
    hold_until: datetime = Field(sa_type=UtcDateTime)
    created_at: datetime = Field(sa_type=UtcDateTime)
    modified_at: datetime = Field(sa_type=UtcDateTime)
    paid_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    cancelled_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    reason: str | None = Field(default=None, max_length=500)
    changed_in: int | None = Field(
        default=None, sa_type=BigInteger, nullable=False, sa_column_kwargs=CHANGED_IN
    )


class OrderLine(SQLModel, table=True):
    """A line of an order. Of gift cards `value` is what comes on each, `price` what each costs;
    they expire, and are replaced on use, as their product said when they were ordered. `delivery`
    is who gets them, from whom, with what words; `member_id` who owns them."""

    __tablename__ = "order_line"

    order_id: int = Field(foreign_key="customer_order.id", primary_key=True, sa_type=BigId)
    place: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    kind: LineKind = Field(sa_type=enum_type(LineKind))
    name: str = Field(max_length=200)
    sku: str | None = Field(default=None, max_length=64)
    bundle_id: str | None = Field(default=None, max_length=64)
    quantity: int
    price: int = Field(sa_type=BigInteger)
    subtotal: int = Field(sa_type=BigInteger)
    discount: int = Field(sa_type=BigInteger)
    tax: int = Field(sa_type=BigInteger)
    total: int = Field(sa_type=BigInteger)
    requires_shipping: bool
    product_id: int | None = Field(default=None, foreign_key="product.id", sa_type=BigId)
    pool_id: int | None = Field(default=None, foreign_key="pool.id", sa_type=BigId)
    value: int | None = Field(default=None, sa_type=BigInteger)
    strategy: RedemptionStrategy | None = Field(default=None, sa_type=enum_type(RedemptionStrategy))
    expires_on: date | None = None
    expires_after: str | None = Field(default=None, max_length=20)
    member_id: str | None = Field(default=None, foreign_key="member.id", max_length=64)
    delivery: dict[str, Any] | None = Field(default=None, sa_type=JSON)
    deliver_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class OrderPiece(SQLModel, table=True):
    """One gift card that an order buys: a pool's card is there from the start, a new one once the
    order is paid. `cost` is its part of what its line comes to. `movement_id` is what put its
    value on it; it is `taken_back` when its purchase was refunded."""

    __tablename__ = "order_piece"
    __table_args__ = (
        _index_of("order_piece", "card_id"),
        _index_of("order_piece", "movement_id"),
    )

    order_id: int = Field(foreign_key="customer_order.id", primary_key=True, sa_type=BigId)
    place: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    line: int
    cost: int = Field(sa_type=BigInteger)
    card_id: int | None = Field(default=None, foreign_key="gift_card.id", sa_type=BigId)
    movement_id: int | None = Field(default=None, sa_type=BigId)
    taken_back: bool = False


class OrderPayment(SQLModel, table=True):
    """A payment of an order: by a gift card, of which `movement_id` is the hold; or in another way,
    as the shop says. Of its `amount` so much was `refunded`."""

    __tablename__ = "order_payment"
    __table_args__ = (
        CheckConstraint("amount > 0 AND refunded >= 0 AND refunded <= amount", name="amounts"),
        _index_of("order_payment", "card_id"),
        _index_of("order_payment", "movement_id"),
        {"sqlite_autoincrement": True},
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=BigId)
    order_id: int = Field(foreign_key="customer_order.id", index=True, sa_type=BigId)
    status: PaymentStatus = Field(sa_type=enum_type(PaymentStatus))
    method: str = Field(max_length=64)
    amount: int = Field(sa_type=BigInteger)
    refunded: int = Field(default=0, sa_type=BigInteger)
    card_id: int | None = Field(default=None, foreign_key="gift_card.id", sa_type=BigId)
    code_id: int | None = Field(default=None, sa_type=BigId)
    movement_id: int | None = Field(default=None, sa_type=BigId)
    ref_no: str | None = Field(default=None, max_length=64)
    created_at: datetime = Field(sa_type=UtcDateTime)
