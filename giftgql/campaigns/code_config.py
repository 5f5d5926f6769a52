"""The form of a campaign's codes: reading it, how many there can be, and making them.

`pattern` beats `length`; of it only `#` is random, all else stands as it is. `prefix` and `postfix`
go around both. Shown are all five, the pattern as `########` where it followed from the length.
The pattern never contains prefix and postfix, and `length` is its length: what is shown can be sent
again and means the same.

Codes count as they are compared: a and A are one, and of DIGITAL codes O and 0 too. All of them are
equally likely, so that a guess finds one of N cards with a chance of N / possible. A caller may
fail 200 times an hour (README, Security). With HEADROOM possible codes for each card, one that
guesses day and night at that rate finds a card every seven months; with 1,000 it would take five
hours. The usual form, 8 of 62 alphanumerics, is 33^8 = 1.4 x 10^12 codes and has room for 1.4
million cards. Cards of several campaigns with the same `space` count together.

Codes of less than 64 random bits, the usual form too, can be guessed by who has many callers and
much time: outside of tills they are to be used only with a PIN or CVV (`is_guessable`).
"""

import math
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import groupby, repeat

from giftgql import codes
from giftgql.codes import LONGEST, MASK, SHORTEST, CodeText, CodeType
from giftgql.errors import CodeSpaceExhausted, InvalidInput
from giftgql.spreadsheets import FORMULA, SKIPPED

HEADROOM = 1_000_000
"""Possible codes for each card."""

SAFE_BITS = 64
"""Random bits from which on a code may be used alone anywhere (NIST's line for look-up secrets)."""

LENGTH = 8
CHARSET = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
LONGEST_CHARSET = 256
RANDOM = "#"
MOST_AT_ONCE = 1_000_000


@dataclass(frozen=True, slots=True)
class CodeConfig:
    """Made by `read`, and from what `read` has made: behind it nothing is checked again."""

    length: int
    charset: str
    prefix: str
    postfix: str
    pattern: str

    @classmethod
    def read(
        cls,
        *,
        length: int | None = None,
        charset: str | None = None,
        prefix: str | None = None,
        postfix: str | None = None,
        pattern: str | None = None,
    ) -> "CodeConfig":
        """A caller's wishes; None is the default. Symbols count once in a charset. Refused are
        other than printable ASCII, a charset with separators or of symbols that all are the same
        when compared, a form without randomness, and codes that could be none (`_require_code`)."""
        charset = _charset(CHARSET if charset is None else charset)
        for field, text in (("prefix", prefix), ("postfix", postfix)):
            _literal(field, text or "")
            if RANDOM in (text or ""):
                raise InvalidInput(f"codeConfig.{field}", "has a #, which is for the pattern")
        if pattern is None:
            length = LENGTH if length is None else length
            if not 1 <= length <= LONGEST:
                raise InvalidInput("codeConfig.length", f"must be 1 to {LONGEST}")
            pattern = RANDOM * length
        _literal("pattern", pattern)
        if RANDOM not in pattern:
            raise InvalidInput("codeConfig.pattern", "has no #, which stands for a random symbol")
        found = cls(len(pattern), charset, prefix or "", postfix or "", pattern)
        _require_code(found._places())
        return found

    # How many

    def possible(self, kind: CodeType) -> int:
        """How many different codes there are, as codes of this type are compared."""
        possible: int = len(self._alike(kind)) ** self.pattern.count(RANDOM)
        return possible

    def most_cards(self, kind: CodeType) -> int:
        """For how many cards in all there is room, with headroom against guessing."""
        return self.possible(kind) // HEADROOM

    def require_room(self, cards: int, kind: CodeType) -> None:
        """Refuses `CODE_SPACE_EXHAUSTED`, with how many are possible, for too many cards: those
        there are, of all campaigns with this `space`, and those that are to be."""
        if cards > (most := self.most_cards(kind)):
            raise CodeSpaceExhausted(possible=self.possible(kind), most=most)

    def space(self, kind: CodeType) -> str:
        """The same for forms that give the same codes, however they are written. Forms that have
        only some codes in common differ."""
        form = f"{self.prefix}{self.pattern}{self.postfix}"
        symbols = sorted(symbol for symbol, _ in self._alike(kind))
        return f"{codes.normalise(kind, CodeText(form))} {''.join(symbols)}"

    def bits(self, kind: CodeType) -> float:
        """What must be guessed of a code: all codes are equally likely."""
        return self.pattern.count(RANDOM) * math.log2(len(self._alike(kind)))

    def is_guessable(self, kind: CodeType) -> bool:
        """Whether a code is too short to be safe alone outside of tills."""
        return self.possible(kind) < 1 << SAFE_BITS

    # Making them

    def make(
        self, n: int, kind: CodeType, draw: Callable[[int], bytes] = secrets.token_bytes
    ) -> list[str]:
        """`n` random codes, up to a million; who uses them drops those that came before.

        `draw` gives so many random bytes. All codes that differ are equally likely; of the ways
        to write one, such as a and A, some may be a little likelier than others.
        """
        assert 0 <= n <= MOST_AT_ONCE
        each = self.pattern.count(RANDOM)
        symbols = self._symbols(n * each, kind, draw)
        parts: list[Iterable[str]] = [repeat(self.prefix, n)]
        at = 0
        for is_random, run in groupby(self.pattern, RANDOM.__eq__):
            text = "".join(run)
            if is_random:
                starts = range(at, n * each, each)
                parts.append([symbols[start : start + len(text)] for start in starts])
                at += len(text)
            else:
                parts.append(repeat(text, n))
        return list(map("".join, zip(*parts, repeat(self.postfix, n), strict=True)))

    def _symbols(self, n: int, kind: CodeType, draw: Callable[[int], bytes]) -> str:
        """Symbols drawn by the byte: as many values for each that differs, the rest thrown away."""
        alike = [spellings for _, spellings in self._alike(kind)]
        share = 256 // len(alike)
        used = "".join((spellings * share)[:share] for spellings in alike).encode()
        table, unused = used.ljust(256), bytes(range(len(used), 256))
        drawn = bytearray()
        while (missing := n - len(drawn)) > 0:
            drawn += draw(missing * 256 // len(used) + 16).translate(table, unused)
        return drawn[:n].decode()

    def _alike(self, kind: CodeType) -> list[tuple[str, str]]:
        """The symbols that differ when compared, each with all the charset's ways to write it."""
        if kind is CodeType.PERSONAL:
            raise InvalidInput("codeConfig", "is not for PERSONAL codes: these have their own form")
        return _alike(self.charset, kind)

    def _places(self) -> list[str]:
        """All that may stand at each place of a code."""
        middle = [self.charset if symbol == RANDOM else symbol for symbol in self.pattern]
        return [*self.prefix, *middle, *self.postfix]


def _alike(charset: str, kind: CodeType) -> list[tuple[str, str]]:
    found: dict[str, str] = {}
    for symbol in charset:
        normal = codes.normalise(kind, CodeText(symbol)) or ""
        found[normal] = found.get(normal, "") + symbol
    return list(found.items())


def _literal(field: str, text: str) -> None:
    if len(text) > LONGEST:
        raise InvalidInput(f"codeConfig.{field}", f"has more than {LONGEST} characters")
    if not (text.isascii() and text.isprintable()):
        raise InvalidInput(f"codeConfig.{field}", "has characters other than printable ASCII")


def _charset(text: str) -> str:
    field = "codeConfig.charset"
    if len(text) > LONGEST_CHARSET:
        raise InvalidInput(field, f"has more than {LONGEST_CHARSET} characters")
    if not (text.isascii() and text.isprintable()):
        raise InvalidInput(field, "has characters other than printable ASCII")
    if set(text) & set(" -"):
        raise InvalidInput(field, "has a space or dash, which count for nothing in a code")
    once = "".join(dict.fromkeys(text))
    if len(_alike(once, CodeType.DIGITAL)) < 2:
        raise InvalidInput(
            field, "needs 2 symbols that are not the same when compared, as a and A, 0 and O are"
        )
    return once


def _require_code(places: list[str]) -> None:
    """Codes of 4 to 64 characters, also as compared, that never look masked, and that a
    spreadsheet does not take for a formula: there they would be altered for the printer."""
    field = "codeConfig"
    compared = [symbols for symbols in places if symbols not in (" ", "-")]
    if len(compared) < SHORTEST or len(places) > LONGEST:
        raise InvalidInput(
            field,
            f"gives codes of {len(places)} characters; they must have {SHORTEST} to {LONGEST}, "
            "spaces and dashes not counted",
        )
    begin = zip(compared, MASK, strict=False)
    if len(compared) >= len(MASK) and all(hidden in symbols for symbols, hidden in begin):
        raise InvalidInput(field, "gives codes that can look like masked ones")
    for symbols in places:
        if FORMULA & set(symbols):
            raise InvalidInput(field, "gives codes that can begin with = + - or @, like a formula")
        if not SKIPPED & set(symbols):
            return
