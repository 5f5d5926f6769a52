"""CSV that a spreadsheet opens without taking foreign text for a formula."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from giftgql import spreadsheets

FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001


def read(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode(), newline="")))


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        *((begin + "x", f"'{begin}x") for begin in FORMULAS),
        *((f"{before}=x", f"'{before}=x") for before in (" ", "  ", '"', "'", ' "')),
        *((harmless, harmless) for harmless in ("", "x", "1-2", "a=b", "'x'", "till 7")),
        (None, ""),
    ],
)
def test_what_could_be_a_formula_is_text(text: str | None, cell: str) -> None:
    assert spreadsheets.safe(text) == cell


@given(st.text(alphabet=st.sampled_from(" \"'=+-@a\t\n"), max_size=8))
def test_no_cell_begins_with_a_formula_whatever_stands_before_it(text: str) -> None:
    cell = spreadsheets.safe(text)
    assert cell in (text, f"'{text}")
    assert cell.startswith("'") or cell.lstrip(" \"'")[:1] not in FORMULAS


def test_every_cell_is_quoted_and_comes_back_as_it_was() -> None:
    rows = [("a,b", 1, None), ('say "x"', "two\nlines", "déjà"), ("", 0, "-1.50")]
    content = spreadsheets.csv_bytes(rows)
    assert content.startswith(b'"a,b","1",""\r\n"say ""x""","two\nlines","d\xc3\xa9j\xc3\xa0"\r\n')
    assert read(content) == [["" if cell is None else str(cell) for cell in row] for row in rows]


def test_chunks_together_are_the_whole_and_none_is_empty() -> None:
    rows = [(number, "x" * number) for number in range(1_000)]
    chunks = list(spreadsheets.csv_chunks(("number", "text"), rows, at_once=13))
    assert len(chunks) == 77
    assert all(chunk.endswith(b"\r\n") for chunk in chunks)
    assert b"".join(chunks) == spreadsheets.csv_bytes([("number", "text"), *rows])


def test_an_empty_export_has_its_head() -> None:
    assert list(spreadsheets.csv_chunks(("code", "pin"), [])) == [b'"code","pin"\r\n']
