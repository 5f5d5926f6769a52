from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Index
from sqlmodel import Field, SQLModel

from giftgql.columns import BigId, UtcDateTime, enum_type
from giftgql.errors import Described


class Event(Described):
    CARD_BLOCKED = "CARD_BLOCKED", "A card was blocked."
    CARD_UNBLOCKED = "CARD_UNBLOCKED", "A card was unblocked."
    CARD_DISABLED = "CARD_DISABLED", "A card was disabled for good."
    CARD_EXTENDED = "CARD_EXTENDED", "The validity of a card's funds was extended."
    CARD_REMOVED = "CARD_REMOVED", "A card that was never used was removed."
    CODES_EXPORTED = "CODES_EXPORTED", "Cards, codes or transactions were exported."
    WEBHOOK_ADDED = "WEBHOOK_ADDED", "An endpoint of webhooks was added."
    WEBHOOK_EDITED = "WEBHOOK_EDITED", "An endpoint of webhooks was changed, or got a new secret."
    WEBHOOK_REMOVED = "WEBHOOK_REMOVED", "An endpoint of webhooks was removed."
    STAFF_ADDED = "STAFF_ADDED", "A staff member was added."
    STAFF_RIGHTS_SET = "STAFF_RIGHTS_SET", "A staff member got other rights."
    STAFF_KEY_ADDED = "STAFF_KEY_ADDED", "A staff member got a new key."
    STAFF_KEYS_REVOKED = "STAFF_KEYS_REVOKED", "A staff member's keys were revoked."
    STAFF_DISABLED = "STAFF_DISABLED", "A staff member was disabled."
    STAFF_SIGNED_IN = "STAFF_SIGNED_IN", "A staff member signed in."
    SECRET_UNLOCKED = "SECRET_UNLOCKED", "Wrong tries of a card's PINs and CVVs were forgotten."


class AuditEvent(SQLModel, table=True):
    """What was done to a subject, e.g. `card:12`, and by whom. Never changed."""

    __tablename__ = "audit_event"
    __table_args__ = (
        Index("ix_audit_event_subject", "subject", "id"),
        {"sqlite_autoincrement": True},
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=BigId)
    event: Event = Field(sa_type=enum_type(Event, length=40))
    subject: str = Field(max_length=80)
    caller: str = Field(max_length=80)
    facts: dict[str, Any] = Field(sa_type=JSON)
    created_at: datetime = Field(sa_type=UtcDateTime)
