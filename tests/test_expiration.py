"""When cards expire: the calendar, against a table worked out by hand; what may be set."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from giftgql import durations
from giftgql.durations import Period
from giftgql.errors import InvalidInput, PastExpiration, Refusal
from giftgql.products.expiration import Expiration, ExpirationKind

NONE, FIXED, RELATIVE = ExpirationKind
TODAY = date(2026, 11, 21)

TABLE = """
    # months that have the day
    2026-01-15 P1M    2026-02-15
    2026-11-21 P6M    2027-05-21
    2026-12-01 P1M    2027-01-01
    2026-12-31 P1M    2027-01-31
    2026-07-31 P1M    2026-08-31
    2026-02-28 P1M    2026-03-28
    2026-11-21 P12M   2027-11-21
    2026-11-21 P1Y    2027-11-21
    2026-11-21 P10Y   2036-11-21
    2026-06-30 P18M   2027-12-30

    # months that end before
    2026-01-31 P1M    2026-02-28
    2026-01-30 P1M    2026-02-28
    2026-01-29 P1M    2026-02-28
    2026-01-28 P1M    2026-02-28
    2028-01-31 P1M    2028-02-29
    2028-01-30 P1M    2028-02-29
    2028-01-29 P1M    2028-02-29
    2026-03-31 P1M    2026-04-30
    2026-05-31 P1M    2026-06-30
    2026-08-31 P1M    2026-09-30
    2026-10-31 P1M    2026-11-30
    2026-08-31 P6M    2027-02-28
    2027-08-31 P6M    2028-02-29
    2026-08-30 P6M    2027-02-28
    2027-08-30 P6M    2028-02-29
    2027-08-29 P6M    2028-02-29
    2026-08-29 P6M    2027-02-28
    2026-12-31 P6M    2027-06-30
    2026-12-31 P2M    2027-02-28

    # the day counts on from where it began, not from the end of a shorter month
    2026-01-31 P2M    2026-03-31
    2026-08-31 P12M   2027-08-31
    2027-08-31 P1Y6M  2029-02-28
    2026-08-31 P1Y6M  2028-02-29
    2024-02-29 P1Y1M  2025-03-29

    # leap days
    2024-02-29 P1Y    2025-02-28
    2024-02-29 P12M   2025-02-28
    2024-02-29 P4Y    2028-02-29
    2024-02-29 P1M    2024-03-29
    2024-02-28 P1Y    2025-02-28
    2023-02-28 P1Y    2024-02-28
    2024-03-01 P1Y    2025-03-01
    2024-02-29 P100Y  2124-02-29

    # 1900 and 2100 are no leap years, 2000 is one
    1896-02-29 P4Y    1900-02-28
    1899-08-31 P6M    1900-02-28
    1900-02-28 P1D    1900-03-01
    1996-02-29 P4Y    2000-02-29
    1999-08-31 P6M    2000-02-29
    2000-02-28 P1D    2000-02-29
    2000-02-29 P1Y    2001-02-28
    2000-02-29 P100Y  2100-02-28
    2096-02-29 P4Y    2100-02-28
    2099-08-31 P6M    2100-02-28
    2100-02-28 P1D    2100-03-01
    2100-02-28 P4Y    2104-02-28

    # days and weeks
    2026-11-21 P1D    2026-11-22
    2026-02-28 P1D    2026-03-01
    2028-02-28 P1D    2028-02-29
    2028-02-29 P1D    2028-03-01
    2026-12-31 P1D    2027-01-01
    2026-01-01 P30D   2026-01-31
    2026-02-01 P30D   2026-03-03
    2028-02-01 P30D   2028-03-02
    2026-01-01 P365D  2027-01-01
    2028-01-01 P365D  2028-12-31
    2028-01-01 P366D  2029-01-01
    2026-11-21 P1W    2026-11-28
    2026-12-28 P2W    2027-01-11
    2028-02-22 P1W    2028-02-29

    # together: the months first, then the days
    2026-01-31 P1M1D  2026-03-01
    2028-01-31 P1M1D  2028-03-01
    2026-08-31 P6M1W  2027-03-07
    2024-02-29 P1Y1D  2025-03-01
    2026-11-21 P1Y2M3W4D 2028-02-15

    # the end of the calendar
    9998-12-31 P1Y    9999-12-31
    9999-11-30 P1M    9999-12-30
    9999-12-30 P1D    9999-12-31
"""
ROWS = [line.split() for line in TABLE.splitlines() if line.strip() and "#" not in line]


@pytest.mark.parametrize(("purchased", "after", "last"), ROWS)
def test_a_period_ends_where_the_table_says(purchased: str, after: str, last: str) -> None:
    expiration = Expiration(RELATIVE, after=after)
    assert expiration.last_day(date.fromisoformat(purchased)) == date.fromisoformat(last)


@given(st.dates(max_value=date(9000, 1, 1)), st.integers(1, 1200), st.integers(0, 400))
def test_months_end_in_their_month_and_days_go_on_from_there(
    day: date, months: int, days: int
) -> None:
    end = day + Period(months, 0)
    assert (end.year - day.year) * 12 + end.month - day.month == months
    assert end.day == day.day or (end.day < day.day and (end + timedelta(days=1)).day == 1)
    assert day + Period(months, days) == end + timedelta(days=days)


@pytest.mark.parametrize(
    ("purchased", "after"),
    [
        ("9999-12-31", "P1D"),
        ("9999-12-01", "P1M"),
        ("9999-01-01", "P1Y"),
        ("9999-11-30", "P1M2D"),
        ("9900-01-01", "P100Y"),
        ("9999-12-25", "P1W"),
    ],
)
def test_a_period_beyond_the_calendar_is_refused(purchased: str, after: str) -> None:
    with pytest.raises(InvalidInput, match="9999") as refused:
        Expiration(RELATIVE, after=after).last_day(date.fromisoformat(purchased), "expiration")
    assert refused.value.field == "expiration"


def test_a_fixed_day_and_none_do_not_ask_when_a_card_was_bought() -> None:
    day = date(2027, 12, 31)
    assert Expiration(FIXED, on=day).last_day(date(2000, 1, 1)) == day
    assert Expiration(FIXED, on=day).last_day(date(9999, 12, 31)) == day
    assert Expiration(NONE).last_day(TODAY) is None


# Periods


@pytest.mark.parametrize(
    ("text", "months", "days"),
    [
        ("P1D", 0, 1),
        ("P30D", 0, 30),
        ("P2W", 0, 14),
        ("P6M", 6, 0),
        ("P1Y", 12, 0),
        ("P1Y6M", 18, 0),
        ("P1Y2M3W4D", 14, 25),
        ("P06M", 6, 0),
        ("P0Y6M", 6, 0),
        ("P100Y", 1200, 0),
        ("P1200M", 1200, 0),
        ("P36524D", 0, 36524),
        ("P99Y12M", 1200, 0),
    ],
)
def test_a_period_is_read_into_months_and_days(text: str, months: int, days: int) -> None:
    assert durations.period(text, "expiration") == Period(months, days)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "P",
            "6M",
            "p6m",
            "P6",
            "PM",
            "P-6M",
            "-P6M",
            "+P6M",
            "P6.5M",
            "P6,5M",
            "P6M ",
            " P6M",
        ),
        *("P6M\n", "PT24H", "P1DT1H", "P6MT", "PT6M", "P6M1Y", "P1D1W", "P1M1M", "P6X", "P٦M"),
        *("P0D", "P0Y", "P0M0D", "P101Y", "P1201M", "P100Y1D", "P36525D", "P5218W", "P999999999D"),
        *("P1000Y", "6 months", "2026-12-31", "NONE", "P" + "9" * 10_000 + "D"),
    ],
)
def test_what_is_no_period_from_a_day_to_a_hundred_years_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"such as P6M, P1Y or P30D") as refused:
        durations.period(text, "expiration.after")
    assert refused.value.field == "expiration.after"
    assert not text or len(text) < 5 or text not in str(refused.value)


@pytest.mark.parametrize("text", ["P1D", "P6M", "P1Y", "P1Y6M", "P2W", "P100Y", "P1Y2M3W4D"])
def test_a_period_means_the_same_as_a_duration(text: str) -> None:
    for start in (date(2026, 8, 31), date(2024, 2, 29), date(2027, 1, 30)):
        one, other = durations.period(text, "f"), durations.duration(text, "f")
        assert start + one == start + other


@pytest.mark.parametrize(
    "text",
    [
        *("", "20261231", "2026-W01-1", "31.12.2026", "12/31/2026", "2026-2-3", "2026-02-30"),
        *("2026-13-01", "0000-01-01", "2026-12-31T00:00", "٢٠٢٦-12-31", " 2026-12-31", "26-12-31"),
    ],
)
def test_a_day_has_one_form(text: str) -> None:
    assert durations.day("2028-02-29", "on") == date(2028, 2, 29)
    with pytest.raises(InvalidInput, match=r"such as 2026-12-31 \(year-month-day\)"):
        durations.day(text, "on")


# What may be set


def test_what_is_set_is_what_stands_there() -> None:
    assert Expiration.given(NONE, today=TODAY) == Expiration(NONE)
    tomorrow = TODAY + timedelta(days=1)
    assert Expiration.given(FIXED, tomorrow, today=TODAY) == Expiration(FIXED, on=tomorrow)
    assert Expiration.given(RELATIVE, None, "P6M", today=TODAY) == Expiration(RELATIVE, after="P6M")


@pytest.mark.parametrize("days", [0, 1, 400])
def test_a_fixed_day_lies_in_the_future_when_it_is_set(days: int) -> None:
    day = TODAY - timedelta(days=days)
    with pytest.raises(PastExpiration, match="does not lie in the future"):
        Expiration.given(FIXED, day, today=TODAY)
    with pytest.raises(PastExpiration, match="does not lie in the future"):
        Expiration.written(day.isoformat(), today=TODAY, field="Expiration")


@pytest.mark.parametrize(
    ("kind", "on", "after", "field"),
    [
        (NONE, TODAY, None, "expiration.on"),
        (NONE, None, "P6M", "expiration.after"),
        (FIXED, None, None, "expiration.on"),
        (FIXED, date(2027, 1, 1), "P6M", "expiration.after"),
        (RELATIVE, None, None, "expiration.after"),
        (RELATIVE, date(2027, 1, 1), "P6M", "expiration.on"),
        (RELATIVE, None, "PT6H", "expiration.after"),
        (RELATIVE, None, "", "expiration.after"),
    ],
)
def test_parts_that_do_not_go_together_are_refused(
    kind: ExpirationKind, on: date | None, after: str | None, field: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        Expiration.given(kind, on, after, today=TODAY)
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("NONE", Expiration(NONE)),
        ("none", Expiration(NONE)),
        ("2027-12-31", Expiration(FIXED, on=date(2027, 12, 31))),
        ("P1Y6M", Expiration(RELATIVE, after="P1Y6M")),
    ],
)
def test_the_short_form_is_read_and_written(text: str, expected: Expiration) -> None:
    found = Expiration.written(text, today=TODAY, field="Expiration")
    assert found == expected
    assert str(found) == text.upper()
    assert Expiration.written(str(found), today=TODAY, field="Expiration") == found


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is not NONE"),
        ("never", "is not NONE"),
        ("31.12.2027", "such as 2026-12-31"),
        ("6 months", "such as 2026-12-31"),
        ("P6", "is no period"),
        ("2026-02-30", "such as 2026-12-31"),
        ("1999-12-31", "future"),
    ],
)
def test_another_short_form_is_refused_with_the_right_one(text: str, why: str) -> None:
    with pytest.raises(Refusal, match=why) as refused:
        Expiration.written(text, today=TODAY, field="Expiration")
    assert refused.value.field == "Expiration"
