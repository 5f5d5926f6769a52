"""What may stand in a cell, for pools and cards alike. Refusals name the column."""

import re
from collections.abc import Callable, Mapping
from datetime import date
from functools import lru_cache

from giftgql import durations
from giftgql.errors import InvalidInput
from giftgql.imports.failures import BLANKED
from giftgql.money import Money, NotMoney

_SYSTEM_NAME = re.compile(r"[!-~](?:[ -~]{0,62}[!-~])?")
_PLAIN = re.compile(r"[^\x00-\x1f\x7f-\x9f]+")
_BOOLEANS: Mapping[str, bool] = {
    **dict.fromkeys(("true", "yes", "1"), True),
    **dict.fromkeys(("false", "no", "0"), False),
}


def boolean(text: str, column: str, default: bool) -> bool:
    """true, yes, 1, false, no, 0 in any case; the default where there is nothing."""
    if not text:
        return default
    found = _BOOLEANS.get(text.lower())
    if found is None:
        raise InvalidInput(column, "must be true or false (or yes, no, 1, 0)")
    return found


def system_name(text: str, column: str) -> str:
    """A pool's name for systems: the API takes the same."""
    if not _SYSTEM_NAME.fullmatch(text):
        if not text:
            raise InvalidInput(column, "is missing")
        raise InvalidInput(column, "must have 1 to 64 characters, all printable ASCII")
    return text


def plain(text: str, column: str, longest: int) -> str:
    """Text on one line."""
    if len(text) > longest or not _PLAIN.fullmatch(text):
        raise InvalidInput(column, f"must have 1 to {longest} characters, none a control character")
    return text


def secret(text: str, column: str, valid: Callable[[str, str], str]) -> str | None:
    """Digits, or nothing; how many they are, `valid` says."""
    if not text:
        return None
    if text == BLANKED:
        raise InvalidInput(column, "was blanked in the file of failures: it is to be filled in")
    if " " in text:
        raise InvalidInput(column, "has a space inside")
    return valid(text, column)


def day(text: str, column: str) -> date | None:
    """YYYY-MM-DD, or nothing."""
    return _day(text, column) if text else None


def number(text: str, column: str) -> str | None:
    """An amount as it is written, or nothing. How many decimals it may have, the currency says."""
    if " " in text or len(text.split()) > 1:
        raise InvalidInput(column, "has a space inside: an amount is written 1234.56")
    if "," in text:
        raise InvalidInput(column, "has a comma: an amount is written 1234.56, with a point")
    return text or None


def money(text: str, currency: str, column: str) -> Money:
    """More than zero, exact in the currency, up to 10^15 of its smallest units."""
    try:
        found = _money(text, currency)
    except NotMoney as wrong:
        raise InvalidInput(column, str(wrong)) from None
    if found.minor <= 0:
        raise InvalidInput(column, "must be more than zero")
    return found


# The same days and amounts come again and again.
_day = lru_cache(4_096)(durations.day)
_money = lru_cache(4_096)(Money.parse)
