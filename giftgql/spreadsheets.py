"""CSV that is safe to open in a spreadsheet: foreign text is never taken for a formula there.

A cell of foreign text that could be one begins with an apostrophe. What the server made itself,
such as numbers and dates, stays as it is. Every cell is quoted.
"""

import csv
import io
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _csv import Writer

FORMULA = frozenset("=+-@\t\r\n＝＋－＠")  # noqa: RUF001  full-width ones count too
SKIPPED = frozenset(" \"'")
"""What a formula begins with, and what may stand before that."""

_SKIPPED = "".join(sorted(SKIPPED))


@dataclass(frozen=True)
class Table:
    """A file in the making: its name without ending, its head, its rows by pages, and how many
    they are, where that is known."""

    name: str
    head: Sequence[str]
    pages: AsyncGenerator[Sequence[Sequence[object]], None]
    rows: int | None = None


def safe(text: str | None) -> str:
    """Foreign text for a spreadsheet, which is not to take it for a formula."""
    if text is None:
        return ""
    begin = text.lstrip(_SKIPPED)[:1]
    return f"'{text}" if begin in FORMULA else text


def original(cell: str) -> str:
    """What `safe` made this of: for reading a file of ours again."""
    return cell[1:] if cell.startswith("'") and safe(cell[1:]) == cell else cell


def writer(file: TextIO) -> "Writer":
    """Writes rows to a file. Cells come as they are to stand there: foreign text through `safe`
    first; None is an empty cell."""
    return csv.writer(file, quoting=csv.QUOTE_ALL)


def csv_bytes(rows: Iterable[Sequence[object]]) -> bytes:
    """Rows, such as a page of an export, in UTF-8; cells as for `writer`."""
    text = io.StringIO(newline="")
    writer(text).writerows(rows)
    return text.getvalue().encode()


def csv_chunks(
    head: Sequence[str], rows: Iterable[Sequence[object]], at_once: int = 500
) -> Iterator[bytes]:
    """The head and all rows in UTF-8, `at_once` rows in a chunk, none of which is empty."""
    lines = chain([head], rows)
    while batch := list(islice(lines, at_once)):
        yield csv_bytes(batch)
