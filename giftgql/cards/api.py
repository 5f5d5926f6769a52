from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby
from typing import Annotated

import strawberry

from giftgql import codes
from giftgql.cards import found, models, service
from giftgql.cards.criteria import Criteria
from giftgql.cards.inputs import GiftcardAddInput, GiftcardEditInput
from giftgql.cards.models import CardStatus
from giftgql.cards.shown import GiftCard
from giftgql.cards.views import CardView
from giftgql.cards.visibility import usable_by
from giftgql.codes import CodeType
from giftgql.context import Context, Info
from giftgql.errors import InvalidInput
from giftgql.fields import MEMBER_TOKEN, extend, mutation, query, selected
from giftgql.members.api import Member, members_by_id, read_member_id
from giftgql.paging import Page, cut
from giftgql.permissions import Caller, Permission
from giftgql.values import (
    First,
    Results,
    Since,
    Skip,
    argument,
    record_id,
    text,
)

LEAST_ROWS = 10
"""What the list of a member's cards counts for at least, be it empty or not for the caller."""


@strawberry.type
class CardQuery:
    @query(
        requires=(Permission.FIND_GIFT_CARD_BY_CODE, Permission.LIST_GIFT_CARDS),
        description="Gift cards. By `code`: needs `FindGiftCardByCode` and the `Use…` permission "
        "of the code's type; without `codeType` a code that exists in two types gives both cards; "
        "ended codes and masked values find nothing, but a code finds its card that ended when "
        "that was replaced. Without `code` a list: needs "
        "`ListGiftCards`. What finds nothing gives empty `results`; for who finds nothing too "
        "often everything by `code` is `RATE_LIMITED`.",
    )
    async def giftcard(
        self,
        info: Info,
        code: Annotated[str | None, argument("A code in clear; no filter goes with it.")] = None,
        code_type: Annotated[CodeType | None, argument("What type `code` is of.")] = None,
        id: Annotated[strawberry.ID | None, argument("The internal id.")] = None,
        member_id: Annotated[strawberry.ID | None, argument("The owner's id.")] = None,
        status: Annotated[CardStatus | None, argument("The state shown of the card.")] = None,
        last_four: Annotated[
            str | None,
            argument(
                "The last four characters of a live code of a type that the caller may use; of "
                "codes under eight characters the last half. Spaces and dashes are not counted."
            ),
        ] = None,
        expires_before: Annotated[
            date | None, argument("Cards whose funds' last day is before this one.")
        ] = None,
        product_id: Annotated[strawberry.ID | None, argument("Sold as this product.")] = None,
        pool_id: Annotated[strawberry.ID | None, argument("Of this pool.")] = None,
        campaign_id: Annotated[strawberry.ID | None, argument("Of this campaign.")] = None,
        first: First = 100,
        skip: Skip = 0,
        since: Since = None,
    ) -> Results[GiftCard] | None:
        of = (product_id, pool_id, campaign_id)
        filters = (id, member_id, status, last_four, expires_before, since, *of)
        if code is not None:
            if any(each is not None for each in filters):
                raise InvalidInput("code", "goes with codeType only")
            return await _found(info, code, code_type, first, skip)
        info.context.caller.require(Permission.LIST_GIFT_CARDS)
        if code_type is not None:
            raise InvalidInput("codeType", "needs code")
        criteria = Criteria(
            card_id=_known(id),
            product_id=_known(product_id),
            pool_id=_known(pool_id),
            campaign_id=_known(campaign_id),
            member_id=None if member_id is None else read_member_id(member_id),
            status=status,
            last_four=None if last_four is None else text(last_four, "lastFour", 4).upper(),
            kinds=usable_by(info.context.caller),
            valid_until=_start_of(info.context, expires_before),
        )
        return await _listed(info, criteria, first, skip, since)

    @query(
        requires=MEMBER_TOKEN,
        description="The member whose token this is, with its own cards, codes in clear.",
    )
    async def me(self, info: Info) -> Member | None:
        return await info.context.load(members_by_id, info.context.caller.id)


@strawberry.type
class CardMutation:
    @mutation(
        requires=Permission.CREATE_GIFT_CARD,
        description="Make a card with balance zero, `NOT_ACTIVATED`. The answer shows the codes "
        "just set, a personal one masked without `ViewUnmaskedGiftCardCodes`.",
    )
    async def giftcard_add(
        self, info: Info, giftcard: Annotated[GiftcardAddInput, argument("The card to be made.")]
    ) -> GiftCard | None:
        store = info.context.store
        new = await giftcard.parsed(store.vault, store.settings.currency)
        async with info.context.write() as tx:
            view = await service.add(tx, new)
        info.context.replayed |= view.is_replayed
        return GiftCard.of(view, info.context.caller)

    @mutation(
        requires=Permission.EDIT_GIFT_CARD,
        description="Add, replace and revoke a card's codes, all or nothing. Ended codes stop "
        "working at once, stay in `codeHistory`, and are never used again.",
    )
    async def giftcard_edit(
        self,
        info: Info,
        giftcard: Annotated[GiftcardEditInput, argument("The card and its changes.")],
    ) -> GiftCard | None:
        change = await giftcard.parsed(info.context.store.vault)
        with_history = "codeHistory" in selected(info)
        async with info.context.write() as tx:
            view = await service.edit(tx, change, with_history=with_history)
        info.context.replayed |= view.is_replayed
        return GiftCard.of(view, info.context.caller)


async def _found(
    info: Info, code: str, code_type: CodeType | None, first: int, skip: int
) -> Results[GiftCard] | None:
    """The cards of a code, of which there are as many as types at most."""
    context = info.context
    context.caller.require(Permission.FIND_GIFT_CARD_BY_CODE)
    asked, presented = selected(info), codes.given(code, "code")
    cut(first, skip)
    views = await found.by_code(
        context.store, context.caller, presented, code_type, with_history="codeHistory" in asked
    )
    page = Page(views[skip : skip + first], len(views) > skip + first)
    return _results(info, page, asked)


def _known(given: strawberry.ID | None) -> int | None:
    """What can be no id finds nothing: no record has the id 0."""
    return None if given is None else record_id(given) or 0


def _start_of(context: Context, day: date | None) -> datetime | None:
    """The first moment of a day; no funds end before 1970."""
    return None if day is None else context.reading().start_of(max(day, date(1970, 1, 1)))


async def _listed(
    info: Info, criteria: Criteria, first: int, skip: int, since: str | None
) -> Results[GiftCard] | None:
    asked = selected(info)
    info.context.ask_rows(first)
    async with info.context.read() as reading:
        page = await service.page(
            reading,
            criteria,
            first=first,
            skip=skip,
            since=since,
            with_history="codeHistory" in asked,
        )
    return _results(info, page, asked)


async def cards_by_ids(context: Context, card_ids: Sequence[int]) -> list[CardView]:
    """A batch for `Context.load`: cards that are there."""
    async with context.read() as reading:
        found = await service.by_ids(reading, card_ids)
    return [found[each] for each in card_ids]


async def cards_with_history(context: Context, card_ids: Sequence[int]) -> list[CardView]:
    """A batch for `Context.load`: cards that are there, with their ended codes."""
    async with context.read() as reading:
        found = await service.by_ids(reading, card_ids, with_history=True)
    return [found[each] for each in card_ids]


async def card_of(info: Info, card_id: int | None) -> GiftCard | None:
    """A card as another record shows it: to who may look for cards, and to its member."""
    caller = info.context.caller
    looks_for = (Permission.LIST_GIFT_CARDS, Permission.FIND_GIFT_CARD_BY_CODE)
    may = caller.member_id is not None or any(caller.may(each) for each in looks_for)
    if card_id is None or not may:
        return None
    batch = cards_with_history if "codeHistory" in selected(info) else cards_by_ids
    view = await info.context.load(batch, card_id)
    if caller.member_id not in (None, view.card.member_id):
        return None
    return GiftCard.of(view, caller)


@dataclass(frozen=True)
class CardsOf:
    """Which cards of which member are asked for: a key of `cards_of_members`."""

    member_id: str
    first: int
    skip: int
    with_history: bool


async def cards_of_members(context: Context, asked: Sequence[CardsOf]) -> list[Page[CardView]]:
    """A batch for `Context.load`: in one reading, members who are asked alike together."""
    pages: dict[CardsOf, Page[CardView]] = {}
    alike = groupby(sorted(asked, key=_likeness), key=_likeness)
    async with context.read() as reading:
        for (first, skip, with_history), group in alike:
            of_members = await service.pages_of_members(
                reading,
                [each.member_id for each in group],
                first=first,
                skip=skip,
                with_history=with_history,
            )
            for member_id, page in of_members.items():
                pages[CardsOf(member_id, first, skip, with_history)] = page
    return [pages[each] for each in asked]


def _likeness(asked: CardsOf) -> tuple[int, int, bool]:
    return asked.first, asked.skip, asked.with_history


@extend(
    Member, description="The member's cards, by id. Others than the member need `ListGiftCards`."
)
async def giftcards(
    self: Member, info: Info, first: First = 100, skip: Skip = 0
) -> Results[GiftCard] | None:
    caller = info.context.caller
    cut(first, skip)
    info.context.ask_rows(max(first, LEAST_ROWS))
    if caller.member_id != self.id and not caller.may(Permission.LIST_GIFT_CARDS):
        return Results(results=[], has_more_results=False, limited_by_permission=True, until=None)
    asked = selected(info)
    key = CardsOf(str(self.id), first, skip, "codeHistory" in asked)
    page = await info.context.load(cards_of_members, key)
    return _results(info, page, asked)


def _results(info: Info, page: Page[CardView], asked: frozenset[str]) -> Results[GiftCard] | None:
    caller = info.context.caller
    return Results(
        results=[GiftCard.of(view, caller) for view in page.rows],
        has_more_results=page.has_more,
        limited_by_permission=any(
            view.is_limited or _is_hidden(view.card, asked, caller) for view in page.rows
        ),
        until=page.until,
    )


def _is_hidden(card: models.GiftCard, asked: frozenset[str], caller: Caller) -> bool:
    """Whether something that is asked for, and is there, is not for the caller."""
    if caller.member_id is not None:
        return "member" in asked and card.member_id not in (None, caller.member_id)
    is_there = {
        "member": (card.member_id, Permission.VIEW_MEMBERS),
        "recipient": (card.recipient, Permission.VIEW_MEMBERS),
        "pool": (card.pool_id, Permission.MANAGE_POOLS),
        "campaign": (card.campaign_id, Permission.MANAGE_CAMPAIGNS),
    }
    return any(
        fact is not None and name in asked and not caller.may(needed)
        for name, (fact, needed) in is_there.items()
    )
