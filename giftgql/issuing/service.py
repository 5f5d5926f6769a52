from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from giftgql.audit import service as audit
from giftgql.audit.models import Event
from giftgql.campaigns import service as campaigns
from giftgql.campaigns.models import CampaignStatus
from giftgql.cards import answers, stock
from giftgql.cards import service as cards
from giftgql.cards.service import NewCard, NewCode
from giftgql.cards.views import CardView
from giftgql.choices import RedemptionStrategy
from giftgql.codes import CodeType
from giftgql.errors import Conflict, MemberNotFound, PoolExhausted
from giftgql.issuing.models import Publication
from giftgql.ledger import service as ledger
from giftgql.ledger.models import MovementType
from giftgql.ledger.orders import By, Move
from giftgql.members import service as members
from giftgql.money import positive_minor
from giftgql.pools import service as pools
from giftgql.pools.models import Pool
from giftgql.products import service as products
from giftgql.products.models import Product
from giftgql.products.service import Preset
from giftgql.requests import service as requests
from giftgql.requests.service import Once
from giftgql.store import Transaction


@dataclass(frozen=True)
class Issue:
    """A card of a product to be sold or given away. `value` is as it was written, where one was
    chosen; `recipient` is who it is for, where that is no member."""

    product_id: int
    variant_id: int | None = None
    value: str | None = None
    member_id: str | None = None
    recipient: Mapping[str, str] | None = None
    is_complimentary: bool = False
    facts: Mapping[str, Any] | None = None
    source_id: str | None = None
    ref_no: str | None = None
    request: Once | None = None


@dataclass(frozen=True)
class Terms:
    """What a card of a product is made with."""

    product_id: int
    currency: str
    strategy: RedemptionStrategy
    expires_on: date | None = None
    expires_after: str | None = None

    @classmethod
    def of(cls, product: Product) -> "Terms":
        assert product.id is not None
        return cls(
            product.id,
            product.currency,
            product.strategy,
            product.expires_on,
            product.expires_after,
        )


@dataclass(frozen=True)
class Publish:
    """A card of a campaign to be given to a member."""

    campaign_id: int
    member_id: str
    source_id: str
    request: Once | None = None


async def issue(tx: Transaction, wanted: Issue) -> CardView:
    """Make one card of a product, or take a free one of its pool, with its value on it.

    Refuses `NOT_FOUND`, `CONFLICT` where the product is not active, `MEMBER_NOT_FOUND`,
    `POOL_EXHAUSTED`, and `INVALID_INPUT` where the product has no such variant.
    """
    if (done := await requests.claim(tx, wanted.request)) is not None:
        return await answers.replayed(tx, done)
    product = await products.sellable(tx, wanted.product_id)
    value, currency = wanted.value, product.product.currency
    chosen = None if value is None else positive_minor(value, currency, "value")
    terms = products.priced(product, wanted.variant_id, chosen)
    await _require_member(tx, wanted.member_id)
    pool = await pools.of_product(tx, wanted.product_id) if product.product.is_automatic else None
    facts = {
        **(wanted.facts or {}),
        "recipient": wanted.recipient and dict(wanted.recipient),
        "purchased_on": tx.today,
    }
    if pool is None:
        card_id = await make(tx, Terms.of(product.product), wanted.member_id, facts)
    else:
        card_id = await taken(tx, pool, terms.value)
        facts |= {"member_id": wanted.member_id}
        await hand_over(tx, wanted.product_id, card_id, facts, product.product.strategy)
    price = 0 if wanted.is_complimentary else terms.price
    by = By(tx.caller.name, source_id=wanted.source_id, ref_no=wanted.ref_no)
    await fund(tx, card_id, Preset(price, terms.value), by)
    given = {"product": wanted.product_id, "complimentary": wanted.is_complimentary}
    await _record(tx, Event.CARD_ISSUED, card_id, source_id=wanted.source_id, **given)
    return await answers.of_card(tx, wanted.request, card_id, is_new=pool is None)


async def publish(tx: Transaction, wanted: Publish) -> CardView:
    """Give a free card of a campaign to a member, activated; what was given under this source id
    is given again.

    Refuses `NOT_FOUND`, `MEMBER_NOT_FOUND`, `POOL_EXHAUSTED`, and `CONFLICT` where the campaign is
    cancelled or the source id stands for another member.
    """
    if (done := await requests.claim(tx, wanted.request)) is not None:
        return await answers.replayed(tx, done)
    campaign = await campaigns.get(tx, wanted.campaign_id, "campaignId")
    await _require_member(tx, wanted.member_id)
    publication = Publication(
        campaign_id=wanted.campaign_id,
        source_id=wanted.source_id,
        member_id=wanted.member_id,
        created_at=tx.now,
    )
    if not await tx.publications.add(publication):
        card_id = await _published(tx, wanted)
    elif campaign.status is CampaignStatus.CANCELLED:
        raise Conflict("campaignId", "The campaign is cancelled.")
    else:
        has_funds = campaign.is_activated
        taken = await stock.take_free(tx, campaign_id=campaign.id, has_funds=has_funds)
        if taken is None:
            raise PoolExhausted("campaignId", "campaign")
        card_id = taken
        facts = {"member_id": wanted.member_id, "purchased_on": tx.today}
        await stock.hand_over(tx, card_id, facts)
        by = By(tx.caller.name, source_id=wanted.source_id, reason=f"campaign {campaign.id}")
        await fund(tx, card_id, Preset(0, campaign.value), by)
        await tx.publications.set_card(wanted.campaign_id, wanted.source_id, card_id)
        given = {"campaign": wanted.campaign_id, "member": wanted.member_id}
        await _record(tx, Event.CARD_PUBLISHED, card_id, source_id=wanted.source_id, **given)
    return await answers.of_card(tx, wanted.request, card_id, is_new=False)


async def remove(tx: Transaction, card_id: int, reason: str) -> CardView:
    """Remove a card that never had a movement; its pool has one card less. Its codes are never
    used again. Refuses `NOT_FOUND`, `HAS_TRANSACTIONS`."""
    card = await stock.remove(tx, card_id)
    if card.pool_id is not None:
        await pools.count(tx, card.pool_id, -1)
    await _record(tx, Event.CARD_REMOVED, card_id, reason=reason)
    return await cards.view(tx, card_id)


async def make(
    tx: Transaction, terms: Terms, member_id: str | None, facts: Mapping[str, Any]
) -> int:
    """A new card of a product, with a digital code and no funds yet."""
    new = NewCard(
        codes=[NewCode(CodeType.DIGITAL, "productId")],
        currency=terms.currency,
        member_id=member_id,
        expires_on=terms.expires_on,
        validity=terms.expires_after,
        strategy=terms.strategy,
        facts={**facts, "product_id": terms.product_id},
    )
    return await cards.make(tx, new)


async def taken(tx: Transaction, pool: Pool, value: int) -> int:
    """A free card of a pool that is worth so much. Refuses `POOL_EXHAUSTED`."""
    card_id = await stock.take_free(tx, pool_id=pool.id, value=value)
    if card_id is None:
        raise PoolExhausted("productId")
    return card_id


async def hand_over(
    tx: Transaction,
    product_id: int,
    card_id: int,
    facts: Mapping[str, Any],
    strategy: RedemptionStrategy,
) -> None:
    """Give a pool's card that was taken to whom `facts` name, with the product and the strategy
    that it is sold with. What they do not say of the sale leaves what is known of the card."""
    said = {name: fact for name, fact in facts.items() if fact is not None}
    said |= {"product_id": product_id}
    await stock.hand_over(tx, card_id, said, strategy=strategy)


async def fund(tx: Transaction, card_id: int, terms: Preset, by: By) -> int | None:
    """Put its value on a card that was free, so that nothing stops it; returns the movement. None
    if it has that already."""
    if await ledger.is_funded(tx, card_id):
        return None
    order = Move(
        account_id=card_id, type=MovementType.ADD, amount=terms.value, price=terms.price, by=by
    )
    outcome = await ledger.post_one(tx, order)
    if outcome.error is not None:
        raise Conflict("productId", f"The card cannot be activated: {outcome.error}.")
    return order.id


async def _published(tx: Transaction, wanted: Publish) -> int:
    before = await tx.publications.get(wanted.campaign_id, wanted.source_id)
    assert before is not None
    assert before.card_id is not None
    if before.member_id != wanted.member_id:
        raise Conflict("sourceId", "Another member was given a card under this source id.")
    return before.card_id


async def _require_member(tx: Transaction, member_id: str | None) -> None:
    if member_id is not None and not await members.named(tx, [member_id]):
        raise MemberNotFound


async def _record(
    tx: Transaction, event: Event, card_id: int, *, source_id: str | None = None, **facts: Any
) -> None:
    await audit.record(tx, event, f"card:{card_id}", source_id=source_id, **facts)
