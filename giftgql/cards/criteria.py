"""What lists of cards are narrowed to, and what is summed up of many."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime

from giftgql.cards.models import CardStatus
from giftgql.codes import CodeType


@dataclass(frozen=True)
class Criteria:
    """What a list of cards is narrowed to; None narrows nothing. `last_four` is of a live code
    of one of `kinds`; `valid_until` is when validity has ended at the latest; ids after
    `after_id` only."""

    card_id: int | None = None
    member_id: str | None = None
    status: CardStatus | None = None
    last_four: str | None = None
    kinds: Collection[CodeType] = ()
    valid_until: datetime | None = None
    product_id: int | None = None
    pool_id: int | None = None
    campaign_id: int | None = None
    after_id: int | None = None


@dataclass
class Sums:
    """The amounts of all cards of a pool or campaign, and how many are in each state."""

    by_status: dict[CardStatus, int] = field(default_factory=dict)
    posted: int = 0
    lifetime: int = 0
    redeemed: int = 0
    uses: int = 0
