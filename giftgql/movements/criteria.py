"""What lists of transactions are narrowed to."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from giftgql.errors import Described
from giftgql.ledger.models import MovementType


class TransStatus(Described):
    AUTHORIZED = "AUTHORIZED", "Reserved; to be captured or cancelled until its time is up."
    COMPLETED = "COMPLETED", "The money has moved."
    CANCELLED = "CANCELLED", "An authorisation that was cancelled, or whose time is up."
    DECLINED = "DECLINED", "Refused by the rules of money; counts for nothing."


@dataclass(frozen=True)
class Criteria:
    """What a list of transactions is narrowed to; None narrows nothing. Ids after
    `after_id` only."""

    movement_id: int | None = None
    card_ids: Collection[int] | None = None
    member_id: str | None = None
    status: TransStatus | None = None
    type: MovementType | None = None
    source_id: str | None = None
    ref_no: str | None = None
    begins: datetime | None = None
    ends: datetime | None = None
    after_id: int | None = None
