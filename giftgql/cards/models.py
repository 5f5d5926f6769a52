from datetime import date, datetime
from typing import Any

from sqlalchemy import JSON, CheckConstraint, Index, column
from sqlmodel import Field, SQLModel

from giftgql.codes import CodeType
from giftgql.columns import BigId, UtcDateTime, enum_type
from giftgql.errors import Described
from giftgql.ledger.models import Account


class CardStatus(Described):
    DISABLED = "DISABLED", "Ended for good."
    BLOCKED = "BLOCKED", "Nothing can be taken or added until it is unblocked."
    EXPIRED = "EXPIRED", "The last day of its funds has passed."
    NOT_ACTIVATED = "NOT_ACTIVATED", "Has never had funds."
    REDEEMED = "REDEEMED", "All its funds have been spent; a top-up activates it again."
    ACTIVATED = "ACTIVATED", "Has funds."


class CodeEnding(Described):
    REVOKED = "REVOKED", "Ended without a successor."
    REPLACED = "REPLACED", "Ended by a new code of the same type."


class GiftCard(SQLModel, table=True):
    """What a retailer knows of a card. Its money, how long that is valid, and what else stops
    it, stand on the ledger's account of the same id."""

    __tablename__ = "gift_card"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: int | None = Field(default=None, primary_key=True, sa_type=BigId)
    member_id: str | None = Field(default=None, foreign_key="member.id", index=True, max_length=64)
    currency: str = Field(max_length=3)
    note: str | None = Field(default=None, max_length=1000)
    # "metadata" is taken by SQLAlchemy.
    details: dict[str, Any] | None = Field(default=None, sa_type=JSON)
    created_at: datetime = Field(sa_type=UtcDateTime)


class Code(SQLModel, table=True):
    """A code of a card, sealed. Live until `ended_at`; past `expires_on` it is live but dead."""

    __table_args__ = (
        Index(
            "uq_code_live",
            "card_id",
            "kind",
            unique=True,
            sqlite_where=column("ended_at").is_(None),
            postgresql_where=column("ended_at").is_(None),
        ),
        CheckConstraint("(ended_at IS NULL) = (ending IS NULL)", name="ending"),
        {"sqlite_autoincrement": True},
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=BigId)
    card_id: int = Field(foreign_key="gift_card.id", index=True, sa_type=BigId)
    kind: CodeType = Field(sa_type=enum_type(CodeType))
    fingerprint: bytes = Field(unique=True)
    index_key: int
    ciphertext: bytes = Field(repr=False)
    cipher_key: int = Field(index=True)
    last_four: str = Field(max_length=4, index=True)
    pin_verifier: str | None = Field(default=None, max_length=200, repr=False)
    cvv_verifier: str | None = Field(default=None, max_length=200, repr=False)
    expires_on: date | None = None
    created_at: datetime = Field(sa_type=UtcDateTime)
    ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    ending: CodeEnding | None = Field(default=None, sa_type=enum_type(CodeEnding))


def shown_status(account: Account, now: datetime) -> CardStatus:
    """The status a card is shown with: of several that hold, the first."""
    if account.closed:
        return CardStatus.DISABLED
    if account.blocked:
        return CardStatus.BLOCKED
    if account.valid_until is not None and account.valid_until <= now:
        return CardStatus.EXPIRED
    if account.lifetime == 0:
        return CardStatus.NOT_ACTIVATED
    return CardStatus.ACTIVATED if account.posted else CardStatus.REDEEMED
