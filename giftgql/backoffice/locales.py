"""Amounts and dates in the way that a person writes them, as the browser tells."""

import re
from copy import copy
from datetime import date, datetime
from decimal import Decimal
from functools import cache

from babel import Locale
from babel.dates import format_date, format_time
from babel.localedata import locale_identifiers
from babel.numbers import (
    NumberPattern,
    format_compact_currency,
    format_decimal,
    format_percent,
    get_decimal_symbol,
    parse_pattern,
)

from giftgql.errors import InvalidAmount
from giftgql.money import Money
from giftgql.settings import Settings

DEFAULT = Locale("en")

_MOST = 10
"""Languages of a header that are looked at; browsers send a handful."""

_LANGUAGE = re.compile(
    r"\s*([A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8}){0,3})\s*(?:;\s*q=([01](?:\.[0-9]{0,3})?))?\s*"
)
_AMOUNT = re.compile(r"[0-9]{1,16}")


def preferred(accept_language: str) -> Locale:
    """The first of the languages of the header that is known; English where none is."""
    ranked = []
    for place, part in enumerate(accept_language[:500].split(",")[:_MOST]):
        match = _LANGUAGE.fullmatch(part)
        if match and (weight := float(match[2] or 1)) > 0:
            ranked.append((-weight, place, match[1]))
    for _, _, tag in sorted(ranked):
        if found := _known(tag):
            return found
    return DEFAULT


@cache
def _identifiers() -> dict[str, str]:
    return {name.lower(): name for name in locale_identifiers()}


def _known(tag: str) -> Locale | None:
    """The locale of a language tag, or of as much of it as is known."""
    parts = tag.lower().split("-")
    while parts:
        if name := _identifiers().get("_".join(parts)):
            return Locale.parse(name)
        parts.pop()
    return None


class Wording:
    """Writes amounts, numbers and moments for one person, and reads amounts that it wrote."""

    def __init__(self, locale: Locale, settings: Settings) -> None:
        self.locale = locale
        self._zone = settings.zone

    def money(self, money: Money, *, signed: bool = False) -> str:
        """An amount with its currency, with all decimals that the currency has and no more."""
        number = Decimal(str(money))
        text: str = _pattern(self.locale, money.digits).apply(
            number, self.locale, currency=money.currency, currency_digits=False
        )
        return f"+{text}" if signed and number > 0 else text

    def short(self, money: Money) -> str:
        """About how much it is, for the side of a chart."""
        number = Decimal(str(money))
        text: str = format_compact_currency(
            number, money.currency, locale=self.locale, fraction_digits=1
        )
        return text

    def number(self, number: int) -> str:
        return format_decimal(number, locale=self.locale)

    def percent(self, percent: int) -> str:
        text: str = format_percent(percent / 100, locale=self.locale)
        return text

    def day(self, day: date | None) -> str:
        return "" if day is None else format_date(day, "medium", self.locale)

    def moment(self, moment: datetime) -> str:
        """A moment in the server's time zone, to the minute."""
        local = moment.astimezone(self._zone)
        day = format_date(local.date(), "medium", self.locale)
        return f"{day}, {format_time(local, 'short', locale=self.locale)}"

    def example(self, currency: str) -> str:
        """How an amount of a currency is to be written."""
        return self.plain(Money(Money.parse("12", currency).minor, currency))

    def plain(self, money: Money) -> str:
        """An amount as it is typed: without its currency, grouping and sign."""
        return str(money).lstrip("-").replace(".", self._point)

    def amount(self, text: str, field: str = "amount") -> str:
        """Read what a person typed, without a sign, into what the API takes. Decimals follow the
        mark that the person's locale has, and no other: who writes 1.250 may mean either.

        Refuses `INVALID_AMOUNT`.
        """
        whole, point, decimals = text.strip().partition(self._point)
        is_number = _AMOUNT.fullmatch(whole) and (_AMOUNT.fullmatch(decimals) or not point)
        if not is_number:
            raise InvalidAmount(f"is to be written like 12{self._point}50", field)
        return f"{whole}.{decimals}" if point else whole

    @property
    def _point(self) -> str:
        mark: str = get_decimal_symbol(self.locale, numbering_system="latn")
        return mark


@cache
def _pattern(locale: Locale, digits: int) -> NumberPattern:
    """The locale's form of an amount with a currency's decimals as ISO 4217 has them: those of
    the locale data differ for a few, and hide a part of an amount."""
    pattern = copy(parse_pattern(locale.currency_formats["standard"]))
    pattern.frac_prec = (digits, digits)
    return pattern
