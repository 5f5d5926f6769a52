"""Jobs; products, pools and campaigns; what cards know of them; imports, publications, PINs."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
AMOUNT = sa.BigInteger()
MOMENT = sa.DateTime(timezone=True)
CHANGED_IN = sa.BigInteger()


def upgrade() -> None:
    _jobs()
    _products()
    _pools()
    _campaigns()
    _cards()
    _imports()
    op.create_table(
        "publication",
        sa.Column("campaign_id", ID, sa.ForeignKey("campaign.id"), primary_key=True),
        sa.Column("source_id", sa.String(64), primary_key=True),
        sa.Column("member_id", sa.String(64), sa.ForeignKey("member.id"), nullable=False),
        sa.Column("card_id", ID, sa.ForeignKey("gift_card.id"), index=True),
        sa.Column("created_at", MOMENT, nullable=False),
    )


def _index(name: str, table: str, columns: list[str], where: str, *, unique: bool = False) -> None:
    """An index of some rows only."""
    some = sa.text(where)
    op.create_index(name, table, columns, unique=unique, sqlite_where=some, postgresql_where=some)


def _jobs() -> None:
    op.create_table(
        "job",
        sa.Column("id", ID, primary_key=True),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("subject_id", ID, nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("run_at", MOMENT, nullable=False),
        sa.Column("worker", sa.String(40)),
        sa.Column("leased_until", MOMENT),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("error", sa.String(200)),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT),
        sqlite_autoincrement=True,
    )
    is_open = "state = 'QUEUED'"
    _index("uq_job_open", "job", ["kind", "subject_id"], is_open, unique=True)
    _index("ix_job_due", "job", ["run_at", "id"], is_open)


def _products() -> None:
    op.create_table(
        "product",
        sa.Column("id", ID, primary_key=True),
        sa.Column("name", sa.String(55), nullable=False, index=True),
        sa.Column("description", sa.String(3_000)),
        sa.Column("image_url", sa.String(2_000)),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("expires_on", sa.Date()),
        sa.Column("expires_after", sa.String(20)),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("is_automatic", sa.Boolean(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("modified_at", MOMENT, nullable=False),
        sa.Column("removed_at", MOMENT),
        sa.Column("changed_in", CHANGED_IN, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_product_changed_in", "product", ["changed_in", "id"])
    op.create_table(
        "product_variant",
        sa.Column("id", ID, primary_key=True),
        sa.Column("product_id", ID, sa.ForeignKey("product.id"), nullable=False, index=True),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("price", AMOUNT),
        sa.Column("value", AMOUNT),
        sa.Column("minimum", AMOUNT),
        sa.Column("maximum", AMOUNT),
        sa.CheckConstraint(
            "price IS NOT NULL AND value IS NOT NULL AND minimum IS NULL AND maximum IS NULL"
            " OR price IS NULL AND value IS NULL AND minimum < maximum",
            name="kind",
        ),
        sqlite_autoincrement=True,
    )


def _pools() -> None:
    op.create_table(
        "pool",
        sa.Column("id", ID, primary_key=True),
        sa.Column("product_id", ID, sa.ForeignKey("product.id"), nullable=False, index=True),
        sa.Column("name", sa.String(55), nullable=False),
        sa.Column("system_name", sa.String(64), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("face_value", AMOUNT),
        sa.Column("partial_redemption", sa.Boolean(), nullable=False),
        sa.Column("is_cvv_required", sa.Boolean(), nullable=False),
        sa.Column("expires_on", sa.Date()),
        sa.Column("expires_after", sa.String(20)),
        sa.Column("cards", sa.Integer(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("modified_at", MOMENT, nullable=False),
        sa.Column("removed_at", MOMENT),
        sa.Column("changed_in", CHANGED_IN, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_pool_changed_in", "pool", ["changed_in", "id"])
    _index("uq_pool_system_name", "pool", ["system_name"], "removed_at IS NULL", unique=True)


def _campaigns() -> None:
    op.create_table(
        "campaign",
        sa.Column("id", ID, primary_key=True),
        sa.Column("name", sa.String(100), nullable=False, unique=True),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("made", sa.Integer(), nullable=False),
        sa.Column("value", AMOUNT, nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("code_type", sa.String(20), nullable=False),
        sa.Column("code_config", sa.JSON(), nullable=False),
        sa.Column("code_space", sa.LargeBinary(), nullable=False, index=True),
        sa.Column("starts_on", sa.Date()),
        sa.Column("expires_on", sa.Date()),
        sa.Column("expires_after", sa.String(20)),
        sa.Column("is_activated", sa.Boolean(), nullable=False),
        sa.Column("pin_length", sa.Integer()),
        sa.Column("redemption_limit", sa.Integer()),
        sa.Column("created_by", sa.String(80), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("modified_at", MOMENT, nullable=False),
        sa.Column("changed_in", CHANGED_IN, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_campaign_changed_in", "campaign", ["changed_in", "id"])


def _cards() -> None:
    # SQLite takes a reference in a new column only where it is written with the column.
    reference = "BIGINT" if op.get_bind().dialect.name == "postgresql" else "INTEGER"
    for other in ("product", "pool", "campaign"):
        op.execute(
            f"ALTER TABLE gift_card ADD COLUMN {other}_id {reference} "
            f"CONSTRAINT fk_gift_card_{other}_id_{other} REFERENCES {other} (id)"
        )
        given = f"{other}_id IS NOT NULL"
        _index(f"ix_gift_card_{other}_id", "gift_card", [f"{other}_id", "id"], given)
    op.add_column("gift_card", sa.Column("purchased_on", sa.Date()))
    op.add_column("gift_card", sa.Column("point_of_contact", sa.String(100)))
    op.add_column("gift_card", sa.Column("recipient", sa.JSON()))
    op.add_column(
        "gift_card",
        sa.Column("is_free", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    op.add_column("gift_card", sa.Column("removed_at", MOMENT))
    for other in ("pool", "campaign"):
        given, columns = f"is_free AND {other}_id IS NOT NULL", [f"{other}_id", "id"]
        _index(f"ix_gift_card_free_of_{other}", "gift_card", columns, given)
    for name in ("needs_pin", "needs_cvv"):
        op.add_column(
            "code", sa.Column(name, sa.Boolean(), nullable=False, server_default=sa.false())
        )
    op.execute("UPDATE code SET needs_pin = true WHERE kind = 'PHYSICAL'")
    op.execute("UPDATE code SET needs_cvv = true WHERE cvv_verifier IS NOT NULL")
    op.create_table(
        "quick_pin",
        sa.Column("code_id", ID, sa.ForeignKey("code.id"), primary_key=True, autoincrement=False),
    )
    op.create_table(
        "printed_pin",
        sa.Column("code_id", ID, sa.ForeignKey("code.id"), primary_key=True, autoincrement=False),
        sa.Column("ciphertext", sa.LargeBinary(), nullable=False),
        sa.Column("cipher_key", sa.Integer(), nullable=False, index=True),
    )


def _imports() -> None:
    op.create_table(
        "import_file",
        sa.Column("id", ID, primary_key=True),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary()),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("rows", sa.Integer()),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("reader", sa.JSON()),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("imported", sa.Integer(), nullable=False),
        sa.Column("unchanged", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("error", sa.String(500)),
        sa.Column("created_by", sa.String(80), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("modified_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT),
        sqlite_autoincrement=True,
    )
    _index(
        "uq_import_file_in_progress",
        "import_file",
        ["kind", "fingerprint"],
        "status = 'IN_PROGRESS'",
        unique=True,
    )
    op.create_table(
        "import_chunk",
        sa.Column("import_id", ID, sa.ForeignKey("import_file.id"), primary_key=True),
        sa.Column("start", sa.BigInteger(), primary_key=True),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("ciphertext", sa.LargeBinary(), nullable=False),
        sa.Column("cipher_key", sa.Integer(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "import_failure",
        sa.Column("import_id", ID, sa.ForeignKey("import_file.id"), primary_key=True),
        sa.Column("line", sa.Integer(), primary_key=True),
        sa.Column("column_name", sa.String(100)),
        sa.Column("value", sa.String(1_000)),
        sa.Column("reason", sa.String(500), nullable=False),
        sa.Column("ciphertext", sa.LargeBinary(), nullable=False),
        sa.Column("cipher_key", sa.Integer(), nullable=False),
        sqlite_with_rowid=False,
    )
