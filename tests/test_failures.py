"""The file of failures: what it repeats and blanks, and that it can be corrected and sent again."""

import csv
import io

from hypothesis import given, settings
from hypothesis import strategies as st

from giftgql.imports.card_rows import CARD_COLUMNS, CardReader, CardRow
from giftgql.imports.csv_rows import RowReader
from giftgql.imports.failures import Failure, FailuresFile
from giftgql.spreadsheets import csv_bytes

FORMULAS = tuple("=+-@\t\r\n")


def failed(content: bytes) -> tuple[list[CardRow], bytes]:
    """The cards of a file, and the file of its failures."""
    reader = RowReader(CARD_COLUMNS)
    rows = reader.feed(content) + reader.finish()
    assert reader.header
    cards = CardReader(reader.header)
    found = [(row, cards.read(row)) for row in rows]
    file = FailuresFile(reader.header)
    wrong = [
        file.row(file.cells(row), each.line, each.reason)
        for row, each in found
        if isinstance(each, Failure)
    ]
    good = [each for _, each in found if isinstance(each, CardRow)]
    return good, csv_bytes([file.head, *wrong])


def table(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode(), newline="")))


def test_failures_have_the_columns_of_their_file_and_the_reason_last() -> None:
    _, file = failed(
        b"\xef\xbb\xbfpin;REASON;Balance;Number; PoolSystemName\n"
        b"1234;old reason;25.00;GC1000;spring\n"
        b"1234;old reason;25,00;GC1001;spring\n"
        b";;x;GC1002;\n"
    )
    assert table(file) == [
        ["pin", "Balance", "Number", " PoolSystemName", "Reason"],
        [
            *("(blanked)", "25,00", "GC1001", "spring"),
            "Line 3: Balance has a comma: an amount is written 1234.56, with a point.",
        ],
        ["", "x", "GC1002", "", "Line 4: PoolSystemName is missing."],
    ]


def test_a_row_that_does_not_fit_gives_none_of_its_cells_away() -> None:
    _, file = failed(
        b"Number,PoolSystemName,Pin\nGC1001,7431\nGC1002,spring,x,7432\n"
        b'GC1003,"spring"x,7433\n' + b"7434" * 20_000 + b"\nGC1004,spring,caf\xe9\n"
    )
    rows = table(file)
    assert [row[:3] for row in rows[1:]] == [[""] * 3] * 4 + [["GC1004", "spring", "(blanked)"]]
    assert [row[3].partition(":")[0] for row in rows[1:]] == [f"Line {n}" for n in range(2, 7)]
    assert "743" not in file.decode()


def test_corrected_failures_are_imported_like_any_file() -> None:
    _, file = failed(b"Number,PoolSystemName,Cvv,Balance\nGC1001,spring,123,1 000\n")
    cards, again = failed(file.replace(b"1 000", b"1000"))
    assert cards == []
    assert "Cvv was blanked in the file of failures" in table(again)[1][-1]
    assert len(table(again)[0]) == 5
    ((card,), none_left) = failed(file.replace(b"1 000", b"1000").replace(b"(blanked)", b"123"))
    assert (card.number.clear, card.cvv, card.balance) == ("GC1001", "123", "1000")
    assert len(table(none_left)) == 1


def test_what_was_made_safe_for_a_spreadsheet_is_read_as_it_was() -> None:
    content = b"Number,PoolSystemName,PointOfContact,Balance\n-GC12,spring,@Home,1 000\n"
    _, file = failed(content)
    assert table(file)[1][:3] == ["'-GC12", "spring", "'@Home"]
    ((card,), _) = failed(file.replace(b"1 000", b"1000"))
    assert (card.number.clear, card.point_of_contact) == ("-GC12", "@Home")
    ((other,), _) = failed(b"Number,PoolSystemName\n'-GC12,spring\n")
    assert other.number.clear == "'-GC12"


@given(
    st.lists(st.text(st.sampled_from("=+-@\t\n\r\"' ,;a1é"), max_size=6), min_size=3, max_size=3)
)
@settings(deadline=None)
def test_no_cell_of_the_file_can_be_a_formula(cells: list[str]) -> None:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([["Number", "PoolSystemName", "PointOfContact"], cells])
    cards, file = failed(text.getvalue().encode())
    assert len(table(file)) + len(cards) == 2 or not any(cells)
    for row in table(file):
        for cell in row:
            assert not cell.lstrip(" \"'").startswith(FORMULAS) or cell.startswith("'")
