"""Clients that may run trusted documents only."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.add_column(
        "client",
        sa.Column("only_trusted", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
