"""The terms of cards in words: when they expire."""

import re

from giftgql.backoffice.locales import Wording
from giftgql.products.expiration import Expiration

_PART = re.compile(r"([0-9]+)([YMWD])")
_UNITS = {"Y": "year", "M": "month", "W": "week", "D": "day"}


def expiry(expiration: Expiration, say: Wording) -> str:
    """`2 years after the sale`, a day, or `never`."""
    if expiration.after is None:
        return say.day(expiration.on) or "never"
    parts = [
        f"{say.number(int(number))} {_UNITS[unit]}{'' if int(number) == 1 else 's'}"
        for number, unit in _PART.findall(expiration.after)
    ]
    return f"{' '.join(parts)} after the sale"
