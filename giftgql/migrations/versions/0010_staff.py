"""Staff, their keys and sessions."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0008"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "staff_member",
        sa.Column("id", ID, primary_key=True),
        sa.Column("public_id", sa.String(20), nullable=False, unique=True),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("roles", sa.JSON(), nullable=False),
        sa.Column("permissions", sa.JSON(), nullable=False),
        sa.Column("issuer", sa.String(255)),
        sa.Column("subject", sa.String(255)),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("disabled_at", MOMENT),
    )
    op.create_index("uq_staff_member_subject", "staff_member", ["issuer", "subject"], unique=True)
    op.create_table(
        "staff_key",
        sa.Column("id", sa.String(8), primary_key=True),
        sa.Column("staff_id", ID, sa.ForeignKey("staff_member.id"), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("revoked_at", MOMENT),
    )
    op.create_index("ix_staff_key_staff_id", "staff_key", ["staff_id"])
    op.create_table(
        "staff_session",
        sa.Column("digest", sa.LargeBinary(), primary_key=True),
        sa.Column("staff_id", ID, sa.ForeignKey("staff_member.id"), nullable=False),
        sa.Column("key_id", sa.String(8), sa.ForeignKey("staff_key.id")),
        sa.Column("seen_at", MOMENT, nullable=False),
        sa.Column("ends_at", MOMENT, nullable=False),
    )
    for name in ("staff_id", "ends_at"):
        op.create_index(f"ix_staff_session_{name}", "staff_session", [name])
