"""Look-ups by code: who fails at them too often is refused for a while, and suspended in the end.

What is right costs nothing: a caller's limits are read at the same time as the code, and not again
within the next moments. A failure is counted before it is answered; one too many is answered
`RATE_LIMITED`, as is everything after it, right or wrong.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

import structlog

from giftgql.audit import service as audit
from giftgql.audit.models import Event
from giftgql.clients import service as clients
from giftgql.codes import CodeText
from giftgql.errors import NotFound, SecretInvalid, Unavailable
from giftgql.permissions import Caller, CallerKind
from giftgql.store import Reading, Store, Transaction
from giftgql.tries import service
from giftgql.tries.gates import Gate
from giftgql.tries.models import LookedUp
from giftgql.tries.rates import DAY, RATES, SOURCE, SUSPENDED

log = structlog.get_logger("giftgql.tries")

SUSPENSION = timedelta(hours=24)
"""For so long a client is suspended, if staff do not lift it before."""

TELL_SECONDS = 60.0
"""How often a process writes down what a client has found by it: by what is written alone, one that
fails here and there would seem to fail at all it asks for."""

ENOUGH = 100
"""Of fewer look-ups in an hour the share that failed says nothing."""

_OF_ALL = {*RATES, SUSPENDED}

Found = TypeVar("Found")
FreeAt = dict[str, datetime]


@dataclass(frozen=True)
class Standing:
    """How a client stands: what it is refused until when, and what it has looked up of late."""

    free_at: FreeAt
    hours: Sequence[LookedUp]

    @property
    def suspended_until(self) -> datetime | None:
        return self.free_at.get(SUSPENDED)

    @property
    def refused_until(self) -> datetime | None:
        """Until when all its look-ups by code are."""
        return max((at for scope, at in self.free_at.items() if scope in _OF_ALL), default=None)

    @property
    def sources(self) -> int:
        """How many of its sources are refused by themselves."""
        return len(self.free_at.keys() - _OF_ALL)


async def look_up(
    store: Store,
    caller: Caller,
    code: CodeText,
    read: Callable[[], Awaitable[Found]],
    *,
    source: str | None = None,
    tells: bool = True,
) -> Found:
    """What `read` finds of a code. Nothing is a failure of the caller, at its `source` too; unless
    the caller is not told of it yet, since a secret comes with it. Refuses `RATE_LIMITED`."""
    if caller.kind is CallerKind.SERVER:
        return await read()
    gate = store.gates.of(caller)
    async with gate.looking:
        if gate.is_known:
            _require_free(store, gate, source)
            found = await read()
        else:
            found = await _beside(store, caller, gate, source, read)
        if found:
            gate.found += 1
            if gate.found_since(TELL_SECONDS):
                await _tell_found(store, caller, gate)
        elif tells:
            await fail(store, caller, code, source=source, is_unknown=True)
        return found


async def check(
    store: Store,
    caller: Caller,
    code: CodeText,
    is_right: Callable[[], Awaitable[bool]],
    *,
    source: str | None = None,
    is_unknown: bool = False,
) -> service.Reserved:
    """Look at a code's secrets, counting the try as a failure until it was right. It is still
    reserved then: give it back. Refuses `SECRET_INVALID`, `SECRET_LOCKED`, `RATE_LIMITED`."""
    gate = store.gates.of(caller)
    async with gate.checking:
        _require_free(store, gate, source)
        async with store.write(caller) as tx:
            reserved = await service.reserve(tx, code.comparable.encode())
        try:
            was_right = await is_right()
        except Exception:  # busy, or a key is missing here: nothing was found out
            with suppress(Unavailable):
                async with store.write(caller) as tx:
                    await service.take_back(tx, reserved)
            raise
        if not was_right:
            await fail(store, caller, code, source=source, is_unknown=is_unknown)
            raise SecretInvalid
    return reserved


async def fail(
    store: Store, caller: Caller, code: CodeText, *, source: str | None, is_unknown: bool
) -> None:
    """Count a failure of a caller, on whatever code. Refuses `RATE_LIMITED`, counting nothing,
    where none is free. Where the database cannot be told it counts in this process."""
    if caller.kind is CallerKind.SERVER:
        return
    gate, scope = store.gates.of(caller), _source(store, source)
    found, gate.found = gate.found, 0
    try:
        async with store.write(caller) as tx:
            free_at = await _charge(tx, gate, scope)
            if caller.kind is CallerKind.CLIENT:
                is_new = await _is_new(tx, code)
                more = {"found": found, "failed": 1, "unknown": int(is_unknown and is_new)}
                hour = await tx.tries.count(_subject(tx, caller), _hour(tx.now), more)
                free_at |= await _suspend(tx, hour)
    except BaseException as error:
        gate.found += found
        if isinstance(error, Unavailable):
            gate.charge(scope)
        raise
    gate.count(free_at)
    if (until := free_at[SUSPENDED]) > tx.now:
        counts = {"looked_up": hour.found + hour.failed, "failed": hour.failed}
        counts["unknown"] = hour.unknown
        log.warning("client suspended", caller=caller.name, until=until.isoformat(), **counts)


async def _tell_found(store: Store, caller: Caller, gate: Gate) -> None:
    """Write down what a client found; later, where the database is busy."""
    found, gate.found = gate.found, 0
    try:
        if caller.kind is CallerKind.CLIENT:
            async with store.write(caller) as tx:
                more = {"found": found, "failed": 0, "unknown": 0}
                await tx.tries.count(_subject(tx, caller), _hour(tx.now), more)
    except BaseException as error:
        gate.found += found
        if not isinstance(error, Unavailable):
            raise


async def standing(reading: Reading, client_id: str) -> Standing:
    """How a client stands now. Refuses `NOT_FOUND`."""
    subject = await _subject_of(reading, client_id)
    limits = await reading.tries.limits([subject], (), now=reading.now)
    hours = await reading.tries.looked_up(subject, reading.now - DAY)
    return Standing({row.scope: row.free_at for row in limits}, hours)


async def lift(tx: Transaction, client_id: str) -> None:
    """Forget what a client has failed, and end its suspension; locked secrets stay locked.
    Refuses `NOT_FOUND`."""
    await tx.tries.delete_limits(await _subject_of(tx, client_id))
    await audit.record(tx, Event.CLIENT_LET_GO_ON, f"client:{client_id}")


async def _subject_of(reading: Reading, client_id: str) -> bytes:
    if not await clients.names(reading, [client_id]):
        raise NotFound("clientId", "client")
    return _subject(reading, Caller(CallerKind.CLIENT, client_id))


async def _beside(
    store: Store,
    caller: Caller,
    gate: Gate,
    source: str | None,
    read: Callable[[], Awaitable[Found]],
) -> Found:
    """Read something and, at the same time, the caller's limits, which go before all else. All that
    begin meanwhile wait for the same limits: these would be known to them a moment later."""
    if gate.learning is None:
        gate.learning = asyncio.create_task(_learn(store, caller, gate))
    learning = gate.learning
    try:
        return await read()
    finally:
        await asyncio.shield(learning)
        _require_free(store, gate, source)


async def _learn(store: Store, caller: Caller, gate: Gate) -> None:
    changes = gate.changes
    try:
        gate.learn(await store.together(_limits, caller), changes=changes)
    finally:
        gate.learning = None


async def _charge(tx: Transaction, gate: Gate, source: str | None) -> FreeAt:
    """Take a failure from each of the caller's limits, if one is free on all of them."""
    subject, limits = _subject(tx, tx.caller), dict(gate.rates)
    if source is not None:
        limits[source] = SOURCE
    keys = {(subject, scope) for scope in (*limits, SUSPENDED)}
    rows = await tx.tries.add_or_lock(keys, at=tx.now, free_at=service.long_free(tx))
    free_at = {scope: row.free_at for (_, scope), row in rows.items()}
    if max(free_at.values()) > tx.now:
        gate.count(free_at)
        gate.require_free(source, tx.now)
    for scope, limit in limits.items():
        row = rows[subject, scope]
        row.failures += 1
        row.failed_at = max(row.failed_at, tx.now)
        free_at[scope] = row.free_at = limit.charged(row.free_at, tx.now)
    await tx.tries.update()
    return free_at


async def _is_new(tx: Transaction, code: CodeText) -> bool:
    """Whether this caller has not failed at this code in this hour before. What counts are unknown
    codes; of others it is asked as well, so that both take the same time."""
    name = tx.caller.name.encode()
    key = tx.vault.try_subject(b"failed", name, code.comparable.encode()), ""
    row = (await tx.tries.add_or_lock([key], at=tx.now, free_at=service.long_free(tx)))[key]
    is_new = row.failures == 0 or row.failed_at < _hour(tx.now)
    row.failures, row.failed_at = row.failures + 1, max(row.failed_at, tx.now)
    await tx.tries.update()
    return is_new


async def _suspend(tx: Transaction, hour: LookedUp) -> FreeAt:
    """Suspend a client that named too many codes that there are not, or fails too often."""
    settings, looked_up = tx.settings, hour.found + hour.failed
    most = settings.max_failed_percent * looked_up / 100
    if hour.unknown <= settings.max_unknown_codes and (looked_up < ENOUGH or hour.failed <= most):
        return {}
    key = _subject(tx, tx.caller), SUSPENDED
    row = (await tx.tries.add_or_lock([key], at=tx.now, free_at=service.long_free(tx)))[key]
    row.failures, row.failed_at, row.free_at = row.failures + 1, tx.now, tx.now + SUSPENSION
    await tx.tries.update()
    return {SUSPENDED: row.free_at}


async def _limits(reading: Reading, callers: Sequence[Caller]) -> list[FreeAt]:
    """A batch for `Store.together`: until when callers may not fail, by scope."""
    subjects = {caller: _subject(reading, caller) for caller in set(callers)}
    now = reading.store.database_now
    rows = await reading.tries.limits(subjects.values(), RATES, now=now)
    found: dict[bytes, FreeAt] = {subject: {} for subject in subjects.values()}
    for row in rows:
        found[row.subject][row.scope] = row.free_at
    return [found[subjects[caller]] for caller in callers]


def _subject(reading: Reading, caller: Caller) -> bytes:
    return reading.vault.try_subject(b"caller", caller.name.encode())


def _require_free(store: Store, gate: Gate, source: str | None) -> None:
    """As the gate does. The source's scope takes a digest, which who may go on need not pay."""
    if not gate.is_free:
        gate.require_free(_source(store, source))


def _source(store: Store, source: str | None) -> str | None:
    """The scope of a client's source."""
    if not source:
        return None
    return f"source {store.vault.try_subject(b'source', source.encode()).hex()}"


def _hour(now: datetime) -> datetime:
    return now.replace(minute=0, second=0, microsecond=0)
