"""Seals on the trail: each is a keyed digest of the next events and of the seal before.

An event is sealed when no transaction can put another one before it any more. Whoever has the
database alone can make no seal, so that `verify` finds what was changed, removed, added or put in
another place. A trail that was cut together with its seals is found by a seal that was printed
before and kept elsewhere.
"""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import orjson
import structlog

from giftgql.audit.models import AuditSeal
from giftgql.errors import InvalidInput
from giftgql.store import Reading, Store, Transaction
from giftgql.vault import KeyringError, Vault

log = structlog.get_logger("giftgql.audit")

EVENTS = 1_000
"""Events of one seal, at most."""

PAUSES = (0.0, 0.05, 0.2, 0.5, 1.0, 2.0)
"""Seconds between looks at whether transactions that were under way have ended."""


def shown(seal: AuditSeal) -> str:
    """A seal as it is printed, to be kept elsewhere: `number:digest`."""
    return f"{seal.number}:{seal.digest.hex()}"


async def settled(store: Store) -> int:
    """Up to which event the trail is final: whoever wrote before it has ended. 0 where nothing is
    new, or that is not known yet.

    Ids are given out before they are committed, by transactions that have their number already.
    """
    async with store.read() as reading:
        newest, last = await reading.audit.newest_id(), await reading.audit.last_seal()
        if newest == (last.last_id if last else 0):
            return 0
        number = await reading.audit.this_transaction()
        for pause in PAUSES:
            await asyncio.sleep(pause)
            if await reading.audit.first_unfinished() > number:
                return newest
    return 0


async def seal_next(tx: Transaction, up_to: int) -> int:
    """Seal the next events that are settled; returns how many."""
    before = await tx.audit.last_seal()
    after = before.last_id if before else 0
    rows = await tx.audit.canonical(after, up_to, at_most=EVENTS)
    if not rows:
        return 0
    made = AuditSeal(
        number=before.number + 1 if before else 1,
        last_id=rows[-1][0],
        events=len(rows),
        digest=b"",
        key_id=tx.vault.ring.primary,
        created_at=tx.now,
    )
    made.digest = _digest(tx.vault, before, made, _hash(rows))
    await tx.audit.add_seal(made)
    log.info("events sealed", seal=shown(made), last=made.last_id)
    return len(rows)


@dataclass
class Verdict:
    """What a check of the trail has found: a sentence for each thing that is wrong."""

    events: int = 0
    seals: int = 0
    unsealed: int = 0
    last: AuditSeal | None = None
    wrong: list[str] = field(default_factory=list)


def anchors(texts: Iterable[str]) -> dict[int, str]:
    """Read seals as they were printed. Refuses `INVALID_INPUT`."""
    found = dict[int, str]()
    for text in texts:
        number, _, digest = text.strip().partition(":")
        is_one = number.isdecimal() and len(digest) == 64 and set(digest) <= set("0123456789abcdef")
        if not (is_one and text.isascii()):
            raise InvalidInput("anchor", "is no seal such as 12:5f0c…, a number and 64 digits")
        found[int(number)] = digest
    return found


async def verify(reading: Reading, kept: Mapping[int, str]) -> Verdict:
    """Read the whole trail against its seals, and those against seals kept elsewhere."""
    verdict = Verdict()
    async for seal, events in _sealed(reading, verdict):
        verdict.seals += 1
        verdict.events += events
        verdict.last = seal
        if kept.get(seal.number, seal.digest.hex()) != seal.digest.hex():
            verdict.wrong.append(f"Seal {seal.number} is not the one that was kept.")
    after = verdict.last.last_id if verdict.last else 0
    verdict.unsealed = await reading.audit.count_after(after)
    verdict.events += verdict.unsealed
    last = verdict.last.number if verdict.last else 0
    for number in sorted(each for each in kept if each > last):
        verdict.wrong.append(f"Seal {number}, which was kept, is not there: the trail was cut.")
    return verdict


async def _sealed(
    reading: Reading, verdict: Verdict
) -> AsyncGenerator[tuple[AuditSeal, int], None]:
    """Each seal with the number of its events that are there; says what is wrong with them."""
    before: AuditSeal | None = None
    while page := await reading.audit.seals_after(before.number if before else 0, at_most=EVENTS):
        for seal in page:
            expected = before.number + 1 if before else 1
            if seal.number == expected:
                events, wrong = await _look(reading, before, seal)
                verdict.wrong += wrong
            else:
                lost = (
                    f"Seal {expected} is"
                    if seal.number == expected + 1
                    else (f"Seals {expected} to {seal.number - 1} are")
                )
                verdict.wrong.append(f"{lost} missing: what they sealed cannot be checked.")
                events = await reading.audit.count_after(
                    before.last_id if before else 0, up_to=seal.last_id
                )
            yield seal, events
            before = seal


async def _look(
    reading: Reading, before: AuditSeal | None, seal: AuditSeal
) -> tuple[int, list[str]]:
    """How many events of a seal are there, and what is wrong with them."""
    after = before.last_id if before else 0
    rows = await reading.audit.canonical(after, seal.last_id, at_most=seal.events + 1)
    where = f"events {after + 1} to {seal.last_id} (seal {seal.number})"
    if len(rows) < seal.events:
        return len(rows), [f"Of the {where} {seal.events - len(rows)} are missing."]
    if len(rows) > seal.events:
        return len(rows), [f"Among the {where} are some that were not sealed."]
    try:
        is_right = _digest(reading.vault, before, seal, _hash(rows)) == seal.digest
    except KeyringError as error:
        return len(rows), [f"Of the {where} nothing can be said. {error}"]
    wrong = f"One of the {where} was changed or put elsewhere, or the seal was."
    return len(rows), [] if is_right else [wrong]


def _hash(rows: Sequence[tuple[int, bytes]]) -> bytes:
    digest = hashlib.sha256()
    for _, row in rows:
        digest.update(row + b"\n")  # which JSON has nowhere
    return digest.digest()


def _digest(vault: Vault, before: AuditSeal | None, seal: AuditSeal, rows: bytes) -> bytes:
    """What a seal on these rows is, after the one before."""
    chained = before.digest.hex() if before else ""
    numbers = [seal.number, seal.last_id, seal.events, seal.created_at]
    content = orjson.dumps([*numbers, chained, rows.hex()])
    return vault.audit_digest(seal.key_id, content)
