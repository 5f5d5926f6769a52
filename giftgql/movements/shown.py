"""Transactions as the API shows them: types of its schema."""

from datetime import datetime

import strawberry

from giftgql.cards.api import card_of
from giftgql.cards.shown import GiftCard
from giftgql.context import Context, Info
from giftgql.errors import ErrorCode
from giftgql.fields import resolved
from giftgql.ledger.models import MovementType
from giftgql.money import Money
from giftgql.movements.criteria import TransStatus
from giftgql.movements.service import Trans
from giftgql.succession.api import successions_by_ids
from giftgql.values import register

register("Where a transaction stands.")(TransStatus)


@strawberry.type(description="A movement of money on a card: done, authorised, or declined.")
class GiftCardTrans:
    id: strawberry.ID = strawberry.field(description="The transaction's internal id.")
    giftcard_id: strawberry.ID = strawberry.field(description="The card's internal id.")
    trans_type: MovementType = strawberry.field(description="What it is.")
    status: TransStatus = strawberry.field(description="Where it stands.")
    amount: Money = strawberry.field(
        description="What moved, signed: of a captured authorisation what was captured; of one "
        "that is open, cancelled or declined what was asked for or reserved."
    )
    price: Money | None = strawberry.field(
        description="What was paid for it, where that is not its amount; of a refund of such a "
        "one, what was given back. Without a sign."
    )
    requested_amount: Money = strawberry.field(
        description="What was asked for, signed; more than `amount` after a partial one."
    )
    balance: Money = strawberry.field(
        description="What was available on the card after it; where a refund went on to a card "
        "that has replaced it, there. What a use left is on `replacedBy` by now, if that is one."
    )
    currency: str = strawberry.field(description="ISO 4217 code of the amounts.")
    captured_amount: Money = strawberry.field(description="What moved, without its sign.")
    released_amount: Money = strawberry.field(
        description="What an authorisation gave back when it ended, without its sign."
    )
    refunded_amount: Money = strawberry.field(
        description="What was refunded of it until now, without its sign."
    )
    authorized_until: datetime | None = strawberry.field(
        description="When the authorisation is cancelled by itself, UTC."
    )
    related_id: strawberry.ID | None = strawberry.field(
        description="The transaction that this one refunds, would have ended, or, of a "
        "transfer, the one on the other card; that is null for a member."
    )
    error: ErrorCode | None = strawberry.field(description="Why it was declined.")
    source_id: str | None = strawberry.field(description="Where, as the caller said.")
    ref_no: str | None = strawberry.field(description="The caller's own number.")
    reason: str | None = strawberry.field(description="Why, as the caller said.")
    caller: str | None = strawberry.field(
        description="Who made it: `client:…` or `server:giftgql`; null for a member."
    )
    created_at: datetime = strawberry.field(description="When it was made, UTC.")
    ended_at: datetime | None = strawberry.field(
        description="When the authorisation was captured, cancelled, or found timed out, UTC."
    )

    @resolved(
        description="The card. Null without `ListGiftCards` or `FindGiftCardByCode`, but for its "
        "member."
    )
    async def giftcard(self, info: Info) -> GiftCard | None:
        return await card_of(info, int(self.giftcard_id))

    @resolved(
        description="Of a use of a card whose strategy is `REPLACEMENT`: the id of the new card "
        "that has what was left. Its code was mailed to the owner, else to the recipient."
    )
    async def replaced_by_id(self, info: Info) -> strawberry.ID | None:
        successor_id = await self._successor_id(info)
        return None if successor_id is None else strawberry.ID(str(successor_id))

    @resolved(
        description="The card of `replacedById`. Null without `ListGiftCards` or "
        "`FindGiftCardByCode`, but for its member."
    )
    async def replaced_by(self, info: Info) -> GiftCard | None:
        return await card_of(info, await self._successor_id(info))

    @resolved(
        description="Whether the card should have been replaced after this use, and its code keeps "
        "what was left: neither its owner nor its recipient has an e-mail address."
    )
    async def kept_without_address(self, info: Info) -> bool:
        succession = await info.context.load(successions_by_ids, int(self.id))
        return succession is not None and succession.successor_id is None

    async def _successor_id(self, info: Info) -> int | None:
        succession = await info.context.load(successions_by_ids, int(self.id))
        return None if succession is None else succession.successor_id

    @classmethod
    def of(cls, trans: Trans, context: Context) -> "GiftCardTrans":
        def money(minor: int) -> Money:
            return Money(minor, trans.currency)

        is_staff = context.caller.member_id is None
        # The other card of a transfer may be anybody's.
        shows_related = is_staff or trans.type is not MovementType.TRANSFER
        about_id = trans.about_id if shows_related else None
        return cls(
            id=strawberry.ID(str(trans.id)),
            giftcard_id=strawberry.ID(str(trans.card_id)),
            trans_type=trans.type,
            status=trans.status,
            amount=money(trans.amount),
            price=None if trans.price is None else money(trans.price),
            requested_amount=money(trans.asked),
            balance=money(trans.balance),
            currency=trans.currency,
            captured_amount=money(trans.captured),
            released_amount=money(trans.released),
            refunded_amount=money(trans.refunded),
            authorized_until=trans.authorized_until,
            related_id=None if about_id is None else strawberry.ID(str(about_id)),
            error=trans.error,
            source_id=trans.source_id,
            ref_no=trans.ref_no,
            reason=trans.reason if is_staff else None,
            caller=trans.caller if is_staff else None,
            created_at=trans.created_at,
            ended_at=trans.ended_at,
        )
