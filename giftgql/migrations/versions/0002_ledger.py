"""The ledger: accounts, movements, postings, ends of holds; tries of secrets; the audit trail."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
AMOUNT = sa.BigInteger()
MOMENT = sa.DateTime(timezone=True)

APPEND_ONLY = {
    "movement": (
        "id account_id type state amount asked balance against error hold_until about_id caller "
        "code_id source_id ref_no reason created_at"
    ),
    "posting": "movement_id line debit_account credit_account amount currency effective_at",
    "hold_end": "hold_id ending captured released balance caller created_at",
    "audit_event": "id event subject caller facts created_at",
}
"""What of a row never changes: all but the number of the transaction it is synchronised by."""

KEYS = {
    "movement": "id = NEW.id",
    "posting": "movement_id = NEW.movement_id AND line = NEW.line",
    "hold_end": "hold_id = NEW.hold_id",
    "audit_event": "id = NEW.id",
}


def upgrade() -> None:
    _accounts()
    _movements()
    _postings()
    _secrets()
    _audit()
    if op.get_bind().dialect.name == "postgresql":
        _append_only_on_postgresql()
    else:
        _append_only_on_sqlite()


def _accounts() -> None:
    op.create_table(
        "account",
        sa.Column("id", ID, primary_key=True, autoincrement=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("posted", AMOUNT, nullable=False),
        sa.Column("held", AMOUNT, nullable=False),
        sa.Column("lifetime", AMOUNT, nullable=False),
        sa.Column("redeemed", AMOUNT, nullable=False),
        sa.Column("blocked", sa.Boolean(), nullable=False),
        sa.Column("closed", sa.Boolean(), nullable=False),
        sa.Column("whole_only", sa.Boolean(), nullable=False),
        sa.Column("valid_until", MOMENT),
        sa.Column("next_hold_end", MOMENT),
        sa.Column("open_holds", sa.Integer(), nullable=False),
        sa.Column("due_at", MOMENT, index=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("modified_at", MOMENT, nullable=False),
        sa.Column("changed_in", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("held >= 0 AND posted - held >= 0", name="available"),
        postgresql_with={"fillfactor": 70},
    )
    # Every card of before has a balance of zero, and so nothing to expire but itself.
    is_postgresql = op.get_bind().dialect.name == "postgresql"
    next_day = (
        "(expires_on + 1)::timestamp AT TIME ZONE 'UTC'"
        if is_postgresql
        else "date(expires_on, '+1 day') || ' 00:00:00.000000'"
    )
    op.execute(
        "INSERT INTO account (id, currency, posted, held, lifetime, redeemed, blocked, closed,"
        " whole_only, open_holds, valid_until, revision, modified_at, changed_in)"
        " SELECT id, currency, 0, 0, 0, 0, false, false, false, 0,"
        f" CASE WHEN expires_on IS NOT NULL THEN {next_day} END,"
        " 0, modified_at, changed_in FROM gift_card"
    )
    op.create_index("ix_account_changed_in", "account", ["changed_in", "id"])
    op.drop_index("ix_gift_card_changed_in", "gift_card")
    op.drop_column("gift_card", "changed_in")
    op.drop_column("gift_card", "modified_at")


def _movements() -> None:
    op.create_table(
        "movement",
        sa.Column("id", ID, primary_key=True, autoincrement=False),
        sa.Column("account_id", ID, sa.ForeignKey("account.id"), nullable=False),
        sa.Column("type", sa.String(20), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("amount", AMOUNT, nullable=False),
        sa.Column("asked", AMOUNT, nullable=False),
        sa.Column("balance", AMOUNT, nullable=False),
        sa.Column("against", sa.SmallInteger()),
        sa.Column("error", sa.String(40)),
        sa.Column("hold_until", MOMENT),
        sa.Column("about_id", ID),
        sa.Column("caller", sa.String(80), nullable=False),
        sa.Column("code_id", ID),
        sa.Column("source_id", sa.String(64)),
        sa.Column("ref_no", sa.String(64)),
        sa.Column("reason", sa.String(500)),
        sa.Column("created_at", MOMENT, nullable=False, index=True),
        sa.Column("changed_in", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_movement_account_id", "movement", ["account_id", "id"])
    op.create_index("ix_movement_changed_in", "movement", ["changed_in", "id"])
    for name, column, where in (
        ("ix_movement_hold", "account_id", "hold_until"),
        ("ix_movement_about_id", "about_id", "about_id"),
        ("ix_movement_ref_no", "ref_no", "ref_no"),
    ):
        is_there = sa.text(f"{where} IS NOT NULL")
        op.create_index(
            name, "movement", [column], sqlite_where=is_there, postgresql_where=is_there
        )


def _postings() -> None:
    op.create_table(
        "posting",
        sa.Column("movement_id", ID, sa.ForeignKey("movement.id"), primary_key=True),
        sa.Column("line", sa.SmallInteger(), primary_key=True),
        sa.Column("debit_account", ID, nullable=False),
        sa.Column("credit_account", ID, nullable=False),
        sa.Column("amount", AMOUNT, nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("effective_at", MOMENT, nullable=False),
        sa.CheckConstraint("amount > 0 AND debit_account <> credit_account", name="amount"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "hold_end",
        sa.Column(
            "hold_id", ID, sa.ForeignKey("movement.id"), primary_key=True, autoincrement=False
        ),
        sa.Column("ending", sa.String(20), nullable=False),
        sa.Column("captured", AMOUNT, nullable=False),
        sa.Column("released", AMOUNT, nullable=False),
        sa.Column("balance", AMOUNT, nullable=False),
        sa.Column("caller", sa.String(80), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("changed_in", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("captured >= 0 AND released >= 0", name="amounts"),
    )
    op.create_index("ix_hold_end_changed_in", "hold_end", ["changed_in", "hold_id"])


def _secrets() -> None:
    op.add_column("code", sa.Column("cvv_verifier", sa.String(200)))
    op.create_table(
        "tries",
        sa.Column("subject", sa.LargeBinary(), primary_key=True),
        sa.Column("scope", sa.String(90), primary_key=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("failed_at", MOMENT, nullable=False),
        sa.Column("free_at", MOMENT, nullable=False),
    )


def _audit() -> None:
    op.create_table(
        "audit_event",
        sa.Column("id", ID, primary_key=True),
        sa.Column("event", sa.String(40), nullable=False),
        sa.Column("subject", sa.String(80), nullable=False),
        sa.Column("caller", sa.String(80), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_audit_event_subject", "audit_event", ["subject", "id"])


def _append_only_on_postgresql() -> None:
    op.execute(
        "CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$"
    )
    for table, columns in APPEND_ONLY.items():
        listed = ", ".join(columns.split())
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE DELETE OR UPDATE OF {listed} "
            f"ON {table} FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )
        op.execute(
            f"CREATE TRIGGER {table}_keep BEFORE TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )


def _append_only_on_sqlite() -> None:
    """Also against INSERT OR REPLACE, which removes the row that is there without a trigger, and
    against a change of `rowid`, which is the id by another name."""
    for table, columns in APPEND_ONLY.items():
        refuse = f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        same = " AND ".join(f"NEW.{name} IS OLD.{name}" for name in columns.split())
        op.execute(f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} {refuse}")
        op.execute(
            f"CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table} WHEN NOT ({same}) {refuse}"
        )
        op.execute(
            f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} "
            f"WHEN EXISTS (SELECT 1 FROM {table} WHERE {KEYS[table]}) {refuse}"
        )
