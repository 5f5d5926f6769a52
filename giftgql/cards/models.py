from datetime import date, datetime
from typing import Any

from sqlalchemy import JSON, CheckConstraint, Index, column, false, text
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
    REDEEMED = (
        "REDEEMED",
        "All its funds have been spent; a top-up activates it again, unless it was replaced.",
    )
    ACTIVATED = "ACTIVATED", "Has funds."


class CodeEnding(Described):
    REVOKED = "REVOKED", "Ended without a successor."
    REPLACED = "REPLACED", "Ended by a new code of the same type."
    CARD_REPLACED = "CARD_REPLACED", "Its card was replaced by another one."
    REMOVED = "REMOVED", "Its card was removed."


_NO: dict[str, Any] = {"server_default": false()}
_FREE = ("pool", "campaign")


def _index_of(name: str, other: str, condition: str) -> Index:
    """An index of the cards that belong to another record, and perhaps fulfil a condition."""
    where = text(f"{condition}{other}_id IS NOT NULL")
    return Index(name, f"{other}_id", "id", sqlite_where=where, postgresql_where=where)


class GiftCard(SQLModel, table=True):
    """What a retailer knows of a card. Its money, how long that is valid, and what else stops
    it, stand on the ledger's account of the same id."""

    __tablename__ = "gift_card"
    __table_args__ = (
        *(
            _index_of(f"ix_gift_card_{each}_id", each, "")
            for each in ("product", "pool", "campaign")
        ),
        *(_index_of(f"ix_gift_card_free_of_{each}", each, "is_free AND ") for each in _FREE),
        {"sqlite_autoincrement": True},
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=BigId)
    member_id: str | None = Field(default=None, foreign_key="member.id", index=True, max_length=64)
    currency: str = Field(max_length=3)
    note: str | None = Field(default=None, max_length=1000)
    # "metadata" is taken by SQLAlchemy.
    details: dict[str, Any] | None = Field(default=None, sa_type=JSON)
    product_id: int | None = Field(default=None, foreign_key="product.id", sa_type=BigId)
    pool_id: int | None = Field(default=None, foreign_key="pool.id", sa_type=BigId)
    campaign_id: int | None = Field(default=None, foreign_key="campaign.id", sa_type=BigId)
    purchased_on: date | None = None
    point_of_contact: str | None = Field(default=None, max_length=100)
    recipient: dict[str, Any] | None = Field(default=None, sa_type=JSON)
    # May be sold or published as it is. What a till sells meanwhile is found out when it is met.
    is_free: bool = Field(default=False, sa_column_kwargs=_NO)
    created_at: datetime = Field(sa_type=UtcDateTime)
    removed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


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
    # Online funds are taken only with the PIN; on any channel only with the CVV.
    needs_pin: bool = Field(default=False, sa_column_kwargs=_NO)
    needs_cvv: bool = Field(default=False, sa_column_kwargs=_NO)
    expires_on: date | None = None
    created_at: datetime = Field(sa_type=UtcDateTime)
    ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    ending: CodeEnding | None = Field(default=None, sa_type=enum_type(CodeEnding))


class QuickPin(SQLModel, table=True):
    """A code whose PIN came in bulk and is to be hardened."""

    __tablename__ = "quick_pin"

    code_id: int = Field(
        foreign_key="code.id",
        primary_key=True,
        sa_type=BigId,
        sa_column_kwargs={"autoincrement": False},
    )


class PrintedPin(SQLModel, table=True):
    """A PIN that the server made and that is to be given out once, sealed until then."""

    __tablename__ = "printed_pin"

    code_id: int = Field(
        foreign_key="code.id",
        primary_key=True,
        sa_type=BigId,
        sa_column_kwargs={"autoincrement": False},
    )
    ciphertext: bytes = Field(repr=False)
    cipher_key: int = Field(index=True)


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
