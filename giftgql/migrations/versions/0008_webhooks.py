"""Webhooks: endpoints, their secrets, and what they have been told."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    _endpoints()
    _followed()
    in_line = sa.text("state = 'WAITING' AND endpoint_id IS NOT NULL")
    op.create_index(
        "ix_outbox_message_line",
        "outbox_message",
        ["endpoint_id", "due_at", "id"],
        sqlite_where=in_line,
        postgresql_where=in_line,
    )


def _endpoints() -> None:
    op.create_table(
        "webhook_endpoint",
        sa.Column("id", ID, primary_key=True),
        sa.Column("url", sa.String(2048), nullable=False),
        sa.Column("description", sa.String(255)),
        sa.Column("events", sa.JSON(), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("active_since", MOMENT, nullable=False),
        sa.Column("active_in", sa.BigInteger(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("modified_at", MOMENT, nullable=False),
        sa.Column("removed_at", MOMENT),
        sa.Column("changed_in", sa.BigInteger(), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_webhook_endpoint_changed_in", "webhook_endpoint", ["changed_in", "id"])
    op.create_table(
        "webhook_secret",
        sa.Column("id", ID, primary_key=True),
        sa.Column("endpoint_id", ID, sa.ForeignKey("webhook_endpoint.id"), nullable=False),
        sa.Column("ciphertext", sa.LargeBinary(), nullable=False),
        sa.Column("cipher_key", sa.Integer(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("ends_at", MOMENT),
        sqlite_autoincrement=True,
    )
    for name in ("endpoint_id", "cipher_key"):
        op.create_index(f"ix_webhook_secret_{name}", "webhook_secret", [name])


def _followed() -> None:
    """What has been told."""
    op.create_table(
        "webhook_cursor",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("epoch", sa.String(16), nullable=False),
        sa.Column("announced", sa.BigInteger(), nullable=False),
        sa.Column("begins_in", sa.BigInteger(), nullable=False),
        sa.Column("begins_at", MOMENT, nullable=False),
    )
    op.create_table(
        "webhook_order",
        sa.Column(
            "order_id",
            ID,
            sa.ForeignKey("customer_order.id"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("is_paid", sa.Boolean(), nullable=False),
        sa.Column("is_cancelled", sa.Boolean(), nullable=False),
        sa.Column("refunded", sa.BigInteger(), nullable=False),
        sa.Column("changed_in", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "webhook_card",
        sa.Column(
            "card_id", ID, sa.ForeignKey("gift_card.id"), primary_key=True, autoincrement=False
        ),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("is_funded", sa.Boolean(), nullable=False),
        sa.Column("redeemed", sa.BigInteger(), nullable=False),
        sa.Column("is_blocked", sa.Boolean(), nullable=False),
        sa.Column("is_closed", sa.Boolean(), nullable=False),
        sa.Column("is_expired", sa.Boolean(), nullable=False),
        sa.Column("changed_in", sa.BigInteger(), nullable=False),
    )
