"""Rows of cards: what one says by itself, and whether it fits its pool.

`Number` is a PHYSICAL code and `Pin` its PIN. `Balance` is in the currency of the pool, so that it
is read by `check`: what a card of a fixed value may leave out, and an `Inactive` one is to be
worth. A row never says anything of another row, or of cards that are there already.
"""

from dataclasses import dataclass, field
from datetime import date

from giftgql import codes
from giftgql.codes import CodeText
from giftgql.errors import Described, InvalidInput
from giftgql.imports import cells
from giftgql.imports.csv_rows import Row
from giftgql.imports.failures import Failure
from giftgql.imports.headers import Columns, Header, picker
from giftgql.money import Money
from giftgql.pins import valid_cvv, valid_pin

CARD_COLUMNS = Columns(
    known=(
        *("Number", "PoolSystemName", "Cvv", "Pin", "Balance", "Status"),
        *("PurchaseDate", "ExpiresOn", "PointOfContact", "MemberId"),
    ),
    required=("Number", "PoolSystemName"),
)
ID_LENGTH = 64


class ImportedStatus(Described):
    INACTIVE = "Inactive", "Not activated: it can be sold, and is worth its balance then."
    CAN_BE_USED = "CanBeUsed", "Activated: it pays, and cannot be sold."
    BLOCKED = "Blocked", "Activated and blocked."


_STATUSES = {status.value.lower(): status for status in ImportedStatus}


@dataclass(frozen=True, slots=True)
class CardRow:
    """A card as its row has it. Printing it shows neither the code nor Cvv and Pin."""

    line: int
    number: CodeText
    pool: str
    cvv: str | None = field(repr=False)
    pin: str | None = field(repr=False)
    balance: str | None
    status: ImportedStatus
    purchased_on: date | None
    expires_on: date | None
    point_of_contact: str | None
    member_id: str | None


@dataclass(frozen=True, slots=True)
class PoolFacts:
    """What of a pool its cards must fit; `face_value` is None where it takes any value."""

    currency: str
    face_value: Money | None
    is_cvv_required: bool


class CardReader:
    """Reads the rows of one file."""

    def __init__(self, header: Header) -> None:
        self._pick = picker(header, CARD_COLUMNS)

    def read(self, row: Row) -> CardRow | Failure:
        """The card, or the first problem in the order of CARD_COLUMNS."""
        if row.problem is not None:
            return Failure.of_row(row)
        texts = self._pick(row.cells)
        try:
            return _card(row.line, *texts)
        except InvalidInput as refused:
            column = str(refused.field)
            return Failure.of(row.line, column, texts[_PLACES[column]], refused)


def check(card: CardRow, pool: PoolFacts) -> Money | Failure:
    """What the card is worth: its balance, or what an inactive one is to get when it is sold."""
    text = card.balance or ""
    try:
        if pool.is_cvv_required and card.cvv is None:
            raise InvalidInput("Cvv", "is missing: the pool requires one")
        if not text:
            if pool.face_value is None:
                raise InvalidInput("Balance", "is missing: the pool has no face value")
            return pool.face_value
        worth = cells.money(text, pool.currency, "Balance")
        if pool.face_value not in (None, worth):
            raise InvalidInput("Balance", f"must be the pool's face value, {pool.face_value}")
    except InvalidInput as refused:
        column = str(refused.field)
        return Failure.of(card.line, column, "" if column == "Cvv" else text, refused)
    return worth


def _card(
    line: int,
    number: str,
    pool: str,
    cvv: str,
    pin: str,
    balance: str,
    status: str,
    purchase_date: str,
    expires_on: str,
    point_of_contact: str,
    member_id: str,
) -> CardRow:
    if not number:
        raise InvalidInput("Number", "is missing")
    code = codes.to_store(number, "Number")
    cells.system_name(pool, "PoolSystemName")
    cvv_given = cells.secret(cvv, "Cvv", valid_cvv)
    pin_given = cells.secret(pin, "Pin", valid_pin)
    amount = cells.number(balance, "Balance")
    state = _STATUSES.get(status.lower()) if status else ImportedStatus.INACTIVE
    if state is None:
        raise InvalidInput("Status", f"must be {', '.join(ImportedStatus)} or nothing")
    purchased_on = cells.day(purchase_date, "PurchaseDate")
    last_day = cells.day(expires_on, "ExpiresOn")
    if purchased_on and last_day and last_day < purchased_on:
        raise InvalidInput("ExpiresOn", "lies before PurchaseDate")
    if point_of_contact:
        cells.plain(point_of_contact, "PointOfContact", ID_LENGTH)
    if member_id and not (
        len(member_id) <= ID_LENGTH and member_id.isascii() and member_id.isprintable()
    ):
        raise InvalidInput("MemberId", f"must be 1 to {ID_LENGTH} printable ASCII characters")
    return CardRow(
        line,
        code,
        pool,
        cvv_given,
        pin_given,
        amount,
        state,
        purchased_on,
        last_day,
        point_of_contact or None,
        member_id or None,
    )


_PLACES = {name: place for place, name in enumerate(CARD_COLUMNS.known)}
