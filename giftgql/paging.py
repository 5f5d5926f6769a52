"""Pages of lists, and the opaque tokens with which a caller keeps its copy of a list in step.

A synchronisation shows rows in the order of the transactions that changed them, and none of a
transaction before all smaller ones have ended: whatever the order of commits, no row is missed.
"""

from base64 import b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import orjson

from giftgql.errors import InvalidInput

LARGEST_PAGE = 1_000
FURTHEST_SKIP = 1_000_000
_LARGEST_NUMBER = 2**62

Id = int | str
Row = TypeVar("Row")


Position = tuple[int, Id]
"""A row's place in a synchronisation: the transaction that changed it last, and its id."""


@dataclass(frozen=True, slots=True)
class Window:
    """What a synchronisation may see: rows after a position, of transactions below `horizon`.

    `origin` names the list and the epoch of the database, which a token is good for.
    """

    origin: str
    after: Position | None
    horizon: int

    def token_at(self, position: Position | None) -> str:
        return urlsafe_b64encode(orjson.dumps([self.origin, *(position or ())])).decode()


def read_token(token: str) -> tuple[str, Position | None]:
    """The origin and the position in an `until` token."""
    try:
        content = orjson.loads(b64decode(token, altchars=b"-_", validate=True))
    except ValueError:
        content = None
    match content:
        case [str(origin)]:
            return origin, None
        case [str(origin), changed_in, row_id] if _is_number(changed_in) and (
            _is_number(row_id) or (isinstance(row_id, str) and row_id.isprintable())
        ):
            return origin, (changed_in, row_id)
    raise InvalidInput("since", "is not the until of an earlier answer")


def _is_number(value: object) -> bool:
    return type(value) is int and abs(value) < _LARGEST_NUMBER


@dataclass(frozen=True, slots=True)
class Cut:
    """Which page: `first` rows after `skip` rows, of the list or of a synchronisation."""

    first: int = 100
    skip: int = 0
    window: Window | None = None


def cut(first: int, skip: int, window: Window | None = None) -> Cut:
    """Read a page's size and start. Refuses what is out of bounds."""
    if not 1 <= first <= LARGEST_PAGE:
        raise InvalidInput("first", f"must be 1 to {LARGEST_PAGE}")
    if not 0 <= skip <= FURTHEST_SKIP:
        raise InvalidInput("skip", f"must be 0 to {FURTHEST_SKIP}")
    return Cut(first, skip, window)


class Synchronised(Protocol):
    """A row that takes part in synchronisation."""

    @property
    def changed_in(self) -> int | None: ...

    @property
    def id(self) -> Id | None: ...


SyncedRow = TypeVar("SyncedRow", bound=Synchronised)


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """Rows of a list, whether more follow, and where a synchronisation goes on."""

    rows: Sequence[Row]
    has_more: bool = False
    until: str | None = None


def page_of(rows: Sequence[SyncedRow], where: Cut) -> Page[SyncedRow]:
    """The page, from one row more than it shows."""
    shown, window = rows[: where.first], where.window
    until = None
    if window is not None:
        last = shown[-1] if shown else None
        until = window.token_at((last.changed_in or 0, last.id or 0) if last else window.after)
    return Page(shown, len(rows) > where.first, until)
