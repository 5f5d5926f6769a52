import re
from dataclasses import dataclass, field
from typing import Any

import orjson

from giftgql.errors import IdempotencyConflict, InvalidInput, Unavailable
from giftgql.requests.models import Request
from giftgql.store import Transaction

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


async def settle(tx: Transaction, request: Once | None, outcome: dict[str, Any]) -> None:
    """Keep what the request did, ids only, for when it is repeated."""
    if request is not None:
        await tx.requests.set_outcome(tx.caller.name, request.key, outcome)
