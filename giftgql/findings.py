"""What `giftgql doctor` has found of one thing, and how bad it is."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    OK = "ok"
    WARNING = "warn"
    """It works, and is not how it should be, or will not for ever."""

    WRONG = "WRONG"
    """It does not work, or loses data one day."""


@dataclass(frozen=True)
class Finding:
    """One thing looked at: `says` in a sentence how it is, and `do` what to do about it."""

    what: str
    level: Level
    says: str
    do: str = ""

    @property
    def is_well(self) -> bool:
        return self.level is not Level.WRONG

    def __str__(self) -> str:
        return " ".join(filter(None, (f"{self.level:<5} {self.what}: {self.says}", self.do)))


def ok(what: str, says: str) -> Finding:
    return Finding(what, Level.OK, says)


def warning(what: str, says: str, do: str) -> Finding:
    return Finding(what, Level.WARNING, says, do)


def wrong(what: str, says: str, do: str = "") -> Finding:
    return Finding(what, Level.WRONG, says, do)
