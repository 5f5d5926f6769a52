"""A small model of a card and its money, independent of the program's."""

from dataclasses import dataclass, field
from datetime import datetime


@dataclass
class Hold:
    id: str
    amount: int
    until: datetime
    ending: str | None = None
    captured: int = 0
    refunded: int = 0


@dataclass
class Moved:
    id: str
    amount: int
    refunded: int = 0


@dataclass
class Card:
    id: str
    code: str
    valid_until: datetime | None
    posted: int = 0
    lifetime: int = 0
    redeemed: int = 0
    expired: int = 0
    blocked: bool = False
    closed: bool = False
    holds: list[Hold] = field(default_factory=list)
    moved: list[Moved] = field(default_factory=list)

    def open_holds(self, now: datetime) -> list[Hold]:
        return [each for each in self.holds if each.ending is None and each.until > now]

    def held(self, now: datetime) -> int:
        return sum(-each.amount for each in self.open_holds(now) if each.amount < 0)

    def is_expired(self, now: datetime) -> bool:
        return self.valid_until is not None and self.valid_until <= now and not self.blocked

    def free(self, now: datetime) -> int:
        return self.posted - self.held(now)

    def balance(self, now: datetime) -> int:
        return 0 if self.is_expired(now) else self.free(now)

    def status(self, now: datetime) -> str:
        if self.closed:
            return "DISABLED"
        if self.blocked:
            return "BLOCKED"
        if self.is_expired(now):
            return "EXPIRED"
        if self.lifetime == 0:
            return "NOT_ACTIVATED"
        return "ACTIVATED" if self.posted else "REDEEMED"

    def why_not(self, now: datetime, amount: int) -> str | None:
        """Why an amount can be neither added nor taken; the funds are another matter."""
        if self.closed:
            return "CARD_DISABLED"
        if self.blocked:
            return "CARD_BLOCKED"
        if self.is_expired(now):
            return "CARD_EXPIRED"
        if amount < 0 and self.lifetime == 0:
            return "CARD_NOT_ACTIVATED"
        return "INSUFFICIENT_FUNDS" if amount < -self.free(now) else None

    def post(self, amount: int, *, is_use: bool, is_refund: bool = False) -> None:
        self.posted += amount
        if is_use:
            self.redeemed -= amount
        elif amount > 0 and not is_refund:
            self.lifetime += amount


def money(minor: int) -> str:
    return f"{'-' if minor < 0 else ''}{abs(minor) // 100}.{abs(minor) % 100:02}"
