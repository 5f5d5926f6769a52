"""Reveals: codes that are else masked, shown in clear to who has `ViewUnmaskedGiftCardCodes`.

Each is in the audit trail before it is shown: one event for a request and a card. Somebody may see
codes of so many cards within an hour and a day; what goes beyond is masked. To see a card again is
nothing new. Source: security reference, section 3.10. Exports are events of their own.
"""

from collections.abc import Sequence
from datetime import timedelta

import structlog

from giftgql.audit import service as audit
from giftgql.audit.models import Event
from giftgql.cards.views import CardView
from giftgql.context import Context
from giftgql.permissions import CallerKind
from giftgql.store import Transaction
from giftgql.tries import service as tries

log = structlog.get_logger("giftgql.reveals")

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


async def batch(context: Context, card_ids: Sequence[int]) -> list[bool]:
    """A batch for `Context.load`: whether codes of these cards may be shown, which is recorded."""
    new = sorted(set(card_ids) - context.revealed)
    if new:
        async with context.store.write(context.caller) as tx:
            granted = await _grant(tx, new)
        context.revealed.update(granted)
    return [card_id in context.revealed for card_id in card_ids]


async def shown(context: Context, view: CardView) -> CardView:
    """A card as a page shows it, with all its codes."""
    if not view.is_revealing:
        return view
    [is_granted] = await batch(context, [view.account.id])
    return view if is_granted else view.masked()


async def _grant(tx: Transaction, card_ids: Sequence[int]) -> list[int]:
    """Those of the cards for which there is room, each recorded."""
    await tries.take_turn(tx, "reveals")
    last = await audit.revealed(tx, tx.now - DAY)
    an_hour_ago = tx.now - HOUR
    in_hour = {subject for subject, at in last.items() if at >= an_hour_ago}
    per_hour, per_day = _limits(tx)
    granted = []
    for card_id in card_ids:
        subject = f"card:{card_id}"
        has_room = subject in last or len(last) < per_day
        if subject not in in_hour and not (has_room and len(in_hour) < per_hour):
            log.warning("reveal refused", caller=tx.caller.name, card=card_id)
            continue
        last[subject] = tx.now
        in_hour.add(subject)
        granted.append(card_id)
        await audit.record(tx, Event.CODE_REVEALED, subject)
    return granted


def _limits(tx: Transaction) -> tuple[int, int]:
    settings = tx.settings
    if tx.caller.kind is CallerKind.CLIENT:
        return settings.client_reveals_per_hour, settings.client_reveals_per_day
    return settings.reveals_per_hour, settings.reveals_per_day
