"""Accounts: when funds are valid, what they open with, how often they are used. Prices of what
is added. The last day of a card's funds stands on its account only."""

from datetime import UTC, datetime, time, timedelta, tzinfo

import sqlalchemy as sa
from alembic import context, op

revision = "0003"
down_revision = "0002"

AMOUNT = sa.BigInteger()
MOMENT = sa.DateTime(timezone=True)
MOVEMENT = (
    "id account_id type state amount asked balance price against error hold_until about_id caller "
    "code_id source_id ref_no reason created_at"
)
"""What of a movement never changes."""


def upgrade() -> None:
    _accounts()
    _prices()
    _last_days(context.config.attributes.get("zone", UTC))
    op.drop_index("ix_gift_card_expires_on", "gift_card")
    op.drop_column("gift_card", "expires_on")


def _accounts() -> None:
    for column in (
        sa.Column("valid_from", MOMENT),
        sa.Column("validity", sa.String(20)),
        sa.Column("opens_with", AMOUNT),
        sa.Column("uses", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("most_uses", sa.Integer()),
    ):
        op.add_column("account", column)
    is_there = sa.text("valid_until IS NOT NULL")
    op.create_index(
        "ix_account_valid_until",
        "account",
        ["valid_until"],
        sqlite_where=is_there,
        postgresql_where=is_there,
    )
    # A use is counted while it is held, or as long as not all that it moved is refunded.
    op.execute(
        """UPDATE account SET uses = (
            SELECT COUNT(*) FROM movement m LEFT JOIN hold_end e ON e.hold_id = m.id
            WHERE m.account_id = account.id AND m.type = 'USE' AND (
                m.state = 'HELD' AND e.hold_id IS NULL
                OR (m.state = 'POSTED' OR e.captured > 0)
                AND COALESCE(e.captured, -m.amount) > (
                    SELECT COALESCE(SUM(r.amount + (
                        SELECT COALESCE(SUM(u.amount), 0) FROM movement u
                        WHERE u.about_id = r.id AND u.type = 'REFUND' AND u.state = 'POSTED'
                    )), 0) FROM movement r
                    WHERE r.about_id = m.id AND r.type = 'REFUND' AND r.state = 'POSTED'
                )
            )
        ) WHERE id IN (SELECT account_id FROM movement WHERE type = 'USE')"""
    )


def _prices() -> None:
    op.add_column("movement", sa.Column("price", AMOUNT))
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP TRIGGER movement_append_only ON movement")
        op.execute(
            "CREATE TRIGGER movement_append_only BEFORE DELETE OR UPDATE OF "
            f"{', '.join(MOVEMENT.split())} ON movement FOR EACH ROW "
            "EXECUTE FUNCTION refuse_change()"
        )
    else:
        same = " AND ".join(f"NEW.{name} IS OLD.{name}" for name in MOVEMENT.split())
        op.execute("DROP TRIGGER movement_no_update")
        op.execute(
            f"CREATE TRIGGER movement_no_update BEFORE UPDATE ON movement WHEN NOT ({same}) "
            "BEGIN SELECT RAISE(ABORT, 'movement is append-only'); END"
        )


def _last_days(zone: tzinfo) -> None:
    """Let funds end where the last day that was shown ends. Those of before the ledger were said
    to end with the day of UTC."""
    connection = op.get_bind()
    account = sa.table(
        "account",
        *(sa.column(name) for name in ("id", "posted", "held")),
        *(sa.column(name, MOMENT) for name in ("valid_until", "next_hold_end", "due_at")),
        sa.column("blocked", sa.Boolean()),
    )
    card = sa.table("gift_card", sa.column("id"), sa.column("expires_on", sa.Date()))
    days = sa.select(card.c.expires_on).where(card.c.expires_on.is_not(None)).distinct()
    for (day,) in connection.execute(days).all():
        ends = datetime.combine(day + timedelta(days=1), time(), zone).astimezone(UTC)
        of_day = sa.select(card.c.id).where(card.c.expires_on == day)
        is_wrong = account.c.id.in_(of_day) & (account.c.valid_until != ends)
        is_due = (account.c.posted > account.c.held) & ~account.c.blocked
        earliest = sa.case((account.c.next_hold_end < ends, account.c.next_hold_end), else_=ends)
        connection.execute(
            account.update()
            .where(is_wrong)
            .values(
                valid_until=ends,
                due_at=sa.case((is_due, earliest), else_=account.c.next_hold_end),
            )
        )
