"""The audit trail says from where, and is sealed; members can be erased."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

APPEND_ONLY = {
    "audit_event": "id event subject caller facts created_at address request_id source_id",
    "audit_seal": "number last_id events epoch horizon movements journal digest key_id created_at",
}


OF_CARDS = "('giftcardAdd', 'giftcardEdit', 'giftcardIssue', 'giftcardPublish')"


def upgrade() -> None:
    for name in ("address", "request_id", "source_id"):
        op.add_column("audit_event", sa.Column(name, sa.String(64)))
    op.create_index("ix_audit_event_caller", "audit_event", ["caller", "id"])
    op.create_index("ix_audit_event_created_at", "audit_event", ["created_at", "id"])
    is_revealed = sa.text("event = 'CODE_REVEALED'")
    op.create_index(
        "ix_audit_event_revealed",
        "audit_event",
        ["caller", "created_at"],
        sqlite_where=is_revealed,
        postgresql_where=is_revealed,
    )
    op.create_table(
        "audit_seal",
        sa.Column(
            "number",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("last_id", sa.BigInteger(), nullable=False),
        sa.Column("events", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.String(16), nullable=False),
        sa.Column("horizon", sa.BigInteger(), nullable=False),
        sa.Column("movements", sa.BigInteger(), nullable=False),
        sa.Column("journal", sa.LargeBinary(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("key_id", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    )
    _requests()
    op.add_column("member", sa.Column("erased_at", sa.DateTime(timezone=True)))
    if op.get_bind().dialect.name == "postgresql":
        _append_only_on_postgresql()
    else:
        _append_only_on_sqlite()


def _requests() -> None:
    """Which answers hold what was said of a card, so that it can be erased."""
    op.add_column("request", sa.Column("card_id", sa.BigInteger()))
    is_postgresql = op.get_bind().dialect.name == "postgresql"
    card = "(outcome->>'card')::bigint" if is_postgresql else "json_extract(outcome, '$.card')"
    op.execute(f"UPDATE request SET card_id = {card} WHERE mutation IN {OF_CARDS}")
    if is_postgresql:
        _told_by_servers_of_before()
    has_card = sa.text("card_id IS NOT NULL")
    op.create_index(
        "ix_request_card_id",
        "request",
        ["card_id"],
        sqlite_where=has_card,
        postgresql_where=has_card,
    )


def _told_by_servers_of_before() -> None:
    """They go on for a while, and know nothing of the column."""
    op.execute(
        "CREATE FUNCTION request_tell_card() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN NEW.card_id := (NEW.outcome->>'card')::bigint; RETURN NEW; END $$"
    )
    op.execute(
        "CREATE TRIGGER request_card BEFORE UPDATE OF outcome ON request FOR EACH ROW "
        f"WHEN (NEW.card_id IS NULL AND NEW.mutation IN {OF_CARDS}) "
        "EXECUTE FUNCTION request_tell_card()"
    )


def _append_only_on_postgresql() -> None:
    op.execute("DROP TRIGGER audit_event_append_only ON audit_event")
    for table, columns in APPEND_ONLY.items():
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE DELETE OR UPDATE OF "
            f"{', '.join(columns.split())} ON {table} FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )
    op.execute(
        "CREATE TRIGGER audit_seal_keep BEFORE TRUNCATE ON audit_seal "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )


def _append_only_on_sqlite() -> None:
    """Also against INSERT OR REPLACE and a change of `rowid`, as for the ledger."""
    op.execute("DROP TRIGGER audit_event_no_update")
    for table, columns in APPEND_ONLY.items():
        refuse = f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        same = " AND ".join(f"NEW.{name} IS OLD.{name}" for name in columns.split())
        op.execute(
            f"CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table} WHEN NOT ({same}) {refuse}"
        )
    op.execute(f"CREATE TRIGGER audit_seal_no_delete BEFORE DELETE ON audit_seal {refuse}")
    op.execute(
        "CREATE TRIGGER audit_seal_no_replace BEFORE INSERT ON audit_seal "
        f"WHEN EXISTS (SELECT 1 FROM audit_seal WHERE number = NEW.number) {refuse}"
    )
