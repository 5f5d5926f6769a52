"""What mails say: the facts of each topic, as they are kept in the outbox. None is a secret."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, ClassVar


@dataclass(frozen=True, kw_only=True)
class Content:
    """What a mail says; `recipient` is a name. Amounts are in minor units of the currency.
    `brings_code`: the card's code is put in when it is sent, and not without."""

    topic: ClassVar[str]
    brings_code: ClassVar[bool] = True

    currency: str
    recipient: str | None = None
    order_no: str | None = None

    @property
    def facts(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class CardBrought(Content):
    """A card that was bought or given, with its code. `value` is what it was sold with."""

    topic: ClassVar[str] = "CARD"

    value: int
    sender: str | None = None
    message: str | None = None
    product: str | None = None


@dataclass(frozen=True, kw_only=True)
class CardUsed(Content):
    """What was paid with a card, and what is left on it. `last_four` are its code's; `place` is
    where it was used."""

    topic: ClassVar[str] = "USAGE"
    brings_code: ClassVar[bool] = False

    paid: int
    left: int
    last_four: str
    place: str | None = None


@dataclass(frozen=True, kw_only=True)
class CardReplaced(Content):
    """The new card for the rest of an old one, with its code. `last_four` are the old code's."""

    topic: ClassVar[str] = "REPLACEMENT"

    paid: int
    left: int
    last_four: str
    place: str | None = None


@dataclass(frozen=True, kw_only=True)
class Mail:
    """A mail to be sent to an e-mail address, at once or when it is due; about a card, whose code
    it may bring, and perhaps an order."""

    address: str
    content: Content
    card_id: int
    order_id: int | None = None
    due_at: datetime | None = None


_CONTENTS: dict[str, type[Content]] = {
    each.topic: each for each in (CardBrought, CardUsed, CardReplaced)
}


def content(topic: str, facts: Mapping[str, Any]) -> Content:
    """The content that was kept as these facts."""
    return _CONTENTS[topic](**facts)
