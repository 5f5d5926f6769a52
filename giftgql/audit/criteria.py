"""What lists of events are narrowed to."""

from dataclasses import dataclass
from datetime import datetime

from giftgql.audit.models import Event


@dataclass(frozen=True)
class Criteria:
    """What a list of events is narrowed to; None narrows nothing. Ids after `after_id` only."""

    caller: str | None = None
    event: Event | None = None
    subject: str | None = None
    source_id: str | None = None
    begins: datetime | None = None
    ends: datetime | None = None
    after_id: int | None = None
