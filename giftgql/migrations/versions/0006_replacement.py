"""Cards that are replaced on use: what stands on accounts and products, and what uses led to."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column(
        "account",
        sa.Column("replaced_on_use", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    # SQLite takes a reference in a new column only where it is written with the column.
    reference = "BIGINT" if op.get_bind().dialect.name == "postgresql" else "INTEGER"
    op.execute(
        f"ALTER TABLE account ADD COLUMN replaced_by {reference} "
        "CONSTRAINT fk_account_replaced_by_account REFERENCES account (id)"
    )
    op.add_column(
        "product",
        sa.Column("strategy", sa.String(20), nullable=False, server_default="BALANCE"),
    )
    op.create_table(
        "succession",
        sa.Column(
            "movement_id", ID, sa.ForeignKey("movement.id"), primary_key=True, autoincrement=False
        ),
        sa.Column("successor_id", ID, sa.ForeignKey("gift_card.id"), unique=True),
    )
