"""Rows that did not land: what is reported of each, and the file for correcting and sending again.

Cvv and Pin are blanked in both, and a card's Number is masked in the report. The file repeats the
cells as they came, but for those of a row that does not fit the header: there a PIN may stand in
any cell, so all stay empty, and the reason names the line of the first file.
"""

from typing import NamedTuple

from giftgql.codes import CodeText
from giftgql.errors import Refusal
from giftgql.imports.csv_rows import Row
from giftgql.imports.headers import IGNORED, Header
from giftgql.spreadsheets import safe

BLANKED = "(blanked)"
SECRETS = frozenset({"Cvv", "Pin"})
LONGEST_VALUE = 100


class Failure(NamedTuple):
    """Why a row did not land: its first problem, in the order in which the columns are documented.
    Column and value are None where the row as a whole is at fault. The reason is a sentence."""

    line: int
    column: str | None
    value: str | None
    reason: str

    @classmethod
    def of_row(cls, row: Row) -> "Failure":
        """Of a row with a `problem`."""
        return cls(row.line, None, None, f"The row {row.problem}.")

    @classmethod
    def of(cls, line: int, column: str, value: str, refusal: Refusal) -> "Failure":
        """Of a cell that was refused."""
        return cls(line, column, shown(column, value), str(refusal))


def shown(column: str, value: str) -> str:
    """A cell's value as it may be reported."""
    if value and column in SECRETS:
        return BLANKED
    if column == "Number":
        return str(CodeText(value[:LONGEST_VALUE])) if value else ""
    return value if len(value) <= LONGEST_VALUE else f"{value[:LONGEST_VALUE]}..."


class FailuresFile:
    """The rows that failed, as CSV in UTF-8 that a spreadsheet opens safely: the columns of the
    first file in their order, then the reason."""

    def __init__(self, header: Header) -> None:
        named = list(enumerate(zip(header.names, header.written, strict=True)))
        self._places = [place for place, (name, _) in named if name != IGNORED]
        self._secret = {place for place, (name, _) in named if name in SECRETS}
        self._names = [safe(written) for _, (name, written) in named if name != IGNORED]
        self._width = len(named)

    @property
    def head(self) -> list[str]:
        return [*self._names, IGNORED]

    def cells(self, row: Row) -> list[str]:
        """What of a row may be kept and given out."""
        if len(row.cells) != self._width:
            return [""] * len(self._places)
        return [
            BLANKED if place in self._secret and row.cells[place] else safe(row.cells[place])
            for place in self._places
        ]

    @staticmethod
    def row(cells: list[str], line: int, reason: str) -> list[str]:
        """A row of the file, with what is wrong with it."""
        return [*cells, safe(f"Line {line}: {reason}")]
