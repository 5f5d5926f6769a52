import asyncio
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import orjson
import structlog

from giftgql.errors import InvalidInput
from giftgql.installation import service as installation
from giftgql.seals.models import Seal
from giftgql.seals.repository import Canonical
from giftgql.store import Reading, Store, Transaction
from giftgql.vault import KeyringError, Vault

log = structlog.get_logger("giftgql.seals")

EVENTS, MOVEMENTS = 1_000, 5_000
"""Events and, about, movements of one seal, at most."""

PAUSES = (0.0, 0.05, 0.2, 0.5, 1.0, 2.0)
"""Seconds between looks at whether transactions that were under way have ended."""


@dataclass(frozen=True)
class Settled:
    """Up to which event, and below which transaction of an epoch, all is there that will be."""

    last_id: int
    epoch: str
    horizon: int


@dataclass
class Verdict:
    """What a check has found: a sentence for each thing that is wrong. `unsealed` counts events and
    rows of the journal that came after the last seal; `unread` seals on movements that were
    numbered anew since. `past` has what is to be said of seals of each epoch before this one, by
    how many movements they are on."""

    events: int = 0
    movements: int = 0
    seals: int = 0
    unsealed: int = 0
    unread: int = 0
    last: Seal | None = None
    wrong: list[str] = field(default_factory=list)
    past: dict[str, list[tuple[int, str | None]]] = field(default_factory=dict)


def shown(seal: Seal) -> str:
    """A seal as it is printed, to be kept elsewhere: `number:digest`."""
    return f"{seal.number}:{seal.digest.hex()}"


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


async def settled(store: Store) -> Settled | None:
    """What is final by now; None where others are still writing after a while.

    Ids of events are given out before they are committed, by transactions that have their number
    already: when all that had begun have ended, none before the newest one is to come.
    """
    async with store.read() as reading:
        newest = await reading.seals.newest_event()
        number = await reading.seals.this_transaction()
        for pause in PAUSES:
            await asyncio.sleep(pause)
            epoch, horizon = await installation.sync_state(reading)
            if horizon > number:
                return Settled(newest, epoch, horizon)
    return None


async def seal_next(tx: Transaction, now: Settled) -> int:
    """Seal the next events and movements that are settled; returns how many."""
    before = await tx.seals.last()
    after, begins = _ends(before, now.epoch)
    events = await tx.seals.events(after, now.last_id, at_most=EVENTS)
    ends = await tx.seals.horizon_of(begins, max(begins, now.horizon), at_most=MOVEMENTS)
    movements, journal = await _journal(tx, begins, ends)
    if not events and not movements:
        return 0
    made = Seal(
        number=before.number + 1 if before else 1,
        last_id=events[-1][0] if events else after,
        events=len(events),
        epoch=now.epoch,
        horizon=ends,
        movements=movements,
        journal=journal,
        digest=b"",
        key_id=tx.vault.ring.primary,
        created_at=tx.now,
    )
    made.digest = _digest(tx.vault, before, made, events)
    await tx.seals.add(made)
    log.info("sealed", seal=shown(made), events=made.events, movements=made.movements)
    return len(events) + movements


async def verify(reading: Reading, kept: Mapping[int, str]) -> Verdict:
    """Read the trail and the journal against the seals, and those against seals kept elsewhere."""
    verdict, epoch = Verdict(), await installation.epoch(reading)
    while page := await reading.seals.page(verdict.last.number if verdict.last else 0):
        for seal in page:
            await _look(reading, verdict, seal, epoch)
            if kept.get(seal.number, seal.digest.hex()) != seal.digest.hex():
                verdict.wrong.append(f"Seal {seal.number} is not the one that was kept.")
            verdict.seals, verdict.last = verdict.seals + 1, seal
    _look_back(verdict)
    if outside := await reading.seals.count_outside():
        verdict.wrong.append(f"{outside} rows have numbers that are never given out: added.")
    after, begins = _ends(verdict.last, epoch)
    events = await reading.seals.count_events(after)
    movements = await reading.seals.count_movements(begins)
    verdict.unsealed = events + movements
    verdict.events += events
    verdict.movements += movements
    last = verdict.last.number if verdict.last else 0
    for number in sorted(each for each in kept if each > last):
        verdict.wrong.append(f"Seal {number}, which was kept, is not there: the trail was cut.")
    return verdict


async def _look(reading: Reading, verdict: Verdict, seal: Seal, epoch: str) -> None:
    """Say what is wrong with a seal, and with what it is on."""
    before = verdict.last
    expected = before.number + 1 if before else 1
    if seal.number != expected:
        last = seal.number - 1
        lost = f"Seal {last} is" if last == expected else f"Seals {expected} to {last} are"
        verdict.wrong.append(f"{lost} missing: what they sealed cannot be checked.")
        after = before.last_id if before else 0
        verdict.events += await reading.seals.count_events(after, seal.last_id)
        return
    await _look_at_events(reading, verdict, seal)
    many, wrong = await _look_at_movements(reading, verdict, seal)
    if seal.epoch == epoch:
        verdict.movements += many
        verdict.wrong += [wrong] if wrong else []
    else:
        verdict.past.setdefault(seal.epoch, []).append((seal.movements, wrong))


def _look_back(verdict: Verdict) -> None:
    """Seals of before a restore still fit, unless it was into another cluster, where all movements
    are numbered anew: where one of an epoch fits, all have to."""
    for found in verdict.past.values():
        if any(movements and wrong is None for movements, wrong in found):
            verdict.wrong += [wrong for _, wrong in found if wrong]
        else:
            verdict.unread += len(found)


async def _look_at_events(reading: Reading, verdict: Verdict, seal: Seal) -> None:
    after, _ = _ends(verdict.last, seal.epoch)
    rows = await reading.seals.events(after, seal.last_id, at_most=seal.events + 1)
    where = f"events {after + 1} to {seal.last_id} (seal {seal.number})"
    verdict.events += len(rows)
    if (wrong := _miscounted(len(rows), seal.events, where)) is None:
        try:
            if _digest(reading.vault, verdict.last, seal, rows) != seal.digest:
                wrong = f"One of the {where} was changed or put elsewhere, or the seal was."
        except KeyringError as error:
            wrong = f"Of the {where} nothing can be said. {error}"
    verdict.wrong += [wrong] if wrong else []


async def _look_at_movements(
    reading: Reading, verdict: Verdict, seal: Seal
) -> tuple[int, str | None]:
    """How many rows of the journal there are where a seal has them, and what is wrong with them."""
    _, begins = _ends(verdict.last, seal.epoch)
    many, journal = await _journal(reading, begins, seal.horizon)
    where = f"movements and ends of holds of seal {seal.number}"
    wrong = _miscounted(many, seal.movements, where)
    if wrong is None and journal != seal.journal:
        wrong = f"One of the {where}, or a posting, was changed or put elsewhere."
    return many, wrong


def _miscounted(found: int, sealed: int, where: str) -> str | None:
    if found < sealed:
        return f"Of the {where} {sealed - found} are missing."
    return f"Among the {where} are some that were not sealed." if found > sealed else None


def _ends(before: Seal | None, epoch: str) -> tuple[int, int]:
    """After which event, and from which transaction on, the next seal is to begin."""
    if before is None:
        return 0, 0
    return before.last_id, before.horizon if before.epoch == epoch else 0


async def _journal(reading: Reading, begins: int, ends: int) -> tuple[int, bytes]:
    """How many rows of the journal transactions in a range wrote, and a digest of them."""
    digest, many = hashlib.sha256(), 0
    async for rows in reading.seals.journal(begins, ends):
        _add(digest, rows)
        many += len(rows)
    return many, digest.digest()


def _add(digest: "hashlib._Hash", rows: Sequence[Canonical]) -> None:
    for _, row in rows:
        digest.update(row + b"\n")  # which JSON has nowhere


def _digest(vault: Vault, before: Seal | None, seal: Seal, events: Sequence[Canonical]) -> bytes:
    """What a seal on these events, and on the journal as it says, is after the one before."""
    digest = hashlib.sha256()
    _add(digest, events)
    chained = before.digest.hex() if before else ""
    facts = [seal.number, seal.last_id, seal.events, seal.epoch, seal.horizon, seal.movements]
    content = [*facts, seal.created_at, seal.journal.hex(), digest.hexdigest(), chained]
    return vault.audit_digest(seal.key_id, orjson.dumps(content))
