from datetime import date
from typing import Annotated

import strawberry

from giftgql.cards.shown import GiftCard
from giftgql.context import Info
from giftgql.durations import Duration, duration
from giftgql.errors import InvalidInput, NotFound
from giftgql.fields import mutation
from giftgql.permissions import Permission
from giftgql.standing import service
from giftgql.values import (
    argument,
    given,
    optional,
    record_id,
    secret_input,
    text,
)


@strawberry.input
class StandingInput:
    id: strawberry.ID = strawberry.field(description="The card's internal id.")
    reason: str = strawberry.field(description="Why, 1 to 500 characters; it is kept.")

    def parsed(self) -> tuple[int, str]:
        card_id = record_id(self.id)
        if card_id is None:
            raise NotFound("id", "gift card")
        return card_id, text(self.reason, "reason", 500, lines=True)


@secret_input("A card to be blocked, and why.")
class GiftcardBlockInput(StandingInput):
    pass


@secret_input("A card to be unblocked, and why.")
class GiftcardUnblockInput(StandingInput):
    pass


@secret_input("A card to be disabled for good, and why.")
class GiftcardDisableInput(StandingInput):
    pass


@secret_input("A card whose PIN and CVV are to be unlocked, and why.")
class GiftcardSecretUnlockInput(StandingInput):
    pass


@secret_input("A card whose funds are to be valid longer, and why. Either a day or a time.")
class GiftcardExtendInput(StandingInput):
    expires_on: date | None = optional("The new last day; `PAST_EXPIRATION` if it has passed.")
    valid_for: str | None = optional(
        "An ISO 8601 duration such as `P6M` or `P1Y`, counted from today; a day that a month "
        "does not have is its last one."
    )

    def until(self) -> date | Duration:
        day, time = given(self.expires_on), given(self.valid_for)
        if (day is None) == (time is None):
            raise InvalidInput("expiresOn", "or validFor is needed, not both")
        return duration(time, "validFor") if time is not None else day or date.min


@strawberry.type
class StandingMutation:
    @mutation(
        requires=Permission.BLOCK_GIFT_CARD,
        description="Stop a card: nothing can be taken or added until it is unblocked, and "
        "nothing expires. Every movement after the answer is refused. `CARD_DISABLED` where it is.",
    )
    async def giftcard_block(
        self, info: Info, giftcard: Annotated[GiftcardBlockInput, argument("Which card, and why.")]
    ) -> GiftCard | None:
        card_id, reason = giftcard.parsed()
        async with info.context.write() as tx:
            view = await service.block(tx, card_id, reason)
        return GiftCard.of(view, info.context.caller)

    @mutation(
        requires=Permission.BLOCK_GIFT_CARD,
        description="Let a blocked card's money move again. Funds whose last day has passed "
        "meanwhile expire now.",
    )
    async def giftcard_unblock(
        self,
        info: Info,
        giftcard: Annotated[GiftcardUnblockInput, argument("Which card, and why.")],
    ) -> GiftCard | None:
        card_id, reason = giftcard.parsed()
        async with info.context.write() as tx:
            view = await service.unblock(tx, card_id, reason)
        return GiftCard.of(view, info.context.caller)

    @mutation(
        requires=Permission.DISABLE_GIFT_CARD,
        description="End a card for good. Its authorisations are cancelled and the rest of its "
        "funds goes off the books as an `ADJUST`.",
    )
    async def giftcard_disable(
        self,
        info: Info,
        giftcard: Annotated[GiftcardDisableInput, argument("Which card, and why.")],
    ) -> GiftCard | None:
        card_id, reason = giftcard.parsed()
        async with info.context.write() as tx:
            view = await service.disable(tx, card_id, reason)
        return GiftCard.of(view, info.context.caller)

    @mutation(
        requires=Permission.EXTEND_GIFT_CARD,
        description="Let a card's funds be valid longer, counted from today, never shorter: an "
        "earlier day changes nothing. An expired card comes back with number and balance as "
        "before. Funds that do not expire stay so.",
    )
    async def giftcard_extend(
        self,
        info: Info,
        giftcard: Annotated[GiftcardExtendInput, argument("Which card, until when, and why.")],
    ) -> GiftCard | None:
        (card_id, reason), until = giftcard.parsed(), giftcard.until()
        async with info.context.write() as tx:
            view = await service.extend(tx, card_id, reason, until)
        return GiftCard.of(view, info.context.caller)

    @mutation(
        requires=Permission.UNLOCK_SECRETS,
        description="Forget the wrong tries of a card's PIN and CVV, whoever made them. A card "
        "itself is never locked by tries.",
    )
    async def giftcard_secret_unlock(
        self,
        info: Info,
        giftcard: Annotated[GiftcardSecretUnlockInput, argument("Which card, and why.")],
    ) -> GiftCard | None:
        card_id, reason = giftcard.parsed()
        async with info.context.write() as tx:
            view = await service.unlock_secrets(tx, card_id, reason)
        return GiftCard.of(view, info.context.caller)
