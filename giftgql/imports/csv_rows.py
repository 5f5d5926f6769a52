"""CSV as it arrives: chunks of bytes in, whole rows out, in bounded memory, resumable.

UTF-8 with or without a byte order mark; comma, semicolon or tab, whichever the header shows; cells
quoted as in RFC 4180, line ends in quotes too; lines end with LF, CRLF or CR. The header names the
columns in any order, whatever their case and the spaces around them. Empty rows are passed over.

A file is refused (`InvalidInput`, field "file") if it is no such text or its header is wrong. All
else is a problem of one row: another number of cells than the header, bytes that are not UTF-8, a
NUL, misplaced quotes, more than 64 KiB. Held are at most 128 KiB and a chunk, however long a line
is. Text in quotes is not read as rows: a row with misplaced quotes goes on to the first line end
with an even number of quotes before it, and says how many lines it took with it.
"""

import csv
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, TypedDict

from giftgql.errors import InvalidInput
from giftgql.imports.headers import Columns, Header, checked, not_csv, read_header

LONGEST_ROW = 64 * 1024
"""Bytes of a line, and characters of a row of several lines."""

TOO_LONG = f"longer than {LONGEST_ROW // 1024} KiB"

_BOM = b"\xef\xbb\xbf"
_LINE_END = re.compile(rb"\r\n?|\n")
_QUOTE = re.compile(rb'"')
_QUOTE_OR_END = re.compile(rb'"|\r\n?|\n')
_LINE_END_IN_CELL = re.compile(r"\r\n?|\n")
_NOT_TEXT = re.compile("[\x00\udc80-\udcff]")
_REPLACED = re.compile("[\udc80-\udcff]")

_UNFINISHED = "unexpected end of data"
_TOO_LARGE = "field larger than field limit"
"""How the csv module begins to say these."""


class Row(NamedTuple):
    """A row that is not empty. `line` is its first line, counted from 1 at the file's begin.
    `cells` are in the order of the header, and as many unless there is a `problem`."""

    line: int
    cells: list[str]
    problem: str | None = None


class State(TypedDict):
    """Where to go on: `offset` is the first byte that is in none of the rows handed out, the next
    to be fed; `line` is its line. `header` is None before there was one."""

    offset: int
    line: int
    delimiter: str
    header: list[str] | None


@dataclass(slots=True)
class _Overlong:
    """A row of which nothing is kept while its end is looked for."""

    size: int = 0
    lines: int = 0
    is_in_quotes: bool = False
    is_within_line: bool = True


class RowReader:
    """Feed it chunks of any size, then finish. `state` goes with the rows handed out so far: kept
    in the transaction that writes them, it lets another reader go on after a kill."""

    header: Header | None
    """Known from the first row on."""

    def __init__(self, columns: Columns, state: State | None = None) -> None:
        self._columns = columns
        self._held = bytearray()
        self._overlong: _Overlong | None = None
        self._offset, self._line, self.header = 0, 1, None
        if state is not None:
            self._offset, self._line = state["offset"], state["line"]
            if state["header"] is not None:
                self.header = checked(columns, state["header"], state["delimiter"])

    @property
    def state(self) -> State:
        header = self.header
        return State(
            offset=self._offset,
            line=self._line,
            delimiter=header.delimiter if header else ",",
            header=list(header.written) if header else None,
        )

    def feed(self, chunk: bytes) -> list[Row]:
        """The rows that are complete with this chunk."""
        self._held += chunk
        if len(self._held) <= LONGEST_ROW and b"\n" not in chunk and b"\r" not in chunk:
            return []
        return self._take(is_last=False)

    def finish(self) -> list[Row]:
        """The last row, if no line end came after it. Refuses a file without a header."""
        rows = self._take(is_last=True)
        if self.header is None:
            raise InvalidInput("file", "has no header row: it is empty")
        return rows

    def _take(self, *, is_last: bool) -> list[Row]:
        rows: list[Row] = []
        while self._held or (self._overlong and is_last):
            if self._overlong:
                if not self._pass_over(self._overlong, rows, is_last=is_last):
                    break
            elif self.header is None:
                if not self._take_header(is_last=is_last):
                    break
            elif not self._take_rows(self.header, rows, is_last=is_last):
                break
        return rows

    def _drop(self, size: int, lines: int) -> None:
        del self._held[:size]
        self._offset += size
        self._line += lines

    def _take_header(self, *, is_last: bool) -> bool:
        """Whether a line was here: an empty one is passed over, any other is the header."""
        end = _end_of_line(self._held)
        if end == 0:
            if not is_last and len(self._held) <= LONGEST_ROW:
                return False
            end = len(self._held)
        line = bytes(self._held[:end])
        if why := not_csv(bytes(self._held[:LONGEST_ROW]), line):
            raise InvalidInput("file", why)
        if end > LONGEST_ROW:
            raise InvalidInput("file", f"has no header row: line {self._line} is {TOO_LONG}")
        line = line.removeprefix(_BOM) if self._offset == 0 else line
        if line.strip():
            self.header = read_header(self._columns, line, self._line)
        self._drop(end, 1)
        return True

    def _take_rows(self, header: Header, rows: list[Row], *, is_last: bool) -> bool:
        """Take all rows that are here; whether what is left is to be passed over."""
        long = _long_line(self._held)
        end = len(self._held) if is_last else _end_of_lines(self._held)
        block = bytes(self._held[: end if long is None else long])
        lines, size = _parse(block, header, self._line, rows, is_all=is_last and long is None)
        self._drop(size, lines)
        if long is None and len(block) - size <= LONGEST_ROW:
            return False
        self._overlong = _Overlong()
        return True

    def _pass_over(self, row: _Overlong, rows: list[Row], *, is_last: bool) -> bool:
        """Whether the end of the row was found: the first line end outside of quotes."""
        held = bytes(self._held)
        end = len(held) - (held.endswith(b"\r") and not is_last)
        at, is_over = 0, False
        while at < end and not is_over:
            match = (_QUOTE if row.is_in_quotes else _QUOTE_OR_END).search(held, at)
            stop = match.end() if match and match.start() < end else end
            passed = held[at:stop]
            row.lines += passed.count(b"\n") + passed.count(b"\r") - passed.count(b"\r\n")
            if passed.endswith(b'"'):
                row.is_in_quotes = not row.is_in_quotes
            row.is_within_line = not passed.endswith((b"\r", b"\n"))
            is_over = not (row.is_in_quotes or row.is_within_line)
            at = stop
        row.size += at
        del self._held[:at]
        if is_over or is_last:
            lines = row.lines + row.is_within_line
            rows.append(Row(self._line, [], _and_lines(f"is {TOO_LONG}", lines)))
            self._drop(0, lines)
            self._offset += row.size
            self._overlong = None
        return is_over or is_last


def _end_of_line(held: bytearray) -> int:
    """Where the first line ends; 0 if it does not yet, or may go on with the LF of a CRLF."""
    match = _LINE_END.search(held)
    if match is None or (match.end() == len(held) and held.endswith(b"\r")):
        return 0
    return match.end()


def _end_of_lines(held: bytearray) -> int:
    """Where the last line ends, in the same way."""
    end = held.rfind(b"\n") + 1
    return max(end, held.rfind(b"\r", end, len(held) - 1) + 1)


def _long_line(held: bytearray) -> int | None:
    """Where the first line begins that is too long, whether or not it is whole."""
    at = 0
    while len(held) - at > LONGEST_ROW:
        furthest = at + LONGEST_ROW + 1
        end = max(held.rfind(b"\n", at, furthest), held.rfind(b"\r", at, furthest)) + 1
        if end == 0:
            return at
        at = end
    return None


def _parse(
    block: bytes, header: Header, line: int, rows: list[Row], *, is_all: bool
) -> tuple[int, int]:
    """Add the rows of whole lines; returns how many lines and bytes these took. What stays may
    become a row with the lines that follow, unless these are all; or it is too long for one."""
    text, is_text = _decoded(block)
    source = io.StringIO(text, newline="")
    lines: list[bytes] = []
    before, read, size = len(rows), 0, len(block)
    while True:
        reader = csv.reader(source, delimiter=header.delimiter, strict=True)
        found, error = _read(reader)
        is_plain = reader.line_num == len(found)
        at = read + _add(found, len(header.names), line + read, rows, is_plain=is_plain)
        if error is None:
            break
        lines = lines or block.splitlines(keepends=True)
        read += reader.line_num
        end = _even_quotes(lines, at, read)
        is_open = end is None or error == _UNFINISHED
        if error.startswith(_TOO_LARGE) or (is_open and not is_all):
            size = sum(map(len, lines[:at]))
            break
        end = end or len(lines)
        rows.append(Row(line + at, [], _misquoted(error, end - at)))
        for _ in range(read, end):
            next(source)
        read = end
    if not is_text:
        rows[before:] = [_refused(row) for row in rows[before:]]
    return at, size


def _read(reader: Iterable[list[str]]) -> tuple[list[list[str]], str | None]:
    """The rows up to the first that is wrong, and what the csv module says to that one."""
    found: list[list[str]] = []
    try:
        found.extend(reader)
    except csv.Error as wrong:
        return found, str(wrong)
    return found, None


def _even_quotes(lines: list[bytes], first: int, end: int) -> int | None:
    """Up to which line the quotes of a row are closed, `end` or later; None if they are not."""
    is_open = sum(line.count(b'"') for line in lines[first:end]) % 2
    while is_open:
        if end == len(lines):
            return None
        is_open ^= lines[end].count(b'"') % 2
        end += 1
    return end


def _add(found: list[list[str]], width: int, line: int, rows: list[Row], *, is_plain: bool) -> int:
    """Add rows from a line on; returns how many lines they took: one each if they are plain."""
    start = line
    for cells in found:
        first = line
        line += 1 if is_plain else _lines(cells)
        if line - first > 1 and sum(map(len, cells)) > LONGEST_ROW:
            rows.append(Row(first, [], _and_lines(f"is {TOO_LONG}", line - first)))
        elif len(cells) == width:
            if any(cells):
                rows.append(Row(first, cells))
        elif any(map(str.strip, cells)):
            what = "1 cell" if len(cells) == 1 else f"{len(cells)} cells"
            rows.append(Row(first, cells, f"has {what} where the header has {width}"))
    return line - start


def _lines(cells: list[str]) -> int:
    return 1 + sum(len(_LINE_END_IN_CELL.findall(cell)) for cell in cells)


def _decoded(block: bytes) -> tuple[str, bool]:
    """The text, and whether it is one; what is not UTF-8 stays recognisable."""
    try:
        return block.decode(), b"\x00" not in block
    except UnicodeDecodeError:
        return block.decode(errors="surrogateescape"), False


def _refused(row: Row) -> Row:
    """The row with its problem if it has what is no text, which is replaced."""
    found = {symbol for cell in row.cells for symbol in _NOT_TEXT.findall(cell)}
    if not found:
        return row
    cells = [_REPLACED.sub("\N{REPLACEMENT CHARACTER}", cell) for cell in row.cells]
    what = "has a NUL byte" if "\x00" in found else "has bytes that are not UTF-8"
    return Row(row.line, [cell.replace("\x00", "") for cell in cells], row.problem or what)


def _misquoted(error: str, lines: int) -> str:
    if error == _UNFINISHED:
        return _and_lines("has a quote that is not closed", lines)
    return _and_lines("has text after a closing quote", lines)


def _and_lines(what: str, lines: int) -> str:
    """A row's problem, and how many lines are lost with it: nobody else will report them."""
    if lines <= 1:
        return what
    more = "1 more line was" if lines == 2 else f"{lines - 1} more lines were"
    return f"{what}: with it {more} left out"
