"""Following what happens, and telling it: each transaction once, in the order of their numbers."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from giftgql.installation import service as installation
from giftgql.jobs import service as jobs
from giftgql.jobs.service import Lease
from giftgql.outbox import service as outbox
from giftgql.outbox.webhooks import Webhook
from giftgql.store import Reading, Store, Transaction
from giftgql.webhooks import of_cards, of_orders
from giftgql.webhooks.events import Happening, Span
from giftgql.webhooks.models import WebhookCursor, WebhookEndpoint
from giftgql.webhooks.service import wants

BATCH = 500
"""So many changes are told at once, and all that their last transaction has done."""

PAUSE = timedelta(seconds=1)
"""How often it is looked whether anything has happened."""

SOURCES = (of_cards.happenings, of_orders.happenings)
"""Each finds what has happened in some transactions, and writes down that it is told."""


async def fan_out(store: Store, lease: Lease) -> bool:
    """Tell endpoints what has happened next; says whether more has."""
    async with store.read() as reading:
        if not await _is_there_news(reading):
            return False
    async with store.write() as tx:
        await jobs.hold(tx, lease)
        return await announce(tx)


async def again_at(tx: Transaction, _: int) -> datetime | None:
    """When it is to be looked again: never while nobody wants to be told."""
    return tx.now + PAUSE if await tx.webhooks.active() else None


async def announce(tx: Transaction) -> bool:
    """Write what endpoints are to be told next, and that it is told; says whether there was
    anything. One transaction at a time does so: it holds the job."""
    endpoints = await tx.webhooks.active()
    if not endpoints:
        return False
    cursor, epoch, horizon = await _place(tx)
    if cursor.epoch != epoch:  # numbers count anew: all that is there is the past
        await tx.webhooks.begin_all(horizon)
        begin = {"epoch": epoch, "begins_in": horizon, "begins_at": tx.now}
        await tx.webhooks.set_cursor(**begin, announced=horizon - 1)
        return True
    span = await _span(tx, endpoints, cursor, horizon)
    if span is None:
        return False
    happened = [each for source in SOURCES for each in await source(tx, span)]
    happened.sort(key=lambda each: each.number)
    await outbox.announce(tx, _messages(endpoints, happened))
    begin = {"begins_in": span.begins_in, "begins_at": span.begins_at}
    await tx.webhooks.set_cursor(**begin, announced=span.upto)
    return True


async def _is_there_news(reading: Reading) -> bool:
    endpoints = await reading.webhooks.active()
    if not endpoints:
        return False
    cursor, epoch, horizon = await _place(reading)
    is_other = cursor.epoch != epoch
    return is_other or await _span(reading, endpoints, cursor, horizon) is not None


async def _place(reading: Reading) -> tuple[WebhookCursor, str, int]:
    """Up to where all is told, and what can be told: of this epoch, below this number."""
    cursor = await reading.webhooks.cursor()
    assert cursor is not None
    return cursor, *await installation.sync_state(reading)


async def _span(
    reading: Reading, endpoints: Sequence[WebhookEndpoint], cursor: WebhookCursor, horizon: int
) -> Span | None:
    """What is to be told next; None where nothing is."""
    first = min(endpoints, key=lambda each: each.active_in)
    after, begins_in, begins_at = cursor.announced, cursor.begins_in, cursor.begins_at
    if after < first.active_in - 1:  # nobody wanted to be told for a while
        after, begins_in, begins_at = first.active_in - 1, first.active_in, first.active_since
    numbers = await reading.webhooks.numbers(after, horizon, at_most=BATCH)
    return Span(after, numbers[-1], begins_in, begins_at) if numbers else None


def _messages(endpoints: Sequence[WebhookEndpoint], happened: Sequence[Happening]) -> list[Webhook]:
    found = []
    for each in happened:
        body = each.body()
        found += [
            Webhook(endpoint.id, each.event.value, body, each.card_id, each.order_id)
            for endpoint in endpoints
            if endpoint.id is not None and wants(endpoint, each.event, each.number)
        ]
    return found
