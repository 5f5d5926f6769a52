"""The work that goes on by itself: which jobs there are, and the lanes in which they are done.

Any number of servers and workers may do so over one database. Nothing waits for the sweep: a hold
ends and an expired card is refused when their time is up.
"""

import asyncio
from collections.abc import Awaitable, Callable

from giftgql.campaigns import service as campaigns
from giftgql.cards import service as cards
from giftgql.errors import Unavailable
from giftgql.generation import service as generation
from giftgql.imports import receiving
from giftgql.imports import service as imports
from giftgql.installation import service as installation
from giftgql.jobs import service as jobs
from giftgql.jobs.models import JobState
from giftgql.jobs.runner import Lane, Work, Works
from giftgql.jobs.service import Lease
from giftgql.ledger import service as ledger
from giftgql.mail import service as mail
from giftgql.orders import service as orders
from giftgql.outbox import service as outbox
from giftgql.seals import service as seals
from giftgql.staff import service as staff
from giftgql.startup import RESEAL
from giftgql.store import Store, Transaction
from giftgql.tries import service as tries
from giftgql.webhooks import delivery, following
from giftgql.webhooks import service as webhooks

SWEEP, SEAL = "sweep", "audit.seal"

LOOK_AGAIN = 0.2
"""Seconds until a job that failed, or is somebody else's, is looked at again."""

Batch = Callable[[Transaction], Awaitable[int]]


async def sweep(store: Store, lease: Lease | None = None) -> bool:
    """End holds and expire funds whose time has come, and forget what is old, in short
    transactions, so that tills need not wait for it."""
    forget = (
        tries.forget_old,
        staff.forget_ended,
        receiving.forget_unfinished,
        webhooks.forget_old,
    )
    for batch in (orders.end_overdue, ledger.sweep, *forget):
        while await _batch(store, lease, batch):
            pass
    return False


async def seal(store: Store, lease: Lease) -> bool:
    """Seal the next events and movements that are settled. Raises NotDone where a transaction goes
    on and on, whose events may still come before others: one that was forgotten is to be heard of.
    """
    now = await seals.settled(store)
    if now is None:
        raise jobs.NotDone("a transaction of some time ago has not ended")
    return await _batch(store, lease, lambda tx: seals.seal_next(tx, now)) > 0


async def reseal(store: Store, lease: Lease) -> bool:
    """Seal the next codes, then the next secrets, with the primary key.

    The key file is read first: by the key of before it all are sealed. Raises NotDone where it is
    older than the database's newest key: another machine's server may have it.
    """
    store.vault.reload()
    async with store.read() as reading:
        if await installation.newest_key(reading) > store.vault.ring.primary:
            raise jobs.NotDone("the key file of this machine is older than the newest key")
    is_sealed = await _batch(store, lease, cards.reseal) or await _batch(
        store, lease, webhooks.reseal
    )
    return is_sealed > 0


async def _batch(store: Store, lease: Lease | None, batch: Batch) -> int:
    async with store.write() as tx:
        if lease is not None:
            await jobs.hold(tx, lease)
        return await batch(tx)


WORKS: Works = {
    SWEEP: Work(sweep, again_in=lambda store: store.settings.sweep_seconds),
    SEAL: Work(seal, again_in=lambda store: store.settings.sweep_seconds),
    RESEAL: Work(reseal, patience=jobs.A_DAY),
    campaigns.JOB: Work(generation.make_cards, give_up=campaigns.fail),
    imports.JOB: Work(imports.import_rows, give_up=imports.fail),
    generation.PINS: Work(generation.harden_pins),
    mail.JOB: Work(
        mail.send,
        give_up=outbox.bury,
        failed=outbox.failed,
        patience=jobs.A_DAY,
        lease=mail.LEASE,
    ),
    webhooks.FAN_OUT: Work(following.fan_out, again_at=following.again_at, patience=jobs.FOR_EVER),
    webhooks.DELIVERY: Work(
        delivery.deliver,
        again_at=delivery.again_at,
        patience=jobs.FOR_EVER,
        lease=delivery.LEASE,
    ),
}

LANES = (
    *((SWEEP, SEAL), (campaigns.JOB, imports.JOB, RESEAL), (generation.PINS,)),
    (webhooks.FAN_OUT,),
    *((mail.JOB,), (webhooks.DELIVERY,)) * 4,
)
"""Kinds that need not wait for each other: what is short, what is long, what takes threads; and
mails and webhooks, several at once, as others may take theirs while one is slow."""


async def go_on(store: Store) -> None:
    """Do all work as it comes, until cancelled."""
    await _see_to_the_sweep(store)
    async with asyncio.TaskGroup() as lanes:
        for kinds in LANES:
            lanes.create_task(Lane(store, WORKS, kinds).run())


async def _see_to_the_sweep(store: Store) -> None:
    while True:
        try:
            async with store.write() as tx:
                for kind in (SWEEP, SEAL):
                    await jobs.add(tx, kind)
        except Unavailable:
            await asyncio.sleep(1)
        else:
            return


async def do_all(store: Store) -> None:
    """Do what is due now, and end."""
    lanes = [Lane(store, WORKS, kinds) for kinds in LANES]
    while any([await lane.do_next() for lane in lanes]):
        pass


async def see_done(store: Store, kind: str, subject_id: int = 0) -> None:
    """See the open job of a kind on a record to its end: do it here, or wait for who does it."""
    lane = Lane(store, WORKS, [kind])
    while True:
        async with store.read() as reading:
            job = await jobs.latest(reading, kind, subject_id)
        if job is None or job.state is not JobState.QUEUED:
            return
        is_put_off = job.attempts > 0 and job.run_at > reading.now
        if is_put_off or not await lane.do_of(kind, subject_id):
            await asyncio.sleep(LOOK_AGAIN)
