"""What webhooks say, as it is kept in the outbox: what is sent, to the letter. None is a secret."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Webhook:
    """A call of an endpoint, with the event that it tells; about a card, an order, or neither."""

    endpoint_id: int
    topic: str
    facts: Mapping[str, Any]
    card_id: int | None = None
    order_id: int | None = None
