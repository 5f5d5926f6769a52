from dataclasses import dataclass

from giftgql.orders.models import OrderStatus


@dataclass(frozen=True)
class Criteria:
    """What a list of orders is narrowed to; None narrows nothing. `caller` is who placed them;
    `card_id` is a gift card that pays or is bought."""

    order_id: int | None = None
    status: OrderStatus | None = None
    ref_no: str | None = None
    member_id: str | None = None
    card_id: int | None = None
    caller: str | None = None
