"""Money: whole minor units of one ISO 4217 currency, never a float: in, through or out."""

import re
from dataclasses import dataclass

from iso4217 import Currency

from giftgql.errors import InvalidAmount

CEILING_MINOR = 10**15
"""No amount and no balance is larger, in minor units (behaviour reference, section 3)."""

_DECIMAL = re.compile(r"([+-]?)([0-9]{1,16})(?:\.([0-9]{1,6}))?")
_DIGITS = {
    currency.code: currency.exponent for currency in Currency if currency.exponent is not None
}


class NotMoney(ValueError):
    """The text is no amount of the currency; `args[0]` says why."""


def is_currency(code: str) -> bool:
    """Whether `code` is a current ISO 4217 code that amounts can be held in ("EUR", not "XAU")."""
    return code in _DIGITS


@dataclass(frozen=True, slots=True, order=False)
class Money:
    """An exact amount: `minor` units (cents, yen, fils) of `currency`."""

    minor: int
    currency: str

    @classmethod
    def parse(cls, text: str, currency: str) -> "Money":
        """Read "-6.49", "500", "1.250". Refuses more decimals than the currency has."""
        match = _DECIMAL.fullmatch(text)
        if match is None:
            raise NotMoney("is not a decimal number")
        sign, whole, fraction = match[1], match[2], match[3] or ""
        digits = _DIGITS[currency]
        if len(fraction) > digits:
            raise NotMoney(f"has more than the {digits} decimals of {currency}")
        minor = int(whole + fraction.ljust(digits, "0"))
        if minor > CEILING_MINOR:
            raise NotMoney("is beyond the largest amount")
        return cls(-minor if sign == "-" else minor, currency)

    @property
    def digits(self) -> int:
        """The decimals of its currency."""
        return _DIGITS[self.currency]

    def __str__(self) -> str:
        digits = self.digits
        sign = "-" if self.minor < 0 else ""
        text = str(abs(self.minor)).rjust(digits + 1, "0")
        return f"{sign}{text[:-digits]}.{text[-digits:]}" if digits else f"{sign}{text}"


def minor(text: str, currency: str, field: str = "amount") -> int:
    """Whole minor units of what a caller wrote. Refuses `INVALID_AMOUNT`."""
    try:
        return Money.parse(text, currency).minor
    except NotMoney as error:
        raise InvalidAmount(str(error), field) from None


def positive_minor(text: str, currency: str, field: str) -> int:
    """The same of an amount that is more than nothing."""
    found = minor(text, currency, field)
    if found <= 0:
        raise InvalidAmount("must be more than 0", field)
    return found
