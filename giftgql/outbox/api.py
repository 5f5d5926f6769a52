from datetime import datetime
from typing import Annotated

import strawberry

from giftgql.context import Info
from giftgql.fields import mutation, query
from giftgql.outbox import models, service
from giftgql.outbox.criteria import Criteria
from giftgql.outbox.models import OutboxChannel, OutboxState
from giftgql.permissions import Permission
from giftgql.values import (
    First,
    JSONObject,
    Results,
    Since,
    Skip,
    argument,
    known_id,
    record_id,
    register,
    results,
    text,
)

register("By which way a message goes.")(OutboxChannel)
register("How far a message is.")(OutboxState)


@strawberry.type(description="Something that is to be said to somebody outside, such as a mail.")
class OutboxMessage:
    id: strawberry.ID = strawberry.field(description="The message's id.")
    channel: OutboxChannel = strawberry.field(description="By which way it goes.")
    topic: str = strawberry.field(
        description="What it is about. Of mails `CARD`: a card that was bought or given, with its "
        "code; `USAGE`: what was paid and what is left; `REPLACEMENT`: the new card for the rest "
        "of an old one, with its code. Of webhooks the event's type."
    )
    state: OutboxState = strawberry.field(description="How far it is.")
    giftcard_id: strawberry.ID | None = strawberry.field(description="The card it is about.")
    order_id: strawberry.ID | None = strawberry.field(description="The order it is about.")
    endpoint_id: strawberry.ID | None = strawberry.field(
        description="Of a webhook the endpoint that it goes to."
    )
    address: str | None = strawberry.field(description="Of a mail the address that it goes to.")
    facts: JSONObject = strawberry.field(
        description="What it says: of a mail with amounts in minor units and without its code, "
        "which is put in when it is sent; of a webhook all that is sent."
    )
    due_at: datetime = strawberry.field(description="From when on it is to be sent, UTC.")
    attempts: int = strawberry.field(description="How many tries have failed.")
    error: str | None = strawberry.field(
        description="Why the last try failed, or why it is not to be sent; null once it is sent."
    )
    created_by: str = strawberry.field(description="Who caused it.")
    created_at: datetime = strawberry.field(description="When it was put here, UTC.")
    ended_at: datetime | None = strawberry.field(
        description="When it was sent, given up or cancelled, UTC; null while it waits."
    )

    @classmethod
    def of(cls, message: models.OutboxMessage) -> "OutboxMessage":
        return cls(
            id=strawberry.ID(str(message.id)),
            channel=message.channel,
            topic=message.topic,
            state=message.state,
            giftcard_id=_shown_id(message.card_id),
            order_id=_shown_id(message.order_id),
            endpoint_id=_shown_id(message.endpoint_id),
            address=message.address,
            facts=JSONObject(message.facts),
            due_at=message.due_at,
            attempts=message.attempts,
            error=message.error,
            created_by=message.created_by,
            created_at=message.created_at,
            ended_at=message.ended_at,
        )


@strawberry.input(description="A message that waits or is dead.")
class OutboxRetryInput:
    id: strawberry.ID = strawberry.field(description="The message's id.")


@strawberry.input(description="A message that was sent or cancelled.")
class OutboxResendInput:
    id: strawberry.ID = strawberry.field(description="The message's id.")


@strawberry.type
class OutboxQuery:
    @query(
        requires=Permission.MANAGE_OUTBOX,
        description="Messages to people and systems outside, by what they are and are about, or "
        "all, ordered by id. With `since` in the order of their last change.",
    )
    async def outbox(
        self,
        info: Info,
        id: Annotated[strawberry.ID | None, argument("The message's id.")] = None,
        state: Annotated[OutboxState | None, argument("How far it is.")] = None,
        channel: Annotated[OutboxChannel | None, argument("By which way it goes.")] = None,
        topic: Annotated[str | None, argument("What it is about, 1 to 60 characters.")] = None,
        giftcard_id: Annotated[strawberry.ID | None, argument("The card it is about.")] = None,
        order_id: Annotated[strawberry.ID | None, argument("The order it is about.")] = None,
        endpoint_id: Annotated[
            strawberry.ID | None, argument("The endpoint that a webhook goes to.")
        ] = None,
        first: First = 100,
        skip: Skip = 0,
        since: Since = None,
    ) -> Results[OutboxMessage] | None:
        criteria = Criteria(
            id=_wanted_id(id),
            state=state,
            channel=channel,
            topic=None if topic is None else text(topic, "topic", 60),
            card_id=_wanted_id(giftcard_id),
            order_id=_wanted_id(order_id),
            endpoint_id=_wanted_id(endpoint_id),
        )
        info.context.ask_rows(first)
        async with info.context.read() as reading:
            page = await service.page(reading, criteria, first=first, skip=skip, since=since)
        return results([OutboxMessage.of(each) for each in page.rows], page)


@strawberry.type
class OutboxMutation:
    @mutation(
        requires=Permission.MANAGE_OUTBOX,
        description="Try a message now that waits or is dead; it is sent after the answer. "
        "`CONFLICT` where it was sent or cancelled.",
    )
    async def outbox_retry(
        self, info: Info, outbox: Annotated[OutboxRetryInput, argument("Which.")]
    ) -> OutboxMessage | None:
        async with info.context.write() as tx:
            message = await service.retry(tx, known_id(outbox.id, "id", "message"))
        return OutboxMessage.of(message)

    @mutation(
        requires=Permission.MANAGE_OUTBOX,
        description="Send a message once more that was sent, or cancelled by mistake, as a new one "
        "to the same address, and give that. `CONFLICT` where it waits or is dead.",
    )
    async def outbox_resend(
        self, info: Info, outbox: Annotated[OutboxResendInput, argument("Which.")]
    ) -> OutboxMessage | None:
        async with info.context.write() as tx:
            copy = await service.resend(tx, known_id(outbox.id, "id", "message"))
        return OutboxMessage.of(copy)


def _wanted_id(value: strawberry.ID | None) -> int | None:
    """The number in an ID to be looked for; one that nothing has where there can be none."""
    return None if value is None else record_id(value) or 0


def _shown_id(number: int | None) -> strawberry.ID | None:
    return None if number is None else strawberry.ID(str(number))
