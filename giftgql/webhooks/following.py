"""Following what happens, and telling it: each transaction once, in the order of their numbers."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from giftgql.audit import service as audit
from giftgql.audit.models import Event
from giftgql.cards import service as cards
from giftgql.cards.views import CardView
from giftgql.installation import service as installation
from giftgql.jobs import service as jobs
from giftgql.jobs.service import Lease
from giftgql.movements import service as movements
from giftgql.outbox import service as outbox
from giftgql.outbox.webhooks import Webhook
from giftgql.store import Reading, Store, Transaction
from giftgql.webhooks import events
from giftgql.webhooks.events import FIRST, CardState, Happening
from giftgql.webhooks.models import WebhookCard, WebhookEndpoint
from giftgql.webhooks.repository import Evidence
from giftgql.webhooks.service import wants

BATCH = 500
"""So many changes are told at once, and all that their last transaction has done."""

PAUSE = timedelta(seconds=1)
"""How often it is looked whether anything has happened."""

_STATES = tuple(CardState.__dataclass_fields__)
_STOPS = (Event.CARD_BLOCKED, Event.CARD_UNBLOCKED, Event.CARD_DISABLED, Event.CARD_REMOVED)


@dataclass(frozen=True, slots=True)
class Span:
    """The transactions to be told next: those after one, up to another. They have been followed
    without a gap from `begins_in` on. None of them where `upto` is None."""

    epoch: str
    after: int
    upto: int | None
    begins_in: int
    begins_at: datetime
    has_more: bool = False


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
    """Write what endpoints are to be told next, and that it is told; says whether there is more.
    One transaction at a time does so: it holds the job."""
    endpoints = await tx.webhooks.active()
    span = await _span(tx, endpoints) if endpoints else None
    if span is None:
        return False
    if span.upto is None:  # numbers count anew: all that is there is the past
        await tx.webhooks.begin_all(span.begins_in)
    else:
        await outbox.announce(tx, _messages(endpoints, await _happenings(tx, span)))
    await tx.webhooks.set_cursor(
        epoch=span.epoch,
        announced=span.begins_in - 1 if span.upto is None else span.upto,
        begins_in=span.begins_in,
        begins_at=span.begins_at,
    )
    return span.has_more


async def _is_there_news(reading: Reading) -> bool:
    endpoints = await reading.webhooks.active()
    return bool(endpoints) and await _span(reading, endpoints) is not None


async def _span(reading: Reading, endpoints: Sequence[WebhookEndpoint]) -> Span | None:
    """What is to be told next; None where nothing is."""
    epoch, horizon = await installation.sync_state(reading)
    cursor = await reading.webhooks.cursor()
    assert cursor is not None
    if cursor.epoch != epoch:
        return Span(epoch, 0, None, horizon, reading.now)
    first = min(endpoints, key=lambda each: each.active_in)
    after, begins_in, begins_at = cursor.announced, cursor.begins_in, cursor.begins_at
    if after < first.active_in - 1:  # nobody wanted to be told for a while
        after, begins_in, begins_at = first.active_in - 1, first.active_in, first.active_since
    numbers = await reading.webhooks.numbers(after, horizon, at_most=BATCH)
    if not numbers:
        return None
    has_more = len(numbers) == BATCH
    return Span(epoch, after, numbers[-1], begins_in, begins_at, has_more)


def _messages(
    endpoints: Sequence[WebhookEndpoint], happenings: Sequence[Happening]
) -> list[Webhook]:
    found = []
    for each in happenings:
        body = each.body()
        found += [
            Webhook(endpoint.id, each.event.value, body, each.card_id, each.order_id)
            for endpoint in endpoints
            if endpoint.id is not None and wants(endpoint, each.event, each.number)
        ]
    return found


async def _happenings(tx: Transaction, span: Span) -> list[Happening]:
    """All that has happened in a span, in the order of the transactions, of each card in the order
    of its numbers."""
    assert span.upto is not None
    made = await tx.webhooks.movements(span.after, span.upto)
    recorded = await movements.by_ids(tx, list({each[1] for each in made}))
    changed = await tx.webhooks.changed_cards(span.after, span.upto)
    card_ids = {each.movement.account_id for each in recorded.values()} | set(changed)
    views = await cards.by_ids(tx, sorted(card_ids))
    code_ids = {each.movement.code_id for each in recorded.values()} - {None}
    codes = await cards.codes_hidden(tx, [each for each in code_ids if each])
    of_card: dict[int, list[Happening]] = defaultdict(list)
    for number, movement_id, is_end in made:
        found = recorded[movement_id]
        view, code_id = views[found.movement.account_id], found.movement.code_id
        trans = movements.as_answered(found, {"end" if is_end else "movement": movement_id})
        ending = found.end.ending if is_end and found.end else None
        happened = events.of_movement(
            trans,
            ending,
            number,
            member_id=view.card.member_id,
            code=codes.get(code_id) if code_id else None,
        )
        of_card[trans.card_id].append(happened)
    told = await _of_cards(tx, span, views, of_card)
    return sorted(told, key=lambda each: each.number)


async def _of_cards(
    tx: Transaction,
    span: Span,
    views: Mapping[int, CardView],
    moved: Mapping[int, Sequence[Happening]],
) -> list[Happening]:
    """The events of these cards, numbered, and that they are told."""
    told = {each.card_id: each for each in await tx.webhooks.cards(views)}
    codes = await cards.live_codes_hidden(tx, list(views))
    before = await _states_before(tx, span, views, told)
    found, new, known = list[Happening](), list[tuple[Any, ...]](), list[tuple[Any, ...]]()
    for card_id, view in views.items():
        now = CardState.of(view, before[card_id])
        news = events.news(before[card_id], now, is_empty=view.account.posted == 0)
        numbers = [view.account.changed_in or 0, *(each.number for each in moved[card_id])]
        first = [events.of_card(view, e, min(numbers), codes[card_id]) for e in news if e in FIRST]
        last = [
            events.of_card(view, e, max(numbers), codes[card_id]) for e in news if e not in FIRST
        ]
        row = told.get(card_id)
        sequence = row.sequence if row else 0
        for happened in (*first, *moved[card_id], *last):
            sequence += 1
            found.append(happened.numbered(sequence))
        (known if row else new).append((card_id, sequence, *asdict(now).values()))
    await tx.webhooks.write_cards(("card_id", "sequence", *_STATES), new, known)
    return found


async def _states_before(
    tx: Transaction,
    span: Span,
    views: Mapping[int, CardView],
    told: Mapping[int, WebhookCard],
) -> dict[int, CardState | None]:
    """What each card was told to be; of those that were not followed until now, what it was when
    that began, by the books and the audit trail; None where it was not there."""
    found: dict[int, CardState | None] = {}
    for card_id, row in told.items():
        if (row.changed_in or 0) >= span.begins_in:
            found[card_id] = CardState(**{name: getattr(row, name) for name in _STATES})
    unknown = [view for card_id, view in views.items() if card_id not in found]
    old = {view.account.id: view for view in unknown if view.card.created_at < span.begins_at}
    found |= {view.account.id: None for view in unknown if view.account.id not in old}
    if not old:
        return found
    evidence = await tx.webhooks.evidence(old, span.begins_in)
    stops: dict[str, list[Event]] = defaultdict(list)
    subjects = [f"card:{card_id}" for card_id in old]
    for each in await audit.since(tx, subjects, _STOPS, span.begins_at):
        stops[each.subject].append(each.event)
    for card_id, view in old.items():
        by_books = evidence.get(card_id, Evidence())
        found[card_id] = _reconstructed(view, by_books, stops[f"card:{card_id}"], span.begins_at)
    return found


def _reconstructed(
    view: CardView, books: Evidence, stops: Sequence[Event], at: datetime
) -> CardState:
    account = view.account
    switched = [each for each in stops if each in _STOPS[:2]]
    was_open = books.has_moved or bool({Event.CARD_DISABLED, Event.CARD_REMOVED} & set(stops))
    return CardState(
        is_funded=books.was_funded,
        redeemed=account.redeemed - books.used,
        is_blocked=switched[0] is Event.CARD_UNBLOCKED if switched else account.blocked,
        is_closed=account.closed and not was_open,
        is_expired=account.valid_until is not None and account.valid_until <= at,
    )
