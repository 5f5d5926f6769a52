from giftgql.errors import Conflict, NotFound
from giftgql.installation import service as installation
from giftgql.jobs import service as jobs
from giftgql.outbox.mails import Mail
from giftgql.outbox.models import OutboxChannel, OutboxMessage, OutboxState
from giftgql.outbox.repository import Criteria
from giftgql.paging import Page, cut, page_of
from giftgql.store import Reading, Transaction


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


async def cancel_waiting(
    tx: Transaction, *, card_id: int | None = None, order_id: int | None = None
) -> int:
    """Have what is not sent yet about a card, an order or both never sent; returns how many
    messages that were. One that is under way at this moment may still arrive."""
    assert card_id is not None or order_id is not None
    waiting = await tx.outbox.lock_waiting(card_id=card_id, order_id=order_id)
    for message in waiting:
        assert message.id is not None
        await tx.outbox.update(message, state=OutboxState.CANCELLED, ended_at=tx.now)
        await jobs.cancel(tx, kind(message), message.id)
    return len(waiting)


async def retry(tx: Transaction, message_id: int) -> OutboxMessage:
    """Try a message now that is dead or waits. Refuses `NOT_FOUND`, `CONFLICT`."""
    message = await held(tx, message_id)
    if message.state not in (OutboxState.DEAD, OutboxState.WAITING):
        raise Conflict("id", f"The message is {message.state.lower()}; it can be sent anew.")
    waiting = {"state": OutboxState.WAITING, "due_at": tx.now, "ended_at": None}
    await tx.outbox.update(message, **waiting)
    await jobs.add(tx, kind(message), message_id)
    return message


async def resend(tx: Transaction, message_id: int) -> OutboxMessage:
    """Send a copy of a message that was sent or cancelled, to the same address, now; returns the
    copy. Refuses `NOT_FOUND`, `CONFLICT`."""
    message = await held(tx, message_id)
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


async def page(
    reading: Reading, criteria: Criteria, *, first: int, skip: int, since: str | None = None
) -> Page[OutboxMessage]:
    """Messages by id, or in the order in which they changed."""
    where = cut(first, skip, await installation.window(reading, since, OutboxMessage, int))
    return page_of(await reading.outbox.page(where, criteria), where)


def kind(message: OutboxMessage) -> str:
    """The kind of the job that delivers a message: `mail`, `webhook`."""
    return message.channel.lower()


async def _put(tx: Transaction, message: OutboxMessage) -> int:
    message_id = await tx.outbox.add(message)
    await jobs.add(tx, kind(message), message_id, run_at=message.due_at)
    return message_id
