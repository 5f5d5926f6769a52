"""The text of codes: what may be one, how it is compared, made and masked.

Printed and third-party codes are taken as they were given. Personal codes, and digital ones that
no campaign gives another form, are 26 random symbols of Crockford's base 32 (130 bits) and a check
symbol: fit for reading aloud and for the alphanumeric mode of a QR code. `CodeText` keeps a code
from slipping into a log or an error.
"""

import secrets

from giftgql.errors import Described, InvalidInput

MASK = "*" * 12
"""What stands for the hidden part of a masked code, whatever its length."""

SHORTEST, LONGEST = 4, 64
GENERATED_SYMBOLS = 26

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_VALUE = {symbol: value for value, symbol in enumerate(_ALPHABET)}
_DROP_SEPARATORS = str.maketrans("", "", " -")
_READ_ALIKE = str.maketrans("OIL", "011")


class CodeType(Described):
    PHYSICAL = "PHYSICAL", "Printed on a card; holding it implies the right to use it."
    PERSONAL = "PERSONAL", "Made by the server for a member, shown in the member's app."
    EXTERNAL = "EXTERNAL", "Made and secured by a third-party system."
    DIGITAL = "DIGITAL", "Bearer code made by the server and sent by e-mail."

    @property
    def is_generated(self) -> bool:
        """Whether the server makes these codes, and masks them."""
        return self in _GENERATED


_GENERATED = frozenset({CodeType.PERSONAL, CodeType.DIGITAL})


class CodeText:
    """A code in clear. Printing, formatting or logging it shows the mask; `.clear` is the code."""

    __slots__ = ("clear",)

    def __init__(self, clear: str) -> None:
        self.clear = clear

    @property
    def last_four(self) -> str:
        """The part that may be shown and stored in clear: never more than half of the code."""
        normal = self.clear.upper().translate(_DROP_SEPARATORS)
        return normal[len(normal) - min(4, len(normal) // 2) :]

    @property
    def comparable(self) -> str:
        """The same for all ways to write a code of any type: what wrong tries are counted by."""
        return self.clear.upper().translate(_DROP_SEPARATORS).translate(_READ_ALIKE)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CodeText) and secrets.compare_digest(self.clear, other.clear)

    def __hash__(self) -> int:
        return hash(self.clear)

    def __repr__(self) -> str:
        return masked(self.last_four)

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)


def masked(last_four: str) -> str:
    """How a hidden code is shown: `************1234`."""
    return MASK + last_four


def given(text: str, field: str) -> CodeText:
    """A code chosen by a caller: 4 to 64 printable ASCII characters, also after normalising."""
    printable = text.isascii() and text.isprintable()
    if not printable:
        raise InvalidInput(field, "has characters other than printable ASCII")
    shortest = len(text.translate(_DROP_SEPARATORS))
    if shortest < SHORTEST or len(text) > LONGEST:
        raise InvalidInput(
            field, f"must have {SHORTEST} to {LONGEST} characters, spaces and dashes not counted"
        )
    return CodeText(text)


def to_store(text: str, field: str) -> CodeText:
    """A code for a new card. What looks like a masked code is refused: it could never be found."""
    code = given(text, field)
    if text.translate(_DROP_SEPARATORS).startswith(MASK):
        raise InvalidInput(field, "looks like a masked code")
    return code


def generate() -> CodeText:
    """A new personal or digital code of 130 random bits, from the system's secure generator."""
    body = "".join(secrets.choice(_ALPHABET) for _ in range(GENERATED_SYMBOLS))
    return CodeText(body + _check_symbol(body))


def normalise(kind: CodeType, code: CodeText) -> str | None:
    """The form in which two codes of a type are the same; None where it can be none of that type.

    Upper case, spaces and dashes dropped. Only in codes that we made ourselves O reads as 0 and
    I and L as 1; a printed or third-party code may tell them apart. What looks masked is no code,
    nor is a PERSONAL one without its 27 symbols, the last of which checks the others.
    """
    text = code.comparable if kind.is_generated else code.clear.upper().translate(_DROP_SEPARATORS)
    if text.startswith(MASK) or (kind is CodeType.PERSONAL and not _is_whole(text)):
        return None
    return text


def _is_whole(text: str) -> bool:
    if len(text) != GENERATED_SYMBOLS + 1 or not all(symbol in _VALUE for symbol in text):
        return False
    return _check_symbol(text[:-1]) == text[-1]


def _check_symbol(body: str) -> str:
    """Luhn's sum in base 32: catches every wrong symbol and most swapped neighbours."""
    size = len(_ALPHABET)
    total = 0
    for position, symbol in enumerate(reversed(body)):
        value = _VALUE[symbol] * (2 if position % 2 == 0 else 1)
        total += value // size + value % size
    return _ALPHABET[-total % size]
