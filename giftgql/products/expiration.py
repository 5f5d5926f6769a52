"""When the cards of a product, pool or campaign expire: never, on a day, or some time after sale.

A relative expiry counts from the day of purchase, never from import or generation. Months are
counted from that very day: what was bought on 31 August for P6M is good through the last day of
February. The last day is a whole one, in the configured time zone.
"""

from dataclasses import dataclass
from datetime import date

from giftgql.durations import day, period
from giftgql.errors import Described, InvalidInput, PastExpiration


class ExpirationKind(Described):
    NONE = "NONE", "Cards never expire."
    FIXED = "FIXED", "All cards are good through the same day."
    RELATIVE = "RELATIVE", "Each card is good for a period that begins with its purchase."


@dataclass(frozen=True, slots=True)
class Expiration:
    """`on` stands with FIXED only, `after` (an ISO 8601 period such as P6M) with RELATIVE only."""

    kind: ExpirationKind
    on: date | None = None
    after: str | None = None

    def __post_init__(self) -> None:
        assert (self.on is not None) == (self.kind is ExpirationKind.FIXED)
        assert (self.after is not None) == (self.kind is ExpirationKind.RELATIVE)

    @classmethod
    def given(
        cls,
        kind: ExpirationKind,
        on: date | None = None,
        after: str | None = None,
        *,
        today: date,
        field: str = "expiration",
    ) -> "Expiration":
        """What a caller sets today: a fixed day lies in the future, a period is P1D to P100Y."""
        for name, value, owner in (
            ("on", on, ExpirationKind.FIXED),
            ("after", after, ExpirationKind.RELATIVE),
        ):
            if value is None and kind is owner:
                raise InvalidInput(f"{field}.{name}", f"is missing: {kind} needs it")
            if value is not None and kind is not owner:
                raise InvalidInput(f"{field}.{name}", f"does not go with {kind}")
        if on is not None and on <= today:
            raise PastExpiration(f"{field}.on", "does not lie in the future")
        if after is not None:
            period(after, f"{field}.after")
        return cls(kind, on, after)

    @classmethod
    def written(cls, text: str, *, today: date, field: str) -> "Expiration":
        """The short form, as it stands in a file: NONE, a day, or a period."""
        if text.upper() == ExpirationKind.NONE:
            return cls(ExpirationKind.NONE)
        if text.startswith("P"):
            period(text, field)
            return cls(ExpirationKind.RELATIVE, after=text)
        if not text[:1].isdigit():
            raise InvalidInput(field, "is not NONE, a date such as 2026-12-31, or a period as P6M")
        on = day(text, field)
        if on <= today:
            raise PastExpiration(field, "does not lie in the future")
        return cls(ExpirationKind.FIXED, on=on)

    @classmethod
    def of(cls, on: date | None, after: str | None) -> "Expiration":
        """From how it is stored."""
        if on is not None:
            return cls(ExpirationKind.FIXED, on=on)
        return cls(ExpirationKind.RELATIVE, after=after) if after is not None else NEVER

    def __str__(self) -> str:
        """The short form; `written` reads it again."""
        return self.after or (self.on.isoformat() if self.on else str(self.kind))

    def last_day(self, purchased: date, field: str = "expiration") -> date | None:
        """The last day on which a card bought on `purchased` is good; None if there is none.
        Refused where that would be after the year 9999."""
        if self.after is None:
            return self.on
        try:
            return purchased + period(self.after, field)
        except OverflowError:
            raise InvalidInput(field, "ends after the year 9999") from None


NEVER = Expiration(ExpirationKind.NONE)
