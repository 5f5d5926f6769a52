import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

import orjson

from giftgql.errors import IdempotencyConflict, InvalidInput, Unavailable
from giftgql.requests.models import Request
from giftgql.rows import Write
from giftgql.store import Reading, Transaction

_KEY = re.compile(r"[\x20-\x7e]{1,128}")


@dataclass(frozen=True)
class Once:
    """A request that is to be done once: its key and all that makes it this request."""

    key: str
    mutation: str
    canonical: bytes = field(repr=False)


def once(key: str | None, mutation: str, facts: dict[str, Any]) -> Once | None:
    """Read an idempotency key, 1 to 128 printable ASCII characters; None if there is none.

    `facts` is the input as it was given, without PINs and CVVs.
    """
    if key is None:
        return None
    if not _KEY.fullmatch(key):
        raise InvalidInput("idempotencyKey", "must be 1 to 128 printable ASCII characters")
    canonical = orjson.dumps([mutation, facts], option=orjson.OPT_SORT_KEYS, default=str)
    return Once(key, mutation, canonical)


Outcome = dict[str, Any]


class JustClaimed(Unavailable):
    """Another transaction has claimed a key meanwhile: done again, its outcome will be found."""


@dataclass
class Keys:
    """The keys of many requests that are worked on in one transaction."""

    known: dict[tuple[str, str], tuple[bytes, Outcome]]
    claims: list[tuple[Any, ...]] = field(default_factory=list)

    def done(self, tx: Transaction, caller: str, request: Once | None) -> Outcome | None:
        """The outcome of a request that is done already, be it earlier in this transaction.

        Refuses `IDEMPOTENCY_CONFLICT` where the key stands for another request.
        """
        found = self.known.get((caller, request.key)) if request else None
        if request is None or found is None:
            return None
        fingerprint, outcome = found
        if fingerprint != tx.vault.request_fingerprint(request.canonical):
            raise IdempotencyConflict
        return outcome

    def claim(self, tx: Transaction, caller: str, request: Once | None, outcome: Outcome) -> None:
        if request is not None:
            fingerprint = tx.vault.request_fingerprint(request.canonical)
            self.known[caller, request.key] = fingerprint, outcome
            row = (caller, request.key, request.mutation, fingerprint, outcome, tx.now)
            self.claims.append(row)

    def writing(self, tx: Transaction) -> Write:
        """The claims, in the order of their keys: two transactions cannot wait for each other."""
        return tx.requests.claims(sorted(self.claims, key=lambda claim: claim[:2]))

    def check(self, written: int) -> None:
        """Refuses with JustClaimed where a key was taken meanwhile."""
        if written != len(self.claims):
            raise JustClaimed


async def keys_of(tx: Transaction, wanted: Iterable[tuple[str, Once | None]]) -> Keys:
    """What is known of these callers' requests."""
    keys = {(caller, request.key) for caller, request in wanted if request is not None}
    rows = await tx.requests.by_keys(sorted(keys))
    return Keys({(caller, key): (print_, outcome or {}) for caller, key, print_, outcome in rows})


async def claim(tx: Transaction, request: Once | None) -> dict[str, Any] | None:
    """Claim the request's key for this transaction; if it is done already, give its outcome."""
    if request is None:
        return None
    fingerprint = tx.vault.request_fingerprint(request.canonical)
    claimed = await tx.requests.add(
        Request(
            caller=tx.caller.name,
            key=request.key,
            mutation=request.mutation,
            fingerprint=fingerprint,
            created_at=tx.now,
        )
    )
    if claimed:
        return None
    done = await tx.requests.get(tx.caller.name, request.key)
    if done is None:
        raise Unavailable
    if done.fingerprint != fingerprint:
        raise IdempotencyConflict
    return done.outcome or {}


async def find(reading: Reading, key: str) -> Outcome | None:
    """What a key of the caller did; None if it was never used."""
    if not _KEY.fullmatch(key):
        raise InvalidInput("ofKey", "must be 1 to 128 printable ASCII characters")
    done = await reading.requests.get(reading.caller.name, key)
    return None if done is None else done.outcome or {}


async def done(reading: Reading, request: Once) -> Outcome | None:
    """The outcome of this request if it is done. Refuses `IDEMPOTENCY_CONFLICT`."""
    found = await reading.requests.get(reading.caller.name, request.key)
    if found is None:
        return None
    if found.fingerprint != reading.vault.request_fingerprint(request.canonical):
        raise IdempotencyConflict
    return found.outcome or {}


async def settle(tx: Transaction, request: Once | None, outcome: dict[str, Any]) -> None:
    """Keep what the request did, ids only, for when it is repeated."""
    if request is not None:
        await tx.requests.set_outcome(tx.caller.name, request.key, outcome)


async def forget_words(tx: Transaction, card_ids: Collection[int]) -> None:
    """Take what was said of cards, their notes and metadata, out of the answers that are kept."""
    for request in await tx.requests.lock_by_cards(card_ids):
        request.outcome = {**(request.outcome or {}), "note": None, "details": None}
    await tx.requests.update()
