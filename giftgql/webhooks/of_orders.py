"""What has happened to orders."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from giftgql.orders import service as orders
from giftgql.orders.views import OrderView
from giftgql.store import Reading
from giftgql.webhooks import events
from giftgql.webhooks.events import Happening, OrderState, Span
from giftgql.webhooks.models import WebhookOrder
from giftgql.webhooks.repository import Told

_STATES = tuple(each.name for each in fields(OrderState))


async def happenings(reading: Reading, span: Span) -> tuple[list[Happening], Told]:
    """What has happened to orders in a span, and what they are told to be by it."""
    changed = await reading.webhooks.changed_orders(span.after, span.upto)
    views = await orders.by_ids(reading, changed)
    told = {each.order_id: each for each in await reading.webhooks.orders(views)}
    found, new, known = list[Happening](), list[tuple[Any, ...]](), list[tuple[Any, ...]]()
    for order_id, view in views.items():
        now = OrderState.of(view)
        before = _state_before(view, told, span)
        found += [events.of_order(view, each) for each in events.order_news(before, now)]
        (known if order_id in told else new).append((order_id, *asdict(now).values()))
    return found, Told(WebhookOrder, ("order_id", *_STATES), new, known)


def _state_before(view: OrderView, told: Mapping[int, WebhookOrder], span: Span) -> OrderState:
    """What an order was told to be; of one that was not followed until now, what it was when that
    began. Whether it had been refunded then nobody knows: it has hardly changed for another
    reason."""
    order = view.order
    row = told.get(order.id or 0)
    if row is not None and (row.changed_in or 0) >= span.begins_in:
        return OrderState(**{name: getattr(row, name) for name in _STATES})
    return OrderState(
        is_paid=order.paid_at is not None and order.paid_at < span.begins_at,
        is_cancelled=order.cancelled_at is not None and order.cancelled_at < span.begins_at,
    )
