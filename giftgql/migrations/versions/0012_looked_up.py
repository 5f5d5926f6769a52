"""What clients look up by code in an hour, and how much of it fails."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.create_table(
        "looked_up",
        sa.Column("subject", sa.LargeBinary(), primary_key=True),
        sa.Column("hour", sa.DateTime(timezone=True), primary_key=True),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in ("found", "failed", "unknown")),
    )
