"""CSV read as it arrives: what is a row, whatever the chunks; bad rows; bounded memory."""

import csv
import io
import json
from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from giftgql.imports import csv_rows
from giftgql.imports.csv_rows import LONGEST_ROW, Row, RowReader, State
from giftgql.imports.headers import Columns

COLUMNS = Columns(("Number", "Pin", "Note"), ("Number",))
HEAD = b"Number,Pin,Note\n"
KIB = 1024


def chunks(content: bytes, size: int) -> Iterator[bytes]:
    return (content[at : at + size] for at in range(0, len(content), size))


def read(content: bytes, size: int = 64 * KIB) -> list[Row]:
    reader = RowReader(COLUMNS)
    rows = [row for chunk in chunks(content, size) for row in reader.feed(chunk)]
    rows += reader.finish()
    assert reader.state["offset"] == len(content)
    return rows


def cells(content: bytes) -> list[list[str]]:
    rows = read(content)
    assert [row.problem for row in rows] == [None] * len(rows)
    return [row.cells for row in rows]


def problems(content: bytes, size: int = 64 * KIB) -> list[tuple[int, str | None]]:
    return [(row.line, row.problem) for row in read(content, size)]


# Good files


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_ALL, csv.QUOTE_MINIMAL])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 100_000])
def test_a_file_of_any_usual_form_is_read(
    end: str, delimiter: str, mark: bytes, quoting: int, size: int
) -> None:
    table = [
        ["Number", "Pin", "Note"],
        ["GC1", "1234", "plain"],
        ["GC2", "", f"with {delimiter} and , and ;"],
        ["GC3", "", 'says "yes"'],
        ["GC4", "", f"two{end}lines{end}{end}"],
        ["GC5", "", "déjà vu 礼品卡 🎁"],
        ["GC6", "", ""],
    ]
    text = io.StringIO(newline="")
    out = csv.writer(text, delimiter=delimiter, quoting=quoting, lineterminator=end)  # type: ignore[arg-type]
    out.writerows(table)
    content = mark + text.getvalue().encode()
    for whole in (content, content.removesuffix(end.encode())):
        rows = read(whole, size)
        assert [row.cells for row in rows] == table[1:]
        assert [row.line for row in rows] == [2, 3, 4, 5, 9, 10]
        assert not any(row.problem for row in rows)


def test_columns_come_in_any_order_and_case_with_spaces_around() -> None:
    reader = RowReader(COLUMNS)
    assert reader.feed(b" note ;NUMBER; reason\nx;GC1;wrong\n") == [Row(2, ["x", "GC1", "wrong"])]
    assert reader.header
    assert reader.header.names == ("Note", "Number", "Reason")
    assert reader.header.written == (" note ", "NUMBER", " reason")


def test_a_single_column_needs_no_delimiter() -> None:
    assert cells(b"Number\nGC1\n;GC2\n") == [["GC1"], [";GC2"]]


def test_the_delimiter_is_the_headers_not_the_most_frequent_one() -> None:
    assert cells(b"Number;Note\nGC1;a,b,c,d\n") == [["GC1", "a,b,c,d"]]
    assert cells(b"Number,Note\nGC1,a;b;c\td\n") == [["GC1", "a;b;c\td"]]


def test_empty_rows_are_passed_over_and_counted() -> None:
    content = b"\n \r\n" + HEAD + b'\n\r\n  \n,,\n;\nGC1,,\n,,,,,\n"","",""\n\nGC2,,\n\n\n'
    found = read(content)
    assert [row.line for row in found] == [8, 9, 13]
    assert found[0].problem == "has 1 cell where the header has 3"


def test_a_file_of_a_header_has_no_rows() -> None:
    assert read(HEAD) == read(HEAD.strip()) == read(HEAD + b"\n\n") == []


@pytest.mark.parametrize("note", ["\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029"])
def test_only_cr_and_lf_end_a_line(note: str) -> None:
    content = HEAD + f"GC1,,a{note}b\n".encode()
    assert cells(content) == [["GC1", "", f"a{note}b"]]
    assert cells(content + b'"GC2",,\n')[0] == ["GC1", "", f"a{note}b"]


def test_a_quote_inside_a_cell_that_is_not_quoted_is_a_quote() -> None:
    assert cells(HEAD + b'GC1,,5" disc\nGC2,,6"\n') == [["GC1", "", '5" disc'], ["GC2", "", '6"']]


# The same whatever the chunks

BITS = st.lists(
    st.sampled_from(
        [
            *("GC1", "1,", ",", '"', '""', "\n", "\r", "\r\n", ";", "x", " ", '","', '"\n"'),
            *("GC2,1,\n", '"GC3","","a\nb"\n', "é"),
        ]
    ).map(str.encode)
    | st.sampled_from([b"\xff", b"\x00", b"\xc3"]),
    max_size=40,
).map(b"".join)


@given(BITS, st.integers(1, 30))
@example(b'"a"x,"b\n1,2,3\n"\nGC1,,\n', 4)
@example(b'1,2,"\n', 1)
@example(b"a\r", 1)
@settings(deadline=None, max_examples=400)
def test_rows_are_the_same_whatever_the_chunks(body: bytes, size: int) -> None:
    assert read(HEAD + body, size) == read(HEAD + body)


@given(BITS, st.integers(1, 30))
@settings(deadline=None, max_examples=200)
def test_a_reader_goes_on_where_another_was_killed(body: bytes, size: int) -> None:
    """After each chunk everything but the state is lost; what follows is read from its offset."""
    content = HEAD + body
    rows: list[Row] = []
    state: State | None = None
    reached = 0
    while True:
        reader = RowReader(COLUMNS, state)
        offset = reader.state["offset"]
        found: list[Row] = []
        reached = max(reached, offset)
        while not found and reached < len(content):
            reached = min(reached + size, len(content))
            found = RowReader(COLUMNS, state).feed(content[offset:reached])
        if not found:
            break
        again = RowReader(COLUMNS, state)
        assert again.feed(content[offset:reached]) == found
        rows += found
        state = json.loads(json.dumps(again.state))
    reader = RowReader(COLUMNS, state)
    rows += reader.feed(content[reader.state["offset"] :]) + reader.finish()
    assert rows == read(content)


@given(BITS, st.integers(1, 60))
@settings(deadline=None, max_examples=200)
def test_each_line_is_in_a_row_or_empty_or_said_to_be_left_out(body: bytes, size: int) -> None:
    """A line that holds a card's number alone is read, or counted in a row's problem."""
    content = HEAD + body + b"\nGC9,,\n"
    found = read(content, size)
    last = found[-1]
    is_read = "GC9" in "".join(last.cells)
    assert is_read or "quote" in str(last.problem)
    assert [row.line for row in found] == sorted({row.line for row in found})


# Bad rows


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"GC1\n", "has 1 cell where the header has 3"),
        (b"GC1,1234\n", "has 2 cells where the header has 3"),
        (b"GC1,1234,a,\n", "has 4 cells where the header has 3"),
        (b"GC1,1234,caf\xe9\n", "has bytes that are not UTF-8"),
        (b"GC1,1234,\xc3\n", "has bytes that are not UTF-8"),
        (b'"GC1","1234","\xff"\n', "has bytes that are not UTF-8"),
        (b"GC1,1234,a\x00b\n", "has a NUL byte"),
        (b"GC1,\x00\xff,\n", "has a NUL byte"),
        (b"GC1,\xff\n", "has 2 cells where the header has 3"),
        (b'"GC1"x,1234,a\n', "has text after a closing quote"),
        (b'GC1,1234,"a" \n', "has text after a closing quote"),
    ],
)
def test_a_bad_row_is_reported_and_its_neighbours_land(line: bytes, problem: str) -> None:
    for size in (1, 1000):
        found = read(HEAD + b"GC0,,\n" + line + b"GC2,,\n", size)
        assert [row.cells[0] for row in found if not row.problem] == ["GC0", "GC2"]
        assert [(row.line, row.problem) for row in found if row.problem] == [(3, problem)]


def test_bytes_that_are_not_utf8_are_replaced_in_the_row() -> None:
    (row,) = read(HEAD + b"GC1,,caf\xe9 \x00\n")
    assert row.cells == ["GC1", "", "caf\N{REPLACEMENT CHARACTER} "]


def test_a_quote_that_is_not_closed_takes_all_up_to_the_next_and_says_so() -> None:
    content = HEAD + b'GC1,,\nGC2,,"open\nGC3,,\nGC4,,\nGC5,,"x"\nGC6,,\n'
    for size in (1, 9, 1000):
        found = read(content, size)
        assert [(row.line, row.problem) for row in found] == [
            (2, None),
            (3, "has text after a closing quote: with it 4 more lines were left out"),
        ]
    closed = HEAD + b'GC2,,"open\nGC3,,\nGC4,,"x\nGC5,,\n'
    assert problems(closed) == [
        (2, "has text after a closing quote: with it 2 more lines were left out"),
        (5, None),
    ]


def test_a_quote_that_is_never_closed_takes_the_rest() -> None:
    content = HEAD + b'GC1,,\nGC2,,"open\n' + b"GC3,,\n" * 5
    for size in (1, 10, 1000):
        assert problems(content, size) == [
            (2, None),
            (3, "has a quote that is not closed: with it 5 more lines were left out"),
        ]


def test_text_in_quotes_is_no_row_also_where_quotes_are_misplaced() -> None:
    content = HEAD + b'GC1,,"a"b,"c\nGC-FORGED,,\n"\nGC2,,\n'
    assert [row.cells for row in read(content) if not row.problem] == [["GC2", "", ""]]


# Long rows


def test_a_line_may_have_64_kib_and_no_more() -> None:
    just = b"GC1,," + b"x" * (LONGEST_ROW - 5) + b"\n"
    assert problems(HEAD + just + b"GC2,,\n") == [(2, None), (3, None)]
    for end in (b"\n", b"\r\n", b"\r"):
        over = just[:-1] + b"x" + end
        for size in (1_000, 64 * KIB, 1_000_000):
            assert problems(HEAD + over + b"GC2,,\n", size) == [
                (2, "is longer than 64 KiB"),
                (3, None),
            ]


@pytest.mark.parametrize("last", [b"\n", b"\r\n", b"\r", b""])
@pytest.mark.parametrize("size", [1_000, 64 * KIB, 10_000_000])
def test_long_lines_are_passed_over_wherever_they_stand(last: bytes, size: int) -> None:
    long = b"y" * 200_000
    content = (
        HEAD + long + b"\nGC1,,\n" + long + b"\n" + long + b"\r\nGC2,,\r" + b"z,,\n" + long + last
    )
    assert problems(content, size) == [
        (2, "is longer than 64 KiB"),
        (3, None),
        (4, "is longer than 64 KiB"),
        (5, "is longer than 64 KiB"),
        (6, None),
        (7, None),
        (8, "is longer than 64 KiB"),
    ]


@pytest.mark.parametrize("size", [1_000, 64 * KIB, 10_000_000])
def test_a_long_row_in_quotes_is_passed_over_with_its_lines(size: int) -> None:
    quoted = b'GC1,,"' + b"line, of a note\n" * 20_000 + b'"\n'
    long_line = b'GC3,,"' + b"x" * 200_000 + b'\nGC-FORGED,,\n"\n'
    two_lines = b'GC5,,"' + b"x" * 40_000 + b"\n" + b"x" * 40_000 + b'"\n'
    content = HEAD + b"GC0,,\n" + quoted + b"GC2,,\n" + long_line + b"GC4,,\n" + two_lines
    found = read(content, size)
    assert [(row.line, row.problem) for row in found] == [
        (2, None),
        (3, "is longer than 64 KiB: with it 20000 more lines were left out"),
        (20_004, None),
        (20_005, "is longer than 64 KiB: with it 2 more lines were left out"),
        (20_008, None),
        (20_009, "is longer than 64 KiB: with it 1 more line was left out"),
    ]


@pytest.mark.parametrize("size", [1_000, 64 * KIB, 10_000_000])
def test_a_long_quote_that_is_never_closed_takes_the_rest(size: int) -> None:
    content = HEAD + b'GC1,,"open\n' + b"GC2,,\n" * 50_000
    for rest, more in ((b"", 50_000), (b"GC3", 50_001), (b"\r", 50_001), (b"\n\r\n", 50_002)):
        assert problems(content + rest, size) == [
            (2, f"is longer than 64 KiB: with it {more} more lines were left out")
        ]


def test_of_a_long_line_nothing_is_kept() -> None:
    reader = RowReader(COLUMNS)
    most = 0
    for chunk in (HEAD, *[b"x" * 64 * KIB] * 400, b"\nGC1,,\n"):
        found = reader.feed(chunk)
        most = max(most, len(reader._held))
    assert most <= LONGEST_ROW
    assert [(row.line, bool(row.problem)) for row in found] == [(2, True), (3, False)]
    assert reader.state["offset"] == len(HEAD) + 400 * 64 * KIB + 7


def test_a_reader_killed_within_a_long_line_finds_its_begin_again() -> None:
    first = RowReader(COLUMNS)
    first.feed(HEAD + b"GC0,,\n")
    first.feed(b"x" * 300_000)
    assert first.state["offset"] == len(HEAD) + 6
    second = RowReader(COLUMNS, first.state)
    assert second.feed(b"x" * 300_000 + b"\nGC1,,\n") == [
        Row(3, [], "is longer than 64 KiB"),
        Row(4, ["GC1", "", ""]),
    ]


@given(BITS, st.integers(1, 30))
@example(b"\r" * 30 + b"\n" + b"x" * 50, 7)
@settings(deadline=None, max_examples=300)
def test_what_is_held_is_bounded_whatever_comes(body: bytes, size: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_rows, "LONGEST_ROW", 16)
        reader = RowReader(COLUMNS)
        lines = [0]
        for chunk in chunks(HEAD + body * 3, size):
            lines += [row.line for row in reader.feed(chunk)]
            assert len(reader._held) <= 2 * 16 + size
        lines += [row.line for row in reader.finish()]
        assert lines == sorted(set(lines))
        assert reader.state["offset"] == len(HEAD + body * 3)
