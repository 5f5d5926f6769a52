"""How fast jobs are done."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    for name in ("recent_units", "recent_seconds"):
        op.add_column("job", sa.Column(name, sa.Float(), nullable=False, server_default="0"))
    op.add_column("job", sa.Column("paced_at", sa.DateTime(timezone=True)))
