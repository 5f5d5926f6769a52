from dataclasses import dataclass

from giftgql.outbox.models import OutboxChannel, OutboxState


@dataclass(frozen=True)
class Criteria:
    """What a list of messages is narrowed to; None narrows nothing."""

    id: int | None = None
    state: OutboxState | None = None
    channel: OutboxChannel | None = None
    topic: str | None = None
    card_id: int | None = None
    order_id: int | None = None
    endpoint_id: int | None = None
