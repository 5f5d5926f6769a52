from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Index, text
from sqlmodel import Field, SQLModel

from giftgql.columns import CHANGED_IN, BigId, UtcDateTime, enum_type
from giftgql.errors import Described


class OutboxChannel(Described):
    MAIL = "MAIL", "An e-mail."
    WEBHOOK = "WEBHOOK", "A call of another system's endpoint."


class OutboxState(Described):
    WAITING = "WAITING", "To be sent when it is due, or tried again."
    SENT = "SENT", "Handed over to whoever carries it on."
    DEAD = "DEAD", "Given up, after a day of tries or where it was refused for good."
    CANCELLED = "CANCELLED", "Not to be sent any more, since what it was about is no more."


_IS_IN_LINE = text("state = 'WAITING' AND endpoint_id IS NOT NULL")


def _index_of(name: str) -> Index:
    """An index of the messages that are about a record of another table."""
    where = text(f"{name} IS NOT NULL")
    return Index(
        f"ix_outbox_message_{name}", name, "id", sqlite_where=where, postgresql_where=where
    )


class OutboxMessage(SQLModel, table=True):
    """Something to be said to an `address` (mails) or an endpoint (webhooks), once it is due.

    `attempts` are the failed ones; `error` names the last failure, or why it is not to be sent.
    """

    __tablename__ = "outbox_message"
    __table_args__ = (
        *(_index_of(each) for each in ("card_id", "order_id", "endpoint_id")),
        Index("ix_outbox_message_state", "state", "id"),
        Index(
            "ix_outbox_message_line",
            *("endpoint_id", "due_at", "id"),
            sqlite_where=_IS_IN_LINE,
            postgresql_where=_IS_IN_LINE,
        ),
        Index("ix_outbox_message_changed_in", "changed_in", "id"),
        {"sqlite_autoincrement": True},
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=BigId)
    channel: OutboxChannel = Field(sa_type=enum_type(OutboxChannel))
    topic: str = Field(max_length=60)
    state: OutboxState = Field(default=OutboxState.WAITING, sa_type=enum_type(OutboxState))
    card_id: int | None = Field(default=None, foreign_key="gift_card.id", sa_type=BigId)
    order_id: int | None = Field(default=None, sa_type=BigInteger)
    endpoint_id: int | None = Field(default=None, sa_type=BigInteger)
    address: str | None = Field(default=None, max_length=254)
    facts: dict[str, Any] = Field(sa_type=JSON)
    due_at: datetime = Field(sa_type=UtcDateTime)
    attempts: int = 0
    error: str | None = Field(default=None, max_length=200)
    created_by: str = Field(max_length=80)
    created_at: datetime = Field(sa_type=UtcDateTime)
    ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    changed_in: int | None = Field(
        default=None, sa_type=BigInteger, nullable=False, sa_column_kwargs=CHANGED_IN
    )
