from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil

from giftgql.errors import RateLimited, SecretLocked
from giftgql.permissions import Channel
from giftgql.store import Reading, Transaction
from giftgql.tries.models import Tries
from giftgql.tries.rates import PLACE

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

KEPT = timedelta(days=3)
"""Rows are kept longer than any of them counts."""


@dataclass(frozen=True)
class Before:
    """A counter as it was before a try."""

    failed_at: datetime
    free_at: datetime

    @classmethod
    def of(cls, tries: Tries) -> "Before":
        return cls(tries.failed_at, tries.free_at)


@dataclass(frozen=True)
class Reserved:
    """A try that counts as a failure on its code until it is given back."""

    presented: bytes = field(repr=False)
    at: datetime
    own: Before
    online: Before | None


async def reserve(tx: Transaction, presented: bytes) -> Reserved:
    """Count a failure on a code before its secret is looked at. Commit it before you look.

    `presented` is the fingerprint of the code as it was given, existing or not. Refuses
    `SECRET_LOCKED`, with the seconds to wait; a refused try is not counted.
    """
    own, online = await _lock(tx, presented)
    if (wait := max(_wait(own, tx.now), _wait(online, tx.now))) > 0:
        raise SecretLocked(wait)
    before = Before.of(own), Before.of(online) if online else None
    _fail(own, tx.now)
    if delay := _delay(own.failures):
        own.free_at = max(own.free_at, tx.now + delay)
    if online:
        _fail(online, tx.now)
        if online.failures >= ONLINE_FAILURES:
            online.free_at = max(online.free_at, tx.now + FORGOTTEN_AFTER)
    await tx.tries.update()
    return Reserved(presented, tx.now, *before)


async def give_back(tx: Transaction, reserved: Reserved) -> None:
    """The secret was right: forget what this caller failed on this code; elsewhere this try."""
    own, online = await _lock(tx, reserved.presented)
    _forget(tx, own)
    _take_back_online(tx, online, reserved)
    await tx.tries.update()


async def take_back(tx: Transaction, reserved: Reserved) -> None:
    """The secret was not looked at: this try was none, and what was before it stays."""
    own, online = await _lock(tx, reserved.presented)
    own.failures = max(own.failures - 1, 0)
    if own.failed_at == reserved.at:
        own.failed_at, own.free_at = reserved.own.failed_at, reserved.own.free_at
    _take_back_online(tx, online, reserved)
    await tx.tries.update()


def _take_back_online(tx: Transaction, online: Tries | None, reserved: Reserved) -> None:
    if online is None:
        return
    online.failures = max(online.failures - 1, 0)
    if online.failures < ONLINE_FAILURES:
        online.free_at = long_free(tx)
    if online.failed_at == reserved.at and reserved.online is not None:
        online.failed_at = reserved.online.failed_at


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
    found = (await tx.tries.add_or_lock([key], at=tx.now, free_at=long_free(tx)))[key]
    found.failures += 1
    found.failed_at = max(found.failed_at, tx.now)
    found.free_at = PLACE.charged(found.free_at, tx.now)
    await tx.tries.update()


async def take_turn(tx: Transaction, scope: str) -> None:
    """Let transactions of this caller that count the same come one after the other."""
    key = (tx.vault.try_subject(b"caller", tx.caller.name.encode()), scope)
    await tx.tries.add_or_lock([key], at=tx.now, free_at=long_free(tx))


async def forget_old(tx: Transaction, at_most: int = 1_000) -> int:
    """Remove rows that no longer count for anything; returns how many."""
    await tx.tries.delete_hours(tx.now - KEPT)
    return await tx.tries.delete_older(tx.now - KEPT, at_most=at_most)


async def _lock(tx: Transaction, presented: bytes) -> tuple[Tries, Tries | None]:
    """The counters of a try: of the code and this caller, and of the code online."""
    own = (_code(tx, presented), tx.caller.name)
    online = (_code(tx, presented), ONLINE)
    keys = {own} if tx.caller.channel is Channel.IN_STORE else {own, online}
    rows = await tx.tries.add_or_lock(keys, at=tx.now, free_at=long_free(tx))
    return rows[own], rows.get(online)


def _place(reading: Reading, place: str) -> tuple[bytes, str]:
    return reading.vault.try_subject(b"place", place.encode()), ""


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
    tries.free_at = long_free(tx)


def long_free(tx: Transaction) -> datetime:
    """Free also for a transaction that read the clock earlier and then waited for the lock."""
    return tx.now - KEPT


def _delay(failures: int) -> timedelta:
    """How long the secret is refused to a caller after this many failures."""
    if failures <= len(DELAYS):
        return DELAYS[failures - 1]
    doublings = min(failures - len(DELAYS) - 1, 16)
    return min(FIRST_LOCK * (1 << doublings), LONGEST_LOCK)
