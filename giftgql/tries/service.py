from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil

from giftgql.errors import RateLimited, SecretLocked
from giftgql.permissions import Channel
from giftgql.store import Reading, Transaction
from giftgql.tries.models import Tries

DELAYS = (timedelta(0), timedelta(0), timedelta(seconds=1), timedelta(seconds=4))
"""After each of its first failures on a code a caller waits this long. Source: issue 3 asks for
an exponential delay; the security reference, section 3.4, for five failures until the lock."""

FIRST_LOCK = timedelta(minutes=15)
LONGEST_LOCK = timedelta(hours=24)
"""The next failure locks the secret for this caller, each further one for twice as long, up to
the longest. Source: security reference, section 3.4."""

FORGOTTEN_AFTER = timedelta(hours=24)
"""Failures on a code are forgotten when this has passed since the last one."""

ONLINE = "ONLINE"
ONLINE_FAILURES = 10
"""Failures on a code of all callers that are not in a store, until it is closed to them for 24
hours from the last one. Source: security reference, section 3.4: of a 4-digit PIN 0.1 % a day."""

BURST = 20
INTERVAL = timedelta(hours=1) / 200
"""A caller may fail 20 times at once and then 200 times an hour, on whatever codes. Source:
security reference, section 3.4."""

KEPT = timedelta(days=3)
"""Rows are kept longer than any of them counts."""


@dataclass(frozen=True)
class Reserved:
    """A try that counts as a failure until it is given back."""

    presented: bytes = field(repr=False)
    at: datetime
    online_before: datetime | None
    """When the code had failed online before this try."""


async def reserve(tx: Transaction, presented: bytes) -> Reserved:
    """Count a failure before the secret is looked at. Commit it before you look.

    `presented` is the fingerprint of the code as it was given, existing or not. Refuses
    `RATE_LIMITED` and `SECRET_LOCKED`, with the seconds to wait; a refused try is not counted.
    """
    own, online, caller = await _lock(tx, presented)
    if (wait := _wait(caller, tx.now)) > 0:
        raise RateLimited(wait)
    if (wait := max(_wait(own, tx.now), _wait(online, tx.now))) > 0:
        raise SecretLocked(wait)
    online_before = online.failed_at if online else None
    _fail(own, tx.now)
    if delay := _delay(own.failures):
        own.free_at = max(own.free_at, tx.now + delay)
    if online:
        _fail(online, tx.now)
        if online.failures >= ONLINE_FAILURES:
            online.free_at = max(online.free_at, tx.now + FORGOTTEN_AFTER)
    _fail_in_all(tx, caller)
    await tx.tries.update()
    return Reserved(presented, tx.now, online_before)


async def give_back(tx: Transaction, reserved: Reserved) -> None:
    """The secret was right: forget what this caller failed on this code; elsewhere this try."""
    own, online, caller = await _lock(tx, reserved.presented)
    _forget(tx, own)
    if online:
        online.failures = max(online.failures - 1, 0)
        if online.failures < ONLINE_FAILURES:
            online.free_at = _long_free(tx)
        if online.failed_at == reserved.at and reserved.online_before is not None:
            online.failed_at = reserved.online_before
    caller.failures = max(caller.failures - 1, 0)
    caller.free_at -= INTERVAL
    await tx.tries.update()


async def unlock(tx: Transaction, presented: Iterable[bytes]) -> None:
    """Forget what anybody failed on these codes. What callers failed in all stays."""
    subjects = {_code(tx, each) for each in presented}
    for row in await tx.tries.lock_by_subjects(subjects):
        _forget(tx, row)
    await tx.tries.update()


async def require_free(reading: Reading, place: str) -> None:
    """Refuses `RATE_LIMITED` a place, a network address say, from which too many have failed to
    sign in. What they presented is not counted: no key can be guessed."""
    tries = await reading.tries.find(*_place(reading, place))
    if (wait := _wait(tries, reading.now)) > 0:
        raise RateLimited(wait)


async def fail_at(tx: Transaction, place: str) -> None:
    """Count a failure to sign in at a place."""
    key = _place(tx, place)
    rows = await tx.tries.add_or_lock([key], at=tx.now, free_at=_long_free(tx))
    _fail_in_all(tx, rows[key])
    await tx.tries.update()


async def take_turn(tx: Transaction, scope: str) -> None:
    """Let transactions of this caller that count the same come one after the other."""
    key = (tx.vault.try_subject(b"caller", tx.caller.name.encode()), scope)
    await tx.tries.add_or_lock([key], at=tx.now, free_at=_long_free(tx))


async def forget_old(tx: Transaction, at_most: int = 1_000) -> int:
    """Remove rows that no longer count for anything; returns how many."""
    return await tx.tries.delete_older(tx.now - KEPT, at_most=at_most)


async def _lock(tx: Transaction, presented: bytes) -> tuple[Tries, Tries | None, Tries]:
    """The counters of a try: of the code and this caller, of the code online, of the caller."""
    own = (_code(tx, presented), tx.caller.name)
    online = (_code(tx, presented), ONLINE)
    caller = (tx.vault.try_subject(b"caller", tx.caller.name.encode()), "")
    keys = {own, caller} if tx.caller.channel is Channel.IN_STORE else {own, online, caller}
    rows = await tx.tries.add_or_lock(keys, at=tx.now, free_at=_long_free(tx))
    return rows[own], rows.get(online), rows[caller]


def _place(reading: Reading, place: str) -> tuple[bytes, str]:
    return reading.vault.try_subject(b"place", place.encode()), ""


def _fail_in_all(tx: Transaction, tries: Tries) -> None:
    """Count a failure of a caller or a place, on whatever it was."""
    tries.failures += 1
    tries.failed_at = max(tries.failed_at, tx.now)
    tries.free_at = max(tries.free_at, tx.now - (BURST - 1) * INTERVAL) + INTERVAL


def _code(tx: Transaction, presented: bytes) -> bytes:
    return tx.vault.try_subject(b"code", presented)


def _wait(tries: Tries | None, now: datetime) -> int:
    """Whole seconds until the next try is free; 0 if it is."""
    return max(ceil((tries.free_at - now).total_seconds()), 0) if tries else 0


def _fail(tries: Tries, now: datetime) -> None:
    if now - tries.failed_at >= FORGOTTEN_AFTER:
        tries.failures = 0
    tries.failures += 1
    tries.failed_at = max(tries.failed_at, now)


def _forget(tx: Transaction, tries: Tries) -> None:
    tries.failures = 0
    tries.free_at = _long_free(tx)


def _long_free(tx: Transaction) -> datetime:
    """Free also for a transaction that read the clock earlier and then waited for the lock."""
    return tx.now - KEPT


def _delay(failures: int) -> timedelta:
    """How long the secret is refused to a caller after this many failures."""
    if failures <= len(DELAYS):
        return DELAYS[failures - 1]
    doublings = min(failures - len(DELAYS) - 1, 16)
    return min(FIRST_LOCK * (1 << doublings), LONGEST_LOCK)
