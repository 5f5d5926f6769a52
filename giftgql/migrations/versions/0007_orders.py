"""Orders: lines, the gift cards they buy, and how they are paid."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
AMOUNT = sa.BigInteger()
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    _orders()
    _lines()
    _pieces()
    _payments()


def _orders() -> None:
    op.create_table(
        "customer_order",
        sa.Column("id", ID, primary_key=True),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("prices_include_tax", sa.Boolean(), nullable=False),
        *(sa.Column(each, AMOUNT, nullable=False) for each in ("subtotal", "discount", "tax")),
        *(sa.Column(each, AMOUNT, nullable=False) for each in ("total", "goods")),
        *(sa.Column(each, AMOUNT, nullable=False) for each in ("goods_refunded", "refund_due")),
        sa.Column("member_id", sa.String(64), sa.ForeignKey("member.id"), index=True),
        sa.Column("customer", sa.JSON()),
        sa.Column("source_id", sa.String(64)),
        sa.Column("ref_no", sa.String(64), index=True),
        sa.Column("caller", sa.String(80), nullable=False),
        sa.Column("hold_until", MOMENT, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("modified_at", MOMENT, nullable=False),
        sa.Column("paid_at", MOMENT),
        sa.Column("cancelled_at", MOMENT),
        sa.Column("reason", sa.String(500)),
        sa.Column("changed_in", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("goods_refunded >= 0 AND goods_refunded <= goods", name="goods"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_customer_order_changed_in", "customer_order", ["changed_in", "id"])
    _index("ix_customer_order_pending", "customer_order", "hold_until", "status = 'PENDING'")


def _lines() -> None:
    op.create_table(
        "order_line",
        sa.Column("order_id", ID, sa.ForeignKey("customer_order.id"), primary_key=True),
        sa.Column("place", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("sku", sa.String(64)),
        sa.Column("bundle_id", sa.String(64)),
        sa.Column("quantity", sa.Integer(), nullable=False),
        *(sa.Column(each, AMOUNT, nullable=False) for each in ("price", "subtotal", "discount")),
        *(sa.Column(each, AMOUNT, nullable=False) for each in ("tax", "total")),
        sa.Column("requires_shipping", sa.Boolean(), nullable=False),
        sa.Column("product_id", ID, sa.ForeignKey("product.id")),
        sa.Column("pool_id", ID, sa.ForeignKey("pool.id")),
        sa.Column("value", AMOUNT),
        sa.Column("strategy", sa.String(20)),
        sa.Column("expires_on", sa.Date()),
        sa.Column("expires_after", sa.String(20)),
        sa.Column("member_id", sa.String(64), sa.ForeignKey("member.id")),
        sa.Column("delivery", sa.JSON()),
        sa.Column("deliver_at", MOMENT),
    )


def _pieces() -> None:
    op.create_table(
        "order_piece",
        sa.Column("order_id", ID, sa.ForeignKey("customer_order.id"), primary_key=True),
        sa.Column("place", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("cost", AMOUNT, nullable=False),
        sa.Column("card_id", ID, sa.ForeignKey("gift_card.id")),
        sa.Column("movement_id", ID),
        sa.Column("taken_back", sa.Boolean(), nullable=False),
    )
    _index("ix_order_piece_card_id", "order_piece", "card_id", "card_id IS NOT NULL")
    _index("ix_order_piece_movement_id", "order_piece", "movement_id", "movement_id IS NOT NULL")


def _payments() -> None:
    op.create_table(
        "order_payment",
        sa.Column("id", ID, primary_key=True),
        sa.Column("order_id", ID, sa.ForeignKey("customer_order.id"), nullable=False, index=True),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("method", sa.String(64), nullable=False),
        sa.Column("amount", AMOUNT, nullable=False),
        sa.Column("refunded", AMOUNT, nullable=False),
        sa.Column("card_id", ID, sa.ForeignKey("gift_card.id")),
        sa.Column("code_id", ID),
        sa.Column("movement_id", ID),
        sa.Column("ref_no", sa.String(64)),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.CheckConstraint("amount > 0 AND refunded >= 0 AND refunded <= amount", name="amounts"),
        sqlite_autoincrement=True,
    )
    _index("ix_order_payment_card_id", "order_payment", "card_id", "card_id IS NOT NULL")
    has_movement = "movement_id IS NOT NULL"
    _index("ix_order_payment_movement_id", "order_payment", "movement_id", has_movement)


def _index(name: str, table: str, column: str, where: str) -> None:
    """An index of some rows only."""
    some = sa.text(where)
    op.create_index(name, table, [column], sqlite_where=some, postgresql_where=some)
