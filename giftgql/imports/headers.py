"""The header of an imported file: which columns it has, and whether the file is CSV at all."""

import csv
from collections.abc import Callable
from dataclasses import dataclass
from operator import itemgetter

from giftgql.errors import InvalidInput
from giftgql.spreadsheets import original

IGNORED = "Reason"
"""The column of our own failures file: accepted everywhere, and not read."""

DELIMITERS = (",", ";", "\t")

_UNPACK = "unpack it and send the CSV file within"
_SAVE = "save it as CSV UTF-8"
_NOT_CSV = (
    (b"\x1f\x8b", f"is compressed by gzip: {_UNPACK}"),
    (b"BZh", f"is compressed by bzip2: {_UNPACK}"),
    (b"\xfd7zXZ", f"is compressed by xz: {_UNPACK}"),
    (b"\x28\xb5\x2f\xfd", f"is compressed by zstd: {_UNPACK}"),
    (b"7z\xbc\xaf", f"is a 7-zip archive: {_UNPACK}"),
    (b"Rar!", f"is a RAR archive: {_UNPACK}"),
    (b"PK", f"is a zip archive: {_UNPACK}"),
    (b"\xd0\xcf\x11\xe0", f"is a workbook of an old Excel: {_SAVE}"),
    (b"%PDF", "is a PDF: CSV is needed"),
    (b"SQLite format 3\x00", "is a database: CSV is needed"),
    (b"\xff\xfe", f"is UTF-16: {_SAVE}"),
    (b"\xfe\xff", f"is UTF-16: {_SAVE}"),
)
_SHEETS = (b"[Content_Types].xml", b"xl/", b"_rels/", b"opendocument.spreadsheet")


@dataclass(frozen=True, slots=True)
class Columns:
    """What a file may have, and what it must have."""

    known: tuple[str, ...]
    required: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Header:
    """A file's columns in their order: as they are written there, and as they are named here."""

    written: tuple[str, ...]
    names: tuple[str, ...]
    delimiter: str


def not_csv(begin: bytes, line: bytes) -> str | None:
    """Why a file with this begin and first line is no CSV: completes the sentence «file …»."""
    for magic, why in _NOT_CSV:
        if begin.startswith(magic):
            if magic == b"PK" and any(part in begin for part in _SHEETS):
                return f"is a spreadsheet: {_SAVE}"
            return why
    if begin[257:262] == b"ustar":
        return f"is a tar archive: {_UNPACK}"
    if b"\x00" in line:
        return f"is UTF-16, or no text at all: {_SAVE}"
    return None


def read_header(columns: Columns, line: bytes, number: int) -> Header:
    """The header from its line, with the delimiter by which most known columns are found."""
    try:
        text = line.decode()
    except UnicodeDecodeError:
        raise InvalidInput("file", f"is not UTF-8 (line {number}): {_SAVE}") from None
    known = {name.lower() for name in (*columns.known, IGNORED)}
    best: list[str] = []
    most, is_misquoted = 0, False
    for delimiter in DELIMITERS:
        try:
            cells = next(csv.reader([text], delimiter=delimiter, strict=True))
        except csv.Error:
            is_misquoted = True
            continue
        if (found := sum(cell.strip().lower() in known for cell in cells)) > most:
            best, most, chosen = cells, found, delimiter
    if most == 0 and is_misquoted:
        raise InvalidInput("file", f"has a header row with a wrong quote (line {number})")
    if most == 0:
        raise InvalidInput(
            "file",
            "has no header row: its first row names none of the columns "
            f"{', '.join(columns.known)}",
        )
    return checked(columns, best, chosen)


def checked(columns: Columns, written: list[str], delimiter: str) -> Header:
    """A header whose columns are all known, each there once, and all that are needed there."""
    called = {name.lower(): name for name in (*columns.known, IGNORED)}
    names: list[str] = []
    for place, cell in enumerate(written, 1):
        name = called.get(cell.strip().lower())
        if not cell.strip():
            raise InvalidInput("file", f"has no name for column {place} in its header")
        if name is None:
            raise InvalidInput(
                "file",
                f'has the unknown column "{_shown(cell)}"; known are {", ".join(columns.known)}',
            )
        if name in names:
            raise InvalidInput("file", f"has the column {name} twice")
        names.append(name)
    for name in columns.required:
        if name not in names:
            raise InvalidInput("file", f"has no column {name}")
    return Header(tuple(written), tuple(names), delimiter)


def picker(header: Header, columns: Columns) -> Callable[[list[str]], list[str]]:
    """Picks of a row's cells those of the known columns, in the order of these, without spaces
    around; "" where the file lacks the column. What our failures file made safe is undone."""
    pick = itemgetter(
        *(header.names.index(name) if name in header.names else -1 for name in columns.known)
    )
    if IGNORED in header.names:
        return lambda cells: [original(cell).strip() for cell in pick([*cells, ""])]
    return lambda cells: [cell.strip() for cell in pick([*cells, ""])]


def _shown(cell: str) -> str:
    text = "".join(each if each.isprintable() else "?" for each in cell.strip())
    return text if len(text) <= 40 else f"{text[:40]}..."
