"""Following what happens, and telling it: each transaction once, in the order of their numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from giftgql.installation import service as installation
from giftgql.jobs import service as jobs
from giftgql.jobs.service import Lease
from giftgql.outbox import service as outbox
from giftgql.outbox.webhooks import Webhook
from giftgql.store import Reading, Store, Transaction
from giftgql.webhooks import of_cards, of_orders
from giftgql.webhooks.events import Happening, Span
from giftgql.webhooks.models import WebhookCursor, WebhookEndpoint
from giftgql.webhooks.repository import Told
from giftgql.webhooks.service import wants

BATCH = 200
"""So many changes are told at once, and all that their last transaction has done."""

PAUSE = timedelta(seconds=1)
"""How often it is looked whether anything has happened."""

SOURCES = (of_cards.happenings, of_orders.happenings)
"""Each finds what has happened in some transactions, and what is to be remembered of it."""


@dataclass(frozen=True)
class News:
    """What is to be written next: messages, what was told by them, and up to where."""

    messages: Sequence[Webhook]
    told: Sequence[Told]
    cursor: Mapping[str, Any]
    begin: int | None = None
    """The first transaction that counts, where their numbers have begun anew."""


async def fan_out(store: Store, lease: Lease) -> bool:
    """Tell endpoints what has happened next; says whether anything has. All is read before the
    transaction: nobody else writes what it goes by, as nobody else holds the job."""
    async with store.read() as reading:
        news = await _news(reading)
    if news is None:
        return False
    async with store.write() as tx:
        await jobs.hold(tx, lease)
        await outbox.announce(tx, news.messages)
        await tx.webhooks.write_told(news.told)
        await tx.webhooks.set_cursor(news.cursor)
        if news.begin is not None:
            await tx.webhooks.begin_all(news.begin)
    return True


async def again_at(tx: Transaction, _: int) -> datetime | None:
    """When it is to be looked again: never while nobody wants to be told."""
    return tx.now + PAUSE if await tx.webhooks.active() else None


async def _news(reading: Reading) -> News | None:
    """What is to be told next; None where nothing is, or nobody wants to be told."""
    endpoints = await reading.webhooks.active()
    if not endpoints:
        return None
    cursor = await reading.webhooks.cursor()
    assert cursor is not None
    epoch, horizon = await installation.sync_state(reading)
    if cursor.epoch != epoch:  # all that is there is the past
        begin = {"epoch": epoch, "begins_in": horizon, "begins_at": reading.now}
        return News([], [], {**begin, "announced": horizon - 1}, begin=horizon)
    span = await _span(reading, endpoints, cursor, horizon)
    if span is None:
        return None
    found = [await source(reading, span) for source in SOURCES]
    happened = [each for happenings, _ in found for each in happenings]
    happened.sort(key=lambda each: each.number)
    begin = {"begins_in": span.begins_in, "begins_at": span.begins_at}
    told = [told for _, told in found]
    return News(_messages(endpoints, happened), told, {**begin, "announced": span.upto})


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
