"""Rows of cards: what may stand in each column, what a card must be for its pool."""

from datetime import date

import pytest

from giftgql.codes import CodeText
from giftgql.imports.card_rows import (
    CARD_COLUMNS,
    CardReader,
    CardRow,
    ImportedStatus,
    PoolFacts,
    check,
)
from giftgql.imports.csv_rows import RowReader
from giftgql.imports.failures import Failure
from giftgql.money import Money

GOOD = {
    "Number": "GC-4928 8330",
    "PoolSystemName": "spring_2026",
    "Cvv": "012",
    "Pin": "0034",
    "Balance": "25.50",
    "Status": "CanBeUsed",
    "PurchaseDate": "2026-01-31",
    "ExpiresOn": "2028-02-29",
    "PointOfContact": "Shop 7, Köln",
    "MemberId": "C000000212",
}
ANY_VALUE = PoolFacts("EUR", None, is_cvv_required=False)
FIXED = PoolFacts("EUR", Money(2_550, "EUR"), is_cvv_required=True)


def read(**cells: str) -> CardRow | Failure:
    """The card of a good row with these cells changed."""
    content = ";".join(GOOD) + "\n" + ";".join((GOOD | cells).values()) + "\n"
    rows = RowReader(CARD_COLUMNS)
    (row,) = rows.feed(content.encode())
    assert rows.header
    return CardReader(rows.header).read(row)


def card(**cells: str) -> CardRow:
    found = read(**cells)
    assert isinstance(found, CardRow), found
    return found


def failure(**cells: str) -> Failure:
    found = read(**cells)
    assert isinstance(found, Failure)
    assert found.line == 2
    return found


def test_a_whole_row_is_read_into_what_it_means() -> None:
    assert card() == CardRow(
        line=2,
        number=CodeText("GC-4928 8330"),
        pool="spring_2026",
        cvv="012",
        pin="0034",
        balance="25.50",
        status=ImportedStatus.CAN_BE_USED,
        purchased_on=date(2026, 1, 31),
        expires_on=date(2028, 2, 29),
        point_of_contact="Shop 7, Köln",
        member_id="C000000212",
    )


def test_what_a_row_may_leave_out_is_nothing_and_its_status_inactive() -> None:
    optional = [name for name in GOOD if name not in CARD_COLUMNS.required]
    found = card(**dict.fromkeys(optional, ""))
    assert (found.cvv, found.pin, found.balance) == (None, None, None)
    assert (found.purchased_on, found.expires_on) == (None, None)
    assert (found.point_of_contact, found.member_id) == (None, None)
    assert found.status is ImportedStatus.INACTIVE


def test_a_file_may_lack_all_columns_but_two() -> None:
    rows = RowReader(CARD_COLUMNS)
    (row,) = rows.feed(b"poolsystemname,number\nspring,GC1234\n")
    assert rows.header
    found = CardReader(rows.header).read(row)
    assert isinstance(found, CardRow)
    assert (found.number.clear, found.pool) == ("GC1234", "spring")


def test_spaces_around_a_cell_do_not_count() -> None:
    assert card(**{name: f"  {value} " for name, value in GOOD.items()}) == card()


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("Inactive", ImportedStatus.INACTIVE),
        ("INACTIVE", ImportedStatus.INACTIVE),
        ("canbeused", ImportedStatus.CAN_BE_USED),
        ("Blocked", ImportedStatus.BLOCKED),
    ],
)
def test_a_status_is_known_in_any_case(text: str, status: ImportedStatus) -> None:
    assert card(Status=text).status is status


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("Number", "", "Number is missing."),
        ("Number", "A-1", "Number must have 4 to 64 characters, spaces and dashes not counted."),
        ("Number", "9" * 65, "Number must have 4 to 64 characters, spaces and dashes not counted."),
        ("Number", "GC4928é", "Number has characters other than printable ASCII."),
        ("Number", "************8330", "Number looks like a masked code."),
        ("PoolSystemName", "", "PoolSystemName is missing."),
        *(
            (
                "PoolSystemName",
                wrong,
                "PoolSystemName must have 1 to 64 characters, all printable ASCII.",
            )
            for wrong in ("spring\t2026", "x" * 65, "frühling", "spring\x7f2026")
        ),
        ("Cvv", "12", "Cvv must be 3 to 8 digits."),
        ("Cvv", "1 23", "Cvv has a space inside."),
        ("Cvv", "123456789", "Cvv must be 3 to 8 digits."),
        ("Cvv", "(blanked)", "Cvv was blanked in the file of failures: it is to be filled in."),
        ("Pin", "123", "Pin must be 4 to 12 digits."),
        ("Pin", "٠١٢٣", "Pin must be 4 to 12 digits."),
        ("Pin", "12 34", "Pin has a space inside."),
        ("Pin", "(blanked)", "Pin was blanked in the file of failures: it is to be filled in."),
        *(
            ("Balance", wrong, "Balance has a space inside: an amount is written 1234.56.")
            for wrong in ("1 000.00", "1\u00a0000.00", "1\u202f000", "- 5")
        ),
        *(
            (
                "Balance",
                wrong,
                "Balance has a comma: an amount is written 1234.56, with a point.",
            )
            for wrong in ("25,50", "1,000.00", "1.000,00")
        ),
        ("Status", "Active", "Status must be Inactive, CanBeUsed, Blocked or nothing."),
        ("Status", "Can Be Used", "Status must be Inactive, CanBeUsed, Blocked or nothing."),
        *(
            (
                "PurchaseDate",
                wrong,
                "PurchaseDate is no date such as 2026-12-31 (year-month-day).",
            )
            for wrong in ("31.01.2026", "1/31/2026", "2026-1-31", "20260131", "2026-02-30", "46053")
        ),
        ("ExpiresOn", "2027", "ExpiresOn is no date such as 2026-12-31 (year-month-day)."),
        ("ExpiresOn", "2026-01-30", "ExpiresOn lies before PurchaseDate."),
        (
            "PointOfContact",
            "x" * 65,
            "PointOfContact must have 1 to 64 characters, none a control character.",
        ),
        (
            "PointOfContact",
            "a\x07b",
            "PointOfContact must have 1 to 64 characters, none a control character.",
        ),
        ("MemberId", "C" * 65, "MemberId must be 1 to 64 printable ASCII characters."),
        ("MemberId", "Ç1", "MemberId must be 1 to 64 printable ASCII characters."),
    ],
)
def test_a_wrong_cell_is_reported_with_its_column_and_a_reason(
    column: str, value: str, reason: str
) -> None:
    found = failure(**{column: value})
    assert (found.column, found.reason) == (column, reason)


def test_the_first_problem_in_the_order_of_the_columns_is_reported() -> None:
    assert failure(MemberId="Ç", Pin="1", Balance="1,0").column == "Pin"
    assert failure(MemberId="Ç", Balance="1,0").column == "Balance"
    assert failure(Number="", Pin="1").column == "Number"


def test_values_are_shown_but_for_secrets() -> None:
    assert failure(Balance="1 000").value == "1 000"
    assert failure(PointOfContact="x" * 20_000).value == "x" * 100 + "..."
    assert failure(Cvv="98").value == "(blanked)"
    assert failure(Pin="98x7").value == "(blanked)"
    assert failure(Number="GC4928é330").value == "************É330"
    assert failure(Number="").value == ""


def test_neither_a_card_nor_a_failure_prints_a_secret() -> None:
    printed = f"{card(Pin='7431', Cvv='8642')!r} {failure(Number='GC49288330é', Pin='7431')!r}"
    for secret in ("7431", "8642", "GC-4928", "4928 8330", "GC4928"):
        assert secret not in printed


def test_a_row_that_does_not_fit_the_header_is_reported_without_its_cells() -> None:
    rows = RowReader(CARD_COLUMNS)
    (row,) = rows.feed(b"Number,PoolSystemName,Pin\nGC1234,7431\n")
    assert rows.header
    assert CardReader(rows.header).read(row) == Failure(
        2, None, None, "The row has 2 cells where the header has 3."
    )


# In its pool


def test_a_card_of_a_pool_of_any_value_is_worth_its_balance() -> None:
    assert check(card(), ANY_VALUE) == Money(2_550, "EUR")
    assert check(card(Status="Inactive"), ANY_VALUE) == Money(2_550, "EUR")
    assert check(card(Balance="500"), PoolFacts("JPY", None, False)) == Money(500, "JPY")
    assert check(card(Balance="1.250"), PoolFacts("KWD", None, False)) == Money(1_250, "KWD")
    assert check(card(Balance="10000000000000.00"), ANY_VALUE) == Money(10**15, "EUR")


def test_a_card_of_a_pool_of_one_value_is_worth_that() -> None:
    assert check(card(), FIXED) == Money(2_550, "EUR")
    assert check(card(Balance="25.5"), FIXED) == Money(2_550, "EUR")
    assert check(card(Balance=""), FIXED) == Money(2_550, "EUR")


@pytest.mark.parametrize(
    ("balance", "reason"),
    [
        ("", "Balance is missing: the pool has no face value."),
        ("0", "Balance must be more than zero."),
        ("0.00", "Balance must be more than zero."),
        ("-0", "Balance must be more than zero."),
        ("-25.50", "Balance must be more than zero."),
        ("25.505", "Balance has more than the 2 decimals of EUR."),
        ("10000000000000.01", "Balance is beyond the largest amount."),
        ("€25", "Balance is not a decimal number."),
        ("25.50 EUR".replace(" ", ""), "Balance is not a decimal number."),
        ("1e3", "Balance is not a decimal number."),
        ("NaN", "Balance is not a decimal number."),
        ("٢٥", "Balance is not a decimal number."),
        ("9" * 1_000, "Balance is not a decimal number."),
    ],
)
def test_a_balance_that_is_none_is_refused(balance: str, reason: str) -> None:
    found = check(card(Balance=balance), ANY_VALUE)
    assert isinstance(found, Failure)
    assert (found.line, found.column, found.reason) == (2, "Balance", reason)
    assert found.value == (balance if len(balance) < 100 else "9" * 100 + "...")


def test_another_balance_than_the_face_value_is_refused() -> None:
    assert check(card(Balance="25.00"), FIXED) == Failure(
        2, "Balance", "25.00", "Balance must be the pool's face value, 25.50."
    )


def test_a_cvv_is_needed_where_the_pool_says_so() -> None:
    assert check(card(Cvv=""), FIXED) == Failure(
        2, "Cvv", "", "Cvv is missing: the pool requires one."
    )
    assert check(card(Cvv=""), ANY_VALUE) == Money(2_550, "EUR")
    assert check(card(Cvv="", Balance="0"), FIXED) == check(card(Cvv=""), FIXED)
