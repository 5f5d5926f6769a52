"""The outbox: what is to be said to somebody outside."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "outbox_message",
        sa.Column("id", ID, primary_key=True),
        sa.Column("channel", sa.String(20), nullable=False),
        sa.Column("topic", sa.String(60), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("card_id", ID, sa.ForeignKey("gift_card.id")),
        sa.Column("order_id", sa.BigInteger()),
        sa.Column("endpoint_id", sa.BigInteger()),
        sa.Column("address", sa.String(254)),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("due_at", MOMENT, nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("error", sa.String(200)),
        sa.Column("created_by", sa.String(80), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT),
        sa.Column("changed_in", sa.BigInteger(), nullable=False),
        sqlite_autoincrement=True,
    )
    for name in ("card_id", "order_id", "endpoint_id"):
        some = sa.text(f"{name} IS NOT NULL")
        op.create_index(
            f"ix_outbox_message_{name}",
            "outbox_message",
            [name, "id"],
            sqlite_where=some,
            postgresql_where=some,
        )
    op.create_index("ix_outbox_message_state", "outbox_message", ["state", "id"])
    op.create_index("ix_outbox_message_changed_in", "outbox_message", ["changed_in", "id"])
