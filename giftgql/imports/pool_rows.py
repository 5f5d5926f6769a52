"""Rows of pools: a pool as its row has it, with the defaults for what the row leaves out."""

from dataclasses import dataclass
from datetime import date

from giftgql.errors import InvalidInput, Refusal
from giftgql.imports import cells
from giftgql.imports.csv_rows import Row
from giftgql.imports.failures import Failure
from giftgql.imports.headers import Columns, Header, picker
from giftgql.money import Money, is_currency
from giftgql.products.expiration import Expiration, ExpirationKind

POOL_COLUMNS = Columns(
    known=(
        *("Name", "SystemName", "Currency", "ArbitraryValue", "FaceValue"),
        *("PartialRedemption", "IsCvvRequired", "Expiration"),
    ),
    required=("Name", "SystemName"),
)
NAME_LENGTH = 55
"""A pool's name is its product's too."""


@dataclass(frozen=True, slots=True)
class PoolRow:
    """`face_value` is None where cards may have any value (`ArbitraryValue`)."""

    line: int
    name: str
    system_name: str
    currency: str
    face_value: Money | None
    partial_redemption: bool
    is_cvv_required: bool
    expiration: Expiration


class PoolReader:
    """Reads the rows of one file. Left out, a currency is the default one, ArbitraryValue and
    IsCvvRequired are false, PartialRedemption is true, and Expiration is NONE."""

    def __init__(self, header: Header, *, today: date, default_currency: str) -> None:
        self._pick = picker(header, POOL_COLUMNS)
        self._today = today
        self._currency = default_currency

    def read(self, row: Row) -> PoolRow | Failure:
        """The pool, or the first problem in the order of POOL_COLUMNS."""
        if row.problem is not None:
            return Failure.of_row(row)
        texts = dict(zip(POOL_COLUMNS.known, self._pick(row.cells), strict=True))
        try:
            return self._pool(row.line, texts)
        except Refusal as refused:
            column = str(refused.field)
            return Failure.of(row.line, column, texts[column], refused)

    def _pool(self, line: int, texts: dict[str, str]) -> PoolRow:
        name = texts["Name"]
        if not name:
            raise InvalidInput("Name", "is missing")
        cells.plain(name, "Name", NAME_LENGTH)
        system_name = cells.system_name(texts["SystemName"], "SystemName")
        currency = texts["Currency"].upper() or self._currency
        if not is_currency(currency):
            raise InvalidInput("Currency", "is no ISO 4217 currency such as EUR")
        is_arbitrary = cells.boolean(texts["ArbitraryValue"], "ArbitraryValue", False)
        return PoolRow(
            line,
            name,
            system_name,
            currency,
            _face_value(texts["FaceValue"], currency, is_arbitrary),
            cells.boolean(texts["PartialRedemption"], "PartialRedemption", True),
            cells.boolean(texts["IsCvvRequired"], "IsCvvRequired", False),
            self._expiration(texts["Expiration"]),
        )

    def _expiration(self, text: str) -> Expiration:
        if not text:
            return Expiration(ExpirationKind.NONE)
        return Expiration.written(text, today=self._today, field="Expiration")


def _face_value(text: str, currency: str, is_arbitrary: bool) -> Money | None:
    amount = cells.number(text, "FaceValue")
    if amount is None:
        if not is_arbitrary:
            raise InvalidInput("FaceValue", "is missing, and ArbitraryValue is not true")
        return None
    if is_arbitrary:
        raise InvalidInput("FaceValue", "does not go with ArbitraryValue")
    return cells.money(amount, currency, "FaceValue")
