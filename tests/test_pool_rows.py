"""Rows of pools: what may stand in each column, and what a row may leave out."""

from datetime import date

import pytest

from giftgql.imports.csv_rows import RowReader
from giftgql.imports.failures import Failure
from giftgql.imports.pool_rows import POOL_COLUMNS, PoolReader, PoolRow
from giftgql.money import Money
from giftgql.products.expiration import Expiration, ExpirationKind

TODAY = date(2026, 11, 21)
GOOD = {
    "Name": "Spring 2026",
    "SystemName": "spring_2026",
    "Currency": "EUR",
    "ArbitraryValue": "false",
    "FaceValue": "50.00",
    "PartialRedemption": "true",
    "IsCvvRequired": "true",
    "Expiration": "P6M",
}


def read(**cells: str) -> PoolRow | Failure:
    content = "\t".join(GOOD) + "\n" + "\t".join((GOOD | cells).values()) + "\n"
    rows = RowReader(POOL_COLUMNS)
    (row,) = rows.feed(content.encode())
    assert rows.header
    return PoolReader(rows.header, today=TODAY, default_currency="USD").read(row)


def pool(**cells: str) -> PoolRow:
    found = read(**cells)
    assert isinstance(found, PoolRow), found
    return found


def test_a_whole_row_is_read_into_what_it_means() -> None:
    assert pool() == PoolRow(
        line=2,
        name="Spring 2026",
        system_name="spring_2026",
        currency="EUR",
        face_value=Money(5_000, "EUR"),
        partial_redemption=True,
        is_cvv_required=True,
        expiration=Expiration(ExpirationKind.RELATIVE, after="P6M"),
    )


def test_what_a_row_leaves_out_has_its_default() -> None:
    left_out = [name for name in GOOD if name not in ("Name", "SystemName", "FaceValue")]
    assert pool(**dict.fromkeys(left_out, "")) == PoolRow(
        line=2,
        name="Spring 2026",
        system_name="spring_2026",
        currency="USD",
        face_value=Money(5_000, "USD"),
        partial_redemption=True,
        is_cvv_required=False,
        expiration=Expiration(ExpirationKind.NONE),
    )


@pytest.mark.parametrize("text", ["true", "TRUE", "True", "yes", "Yes", "1"])
def test_yes_is_said_in_many_ways(text: str) -> None:
    assert pool(IsCvvRequired=text).is_cvv_required
    assert pool(PartialRedemption=text).partial_redemption
    assert pool(ArbitraryValue=text, FaceValue="").face_value is None


@pytest.mark.parametrize("text", ["false", "FALSE", "no", "No", "0"])
def test_no_is_said_in_many_ways(text: str) -> None:
    assert not pool(IsCvvRequired=text).is_cvv_required
    assert not pool(PartialRedemption=text).partial_redemption
    assert pool(ArbitraryValue=text).face_value == Money(5_000, "EUR")


@pytest.mark.parametrize(
    ("text", "expiration"),
    [
        ("NONE", Expiration(ExpirationKind.NONE)),
        ("none", Expiration(ExpirationKind.NONE)),
        ("2027-12-31", Expiration(ExpirationKind.FIXED, on=date(2027, 12, 31))),
        ("P1Y", Expiration(ExpirationKind.RELATIVE, after="P1Y")),
    ],
)
def test_an_expiration_is_none_a_day_or_a_period(text: str, expiration: Expiration) -> None:
    assert pool(Expiration=text).expiration == expiration


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("Name", "", "Name is missing."),
        ("Name", "x" * 56, "Name must have 1 to 55 characters, none a control character."),
        ("SystemName", "", "SystemName is missing."),
        ("SystemName", "frühling", "SystemName must have 1 to 64 characters"),
        ("Currency", "XAU", "Currency is no ISO 4217 currency such as EUR."),
        ("Currency", "€", "Currency is no ISO 4217 currency such as EUR."),
        ("ArbitraryValue", "maybe", "ArbitraryValue must be true or false (or yes, no, 1, 0)."),
        ("ArbitraryValue", "true", "FaceValue does not go with ArbitraryValue."),
        ("FaceValue", "", "FaceValue is missing, and ArbitraryValue is not true."),
        ("FaceValue", "50,00", "FaceValue has a comma"),
        ("FaceValue", "1 000", "FaceValue has a space inside"),
        ("FaceValue", "50.001", "FaceValue has more than the 2 decimals of EUR."),
        ("FaceValue", "0", "FaceValue must be more than zero."),
        ("FaceValue", "-50", "FaceValue must be more than zero."),
        ("PartialRedemption", "2", "PartialRedemption must be true or false"),
        ("IsCvvRequired", "да", "IsCvvRequired must be true or false"),
        ("Expiration", "2026-11-21", "Expiration does not lie in the future."),
        ("Expiration", "P6", "Expiration is no period such as P6M, P1Y or P30D"),
        ("Expiration", "31.12.2027", "Expiration is no date such as 2026-12-31"),
        ("Expiration", "never", "Expiration is not NONE, a date such as 2026-12-31, or a period"),
    ],
)
def test_a_wrong_cell_is_reported_with_its_column_and_a_reason(
    column: str, value: str, reason: str
) -> None:
    found = read(**{column: value})
    assert isinstance(found, Failure)
    assert found.line == 2
    assert found.column == reason.partition(" ")[0]
    assert found.reason.startswith(reason)
    assert found.value == (GOOD | {column: value})[found.column]


def test_a_currency_is_known_in_any_case() -> None:
    assert pool(Currency="jpy", FaceValue="500").face_value == Money(500, "JPY")


def test_a_row_with_a_problem_is_reported_as_a_whole() -> None:
    rows = RowReader(POOL_COLUMNS)
    (row,) = rows.feed(b"Name,SystemName\nSpring\n")
    assert rows.header
    found = PoolReader(rows.header, today=TODAY, default_currency="EUR").read(row)
    assert found == Failure(2, None, None, "The row has 1 cell where the header has 2.")
