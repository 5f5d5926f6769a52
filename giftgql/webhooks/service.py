import secrets
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from giftgql.audit import service as audit
from giftgql.audit.models import Event
from giftgql.errors import Conflict, NotFound
from giftgql.installation import service as installation
from giftgql.jobs import service as jobs
from giftgql.outbox import service as outbox
from giftgql.outbox.models import OutboxMessage
from giftgql.outbox.webhooks import Webhook
from giftgql.paging import Page, cut, page_of
from giftgql.store import Reading, Transaction
from giftgql.webhooks import events
from giftgql.webhooks.criteria import Criteria
from giftgql.webhooks.models import WebhookCursor, WebhookEndpoint, WebhookSecret

FAN_OUT, DELIVERY = "webhooks.fan_out", outbox.WEBHOOK
"""The kinds of the jobs that follow what happens, and that tell an endpoint of it."""

MOST_ENDPOINTS = 100
SECRET_BYTES = 32
OVERLAP = timedelta(hours=24)
"""For so long a secret that was replaced signs along."""

KEPT = timedelta(days=30)
"""For so long messages that have ended can be seen and sent once more."""

ROTATION_BATCH = 500


@dataclass(frozen=True)
class Shown:
    """An endpoint, and its secret where it has just been made."""

    endpoint: WebhookEndpoint
    secret: str | None = field(default=None, repr=False)


async def add(tx: Transaction, facts: Mapping[str, Any]) -> Shown:
    """Add an endpoint; it is told what happens from now on. Refuses `CONFLICT` where there are too
    many."""
    if await tx.webhooks.count() >= MOST_ENDPOINTS:
        raise Conflict("url", f"There are {MOST_ENDPOINTS} endpoints, which is the most.")
    begin = await _beginning(tx)
    endpoint = WebhookEndpoint(**facts, **begin, created_at=tx.now, modified_at=tx.now)
    endpoint_id = await tx.webhooks.add(endpoint)
    await _record(tx, Event.WEBHOOK_ADDED, endpoint, **facts)
    if endpoint.is_active:
        await jobs.add(tx, FAN_OUT)
    return Shown(endpoint, await _add_secret(tx, endpoint_id))


async def edit(
    tx: Transaction, endpoint_id: int, facts: Mapping[str, Any], *, rotates: bool
) -> Shown:
    """Write what is given of an endpoint, and give it another secret if it `rotates`. Switched on,
    it is told what happens from now on; switched off, what waits for it is cancelled."""
    endpoint = await _locked(tx, endpoint_id)
    was_active = endpoint.is_active
    begin = {} if was_active or not facts.get("is_active") else await _beginning(tx)
    await tx.webhooks.update(endpoint, {**facts, **begin, "modified_at": tx.now})
    await _record(tx, Event.WEBHOOK_EDITED, endpoint, **facts, rotated=rotates)
    if endpoint.is_active and not was_active:
        await jobs.add(tx, FAN_OUT)
    await jobs.add(tx, DELIVERY, endpoint_id)
    if not rotates:
        return Shown(endpoint)
    await tx.webhooks.replace_secrets(endpoint_id, ends_at=tx.now + OVERLAP)
    return Shown(endpoint, await _add_secret(tx, endpoint_id))


async def remove(tx: Transaction, endpoint_id: int) -> WebhookEndpoint:
    """Remove an endpoint for good; what waits for it is cancelled."""
    endpoint = await _locked(tx, endpoint_id)
    gone = {"is_active": False, "removed_at": tx.now, "modified_at": tx.now}
    await tx.webhooks.update(endpoint, gone)
    await _record(tx, Event.WEBHOOK_REMOVED, endpoint)
    await jobs.add(tx, DELIVERY, endpoint_id)
    return endpoint


async def switch_off(tx: Transaction, endpoint_id: int) -> None:
    """What an endpoint gets that wants no more, if it is there yet."""
    endpoint = await tx.webhooks.lock(endpoint_id)
    if endpoint is None or not endpoint.is_active:
        return
    await tx.webhooks.update(endpoint, {"is_active": False, "modified_at": tx.now})
    await _record(tx, Event.WEBHOOK_EDITED, endpoint, is_active=False)


async def test(tx: Transaction, endpoint_id: int) -> OutboxMessage:
    """Send an endpoint a test, which it gets in its turn. Refuses `CONFLICT` where it is off."""
    endpoint = await _locked(tx, endpoint_id)
    if not endpoint.is_active:
        raise Conflict("id", "The endpoint is not active.")
    happened = events.of_test(endpoint_id, tx.now)
    await _record(tx, Event.WEBHOOK_TESTED, endpoint)
    return await outbox.call(tx, Webhook(endpoint_id, happened.event.value, happened.body()))


async def page(
    reading: Reading, criteria: Criteria, *, first: int, skip: int, since: str | None
) -> Page[WebhookEndpoint]:
    where = cut(first, skip, await installation.window(reading, since, WebhookEndpoint, int))
    return page_of(await reading.webhooks.page(where, criteria), where)


async def signing_secrets(reading: Reading, endpoint_id: int) -> list[bytes]:
    """The secrets with which an endpoint's messages are signed, the newest first."""
    found = await reading.webhooks.secrets(endpoint_id, reading.now)
    return [_unsealed(reading, each) for each in found]


async def reseal(tx: Transaction) -> int:
    """Encrypt the next secrets with the primary key; returns how many, 0 when all are."""
    primary = tx.vault.ring.primary
    batch = await tx.webhooks.secrets_sealed_otherwise(primary, at_most=ROTATION_BATCH)
    for each in batch:
        await tx.webhooks.set_seal(each, *_sealed(tx, each.endpoint_id, _unsealed(tx, each)))
    return len(batch)


async def forget_old(tx: Transaction) -> int:
    """Remove old messages and secrets that sign no more; returns how many messages, 0 when none
    is left."""
    await tx.webhooks.delete_secrets(tx.now)
    until = tx.now - KEPT
    return sum([await outbox.forget_line(tx, each, until) for each in await tx.webhooks.ids()])


async def _beginning(tx: Transaction) -> dict[str, Any]:
    """From when on an endpoint is told what happens, if that is now."""
    epoch, horizon = await installation.sync_state(tx)
    cursor = WebhookCursor(epoch=epoch, announced=horizon - 1, begins_in=horizon, begins_at=tx.now)
    await tx.webhooks.add_cursor(cursor)
    return {"active_in": horizon, "active_since": tx.now}


async def _add_secret(tx: Transaction, endpoint_id: int) -> str:
    """Give an endpoint a new secret; returns it as Standard Webhooks writes it."""
    secret = secrets.token_bytes(SECRET_BYTES)
    ciphertext, cipher_key = _sealed(tx, endpoint_id, secret)
    row = WebhookSecret(
        endpoint_id=endpoint_id, ciphertext=ciphertext, cipher_key=cipher_key, created_at=tx.now
    )
    await tx.webhooks.add_secret(row)
    return f"whsec_{b64encode(secret).decode()}"


def _sealed(tx: Transaction, endpoint_id: int, secret: bytes) -> tuple[bytes, int]:
    return tx.vault.seal_bytes("webhook", secret, bound_to=_bound_to(endpoint_id))


def _unsealed(reading: Reading, secret: WebhookSecret) -> bytes:
    return reading.vault.unseal_bytes(
        "webhook", secret.ciphertext, secret.cipher_key, bound_to=_bound_to(secret.endpoint_id)
    )


def _bound_to(endpoint_id: int) -> bytes:
    return b"giftgql|webhook|%d" % endpoint_id


async def _locked(tx: Transaction, endpoint_id: int) -> WebhookEndpoint:
    endpoint = await tx.webhooks.lock(endpoint_id)
    if endpoint is None or endpoint.removed_at is not None:
        raise NotFound("id", "endpoint")
    return endpoint


async def _record(tx: Transaction, event: Event, endpoint: WebhookEndpoint, **facts: Any) -> None:
    await audit.record(tx, event, f"webhook:{endpoint.id}", **facts)


def wants(endpoint: WebhookEndpoint, event: events.WebhookEvent, number: int) -> bool:
    """Whether an endpoint is to be told an event of this transaction."""
    is_named = not endpoint.events or event.value in endpoint.events
    return is_named and number >= endpoint.active_in
