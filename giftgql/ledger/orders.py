"""What is asked of the ledger, what it works on, and what comes of it: plain values."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from secrets import randbits
from time import time_ns
from typing import Any, ClassVar, NamedTuple

from giftgql.ledger.models import HoldEnding, MovementState, MovementType
from giftgql.permissions import THE_SERVER

_EPOCH_MS = 1_767_225_600_000
"""1 January 2026, from which movement ids count."""

_CHANCE_BITS = 22


def movement_id() -> int:
    """A new id: milliseconds since 2026 and 22 random bits. It fits in 63 bits until 2095, goes
    up with time, and needs no database; two that are the same are refused there."""
    milliseconds = time_ns() // 1_000_000 - _EPOCH_MS
    return milliseconds << _CHANCE_BITS | randbits(_CHANCE_BITS)


def movement_ids(many: int) -> range:
    """So many new ids in a row: of a thousand that are made one by one in a few milliseconds, two
    may well be the same."""
    first = movement_id()
    return range(first, first + many)


@dataclass(slots=True)
class Funds:
    """An account's money, and what stops it. One that is `replaced_on_use` is to be replaced as
    soon as a use has left something on it."""

    id: int
    currency: str
    posted: int = 0
    held: int = 0
    lifetime: int = 0
    redeemed: int = 0
    blocked: bool = False
    closed: bool = False
    whole_only: bool = False
    valid_until: datetime | None = None
    next_hold_end: datetime | None = None
    open_holds: int = 0
    revision: int = 0
    valid_from: datetime | None = None
    validity: str | None = None
    opens_with: int | None = None
    uses: int = 0
    most_uses: int | None = None
    replaced_on_use: bool = False
    replaced_by: int | None = None

    @property
    def free(self) -> int:
        """What is posted and not held."""
        return self.posted - self.held

    def is_expired(self, now: datetime) -> bool:
        """Expiry waits while the account is blocked."""
        return self.valid_until is not None and self.valid_until <= now and not self.blocked

    def available(self, now: datetime) -> int:
        return 0 if self.is_expired(now) else self.free

    @property
    def due_at(self) -> datetime | None:
        """When the sweep has something to do here."""
        expires = self.valid_until if self.free > 0 and not self.blocked else None
        return min((each for each in (self.next_hold_end, expires) if each), default=None)

    WRITTEN: ClassVar = (
        *("id", "posted", "held", "lifetime", "redeemed", "closed", "valid_until"),
        *("next_hold_end", "open_holds", "uses", "replaced_by", "due_at", "modified_at"),
    )

    def written(self, now: datetime) -> tuple[Any, ...]:
        """The values of the columns `WRITTEN`: all that a decision may change."""
        return (
            *(self.id, self.posted, self.held, self.lifetime, self.redeemed),
            *(self.closed, self.valid_until, self.next_hold_end, self.open_holds, self.uses),
            *(self.replaced_by, self.due_at, now),
        )


FACTS = tuple(each.name for each in fields(Funds))
"""The columns of an account that `Funds` are made of."""


@dataclass(slots=True)
class Past:
    """A movement on the books, with what became of it: `captured` of a hold, `refunded` of what
    it moved, `price_refunded` of its price. `root` is the type of what a refund undoes."""

    id: int
    account_id: int
    type: MovementType
    state: MovementState
    amount: int
    against: int | None
    hold_until: datetime | None = None
    about_id: int | None = None
    ending: HoldEnding | None = None
    captured: int = 0
    refunded: int = 0
    root: MovementType | None = None
    price: int | None = None
    price_refunded: int = 0

    @property
    def size(self) -> int:
        return abs(self.amount)

    @property
    def moved(self) -> int:
        return self.size if self.state is MovementState.POSTED else self.captured

    @property
    def left(self) -> int:
        """What can still be refunded."""
        return self.moved - self.refunded

    def price_of(self, size: int) -> int | None:
        """What a refund of so much gives back of the price: in all that part of it, rounded down,
        that is refunded of the amount; with the last of the amount, all of the price."""
        if self.price is None:
            return None
        due = self.price * (self.refunded + size) // self.moved
        return max(0, due - self.price_refunded)


class By(NamedTuple):
    """Who moves money, through which code, where, their number, and why."""

    caller: str
    code_id: int | None = None
    source_id: str | None = None
    ref_no: str | None = None
    reason: str | None = None


SERVER = By(THE_SERVER.name)
"""The server itself: it ends holds and expires funds."""


@dataclass(slots=True, kw_only=True)
class Order:
    """Something asked of the ledger. `id` is the movement's that will record it."""

    account_id: int
    by: By
    id: int = field(default_factory=movement_id)

    @property
    def accounts(self) -> tuple[int, ...]:
        return (self.account_id,)

    @property
    def about(self) -> int | None:
        """The movement on the books that this is about."""
        return None


@dataclass(slots=True, kw_only=True)
class Move(Order):
    """Move an amount at once, or hold it for a while. `revision` is what the account had when
    the code was looked up; `code_until` is when the code itself ends. What is added at once may
    have another `price` than its amount."""

    type: MovementType
    amount: int
    hold_for: timedelta | None = None
    allow_partial: bool = False
    revision: int | None = None
    code_until: datetime | None = None
    price: int | None = None

    def __post_init__(self) -> None:
        if self.price is None:
            return
        is_at_once = self.type is MovementType.ADD and self.amount > 0 and self.hold_for is None
        if not is_at_once or self.price < 0:
            raise ValueError("only what is added at once has a price, of 0 or more")


@dataclass(slots=True)
class Opening:
    """An account to be opened with its first movements, which become of `funds` what is written;
    if `blocked`, once they are made."""

    funds: Funds
    moves: Sequence[Move] = ()
    blocked: bool = False


@dataclass(slots=True, kw_only=True)
class About(Order):
    movement_id: int

    @property
    def about(self) -> int:
        return self.movement_id


@dataclass(slots=True, kw_only=True)
class Capture(About):
    """End a hold by taking all of it or a part; the rest is released. The amount is positive."""

    amount: int | None = None

    def size_of(self, hold: Past) -> int:
        """How much is asked of a hold."""
        return hold.size if self.amount is None else self.amount


@dataclass(slots=True, kw_only=True)
class Cancel(About):
    """End a hold by releasing it."""


@dataclass(slots=True, kw_only=True)
class Reversal(About):
    """Something that undoes a movement. Where its account was replaced, `at_id` is the last that
    took its place: there its money is. `is_stale` where that one was replaced meanwhile."""

    at_id: int | None = None

    @property
    def accounts(self) -> tuple[int, ...]:
        return (self.account_id,) if self.at_id is None else (self.account_id, self.at_id)

    def passing(self, source: int, target: int) -> "Transfer":
        """What takes the money on, or brings it back. Its ids come after this one's."""
        return Transfer(account_id=source, to_id=target, by=self.by, id=self.id + 1)


@dataclass(slots=True, kw_only=True)
class Refund(Reversal):
    """Undo a movement, all that is left of it or a part. The amount is positive."""

    amount: int | None = None


@dataclass(slots=True, kw_only=True)
class Undo(Reversal):
    """Cancel a hold, or refund what is left of any other movement; nothing if nothing is."""


@dataclass(slots=True, kw_only=True)
class Transfer(Order):
    """Move an amount, by default what is available, to another account; alone it may take from
    a blocked one."""

    to_id: int
    amount: int | None = None

    @property
    def twin_id(self) -> int:
        """The id of the movement on the other account, which comes next."""
        return self.id + 1

    @property
    def accounts(self) -> tuple[int, ...]:
        return (self.account_id, self.to_id)


@dataclass(slots=True, kw_only=True)
class Replace(Transfer):
    """Move what is available, all of it, to a new account that takes this one's place: from now on
    nothing is added to or taken from this one. Nothing if nothing is available."""


@dataclass(slots=True, kw_only=True)
class Sweep(Order):
    """End holds whose time is up and take expired funds off the books."""

    effective_at: datetime | None = None


@dataclass(slots=True, kw_only=True)
class Close(Order):
    """Cancel all holds, take the rest off the books, and refuse everything from now on."""


@dataclass(slots=True, kw_only=True)
class Extend(Order):
    """Let funds be valid until later, never until earlier; `expired` of them come back."""

    valid_until: datetime
    expired: int = 0
