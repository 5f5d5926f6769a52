from collections.abc import Sequence
from typing import Annotated

import strawberry

from giftgql.campaigns.api import GiftCardCampaign, campaigns_by_ids
from giftgql.cards import stock
from giftgql.cards.criteria import Sums
from giftgql.cards.models import CardStatus
from giftgql.cards.shown import GiftCard
from giftgql.context import Context, Info
from giftgql.errors import InvalidInput
from giftgql.fields import extend, mutation
from giftgql.issuing import service
from giftgql.issuing.service import Issue, Publish
from giftgql.members.api import email_address, read_member_id
from giftgql.money import Money
from giftgql.permissions import Permission
from giftgql.pools.api import GiftCardPool, pools_by_ids
from giftgql.products.api import GiftCardProduct, products_by_ids
from giftgql.requests.service import Once, once
from giftgql.standing.api import StandingInput
from giftgql.values import (
    JSONObject,
    argument,
    facts_of,
    given,
    known_id,
    metadata,
    optional,
    record_id,
    secret_input,
    text,
)

_KEY = (
    "1 to 128 printable ASCII characters. The same key with the same input does the work once and "
    "gives the first answer again, with `replayed: true` in the response's `extensions`; with "
    "other input it is an `IDEMPOTENCY_CONFLICT`."
)


@strawberry.input(description="Whom a card is for who is no member.")
class RecipientInput:
    name: str | None = optional("Name, up to 200 characters.")
    email: str | None = optional("E-mail address.")

    def parsed(self) -> dict[str, str]:
        found = {}
        if given(self.name) is not None:
            found["name"] = text(str(self.name), "recipient.name", 200)
        if given(self.email) is not None:
            found["email"] = email_address(str(self.email), "recipient.email")
        if not found:
            raise InvalidInput("recipient", "needs a name or an e-mail address")
        return found


@secret_input("A card of a product, to be sold or given away outside of an order.")
class GiftcardIssueInput:
    product_id: strawberry.ID = strawberry.field(
        description="The product. Of a pool's product a free card of the pool is taken; "
        "`POOL_EXHAUSTED` where there is none of that value."
    )
    variant_id: strawberry.ID | None = optional("One of its variants. Needed without `value`.")
    value: Money | None = optional(
        "A value that the product's range has; price and value are the same then."
    )
    member_id: strawberry.ID | None = optional("The owner; `MEMBER_NOT_FOUND` where there is none.")
    recipient: RecipientInput | None = optional("Whom it is for who is no member.")
    complimentary: bool = strawberry.field(
        default=False,
        description="Give it away: the price is 0, its value is booked to promotion. Needs "
        "`GiftCardTransAdjust` as well.",
    )
    note: str | None = optional("For staff, at most 1,000 characters.")
    metadata: JSONObject | None = optional("The retailer's own facts.")
    source_id: str | None = optional("Where: the caller's till or site, up to 64 characters.")
    ref_no: str | None = optional("The caller's own number, up to 64 characters.")
    idempotency_key: str | None = optional(_KEY)

    def parsed(self) -> Issue:
        variant, value, owner = given(self.variant_id), given(self.value), given(self.member_id)
        if variant is None and value is None:
            raise InvalidInput("variantId", "or value is needed")
        recipient = given(self.recipient)
        if owner is not None and recipient is not None:
            raise InvalidInput("recipient", "or memberId, not both")
        note, details = given(self.note), given(self.metadata)
        return Issue(
            product_id=known_id(self.product_id, "productId", "product"),
            variant_id=None if variant is None else record_id(variant) or 0,
            value=None if value is None else str(value),
            member_id=None if owner is None else read_member_id(owner),
            recipient=None if recipient is None else recipient.parsed(),
            is_complimentary=self.complimentary,
            facts={
                "note": note and text(note, "note", 1_000, lines=True),
                "details": None if details is None else metadata(details),
            },
            source_id=_text(self.source_id, "sourceId"),
            ref_no=_text(self.ref_no, "refNo"),
            request=_request(self, "giftcardIssue", self.idempotency_key),
        )


@secret_input("A card of a campaign, to be given to a member.")
class GiftcardPublishInput:
    campaign_id: strawberry.ID = strawberry.field(description="The campaign.")
    member_id: strawberry.ID = strawberry.field(description="Who gets the card.")
    source_id: str = strawberry.field(
        description="The caller's own id of this event, 1 to 64 characters. The same one gives the "
        "same card again; `CONFLICT` for another member."
    )
    idempotency_key: str | None = optional(_KEY)

    def parsed(self) -> Publish:
        return Publish(
            campaign_id=known_id(self.campaign_id, "campaignId", "campaign"),
            member_id=read_member_id(self.member_id),
            source_id=text(self.source_id, "sourceId", 64),
            request=_request(self, "giftcardPublish", self.idempotency_key),
        )


@secret_input("A card that was never used, to be removed, and why.")
class GiftcardRemoveInput(StandingInput):
    pass


@strawberry.type
class IssuingMutation:
    @mutation(
        requires=Permission.CREATE_GIFT_CARD,
        description="Make one card of a product, activated with its value. Needs "
        "`GiftCardTransAdd` as well. What it is worth beyond its price is booked to promotion.",
    )
    async def giftcard_issue(
        self, info: Info, giftcard: Annotated[GiftcardIssueInput, argument("What card, for whom.")]
    ) -> GiftCard | None:
        caller = info.context.caller
        caller.require(Permission.GIFT_CARD_TRANS_ADD)
        if giftcard.complimentary:
            caller.require(Permission.GIFT_CARD_TRANS_ADJUST)
        wanted = giftcard.parsed()
        async with info.context.write() as tx:
            view = await service.issue(tx, wanted)
        info.context.replayed |= view.is_replayed
        return GiftCard.of(view, caller)

    @mutation(
        requires=Permission.DISABLE_GIFT_CARD,
        description="Remove a card that never had a movement, for good. Its codes are never used "
        "again. `HAS_TRANSACTIONS` where it had one; then it can be disabled.",
    )
    async def giftcard_remove(
        self, info: Info, giftcard: Annotated[GiftcardRemoveInput, argument("Which, and why.")]
    ) -> GiftCard | None:
        card_id, reason = giftcard.parsed()
        async with info.context.write() as tx:
            view = await service.remove(tx, card_id, reason)
        return GiftCard.of(view, info.context.caller)

    @mutation(
        requires=Permission.MANAGE_CAMPAIGNS,
        description="Give a member a card of a campaign that nobody has, activated. "
        "`POOL_EXHAUSTED` where there is none left.",
    )
    async def giftcard_publish(
        self, info: Info, giftcard: Annotated[GiftcardPublishInput, argument("Whose, to whom.")]
    ) -> GiftCard | None:
        wanted = giftcard.parsed()
        async with info.context.write() as tx:
            view = await service.publish(tx, wanted)
        info.context.replayed |= view.is_replayed
        return GiftCard.of(view, info.context.caller)


@extend(GiftCard, description="The product it was sold as; null for the member.")
async def product(self: GiftCard, info: Info) -> GiftCardProduct | None:
    if self.product_id is None or info.context.caller.member_id is not None:
        return None
    return await info.context.load(products_by_ids, int(self.product_id))


@extend(GiftCard, description="The pool it belongs to. Null without `ManagePools`.")
async def pool(self: GiftCard, info: Info) -> GiftCardPool | None:
    if self.pool_id is None or not info.context.caller.may(Permission.MANAGE_POOLS):
        return None
    return await info.context.load(pools_by_ids, int(self.pool_id))


@extend(GiftCard, description="The campaign it was made for. Null without `ManageCampaigns`.")
async def campaign(self: GiftCard, info: Info) -> GiftCardCampaign | None:
    if self.campaign_id is None or not info.context.caller.may(Permission.MANAGE_CAMPAIGNS):
        return None
    return await info.context.load(campaigns_by_ids, int(self.campaign_id))


@strawberry.type(description="How many cards of a pool or campaign are in a state.")
class CardCount:
    status: CardStatus = strawberry.field(description="The state, as it is shown of a card.")
    count: int = strawberry.field(description="How many cards are in it.")

    @classmethod
    def all_of(cls, sums: Sums) -> "list[CardCount]":
        return [cls(status=status, count=count) for status, count in sums.by_status.items()]


@strawberry.type(description="The amounts of all cards of a campaign together.")
class CampaignSummary:
    cards: int = strawberry.field(description="How many cards there are, removed ones not counted.")
    counts: list[CardCount] = strawberry.field(description="How many are in each state.")
    lifetime_total: Money = strawberry.field(description="All that was ever added.")
    redeemed: Money = strawberry.field(description="What was used, less refunds of it.")
    subtracted: Money = strawberry.field(description="What else left the cards.")
    balance: Money = strawberry.field(
        description="What is on the books: `lifetimeTotal` - `redeemed` - `subtracted`."
    )
    redeemed_count: int = strawberry.field(description="How often cards were redeemed.")


async def sums_of_pools(context: Context, pool_ids: Sequence[int]) -> list[Sums]:
    """A batch for `Context.load`."""
    async with context.read() as reading:
        found = await stock.sums(reading, "pool_id", pool_ids)
    return [found[each] for each in pool_ids]


async def sums_of_campaigns(context: Context, campaign_ids: Sequence[int]) -> list[Sums]:
    """A batch for `Context.load`."""
    async with context.read() as reading:
        found = await stock.sums(reading, "campaign_id", campaign_ids)
    return [found[each] for each in campaign_ids]


@extend(GiftCardPool, description="How many of its cards are in each state.")
async def counts(self: GiftCardPool, info: Info) -> list[CardCount]:
    return CardCount.all_of(await info.context.load(sums_of_pools, int(self.id)))


@extend(GiftCardCampaign, description="The amounts of all its cards together.")
async def summary(self: GiftCardCampaign, info: Info) -> CampaignSummary:
    sums = await info.context.load(sums_of_campaigns, int(self.id))

    def money(minor: int) -> Money:
        return Money(minor, self.currency)

    return CampaignSummary(
        cards=sum(sums.by_status.values()),
        counts=CardCount.all_of(sums),
        lifetime_total=money(sums.lifetime),
        redeemed=money(sums.redeemed),
        subtracted=money(sums.lifetime - sums.redeemed - sums.posted),
        balance=money(sums.posted),
        redeemed_count=sums.uses,
    )


def _request(input_: object, mutation_: str, key: str | None) -> Once | None:
    return once(given(key), mutation_, facts_of(input_, without=frozenset({"idempotency_key"})))


def _text(value: str | None, field: str) -> str | None:
    wanted = given(value)
    return None if wanted is None else text(wanted, field, 64)
