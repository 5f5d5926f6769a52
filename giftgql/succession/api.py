from collections.abc import Sequence

from giftgql.cards.api import card_of
from giftgql.cards.shown import GiftCard
from giftgql.context import Context, Info
from giftgql.fields import extend
from giftgql.succession import service
from giftgql.succession.models import Succession


async def successions_by_ids(
    context: Context, movement_ids: Sequence[int]
) -> list[Succession | None]:
    """A batch for `Context.load`: what uses have led to."""
    async with context.read() as reading:
        found = await service.by_ids(reading, movement_ids)
    return [found.get(each) for each in movement_ids]


async def predecessors(context: Context, card_ids: Sequence[int]) -> list[int | None]:
    """A batch for `Context.load`: the cards that these have replaced."""
    async with context.read() as reading:
        found = await service.predecessors(reading, card_ids)
    return [found.get(each) for each in card_ids]


@extend(
    GiftCard,
    description="The card that has what was left on this one when it was used. All codes of this "
    "one have ended. Null without `ListGiftCards` or `FindGiftCardByCode`, but for its member.",
)
async def replaced_by(self: GiftCard, info: Info) -> GiftCard | None:
    return await card_of(info, self.successor_id)


@extend(
    GiftCard,
    description="The card that this one has replaced. Null without `ListGiftCards` or "
    "`FindGiftCardByCode`, but for its member.",
)
async def replaces(self: GiftCard, info: Info) -> GiftCard | None:
    return await card_of(info, await info.context.load(predecessors, int(self.id)))
