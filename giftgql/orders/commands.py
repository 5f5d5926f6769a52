"""From what a caller sends to an order: gift cards that pay are admitted before any transaction."""

from collections.abc import Sequence
from dataclasses import replace

from giftgql.context import Context
from giftgql.errors import PoolExhausted, Refusal, Unavailable
from giftgql.movements.admission import admit
from giftgql.orders import quoting, service
from giftgql.orders.asked import CardPayment, NewOrder
from giftgql.orders.basket import WantedCard
from giftgql.orders.quoting import Quoted
from giftgql.orders.refusals import PresentedOtherwise
from giftgql.orders.views import OrderView
from giftgql.requests import service as requests
from giftgql.store import Store

ATTEMPTS = 3

MOST_ENDED = 100
"""So many orders one request ends that it did not place; the sweep ends the others."""


async def calculate(context: Context, new: NewOrder, cards: Sequence[WantedCard]) -> Quoted:
    """What the order would come to. Secrets are checked as for a payment."""
    admitted = await _admitted(context, new, cards)
    async with context.read() as reading:
        return await quoting.quoted(reading, new, admitted)


async def place(context: Context, new: NewOrder, cards: Sequence[WantedCard]) -> OrderView:
    """Place an order. Where a code was changed since it was looked up, look again; where a pool is
    exhausted, once more without the orders whose time is up."""
    is_swept = False
    for _ in range(ATTEMPTS):
        try:
            admitted = await _admitted(context, new, cards)
        except Refusal:
            if done := await _done_before(context, new):
                return done
            raise
        try:
            async with context.write() as tx:
                return await service.place(tx, new, admitted)
        except PresentedOtherwise:
            continue
        except PoolExhausted:
            if is_swept or not await _end_overdue(context.store):
                raise
            is_swept = True
    raise Unavailable


async def _end_overdue(store: Store) -> int:
    """End the orders whose time is up, as the sweep would: their cards are in the pools again."""
    ended = 0
    while ended < MOST_ENDED:
        async with store.write() as tx:
            if not await service.end_overdue(tx):
                break
        ended += 1
    return ended


async def _admitted(
    context: Context, new: NewOrder, cards: Sequence[WantedCard]
) -> list[CardPayment]:
    admitted = []
    for card in cards:
        wanted = replace(card.wanted, source_id=new.source_id)
        presented = await admit(context.store, context.caller, wanted, is_taking=True)
        admitted.append(CardPayment(presented, card.at_most))
    return admitted


async def _done_before(context: Context, new: NewOrder) -> OrderView | None:
    """The first answer to a repeated order, one of whose codes can be used no longer."""
    if new.request is None:
        return None
    async with context.read() as reading:
        done = await requests.done(reading, new.request)
        return None if done is None else await service.again(reading, done)
