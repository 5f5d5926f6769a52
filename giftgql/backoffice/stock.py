"""What all cards of a pool or campaign come to, as its page shows it."""

from giftgql.backoffice.pages import Visit
from giftgql.cards import stock
from giftgql.cards.criteria import Sums
from giftgql.permissions import Permission
from giftgql.store import Reading

COUNTED = 100_000
"""So many cards are summed up whenever the page is opened; more take seconds, and are on demand."""


async def sums(
    visit: Visit, reading: Reading, column: str, record_id: int, cards: int
) -> Sums | None:
    """None where there are none, where nobody has asked for what takes long, or who asks may not
    list cards."""
    is_wanted = cards <= COUNTED or visit.asked("count") is not None
    if not cards or not is_wanted or not visit.may(Permission.LIST_GIFT_CARDS):
        return None
    return (await stock.sums(reading, column, [record_id]))[record_id]
