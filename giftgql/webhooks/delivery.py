"""Telling an endpoint what waits for it, one message after the other."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from time import monotonic

import orjson
from standardwebhooks import Webhook

from giftgql.jobs import service as jobs
from giftgql.jobs.service import Lease, NotDone, Patience
from giftgql.outbox import service as outbox
from giftgql.outbox.models import OutboxMessage, OutboxState
from giftgql.store import Reading, Store, Transaction
from giftgql.webhooks import calls, service
from giftgql.webhooks.addresses import Target
from giftgql.webhooks.calls import Answer

LEASE = timedelta(seconds=3 * calls.CALL_SECONDS)

A_DAY = timedelta(days=1)
"""A message that is older dies with the next try that fails."""

REFUSED = Patience(20, timedelta(seconds=10), timedelta(hours=12))
"""How long a message rests that the endpoint has answered and not taken."""

TURN_SECONDS = 5.0
"""So long a connection is used, while messages wait."""

LOOK_AGAIN = timedelta(seconds=1)
"""The pause where clocks disagree on whether a message is due."""


@dataclass(frozen=True)
class Sending:
    """A message as it is sent, and where to."""

    message_id: int
    url: str
    body: bytes
    headers: dict[str, str] = field(repr=False)


async def deliver(store: Store, lease: Lease) -> bool:
    """Tell an endpoint what is due, for a turn; says whether there is more. What waits for one
    that is off is cancelled.

    Raises NotDone where the endpoint is down: it then rests, and the message stays the first.
    """
    ends = monotonic() + TURN_SECONDS
    async with store.read() as reading:
        endpoint = await reading.webhooks.get(lease.subject_id)
        sending = await _next(reading, lease.subject_id)
    if endpoint is None or not endpoint.is_active:
        return await _cancel(store, lease)
    async with calls.opened(store.settings, Target.read(endpoint.url)) as line:
        while sending is not None and sending.url == endpoint.url and monotonic() < ends:
            answer = await line.post(sending.body, sending.headers)
            if answer.is_of_endpoint:
                await _note(store, lease, sending, answer)
                raise NotDone(answer.why)
            await _settle(store, lease, sending, answer)
            async with store.read() as reading:
                sending = await _next(reading, lease.subject_id)
    return sending is not None


async def again_at(tx: Transaction, endpoint_id: int) -> datetime | None:
    """When the next message to an endpoint that has nothing to be told now is due, if any is."""
    message = await outbox.first_in_line(tx, endpoint_id)
    return None if message is None else max(message.due_at, tx.now + LOOK_AGAIN)


async def _next(reading: Reading, endpoint_id: int) -> Sending | None:
    """What an active endpoint is to be told now, signed."""
    endpoint = await reading.webhooks.get(endpoint_id)
    if endpoint is None or not endpoint.is_active:
        return None
    message = await outbox.first_in_line(reading, endpoint_id)
    if message is None or message.due_at > reading.now:
        return None
    return _signed(message, endpoint.url, await service.signing_secrets(reading, endpoint_id))


def _signed(message: OutboxMessage, url: str, secrets: list[bytes]) -> Sending:
    """The message with the headers of Standard Webhooks. Its time is that of this very try, by a
    clock that nobody sets: receivers refuse what is minutes off theirs."""
    assert message.id is not None
    body, name, now = orjson.dumps(message.facts), str(message.facts["id"]), datetime.now(UTC)
    signatures = (Webhook(secret).sign(name, now, body.decode()) for secret in secrets)
    headers = {
        "webhook-id": name,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
    return Sending(message.id, url, body, headers)


async def _settle(store: Store, lease: Lease, sending: Sending, answer: Answer) -> None:
    """Write down what an endpoint that is up has made of a message."""
    async with store.write() as tx:
        if answer.is_gone:
            await service.switch_off(tx, lease.subject_id)
        message = await outbox.held(tx, sending.message_id)
        await jobs.hold(tx, lease)
        if message.state is not OutboxState.WAITING:
            return  # it was cancelled meanwhile
        if answer.is_taken:
            await outbox.sent(tx, message)
        elif answer.is_gone or message.created_at <= tx.now - A_DAY:
            await outbox.failed(tx, sending.message_id, answer.why)
            await outbox.bury(tx, sending.message_id)
        else:
            until = tx.now + REFUSED.pause(message.attempts + 1)
            await outbox.put_off(tx, message, until, answer.why)


async def _note(store: Store, lease: Lease, sending: Sending, answer: Answer) -> None:
    """Write down that an endpoint is down. What has waited for a day has waited in vain."""
    async with store.write() as tx:
        await outbox.failed(tx, sending.message_id, answer.why)
    buried = True
    while buried:
        async with store.write() as tx:
            buried = await outbox.bury_line(tx, lease.subject_id, tx.now - A_DAY) > 0


async def _cancel(store: Store, lease: Lease) -> bool:
    async with store.write() as tx:
        await jobs.hold(tx, lease)
        return await outbox.cancel_line(tx, lease.subject_id, "The endpoint is off") > 0
