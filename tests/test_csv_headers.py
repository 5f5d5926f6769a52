"""Files that are refused whole: no CSV, no header, or another one; and never with their cells."""

import gzip
import io
import zipfile

import pytest

from giftgql.errors import InvalidInput
from giftgql.imports.csv_rows import Row, RowReader
from tests.test_csv_rows import COLUMNS, HEAD, KIB, read


def refusal(content: bytes) -> str:
    with pytest.raises(InvalidInput) as refused:
        read(content)
    assert refused.value.field == "file"
    return str(refused.value)


def zipped(name: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(name, HEAD)
    return content.getvalue()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "has no header row: it is empty"),
        (b"\xef\xbb\xbf", "has no header row: it is empty"),
        (b"\n\r\n  \n", "has no header row: it is empty"),
        (gzip.compress(HEAD), "compressed by gzip"),
        (gzip.compress(HEAD * 100_000), "compressed by gzip"),
        (zipped("cards.csv"), "zip archive"),
        (zipped("[Content_Types].xml"), "is a spreadsheet: save it as CSV UTF-8"),
        (zipped("xl/workbook.xml"), "is a spreadsheet"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\x00" * 600, "old Excel"),
        (b"%PDF-1.7\n", "PDF"),
        (b"SQLite format 3\x00" + b"\x00" * 90, "database"),
        (b"cards.csv".ljust(257, b"\x00") + b"ustar\x00", "tar archive"),
        (HEAD.decode().encode("utf-16"), "UTF-16"),
        (HEAD.decode().encode("utf-16-le"), "UTF-16"),
        (HEAD.decode().encode("utf-16-be"), "UTF-16"),
        (HEAD.decode().encode("utf-32"), "UTF-16"),
        (b"\x00" * 100_000, "UTF-16, or no text at all"),
        (bytes(range(1, 256)) * 1_000, "no header row"),
        (b"x" * 70_000, "line 1 is longer than 64 KiB"),
        (b"\n" + b"x" * 70_000 + b"\n", "line 2 is longer than 64 KiB"),
        (b"Number,Num\xe9ro\n", "is not UTF-8 (line 1): save it as CSV UTF-8"),
        (b"\nNumber,Num\xe9ro\n", "is not UTF-8 (line 2)"),
        (b'Number,"Pin\n', "wrong quote (line 1)"),
        (b'Number,"Pin"x\n', "wrong quote"),
        (b"GC49288330,1234,\nGC49288331,1234,\n", "names none of the columns Number, Pin, Note"),
        (b"Number,Colour\n", 'has the unknown column "Colour"; known are Number, Pin, Note'),
        (b"Number;Colour\n", 'has the unknown column "Colour"'),
        (b"Number,Pin,number\n", "has the column Number twice"),
        (b"Reason,Number,REASON\n", "has the column Reason twice"),
        (b"Pin,Note\n", "has no column Number"),
        (b"Number,,Pin\n", "has no name for column 2"),
        (b"Number,Pin,\n", "has no name for column 3"),
        ("Number,Größe\u202e\n".encode(), 'unknown column "Größe?"'),
        (b"Number," + b"x" * 1_000 + b"\n", 'unknown column "' + "x" * 40 + '..."'),
    ],
    ids=lambda value: value if isinstance(value, str) else "file",
)
def test_a_file_that_is_no_such_csv_is_refused_with_the_reason(content: bytes, why: str) -> None:
    assert why in refusal(content)


def test_a_file_without_header_gives_no_code_away() -> None:
    sentence = refusal(b"GC49288330;1234;\n")
    assert "4928" not in sentence
    assert "1234" not in sentence


def test_a_long_file_that_is_no_csv_is_refused_early() -> None:
    reader = RowReader(COLUMNS)
    reader.feed(b"\x07" * 64 * KIB)
    with pytest.raises(InvalidInput):
        reader.feed(b"\x07")


def test_a_state_of_before_the_header_begins_anew() -> None:
    reader = RowReader(COLUMNS)
    assert reader.feed(b"Num") == []
    assert RowReader(COLUMNS, reader.state).feed(HEAD + b"GC1,,\n") == [Row(2, ["GC1", "", ""])]
