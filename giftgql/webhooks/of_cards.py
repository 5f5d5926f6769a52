"""What has happened to cards: their movements of money, and what is new of their state."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any

from giftgql.audit import service as audit
from giftgql.audit.models import Event
from giftgql.cards import mentions
from giftgql.cards import service as cards
from giftgql.cards.views import CardView
from giftgql.movements import service as movements
from giftgql.orders import service as orders
from giftgql.store import Reading
from giftgql.webhooks import events
from giftgql.webhooks.events import FIRST, CardState, Happening, Span
from giftgql.webhooks.models import WebhookCard
from giftgql.webhooks.repository import Evidence, Told

_STATES = tuple(each.name for each in fields(CardState))
_STOPS = (Event.CARD_BLOCKED, Event.CARD_UNBLOCKED, Event.CARD_DISABLED, Event.CARD_REMOVED)


async def happenings(reading: Reading, span: Span) -> tuple[list[Happening], Told]:
    """What has happened to cards in a span, each card's in the order of its numbers, and what they
    are told to be by it."""
    made = await reading.webhooks.movements(span.after, span.upto)
    recorded = await movements.by_ids(reading, list({each[1] for each in made}))
    changed = await reading.webhooks.changed_cards(span.after, span.upto)
    card_ids = {each.movement.account_id for each in recorded.values()} | set(changed)
    views = await cards.by_ids(reading, sorted(card_ids))
    code_ids = {each.movement.code_id for each in recorded.values() if each.movement.code_id}
    codes = await mentions.codes_hidden(reading, list(code_ids))
    made_for = {each: found.movement.about_id or each for each, found in recorded.items()}
    of_order = await orders.of_movements(reading, list(made_for.values()))
    moved: dict[int, list[Happening]] = defaultdict(list)
    for number, movement_id, is_end in made:
        found = recorded[movement_id]
        card_id, code_id = found.movement.account_id, found.movement.code_id
        happened = events.of_movement(
            movements.as_answered(found, {"end" if is_end else "movement": movement_id}),
            found.end.ending if is_end and found.end else None,
            number,
            member_id=views[card_id].card.member_id,
            code=codes.get(code_id or 0),
            order_id=of_order.get(made_for[movement_id]),
        )
        moved[card_id].append(happened)
    return await _numbered(reading, span, views, moved)


async def _numbered(
    reading: Reading,
    span: Span,
    views: Mapping[int, CardView],
    moved: Mapping[int, Sequence[Happening]],
) -> tuple[list[Happening], Told]:
    """The movements of these cards and what is new of them, numbered, and what they are told to
    be by that."""
    told = {each.card_id: each for each in await reading.webhooks.cards(views)}
    codes = await mentions.live_codes_hidden(reading, list(views))
    before = await _states_before(reading, span, views, told)
    found, new, known = list[Happening](), list[tuple[Any, ...]](), list[tuple[Any, ...]]()
    for card_id, view in views.items():
        now = CardState.of(view, before[card_id])
        # What a use left is on the card that has replaced this one.
        is_empty = view.account.posted == 0 and view.account.replaced_by is None
        news = events.card_news(before[card_id], now, is_empty=is_empty)
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
    columns = ("card_id", "sequence", *_STATES)
    return found, Told(WebhookCard, columns, new, known)


async def _states_before(
    reading: Reading,
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
    evidence = await reading.webhooks.evidence(old, span.begins_in)
    stops: dict[str, list[Event]] = defaultdict(list)
    subjects = [f"card:{card_id}" for card_id in old]
    for each in await audit.since(reading, subjects, _STOPS, span.begins_at):
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
