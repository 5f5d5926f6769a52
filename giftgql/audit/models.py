from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Index, text
from sqlmodel import Field, SQLModel

from giftgql.columns import BigId, UtcDateTime, enum_type
from giftgql.errors import Described


class Event(Described):
    CARD_ADDED = "CARD_ADDED", "A card was made."
    CARD_EDITED = "CARD_EDITED", "A card's codes, owner, note or metadata were changed."
    CARD_ISSUED = "CARD_ISSUED", "A card of a product was sold or given away."
    CARD_PUBLISHED = "CARD_PUBLISHED", "A card of a campaign was given to a member."
    CARD_BLOCKED = "CARD_BLOCKED", "A card was blocked."
    CARD_UNBLOCKED = "CARD_UNBLOCKED", "A card was unblocked."
    CARD_DISABLED = "CARD_DISABLED", "A card was disabled for good."
    CARD_EXTENDED = "CARD_EXTENDED", "The validity of a card's funds was extended."
    CARD_REMOVED = "CARD_REMOVED", "A card that was never used was removed."
    SECRET_UNLOCKED = "SECRET_UNLOCKED", "Wrong tries of a card's PINs and CVVs were forgotten."
    CODE_REVEALED = "CODE_REVEALED", "Somebody saw codes of a card in clear that are else masked."
    CODES_EXPORTED = "CODES_EXPORTED", "Cards, codes, transactions or this trail were exported."
    PRODUCT_ADDED = "PRODUCT_ADDED", "A product was added."
    PRODUCT_EDITED = "PRODUCT_EDITED", "A product was changed."
    PRODUCT_REMOVED = "PRODUCT_REMOVED", "A product was taken off the list."
    POOL_ADDED = "POOL_ADDED", "A pool was added, with its product."
    POOL_EDITED = "POOL_EDITED", "A pool was changed, with its product."
    POOL_REMOVED = "POOL_REMOVED", "A pool was removed, with its product."
    IMPORT_ADDED = "IMPORT_ADDED", "A file of pools or cards came in, to be imported."
    CAMPAIGN_ADDED = "CAMPAIGN_ADDED", "A campaign was added."
    CAMPAIGN_EXTENDED = "CAMPAIGN_EXTENDED", "A campaign is to make more cards."
    CAMPAIGN_PAUSED = "CAMPAIGN_PAUSED", "A campaign was stopped for now."
    CAMPAIGN_RESUMED = "CAMPAIGN_RESUMED", "A campaign goes on making cards."
    CAMPAIGN_CANCELLED = "CAMPAIGN_CANCELLED", "A campaign was stopped for good."
    ORDER_ADDED = "ORDER_ADDED", "An order was placed."
    ORDER_PAYMENT_ADDED = "ORDER_PAYMENT_ADDED", "Money for an order came in another way."
    ORDER_CANCELLED = "ORDER_CANCELLED", "An order was cancelled, or its time was up."
    ORDER_REFUNDED = "ORDER_REFUNDED", "A part or all of a paid order was given back."
    MEMBER_ADDED = "MEMBER_ADDED", "A member was added."
    MEMBER_EDITED = "MEMBER_EDITED", "Facts of a member were written."
    MEMBER_ERASED = "MEMBER_ERASED", "All that is known of a member but the id was erased."
    MEMBER_TOKEN_ADDED = "MEMBER_TOKEN_ADDED", "A member got a token to sign in with."
    MESSAGE_RETRIED = "MESSAGE_RETRIED", "A message of the outbox was to be tried at once."
    MESSAGE_RESENT = "MESSAGE_RESENT", "A message of the outbox was to be sent once more."
    WEBHOOK_ADDED = "WEBHOOK_ADDED", "An endpoint of webhooks was added."
    WEBHOOK_EDITED = "WEBHOOK_EDITED", "An endpoint of webhooks was changed, or got a new secret."
    WEBHOOK_REMOVED = "WEBHOOK_REMOVED", "An endpoint of webhooks was removed."
    WEBHOOK_TESTED = "WEBHOOK_TESTED", "An endpoint of webhooks was sent a test."
    CLIENT_ADDED = "CLIENT_ADDED", "A client was added."
    CLIENT_RIGHTS_SET = "CLIENT_RIGHTS_SET", "A client got other rights."
    CLIENT_BOUND = "CLIENT_BOUND", "It was set whether a client runs trusted documents only."
    CLIENT_KEY_ADDED = "CLIENT_KEY_ADDED", "A client got a new secret."
    CLIENT_LET_GO_ON = "CLIENT_LET_GO_ON", "What a client failed to look up was forgotten."
    CLIENT_DISABLED = "CLIENT_DISABLED", "A client was disabled."
    STAFF_ADDED = "STAFF_ADDED", "A staff member was added."
    STAFF_RIGHTS_SET = "STAFF_RIGHTS_SET", "A staff member got other rights."
    STAFF_KEY_ADDED = "STAFF_KEY_ADDED", "A staff member got a new key."
    STAFF_KEYS_REVOKED = "STAFF_KEYS_REVOKED", "A staff member's keys were revoked."
    STAFF_DISABLED = "STAFF_DISABLED", "A staff member was disabled."
    STAFF_SIGNED_IN = "STAFF_SIGNED_IN", "A staff member signed in."
    STAFF_SIGNED_OUT = "STAFF_SIGNED_OUT", "A staff member signed out."
    KEY_ROTATED = "KEY_ROTATED", "There is a new key, with which all codes are encrypted."
    DATABASE_RESTORED = (
        "DATABASE_RESTORED",
        "The database was restored from a backup: what was done between the two is not in it.",
    )


_IS_REVEALED = text("event = 'CODE_REVEALED'")


class AuditEvent(SQLModel, table=True):
    """What was done to a subject, e.g. `card:12`, by whom, and from where. Never changed.

    `address` is whose connection it came by, `source_id` the till's own name where one was given.
    """

    __tablename__ = "audit_event"
    __table_args__ = (
        Index("ix_audit_event_subject", "subject", "id"),
        Index("ix_audit_event_caller", "caller", "id"),
        Index("ix_audit_event_created_at", "created_at", "id"),
        Index(
            "ix_audit_event_revealed",
            *("caller", "created_at"),
            sqlite_where=_IS_REVEALED,
            postgresql_where=_IS_REVEALED,
        ),
        {"sqlite_autoincrement": True},
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=BigId)
    event: Event = Field(sa_type=enum_type(Event, length=40))
    subject: str = Field(max_length=80)
    caller: str = Field(max_length=80)
    facts: dict[str, Any] = Field(sa_type=JSON)
    created_at: datetime = Field(sa_type=UtcDateTime)
    address: str | None = Field(default=None, max_length=64)
    request_id: str | None = Field(default=None, max_length=64)
    source_id: str | None = Field(default=None, max_length=64)
