from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby
from typing import Annotated

import strawberry

from giftgql import codes
from giftgql.cards import found
from giftgql.cards import service as cards
from giftgql.cards.models import CardStatus
from giftgql.cards.shown import GiftCard
from giftgql.codes import CodeType
from giftgql.context import Context, Info
from giftgql.errors import CardReplaced, CodeExpired, InvalidInput
from giftgql.fields import extend, mutation, query
from giftgql.ledger.models import MovementType
from giftgql.ledger.service import Result
from giftgql.members.api import read_member_id
from giftgql.money import Money
from giftgql.movements import commands, service
from giftgql.movements.admission import admit_holder
from giftgql.movements.criteria import Criteria, TransStatus
from giftgql.movements.inputs import (
    GiftcardTransAddInput,
    GiftcardTransCancelInput,
    GiftcardTransCaptureInput,
    GiftcardTransferInput,
    GiftcardTransRefundInput,
    holder,
)
from giftgql.movements.service import PERMISSIONS, Trans
from giftgql.movements.shown import GiftCardTrans
from giftgql.paging import Page, cut
from giftgql.permissions import Permission
from giftgql.values import (
    First,
    Results,
    Since,
    Skip,
    argument,
    moment,
    record_id,
    results,
    text,
)

MOVES = tuple(PERMISSIONS.values())


@strawberry.type(description="What a card's holder may know of it.")
class GiftCardBalance:
    balance: Money = strawberry.field(description="What is available.")
    currency: str = strawberry.field(description="ISO 4217 code of the balance's currency.")
    status: CardStatus = strawberry.field(description="The state of the card.")
    expires_on: date | None = strawberry.field(
        description="Last day of the funds, in the server's time zone."
    )


@strawberry.type
class MovementMutation:
    @mutation(
        requires=MOVES,
        description="Move money on a card, or authorise it. Needs the permission of its type, and "
        "the `Use…` permission of the code's type, or `ListGiftCards` with `giftcardId`. What the "
        "rules of money decline is recorded and keeps its answer under its key. A use of a card "
        "whose strategy is `REPLACEMENT` ends its codes: what is left goes to a new card.",
    )
    async def giftcard_trans_add(
        self,
        info: Info,
        trans: Annotated[GiftcardTransAddInput, argument("The movement to be made.")],
    ) -> GiftCardTrans | None:
        wanted, new = trans.parsed(info.context.store.settings)
        return await _answered(info, await commands.add(info.context, wanted, new))

    @mutation(
        requires=MOVES,
        description="Take an authorised amount, all or a part; the rest is released. For the "
        "client that authorised, or one with `ListGiftCardTrans`. Final: a second one is "
        "`ALREADY_CAPTURED`. Not for a card blocked since.",
    )
    async def giftcard_trans_capture(
        self,
        info: Info,
        trans: Annotated[GiftcardTransCaptureInput, argument("What to capture.")],
    ) -> GiftCardTrans | None:
        return await _answered(info, await commands.capture(info.context, trans))

    @mutation(
        requires=(*MOVES, Permission.GIFT_CARD_TRANS_REFUND, Permission.GIFT_CARD_TRANSFER),
        description="Release an authorised amount: final, for the client that authorised, or one "
        "with `ListGiftCardTrans`. Or undo whatever one of the caller's own keys did.",
    )
    async def giftcard_trans_cancel(
        self,
        info: Info,
        trans: Annotated[GiftcardTransCancelInput, argument("What to cancel.")],
    ) -> GiftCardTrans | None:
        result = await commands.cancel(info.context, trans)
        return None if result is None else await _answered(info, result)

    @mutation(
        requires=Permission.GIFT_CARD_TRANS_REFUND,
        description="Undo a completed transaction, all or a part, any number of times up to what "
        "it moved: else `REFUND_EXCEEDS_CAPTURED`. For the client that made it, or one with "
        "`ListGiftCardTrans`. Not to a blocked, disabled or expired card; of an `ADD` only while "
        "its money is available. Where the card was replaced the money goes on to the last one "
        "that took its place, or comes from there. The answer is a transaction of its own.",
    )
    async def giftcard_trans_refund(
        self,
        info: Info,
        trans: Annotated[GiftcardTransRefundInput, argument("What to refund.")],
    ) -> GiftCardTrans | None:
        return await _answered(info, await commands.refund(info.context, trans))

    @mutation(
        requires=Permission.GIFT_CARD_TRANSFER,
        description="Move funds to another card of the same currency. The answer is the "
        "transaction on the card they were taken from; `relatedId` is the other one's.",
    )
    async def giftcard_transfer(
        self,
        info: Info,
        giftcard: Annotated[GiftcardTransferInput, argument("From which card to which.")],
    ) -> GiftCardTrans | None:
        return await _answered(info, await commands.transfer(info.context, giftcard))


@strawberry.type
class MovementQuery:
    @query(
        requires=Permission.LIST_GIFT_CARD_TRANS,
        description="Transactions by id. With `since`, in the order in which they came about; an "
        "authorisation comes again when it has ended.",
    )
    async def giftcard_trans(
        self,
        info: Info,
        id: Annotated[strawberry.ID | None, argument("The transaction's id.")] = None,
        giftcard_id: Annotated[strawberry.ID | None, argument("The card's id.")] = None,
        code: Annotated[
            str | None,
            argument("A live code of the card; needs `FindGiftCardByCode` and its `Use…` one."),
        ] = None,
        code_type: Annotated[CodeType | None, argument("What type `code` is of.")] = None,
        member_id: Annotated[strawberry.ID | None, argument("The card's owner.")] = None,
        status: Annotated[TransStatus | None, argument("Where they stand.")] = None,
        trans_type: Annotated[MovementType | None, argument("What they are.")] = None,
        source_id: Annotated[str | None, argument("Where they were made.")] = None,
        ref_no: Annotated[str | None, argument("The caller's own number.")] = None,
        begins: Annotated[datetime | None, argument("Made at this moment or later.")] = None,
        ends: Annotated[datetime | None, argument("Made before this moment.")] = None,
        first: First = 100,
        skip: Skip = 0,
        since: Since = None,
    ) -> Results[GiftCardTrans] | None:
        info.context.ask_rows(first)
        card_ids = None if giftcard_id is None else {record_id(giftcard_id) or 0}
        presented = None if code is None else codes.given(code, "code")
        if presented is None and code_type is not None:
            raise InvalidInput("codeType", "needs code")
        if presented is not None:
            context = info.context
            context.caller.require(Permission.FIND_GIFT_CARD_BY_CODE)
            views = await found.by_code(context.store, context.caller, presented, code_type)
            ids = {view.account.id for view in views}
            card_ids = ids if card_ids is None else card_ids & ids
        async with info.context.read() as reading:
            criteria = Criteria(
                movement_id=None if id is None else record_id(id) or 0,
                card_ids=card_ids,
                member_id=None if member_id is None else read_member_id(member_id),
                status=status,
                type=trans_type,
                source_id=None if source_id is None else text(source_id, "sourceId", 64),
                ref_no=None if ref_no is None else text(ref_no, "refNo", 64),
                begins=moment(begins, "begins"),
                ends=moment(ends, "ends"),
            )
            page = await service.page(reading, criteria, first=first, skip=skip, since=since)
        return _results(info.context, page)

    @query(
        requires=Permission.CHECK_GIFT_CARD_BALANCE,
        description="What a card's holder may know. Needs the PIN where the code has one, and "
        "online for every printed code. Wrong tries are counted; an unknown code, a code without "
        "PIN, and a wrong, missing or locked secret are all `SECRET_INVALID`. `CARD_REPLACED` for "
        "the code that a card had to the end.",
    )
    async def giftcard_balance(
        self,
        info: Info,
        code: Annotated[str, argument("The code, in clear.")],
        code_type: Annotated[CodeType | None, argument("What type `code` is of.")] = None,
        pin: Annotated[str | None, argument("The code's PIN.")] = None,
        cvv: Annotated[str | None, argument("The code's CVV.")] = None,
    ) -> GiftCardBalance | None:
        context = info.context
        held = await admit_holder(context.store, context.caller, holder(code, code_type, pin, cvv))
        if held.has_ended:
            raise CardReplaced(field="code")
        async with context.read() as reading:
            ends_at = reading.end_of(held.expires_on)
            if ends_at is not None and ends_at <= reading.now:
                raise CodeExpired
            view = await cards.view(reading, held.card_id)
        return GiftCardBalance(
            balance=Money(view.balance, held.currency),
            currency=held.currency,
            status=view.status,
            expires_on=view.expires_on,
        )


async def _answered(info: Info, result: Result) -> GiftCardTrans | None:
    return GiftCardTrans.of(await commands.answered(info.context, result), info.context)


@dataclass(frozen=True)
class TransOf:
    """Which transactions of which card are asked for: a key of `transactions_of_cards`."""

    card_id: int
    first: int
    skip: int


async def transactions_of_cards(context: Context, asked: Sequence[TransOf]) -> list[Page[Trans]]:
    """A batch for `Context.load`: cards that are asked alike are read together."""

    def likeness(each: TransOf) -> tuple[int, int]:
        return each.first, each.skip

    pages: dict[TransOf, Page[Trans]] = {}
    async with context.read() as reading:
        for (first, skip), group in groupby(sorted(asked, key=likeness), key=likeness):
            card_ids = [each.card_id for each in group]
            found = await service.pages_of_cards(reading, card_ids, first=first, skip=skip)
            for card_id, page in found.items():
                pages[TransOf(card_id, first, skip)] = page
    return [pages[each] for each in asked]


@extend(
    GiftCard,
    description="The card's transactions, by id. Others than its member need `ListGiftCardTrans`.",
)
async def transactions(
    self: GiftCard, info: Info, first: First = 100, skip: Skip = 0
) -> Results[GiftCardTrans] | None:
    caller = info.context.caller
    cut(first, skip)
    info.context.ask_rows(first)
    is_own = caller.member_id is not None and caller.member_id == self.member_id
    if not is_own and not caller.may(Permission.LIST_GIFT_CARD_TRANS):
        return Results(results=[], has_more_results=False, limited_by_permission=True, until=None)
    key = TransOf(int(self.id), first, skip)
    return _results(info.context, await info.context.load(transactions_of_cards, key))


def _results(context: Context, page: Page[Trans]) -> Results[GiftCardTrans]:
    return results([GiftCardTrans.of(trans, context) for trans in page.rows], page)
