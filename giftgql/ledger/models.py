from collections.abc import Callable
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Index,
    SmallInteger,
    and_,
    case,
    column,
    false,
    func,
    text,
)
from sqlalchemy.orm import aliased
from sqlmodel import Field, SQLModel, col, select

from giftgql.columns import CHANGED_IN, BigId, UtcDateTime, enum_type
from giftgql.errors import Described, ErrorCode


class MovementType(Described):
    ADD = "ADD", "Purchase or top-up; the first one activates the card. Positive."
    USE = "USE", "Redemption. Negative."
    ADJUST = "ADJUST", "Correction by staff, with a reason. Of either sign."
    EXTERNAL = "EXTERNAL", "Made in a system that keeps its own cards. Of either sign."
    IMPORT = "IMPORT", "Balance taken over from another system. Of either sign."
    REFUND = "REFUND", "Undoes another one, all or in part; of the opposite sign."
    TRANSFER = "TRANSFER", "Between two cards: one movement on each."
    EXPIRE = "EXPIRE", "Funds past their expiry, taken by the server; positive when revived."


class MovementState(StrEnum):
    """What a movement was when it was written. It never changes."""

    POSTED = "POSTED"
    HELD = "HELD"
    DECLINED = "DECLINED"


class HoldEnding(StrEnum):
    CAPTURED = "CAPTURED"
    CANCELLED = "CANCELLED"
    TIMED_OUT = "TIMED_OUT"


class SystemAccount(IntEnum):
    """Where money comes from and goes to, beside the accounts of cards. They have no row: none
    of them is counted up, so that no two movements wait for each other there."""

    TENDER = -1
    REDEMPTION = -2
    ADJUSTMENT = -3
    PROMOTION = -4
    BREAKAGE = -5
    IMPORT = -6
    EXTERNAL = -7


class Account(SQLModel, table=True):
    """A balance in one currency, and what stops its money. Whoever opens it chooses its id.

    `posted` is on the books, `held` is reserved of it. `lifetime` is all that was ever added and
    `redeemed` what was used, net of refunds; what is left of their difference was subtracted.
    Nothing is used before `valid_from`. Validity ends at `valid_until`, which is no longer within
    it; where that is not set, it is once funds are first added, `validity` later: `P6M`. Those
    are `opens_with`, and nothing else. `uses` are those that are held or have moved money, unless
    they are wholly refunded; from `most_uses` of them on there are no more. What a use leaves of
    one that is `replaced_on_use` goes to another, by which it is `replaced_by`: from then on it has
    nothing, and gets nothing. `revision` goes up with each change of how the account can be
    reached, or of what becomes of it on use.
    """

    __table_args__ = (
        CheckConstraint("held >= 0 AND posted - held >= 0", name="available"),
        Index("ix_account_changed_in", "changed_in", "id"),
        Index(
            "ix_account_valid_until",
            "valid_until",
            sqlite_where=column("valid_until").is_not(None),
            postgresql_where=column("valid_until").is_not(None),
        ),
    )

    id: int = Field(primary_key=True, sa_type=BigId, sa_column_kwargs={"autoincrement": False})
    currency: str = Field(max_length=3)
    posted: int = Field(default=0, sa_type=BigInteger)
    held: int = Field(default=0, sa_type=BigInteger)
    lifetime: int = Field(default=0, sa_type=BigInteger)
    redeemed: int = Field(default=0, sa_type=BigInteger)
    blocked: bool = False
    closed: bool = False
    whole_only: bool = False
    valid_from: datetime | None = Field(default=None, sa_type=UtcDateTime)
    valid_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    validity: str | None = Field(default=None, max_length=20)
    opens_with: int | None = Field(default=None, sa_type=BigInteger)
    # SQLite adds no column that must be filled without what fills it.
    uses: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    most_uses: int | None = None
    replaced_on_use: bool = Field(default=False, sa_column_kwargs={"server_default": false()})
    replaced_by: int | None = Field(default=None, foreign_key="account.id", sa_type=BigId)
    # No open hold ends before this moment; it may be earlier than any does.
    next_hold_end: datetime | None = Field(default=None, sa_type=UtcDateTime)
    open_holds: int = 0
    # When the sweep has to look at the account: a hold may end, or funds expire.
    due_at: datetime | None = Field(default=None, sa_type=UtcDateTime, index=True)
    revision: int = 0
    modified_at: datetime = Field(sa_type=UtcDateTime)
    changed_in: int | None = Field(
        default=None, sa_type=BigInteger, nullable=False, sa_column_kwargs=CHANGED_IN
    )


class Movement(SQLModel, table=True):
    """What was asked of an account and what came of it. Never changed.

    `amount` is signed: what was moved or is held, of a declined one what was asked. `price` is
    what was paid for an addition, if that is not its amount, or given back of it by a refund.
    `balance` is what was available after it, of a refund that went on to another account there.
    `about_id` is the movement that it undoes, the hold
    that it would have ended, or the other half of a transfer.
    """

    __table_args__ = (
        Index("ix_movement_account_id", "account_id", "id"),
        Index("ix_movement_changed_in", "changed_in", "id"),
        Index(
            "ix_movement_hold",
            "account_id",
            sqlite_where=column("hold_until").is_not(None),
            postgresql_where=column("hold_until").is_not(None),
        ),
        Index(
            "ix_movement_about_id",
            "about_id",
            sqlite_where=column("about_id").is_not(None),
            postgresql_where=column("about_id").is_not(None),
        ),
        Index(
            "ix_movement_ref_no",
            "ref_no",
            sqlite_where=column("ref_no").is_not(None),
            postgresql_where=column("ref_no").is_not(None),
        ),
    )

    id: int = Field(primary_key=True, sa_type=BigId, sa_column_kwargs={"autoincrement": False})
    account_id: int = Field(foreign_key="account.id", sa_type=BigId)
    type: MovementType = Field(sa_type=enum_type(MovementType))
    state: MovementState = Field(sa_type=enum_type(MovementState))
    amount: int = Field(sa_type=BigInteger)
    asked: int = Field(sa_type=BigInteger)
    balance: int = Field(sa_type=BigInteger)
    price: int | None = Field(default=None, sa_type=BigInteger)
    against: int | None = Field(default=None, sa_type=SmallInteger)
    error: ErrorCode | None = Field(default=None, sa_type=enum_type(ErrorCode, length=40))
    hold_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    about_id: int | None = Field(default=None, sa_type=BigId)
    caller: str = Field(max_length=80)
    code_id: int | None = Field(default=None, sa_type=BigId)
    source_id: str | None = Field(default=None, max_length=64)
    ref_no: str | None = Field(default=None, max_length=64)
    reason: str | None = Field(default=None, max_length=500)
    created_at: datetime = Field(sa_type=UtcDateTime, index=True)
    changed_in: int | None = Field(
        default=None, sa_type=BigInteger, nullable=False, sa_column_kwargs=CHANGED_IN
    )


class Posting(SQLModel, table=True):
    """An amount that left one account for another. Never changed."""

    __table_args__ = (
        CheckConstraint("amount > 0 AND debit_account <> credit_account", name="amount"),
        {"sqlite_with_rowid": False},
    )

    movement_id: int = Field(foreign_key="movement.id", primary_key=True, sa_type=BigId)
    line: int = Field(default=0, primary_key=True, sa_type=SmallInteger)
    debit_account: int = Field(sa_type=BigId)
    credit_account: int = Field(sa_type=BigId)
    amount: int = Field(sa_type=BigInteger)
    currency: str = Field(max_length=3)
    effective_at: datetime = Field(sa_type=UtcDateTime)


class HoldEnd(SQLModel, table=True):
    """How a hold ended; there is one end of each at most. Never changed."""

    __tablename__ = "hold_end"
    __table_args__ = (
        CheckConstraint("captured >= 0 AND released >= 0", name="amounts"),
        Index("ix_hold_end_changed_in", "changed_in", "hold_id"),
    )

    hold_id: int = Field(
        foreign_key="movement.id",
        primary_key=True,
        sa_type=BigId,
        sa_column_kwargs={"autoincrement": False},
    )
    ending: HoldEnding = Field(sa_type=enum_type(HoldEnding))
    captured: int = Field(sa_type=BigInteger)
    released: int = Field(sa_type=BigInteger)
    balance: int = Field(sa_type=BigInteger)
    caller: str = Field(max_length=80)
    created_at: datetime = Field(sa_type=UtcDateTime)
    changed_in: int | None = Field(
        default=None, sa_type=BigInteger, nullable=False, sa_column_kwargs=CHANGED_IN
    )


_undo = aliased(Movement, name="undo")
_undone = aliased(Movement, name="undone")


def _refunds_of(movement: Any, refund: Any) -> Any:
    return and_(
        refund.about_id == movement.id,
        refund.type == MovementType.REFUND,
        refund.state == MovementState.POSTED,
    )


def _of_refunds(what: Callable[[Any], Any]) -> Any:
    """The sum of this over a movement's refunds, less that over what undid them."""
    undone = (
        select(func.coalesce(func.sum(what(_undone)), 0))
        .where(_refunds_of(_undo, _undone))
        .correlate(_undo)
        .scalar_subquery()
    )
    return (
        select(func.coalesce(func.sum(what(_undo) - undone), 0))
        .where(_refunds_of(Movement, _undo))
        .correlate(Movement)
        .scalar_subquery()
    )


REFUNDED = _of_refunds(lambda refund: func.abs(refund.amount))
"""What was refunded of a movement, less what was undone of that."""

PRICE_REFUNDED = case(
    (col(Movement.price).is_not(None), _of_refunds(lambda refund: refund.price)), else_=0
)
"""What was given back of its price, less what was taken again."""
