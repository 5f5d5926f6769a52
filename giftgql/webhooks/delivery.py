"""Telling an endpoint what waits for it, one message after the other."""

import asyncio
from collections.abc import Sequence
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

LEASE = timedelta(seconds=2 * calls.CALL_SECONDS)

A_DAY = timedelta(days=1)
"""A message that is older dies with the next try that fails."""

REFUSED = Patience(20, timedelta(seconds=10), timedelta(hours=4))
"""How long a message rests that the endpoint has answered and not taken."""

PIECE, PIECE_SECONDS = 50, 1.0
"""So many messages are sent, for so long, before it is written down what became of them. A process
that dies before that sends them once more."""

LOOK_AGAIN = timedelta(seconds=1)
"""The pause where clocks disagree on whether a message is due."""


@dataclass(frozen=True)
class Sending:
    """A message as it is sent."""

    message_id: int
    body: bytes
    headers: dict[str, str] = field(repr=False)


async def deliver(store: Store, lease: Lease) -> bool:
    """Tell an endpoint the next of what is due; says whether there is more. What waits for one
    that is off is cancelled.

    Raises NotDone where the endpoint is down: it then rests, and the message stays the first.
    """
    async with store.read() as reading:
        endpoint = await reading.webhooks.get(lease.subject_id)
        due = await _due(reading, lease.subject_id)
    if endpoint is None or not endpoint.is_active:
        return await _cancel(store, lease)
    if not due:
        return False
    answers = list[tuple[Sending, Answer]]()
    try:
        await _call(store, Target.read(endpoint.url), due, answers)
    finally:  # what was sent until it was stopped as well
        if answers:
            await asyncio.shield(_settle(store, lease, answers))
    if answers and answers[-1][1].is_of_endpoint:
        await _bury(store, lease)
        raise NotDone(answers[-1][1].why)
    return True


async def again_at(tx: Transaction, endpoint_id: int) -> datetime | None:
    """When the next message to an endpoint that has nothing to be told now is due, if any is."""
    line = await outbox.line(tx, endpoint_id, at_most=1)
    return max(line[0].due_at, tx.now + LOOK_AGAIN) if line else None


async def _due(reading: Reading, endpoint_id: int) -> list[Sending]:
    line = await outbox.line(reading, endpoint_id, at_most=PIECE)
    due = [message for message in line if message.due_at <= reading.now]
    secrets = await service.signing_secrets(reading, endpoint_id) if due else []
    return [_signed(message, secrets) for message in due]


def _signed(message: OutboxMessage, secrets: Sequence[bytes]) -> Sending:
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
    return Sending(message.id, body, headers)


async def _call(
    store: Store, target: Target, due: Sequence[Sending], answers: list[tuple[Sending, Answer]]
) -> None:
    """Send one after the other, until the endpoint is down, or gone, or time is up."""
    ends = monotonic() + PIECE_SECONDS
    async with calls.opened(store.settings, target) as line:
        for sending in due:
            answer = await line.post(sending.body, sending.headers)
            answers.append((sending, answer))
            if answer.is_of_endpoint or answer.is_gone or monotonic() > ends:
                return


async def _settle(store: Store, lease: Lease, answers: Sequence[tuple[Sending, Answer]]) -> None:
    """Write down what became of messages."""
    taken = [sending.message_id for sending, answer in answers if answer.is_taken]
    others = [(sending.message_id, answer) for sending, answer in answers if not answer.is_taken]
    async with store.write() as tx:
        if any(answer.is_gone for _, answer in others):
            await service.switch_off(tx, lease.subject_id)
        await outbox.all_sent(tx, taken)
        for message_id, answer in others:
            await _not_taken(tx, message_id, answer)
        if not answers[0][1].is_of_endpoint:  # it is up, or was until now
            await jobs.hold(tx, lease)


async def _not_taken(tx: Transaction, message_id: int, answer: Answer) -> None:
    message = await outbox.held(tx, message_id)
    if message.state is not OutboxState.WAITING:
        return  # it was cancelled meanwhile
    if answer.is_of_endpoint:
        await outbox.failed(tx, message_id, answer.why)
    elif answer.is_gone or message.created_at <= tx.now - A_DAY:
        await outbox.failed(tx, message_id, answer.why)
        await outbox.bury(tx, message_id)
    else:
        until = tx.now + REFUSED.pause(message.attempts + 1)
        await outbox.put_off(tx, message, until, answer.why)


async def _bury(store: Store, lease: Lease) -> None:
    """What has waited for a day for an endpoint that is down has waited in vain."""
    buried = True
    while buried:
        async with store.write() as tx:
            buried = await outbox.bury_line(tx, lease.subject_id, tx.now - A_DAY) > 0


async def _cancel(store: Store, lease: Lease) -> bool:
    async with store.write() as tx:
        await jobs.hold(tx, lease)
        return await outbox.cancel_line(tx, lease.subject_id, "The endpoint is off") > 0
