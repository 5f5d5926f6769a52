"""Installation, clients, members, requests, cards and codes."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)
NOT_ENDED = sa.text("ended_at IS NULL")


def upgrade() -> None:
    _installation()
    _callers()
    op.create_table(
        "request",
        sa.Column("caller", sa.String(80), primary_key=True),
        sa.Column("key", sa.String(128), primary_key=True),
        sa.Column("mutation", sa.String(40), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("outcome", sa.JSON()),
        sa.Column("created_at", MOMENT, nullable=False),
    )
    _cards()


def _installation() -> None:
    op.create_table(
        "installation",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("epoch", sa.String(16), nullable=False),
        sa.Column("cluster", sa.String(40), nullable=False),
        sa.Column("index_key", sa.Integer(), nullable=False),
    )
    op.create_table(
        "key_check",
        sa.Column("key_id", sa.Integer(), primary_key=True),
        sa.Column("canary", sa.LargeBinary(), nullable=False),
    )
    counter = op.create_table(
        "change_counter",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("value", ID, nullable=False),
    )
    op.bulk_insert(counter, [{"id": 1, "value": 0}])


def _callers() -> None:
    op.create_table(
        "client",
        sa.Column("id", ID, primary_key=True),
        sa.Column("public_id", sa.String(20), nullable=False, unique=True),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("channel", sa.String(20), nullable=False),
        sa.Column("roles", sa.JSON(), nullable=False),
        sa.Column("permissions", sa.JSON(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("disabled_at", MOMENT),
    )
    op.create_table(
        "client_key",
        sa.Column("id", sa.String(8), primary_key=True),
        sa.Column("client_id", ID, sa.ForeignKey("client.id"), nullable=False, index=True),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("revoked_at", MOMENT),
    )
    op.create_table(
        "access_token",
        sa.Column("digest", sa.LargeBinary(), primary_key=True),
        sa.Column(
            "key_id", sa.String(8), sa.ForeignKey("client_key.id"), nullable=False, index=True
        ),
        sa.Column("expires_at", MOMENT, nullable=False),
    )
    op.create_table(
        "member",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("name", sa.String(200)),
        sa.Column("email", sa.String(254), index=True),
        sa.Column("phone", sa.String(32)),
        sa.Column("details", sa.JSON()),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("modified_at", MOMENT, nullable=False),
        sa.Column("changed_in", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_member_changed_in", "member", ["changed_in", "id"])
    op.create_table(
        "member_token",
        sa.Column("digest", sa.LargeBinary(), primary_key=True),
        sa.Column(
            "member_id", sa.String(64), sa.ForeignKey("member.id"), nullable=False, index=True
        ),
        sa.Column("client_id", ID, sa.ForeignKey("client.id"), nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
    )


def _cards() -> None:
    op.create_table(
        "gift_card",
        sa.Column("id", ID, primary_key=True),
        sa.Column("member_id", sa.String(64), sa.ForeignKey("member.id"), index=True),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("expires_on", sa.Date(), index=True),
        sa.Column("note", sa.String(1000)),
        sa.Column("details", sa.JSON()),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("modified_at", MOMENT, nullable=False),
        sa.Column("changed_in", sa.BigInteger(), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_gift_card_changed_in", "gift_card", ["changed_in", "id"])
    op.create_table(
        "code",
        sa.Column("id", ID, primary_key=True),
        sa.Column("card_id", ID, sa.ForeignKey("gift_card.id"), nullable=False, index=True),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False, unique=True),
        sa.Column("index_key", sa.Integer(), nullable=False),
        sa.Column("ciphertext", sa.LargeBinary(), nullable=False),
        sa.Column("cipher_key", sa.Integer(), nullable=False, index=True),
        sa.Column("last_four", sa.String(4), nullable=False, index=True),
        sa.Column("pin_verifier", sa.String(200)),
        sa.Column("expires_on", sa.Date()),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT),
        sa.Column("ending", sa.String(20)),
        sa.CheckConstraint("(ended_at IS NULL) = (ending IS NULL)", name="ending"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "uq_code_live",
        "code",
        ["card_id", "kind"],
        unique=True,
        sqlite_where=NOT_ENDED,
        postgresql_where=NOT_ENDED,
    )
