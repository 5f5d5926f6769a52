"""Money: exact to the minor unit of its currency, on the way in and out."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from giftgql.money import CEILING_MINOR, Money, NotMoney, is_currency

DECIMALS = {"JPY": 0, "EUR": 2, "KWD": 3, "CLF": 4}
CURRENCIES = st.sampled_from(sorted(DECIMALS))
MINOR = st.integers(-CEILING_MINOR, CEILING_MINOR)


@given(MINOR, CURRENCIES)
@settings(deadline=None)
def test_what_is_printed_is_read_back(minor: int, currency: str) -> None:
    money = Money(minor, currency)
    assert Money.parse(str(money), currency) == money
    assert Decimal(str(money)).scaleb(DECIMALS[currency]) == minor


@given(MINOR, CURRENCIES)
@settings(deadline=None)
def test_each_amount_is_printed_with_all_its_decimals(minor: int, currency: str) -> None:
    _, _, fraction = str(Money(minor, currency)).partition(".")
    assert len(fraction) == DECIMALS[currency]


@given(
    st.decimals(allow_nan=False, allow_infinity=False, min_value=-1000, max_value=1000), CURRENCIES
)
@settings(deadline=None)
def test_an_amount_is_read_exactly_or_refused(amount: Decimal, currency: str) -> None:
    text = f"{amount:f}"
    decimals = len(text.partition(".")[2])
    if decimals <= DECIMALS[currency]:
        read = Money.parse(text, currency)
        assert Decimal(read.minor).scaleb(-DECIMALS[currency]) == amount
    else:
        with pytest.raises(NotMoney):
            Money.parse(text, currency)


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [
        ("-6.49", "EUR", -649),
        ("500", "JPY", 500),
        ("1.250", "KWD", 1250),
        ("0.0001", "CLF", 1),
        ("+1", "EUR", 100),
        ("1.5", "EUR", 150),
        ("007", "EUR", 700),
        ("-0", "EUR", 0),
        ("-0.00", "EUR", 0),
        ("10000000000000.00", "EUR", CEILING_MINOR),
    ],
)
def test_an_amount_is_read(text: str, currency: str, minor: int) -> None:
    assert Money.parse(text, currency) == Money(minor, currency)


@pytest.mark.parametrize(
    ("text", "currency"),
    [
        *((text, "EUR") for text in ("", " ", "1 ", " 1", "1\n", ".5", "5.", "1,50", "1_000")),
        *((text, "EUR") for text in ("1e2", "0x1", "NaN", "Infinity", "--1", "+-1", "1.-5", "٣")),
        *((text, "EUR") for text in ("1.005", "0.001", "1.230", "10000000000000.01", "9" * 17)),
        ("1.0", "JPY"),
        ("1.2500", "KWD"),
        ("1.00001", "CLF"),
    ],
)
def test_what_is_no_amount_of_the_currency_is_refused(text: str, currency: str) -> None:
    with pytest.raises(NotMoney) as refused:
        Money.parse(text, currency)
    assert refused.value.args[0]


def test_zero_has_no_sign() -> None:
    assert [str(Money(0, currency)) for currency in DECIMALS] == ["0", "0.00", "0.000", "0.0000"]
    assert str(Money.parse("-0.00", "EUR")) == "0.00"
    assert str(Money(-1, "EUR")) == "-0.01"


def test_currencies_are_current_codes_with_minor_units() -> None:
    assert all(is_currency(code) for code in ("EUR", "USD", *DECIMALS))
    for code in ("", "eur", "EURO", "XAU", "XXX", "XTS", "DEM", "E", "EU R"):
        assert not is_currency(code)
