from datetime import datetime
from typing import Annotated, Any

import strawberry

from giftgql.context import Info
from giftgql.fields import mutation, query
from giftgql.outbox.api import OutboxMessage
from giftgql.permissions import Permission
from giftgql.values import (
    First,
    Results,
    Since,
    Skip,
    argument,
    given,
    known_id,
    optional,
    record_id,
    register,
    results,
    silent,
    text,
)
from giftgql.webhooks import calls, models, service
from giftgql.webhooks.criteria import Criteria
from giftgql.webhooks.events import WebhookEvent
from giftgql.webhooks.service import MOST_ENDPOINTS, OVERLAP, Shown

register(
    "What endpoints are told: the `type` in the JSON object that is sent, beside its `id`, its "
    "`timestamp` and `data`. Of a card that is `giftcardId`, `sequence` (1, 2, 3 ... for each of "
    "the card's events), `status`, `balance`, `held`, `currency`, `expiresOn`, `memberId`, "
    "`productId`, `poolId`, `campaignId`, `removed`, and its `codes`, masked. Of a transaction it "
    "is `giftcardId`, `sequence`, `transactionId`, `transType`, `status`, `ending` (of an "
    "authorisation: `CAPTURED`, `CANCELLED`, `TIMED_OUT`), `amount`, `requestedAmount`, "
    "`releasedAmount`, `balance`, `currency`, `error`, `relatedId`, `sourceId`, `refNo`, "
    "`orderId`, `memberId`, the `code` that was used, masked, `createdAt`, `authorizedUntil`, "
    "`endedAt`. Of an order it is `orderId`, `status`, `grandTotal`, `paidByGiftcards`, "
    "`paidOtherwise`, `refunded`, `refundDue`, `currency`, `giftcardIds` of those bought, "
    "`sourceId`, `refNo`, `memberId`. What there is nothing of is null."
)(WebhookEvent)

URL = (
    "Where events are sent to by POST: `https`, without user name and fragment. Private addresses "
    "need `GIFTGQL_WEBHOOKS_ALLOW_PRIVATE`, and may be `http` then; link-local and reserved ones "
    "are never called. Redirects are not followed."
)
HOURS = int(OVERLAP.total_seconds() / 3600)


@strawberry.type(description="Where another system is told what happens (Standard Webhooks).")
@silent
class WebhookEndpoint:
    id: strawberry.ID = strawberry.field(description="The endpoint's id.")
    url: str = strawberry.field(description="Where events are sent to.")
    description: str | None = strawberry.field(description="What it is, for staff.")
    events: list[WebhookEvent] = strawberry.field(description="What it is told; empty: all.")
    active: bool = strawberry.field(
        description="Whether it is told anything. It ends by itself where it answers 410."
    )
    secret: str | None = strawberry.field(
        description="The secret with which its messages are signed, `whsec_` and base64: only in "
        "the answer that made it, never again."
    )
    removed: bool = strawberry.field(
        description="Whether it was removed; such ones come in a synchronisation only."
    )
    created_at: datetime = strawberry.field(description="When it was added, UTC.")
    modified_at: datetime = strawberry.field(description="When it last changed, UTC.")

    @classmethod
    def of(cls, endpoint: models.WebhookEndpoint, secret: str | None = None) -> "WebhookEndpoint":
        return cls(
            id=strawberry.ID(str(endpoint.id)),
            url=endpoint.url,
            description=endpoint.description,
            events=[each for each in WebhookEvent if each in endpoint.events],
            active=endpoint.is_active,
            secret=secret,
            removed=endpoint.removed_at is not None,
            created_at=endpoint.created_at,
            modified_at=endpoint.modified_at,
        )

    @classmethod
    def just(cls, shown: Shown) -> "WebhookEndpoint":
        return cls.of(shown.endpoint, shown.secret)


@strawberry.input(description="An endpoint that is to be told what happens from now on.")
class WebhookAddInput:
    url: str = strawberry.field(description=URL)
    description: str | None = optional("What it is, for staff: 1 to 255 characters.")
    events: list[WebhookEvent] | None = optional("What it is told; by default all.")
    active: bool = strawberry.field(default=True, description="Whether it is told anything yet.")

    def parsed(self) -> dict[str, Any]:
        return {
            "url": self.url,
            "description": _description(given(self.description)),
            "events": _events(given(self.events)),
            "is_active": self.active,
        }


@strawberry.input(description="Changes of an endpoint; what is left out stays.")
class WebhookEditInput:
    id: strawberry.ID = strawberry.field(description="The endpoint's id.")
    url: str | None = optional(URL)
    description: str | None = optional("1 to 255 characters; null for none.")
    events: list[WebhookEvent] | None = optional("In place of those before; null or empty: all.")
    active: bool | None = optional(
        "False: it is told nothing more, and what waits for it is cancelled. True: it is told what "
        "happens from now on."
    )
    rotate_secret: bool = strawberry.field(
        default=False,
        description=f"Make a new secret. The one before signs along for {HOURS} hours; earlier "
        "ones end at once.",
    )

    def parsed(self) -> dict[str, Any]:
        facts: dict[str, Any] = {}
        if given(self.url) is not None:
            facts["url"] = self.url
        if self.description is not strawberry.UNSET:
            facts["description"] = _description(self.description)
        if self.events is not strawberry.UNSET:
            facts["events"] = _events(self.events)
        if given(self.active) is not None:
            facts["is_active"] = self.active
        return facts


@strawberry.input(description="An endpoint, by its id.")
class WebhookRemoveInput:
    id: strawberry.ID = strawberry.field(description="The endpoint's id.")


@strawberry.input(description="An endpoint, by its id.")
class WebhookTestInput:
    id: strawberry.ID = strawberry.field(description="The endpoint's id.")


@strawberry.type
class WebhookQuery:
    @query(
        requires=Permission.MANAGE_WEBHOOKS,
        description="Endpoints of webhooks, by id, or all, ordered by id. What they were told is "
        "in `outbox`.",
    )
    async def webhook(
        self,
        info: Info,
        id: Annotated[strawberry.ID | None, argument("The endpoint's id.")] = None,
        active: Annotated[bool | None, argument("Whether it is told anything.")] = None,
        first: First = 100,
        skip: Skip = 0,
        since: Since = None,
    ) -> Results[WebhookEndpoint] | None:
        criteria = Criteria(None if id is None else record_id(id) or 0, active)
        info.context.ask_rows(first)
        async with info.context.read() as reading:
            page = await service.page(reading, criteria, first=first, skip=skip, since=since)
        return results([WebhookEndpoint.of(each) for each in page.rows], page)


@strawberry.type
class WebhookMutation:
    @mutation(
        requires=Permission.MANAGE_WEBHOOKS,
        description="Add an endpoint, and give its secret, once. Messages are signed by it as "
        "Standard Webhooks says: `webhook-id`, the same however often an event comes; "
        f"`webhook-timestamp`; `webhook-signature`. `CONFLICT` where there are {MOST_ENDPOINTS}.",
    )
    async def webhook_add(
        self, info: Info, webhook: Annotated[WebhookAddInput, argument("The endpoint.")]
    ) -> WebhookEndpoint | None:
        facts = webhook.parsed()
        await calls.require_callable(info.context.store.settings, webhook.url)
        async with info.context.write() as tx:
            added = await service.add(tx, facts)
        return WebhookEndpoint.just(added)

    @mutation(
        requires=Permission.MANAGE_WEBHOOKS,
        description="Change an endpoint, or give it a new secret. One that rests since it was down "
        "is tried at once.",
    )
    async def webhook_edit(
        self, info: Info, webhook: Annotated[WebhookEditInput, argument("What to change.")]
    ) -> WebhookEndpoint | None:
        facts = webhook.parsed()
        if "url" in facts:
            await calls.require_callable(info.context.store.settings, facts["url"])
        async with info.context.write() as tx:
            edited = await service.edit(
                tx, known_id(webhook.id, "id", "endpoint"), facts, rotates=webhook.rotate_secret
            )
        return WebhookEndpoint.just(edited)

    @mutation(
        requires=Permission.MANAGE_WEBHOOKS,
        description="Remove an endpoint for good. What waits for it is cancelled.",
    )
    async def webhook_remove(
        self, info: Info, webhook: Annotated[WebhookRemoveInput, argument("Which.")]
    ) -> WebhookEndpoint | None:
        async with info.context.write() as tx:
            removed = await service.remove(tx, known_id(webhook.id, "id", "endpoint"))
        return WebhookEndpoint.of(removed)

    @mutation(
        requires=Permission.MANAGE_WEBHOOKS,
        description="Send an endpoint a `test` event now, whatever its events are, and give the "
        "message. `CONFLICT` where it is not active.",
    )
    async def webhook_test(
        self, info: Info, webhook: Annotated[WebhookTestInput, argument("Which.")]
    ) -> OutboxMessage | None:
        async with info.context.write() as tx:
            message = await service.test(tx, known_id(webhook.id, "id", "endpoint"))
        return OutboxMessage.of(message)


def _description(value: str | None) -> str | None:
    return None if value is None else text(value, "description", 255)


def _events(value: list[WebhookEvent] | None) -> list[str]:
    """In the order of the schema, each once."""
    return [each.value for each in WebhookEvent if each in (value or ())]
