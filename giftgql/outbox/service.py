from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

from giftgql.audit import service as audit
from giftgql.audit.models import Event
from giftgql.errors import Conflict, NotFound
from giftgql.installation import service as installation
from giftgql.jobs import service as jobs
from giftgql.outbox.criteria import Criteria
from giftgql.outbox.mails import Mail
from giftgql.outbox.models import OutboxChannel, OutboxMessage, OutboxState
from giftgql.outbox.webhooks import Webhook
from giftgql.paging import Page, cut, page_of
from giftgql.store import Reading, Transaction

MAIL, WEBHOOK = "mail", "webhook"
"""The kinds of the jobs that deliver: each mail, and all that an endpoint is to be told."""

LINE_BATCH = 1_000

_OF_PEOPLE = ("recipient", "sender", "message")
"""What mails say of people."""


@dataclass(frozen=True)
class Standing:
    """How many messages of a channel are in a state; of those that wait, by how long the first is
    late."""

    channel: OutboxChannel
    state: OutboxState
    messages: int
    overdue: timedelta


async def standing(reading: Reading, *, at_most: int) -> list[Standing]:
    """What waits and what is dead, the oldest of it."""
    answer = []
    for state in (OutboxState.WAITING, OutboxState.DEAD):
        for channel, many, due in await reading.outbox.standing(state, at_most=at_most):
            is_late = state is OutboxState.WAITING and due < reading.now
            late = reading.now - due if is_late else timedelta()
            answer.append(Standing(channel, state, many, late))
    return answer


async def put(tx: Transaction, mail: Mail) -> int:
    """Have a mail sent once this transaction is committed and it is due; returns its id."""
    message = OutboxMessage(
        channel=OutboxChannel.MAIL,
        topic=mail.content.topic,
        card_id=mail.card_id,
        order_id=mail.order_id,
        address=mail.address,
        facts=mail.content.facts,
        due_at=mail.due_at or tx.now,
        created_by=tx.caller.name,
        created_at=tx.now,
    )
    return await _put(tx, message)


async def call(tx: Transaction, webhook: Webhook) -> OutboxMessage:
    """Have an endpoint called once this transaction is committed, be it resting or not."""
    message = OutboxMessage(**_columns(tx, webhook))
    await _put(tx, message)
    return message


async def announce(tx: Transaction, webhooks: Sequence[Webhook]) -> None:
    """Have endpoints called once this transaction is committed, each in the order given; one that
    has failed rests for as long as it would have."""
    rows = [_columns(tx, each) for each in webhooks]
    await tx.outbox.add_all(rows)
    for endpoint_id in sorted({each.endpoint_id for each in webhooks}):
        await jobs.add(tx, WEBHOOK, endpoint_id, lets_rest=True)


async def cancel_waiting(
    tx: Transaction, *, card_id: int | None = None, order_id: int | None = None
) -> int:
    """Have mails that are not sent yet about a card, an order or both never sent; returns how many
    that were. One that is under way at this moment may still arrive."""
    assert card_id is not None or order_id is not None
    waiting = await tx.outbox.lock_waiting(card_id=card_id, order_id=order_id)
    for message in waiting:
        await tx.outbox.update(message, state=OutboxState.CANCELLED, ended_at=tx.now)
        await jobs.cancel(tx, *_job_of(message))
    return len(waiting)


async def forget_people(
    tx: Transaction,
    address: str | None,
    *,
    card_ids: Collection[int],
    order_ids: Collection[int],
) -> None:
    """Leave nobody's name, address or words in the mails about these cards and orders; what waits
    for `address` is never sent. Refuses `CONFLICT` where something waits for somebody else."""
    for message in await tx.outbox.lock_mails(card_ids=card_ids, order_ids=order_ids):
        ends: dict[str, Any] = {}
        if message.state is OutboxState.WAITING:
            if message.address != address:
                why = f"The mail {message.id}, to somebody else, is still to be sent."
                raise Conflict("id", f"{why} Cancel its order, or wait.")
            ends = {"state": OutboxState.CANCELLED, "ended_at": tx.now}
            await jobs.cancel(tx, *_job_of(message))
        facts = {name: None if name in _OF_PEOPLE else each for name, each in message.facts.items()}
        await tx.outbox.update(message, address=None, facts=facts, **ends)


async def retry(tx: Transaction, message_id: int) -> OutboxMessage:
    """Try a message now that is dead or waits. Refuses `NOT_FOUND`, `CONFLICT`."""
    message = await _whole(tx, message_id)
    if message.state not in (OutboxState.DEAD, OutboxState.WAITING):
        raise Conflict("id", f"The message is {message.state.lower()}; it can be sent anew.")
    waiting = {"state": OutboxState.WAITING, "due_at": tx.now, "ended_at": None}
    await tx.outbox.update(message, **waiting)
    await jobs.add(tx, *_job_of(message))
    await audit.record(tx, Event.MESSAGE_RETRIED, f"message:{message_id}")
    return message


async def resend(tx: Transaction, message_id: int) -> OutboxMessage:
    """Send a copy of a message that was sent or cancelled, to the same address, now; returns the
    copy. Refuses `NOT_FOUND`, `CONFLICT`."""
    message = await _whole(tx, message_id)
    if message.state not in (OutboxState.SENT, OutboxState.CANCELLED):
        raise Conflict("id", f"The message is {message.state.lower()}; it can be tried again.")
    copied = {"channel", "topic", "card_id", "order_id", "endpoint_id", "address", "facts"}
    copy = OutboxMessage(
        **message.model_dump(include=copied),
        due_at=tx.now,
        created_by=tx.caller.name,
        created_at=tx.now,
    )
    await _put(tx, copy)
    await audit.record(tx, Event.MESSAGE_RESENT, f"message:{message_id}", copy=copy.id)
    return copy


async def held(tx: Transaction, message_id: int) -> OutboxMessage:
    """A message as it stays until the transaction ends. Refuses `NOT_FOUND`."""
    message = await tx.outbox.lock(message_id)
    if message is None:
        raise NotFound("id", "message")
    return message


async def get(reading: Reading, message_id: int) -> OutboxMessage:
    """Refuses `NOT_FOUND`."""
    message = await reading.outbox.get(message_id)
    if message is None:
        raise NotFound("id", "message")
    return message


async def sent(tx: Transaction, message: OutboxMessage) -> None:
    """Say that a message was delivered. It is locked."""
    await tx.outbox.update(message, state=OutboxState.SENT, error=None, ended_at=tx.now)


async def drop(tx: Transaction, message: OutboxMessage, why: str) -> None:
    """Say that there is no point in delivering a message any more, as whoever delivers has found.
    It is locked."""
    facts = {"error": why, "ended_at": tx.now}
    await tx.outbox.update(message, state=OutboxState.CANCELLED, **facts)


async def failed(tx: Transaction, message_id: int, why: str) -> None:
    """Count a failed try of a message that waits."""
    message = await held(tx, message_id)
    if message.state is OutboxState.WAITING:
        await tx.outbox.update(message, attempts=message.attempts + 1, error=why)


async def bury(tx: Transaction, message_id: int) -> None:
    """Give a message up that waits."""
    message = await held(tx, message_id)
    if message.state is OutboxState.WAITING:
        await tx.outbox.update(message, state=OutboxState.DEAD, ended_at=tx.now)


async def mails_about(reading: Reading, card_id: int, *, first: int) -> Sequence[OutboxMessage]:
    """The first mails about a card, by id."""
    of_card = Criteria(card_id=card_id, channel=OutboxChannel.MAIL)
    return (await page(reading, of_card, first=first, skip=0)).rows


async def page(
    reading: Reading, criteria: Criteria, *, first: int, skip: int, since: str | None = None
) -> Page[OutboxMessage]:
    """Messages by id, or in the order in which they changed."""
    where = cut(first, skip, await installation.window(reading, since, OutboxMessage, int))
    return page_of(await reading.outbox.page(where, criteria), where)


async def latest(
    reading: Reading, criteria: Criteria, *, first: int, before: int | None = None
) -> Page[OutboxMessage]:
    """Messages, the newest first, from those before one."""
    cut(first, 0)
    found = await reading.outbox.latest(criteria, before=before, many=first + 1)
    return Page(found[:first], len(found) > first)


async def line(reading: Reading, endpoint_id: int, *, at_most: int) -> list[OutboxMessage]:
    """What waits for an endpoint, due or not, in the order in which it is to be told."""
    return await reading.outbox.line(endpoint_id, at_most=at_most)


async def all_sent(tx: Transaction, message_ids: Sequence[int]) -> None:
    """Say that messages were delivered; those that wait no more stay as they are."""
    await tx.outbox.end_waiting(message_ids, OutboxState.SENT, at=tx.now)


async def put_off(tx: Transaction, message: OutboxMessage, until: datetime, why: str) -> None:
    """Count a failed try of a message that waits, and let those behind it go first. It is
    locked."""
    facts = {"attempts": message.attempts + 1, "error": why, "due_at": until}
    await tx.outbox.update(message, **facts)


async def cancel_line(tx: Transaction, endpoint_id: int, why: str) -> int:
    """Have the oldest that wait for an endpoint never sent; returns how many, 0 when all are."""
    cancelled = OutboxState.CANCELLED
    return await tx.outbox.end_line(endpoint_id, cancelled, at=tx.now, why=why, at_most=LINE_BATCH)


async def bury_line(tx: Transaction, endpoint_id: int, made_until: datetime) -> int:
    """Give up the oldest that wait for an endpoint and were made until then; returns how many,
    0 when all are."""
    dead = OutboxState.DEAD
    return await tx.outbox.end_line(
        endpoint_id, dead, at=tx.now, made_until=made_until, at_most=LINE_BATCH
    )


async def forget_line(tx: Transaction, endpoint_id: int, made_until: datetime) -> int:
    """Remove messages to an endpoint that have ended and were made until then; returns how many,
    0 when all are."""
    return await tx.outbox.delete_ended(endpoint_id, made_until=made_until, at_most=LINE_BATCH)


async def _whole(tx: Transaction, message_id: int) -> OutboxMessage:
    """A locked message that can be sent. Refuses `NOT_FOUND`, and `CONFLICT` where whom it was
    for has been erased."""
    message = await held(tx, message_id)
    if message.channel is OutboxChannel.MAIL and message.address is None:
        raise Conflict("id", "Whom the mail was for has been erased.")
    return message


async def _put(tx: Transaction, message: OutboxMessage) -> int:
    message_id = await tx.outbox.add(message)
    kind, subject_id = _job_of(message)
    await jobs.add(tx, kind, subject_id, run_at=message.due_at)
    return message_id


def _columns(tx: Transaction, webhook: Webhook) -> dict[str, Any]:
    return {
        **{each.name: getattr(webhook, each.name) for each in fields(webhook)},
        "channel": OutboxChannel.WEBHOOK,
        "state": OutboxState.WAITING,
        "attempts": 0,
        "due_at": tx.now,
        "created_by": tx.caller.name,
        "created_at": tx.now,
    }


def _job_of(message: OutboxMessage) -> tuple[str, int]:
    """What delivers a message: a mail has a job of its own, an endpoint one for all."""
    if message.channel is OutboxChannel.WEBHOOK:
        assert message.endpoint_id is not None
        return WEBHOOK, message.endpoint_id
    assert message.id is not None
    return MAIL, message.id
