"""What a server does by itself, again and again: it ends holds and expires funds whose time has
come, and forgets old tries. Any number of servers may do so over one database.

Nothing waits for it: a hold ends and an expired card is refused when their time is up.
"""

import asyncio

import structlog

from giftgql.errors import Unavailable
from giftgql.ledger import service as ledger
from giftgql.store import Store
from giftgql.tries import service as tries

log = structlog.get_logger("giftgql.sweep")


async def keep_swept(store: Store) -> None:
    """Sweep now and every `sweep_seconds`, until cancelled."""
    while True:
        try:
            await sweep(store)
        except Unavailable:
            log.warning("not swept: the database is busy")
        except Exception as error:
            log.error("not swept", exc_info=error)
        await asyncio.sleep(store.settings.sweep_seconds)


async def sweep(store: Store) -> None:
    """Do all that is due, in short transactions, so that tills need not wait for it."""
    for batch in (ledger.sweep, tries.forget_old):
        done = 1
        while done:
            async with store.write() as tx:
                done = await batch(tx)
