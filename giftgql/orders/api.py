from collections.abc import Sequence
from typing import Annotated

import strawberry

from giftgql.context import Context, Info
from giftgql.fields import extend, mutation, query
from giftgql.members.api import read_member_id
from giftgql.movements.shown import GiftCardTrans
from giftgql.orders import commands, refunds, service
from giftgql.orders.criteria import Criteria
from giftgql.orders.inputs import (
    OrderAddInput,
    OrderCalculateInput,
    OrderCancelInput,
    OrderPaymentAddInput,
    OrderRefundInput,
    order_id,
)
from giftgql.orders.models import OrderStatus
from giftgql.orders.shown import Order, OrderCalculation
from giftgql.orders.views import OrderView
from giftgql.permissions import Permission
from giftgql.values import First, Results, Since, Skip, argument, record_id, results, text

_PLACES = Permission.CREATE_ORDER
_SEES = (Permission.VIEW_ORDERS, Permission.CREATE_ORDER)


@strawberry.type
class OrderMutation:
    @mutation(
        requires=_PLACES,
        description="What an order would come to. Nothing is spent. Gift cards that are to pay "
        "need their secrets and `GiftCardTransUse`, as for a payment; wrong tries are counted.",
    )
    async def order_calculate(
        self, info: Info, order: Annotated[OrderCalculateInput, argument("The order.")]
    ) -> OrderCalculation | None:
        context, wanted = info.context, order.wanted_cards()
        _require_use(context, wanted)
        new, methods = order.parsed(context.reading()), order.methods()
        found = await commands.calculate(context, new, wanted)
        return OrderCalculation.of(found, methods, context.store.settings.not_for_gift_cards)

    @mutation(
        requires=_PLACES,
        description="Place an order: what its gift cards are to pay is held, the pool cards that "
        "it buys are reserved, and with enough payment it is paid at once. All of it, or nothing.",
    )
    async def order_add(
        self, info: Info, order: Annotated[OrderAddInput, argument("The order.")]
    ) -> Order | None:
        context, wanted = info.context, order.wanted_cards()
        _require_use(context, wanted)
        new = order.parsed(context.reading())
        return _answered(info, await commands.place(context, new, wanted))

    @mutation(
        requires=_PLACES,
        description="Report money for an order that was taken elsewhere. With the last of it the "
        "gift cards' holds are captured and the cards bought are issued. It is never refused for "
        "what has become of the order: the share of a card that can no longer pay is due again, "
        "and what there is no use for is added to `refundDue`. For the client that placed the "
        "order, or one with `ViewOrders`.",
    )
    async def order_payment_add(
        self, info: Info, order: Annotated[OrderPaymentAddInput, argument("Which, and how much.")]
    ) -> Order | None:
        new, wanted = order.parsed("order"), order_id(order.id)
        async with info.context.write() as tx:
            view = await service.pay(tx, wanted, new, order.request)
        return _answered(info, view)

    @mutation(
        requires=_PLACES,
        description="End an order that is not paid: holds end, pool cards are free again, what "
        "was captured past the order goes back to its card, and what was paid in other ways, or "
        "can go back to no card, is added to `refundDue`. For the client that placed it, or one "
        "with `ViewOrders`.",
    )
    async def order_cancel(
        self, info: Info, order: Annotated[OrderCancelInput, argument("Which, and why.")]
    ) -> Order | None:
        wanted, reason = order.parsed()
        async with info.context.write() as tx:
            view = await service.cancel(tx, wanted, reason, order.request)
        return _answered(info, view)

    @mutation(
        requires=Permission.REFUND_ORDER,
        description="Give back a part of a paid order, or all of it, any number of times: to a "
        "gift card what it paid and never more, for a bought card what it cost while it is "
        "unspent; what was paid in other ways is added to `refundDue`. For the client that placed "
        "the order, or one with `ViewOrders`.",
    )
    async def order_refund(
        self, info: Info, order: Annotated[OrderRefundInput, argument("What to give back.")]
    ) -> Order | None:
        wanted = order.parsed()
        async with info.context.write() as tx:
            view = await refunds.refund(tx, wanted)
        return _answered(info, view)


@strawberry.type
class OrderQuery:
    @query(
        requires=_SEES,
        description="Orders, by id or all that fit; without `ViewOrders` those that the caller "
        "placed. With `since`, in the order of their last change.",
    )
    async def order(
        self,
        info: Info,
        id: Annotated[strawberry.ID | None, argument("The order's id.")] = None,
        status: Annotated[OrderStatus | None, argument("Where they stand.")] = None,
        ref_no: Annotated[str | None, argument("The caller's own number.")] = None,
        member_id: Annotated[strawberry.ID | None, argument("The customer.")] = None,
        giftcard_id: Annotated[
            strawberry.ID | None, argument("A gift card that pays or is bought.")
        ] = None,
        first: First = 100,
        skip: Skip = 0,
        since: Since = None,
    ) -> Results[Order] | None:
        caller = info.context.caller
        sees_all = caller.may(Permission.VIEW_ORDERS)
        criteria = Criteria(
            order_id=None if id is None else record_id(id) or 0,
            status=status,
            ref_no=None if ref_no is None else text(ref_no, "refNo", 64),
            member_id=None if member_id is None else read_member_id(member_id),
            card_id=None if giftcard_id is None else record_id(giftcard_id) or 0,
            caller=None if sees_all else caller.name,
        )
        info.context.ask_rows(first)
        async with info.context.read() as reading:
            page = await service.page(reading, criteria, first=first, skip=skip, since=since)
        shown = results([Order.of(view, info.context) for view in page.rows], page)
        shown.limited_by_permission = not sees_all
        return shown


@extend(
    GiftCardTrans,
    description="The order that it was made for, or that what it undoes was made for. Null without "
    "`ViewOrders`.",
)
async def order(self: GiftCardTrans, info: Info) -> Order | None:
    if not info.context.caller.may(Permission.VIEW_ORDERS):
        return None
    view = await info.context.load(orders_of_movements, int(self.related_id or self.id))
    return None if view is None else Order.of(view, info.context)


async def orders_of_movements(
    context: Context, movement_ids: Sequence[int]
) -> list[OrderView | None]:
    """A batch for `Context.load`."""
    async with context.read() as reading:
        of_movement = await service.of_movements(reading, movement_ids)
        found = await service.by_ids(reading, sorted(set(of_movement.values())))
    return [found.get(of_movement.get(each, 0)) for each in movement_ids]


def _require_use(context: Context, cards_: Sequence[object]) -> None:
    if cards_:
        context.caller.require(Permission.GIFT_CARD_TRANS_USE)


def _answered(info: Info, view: OrderView) -> Order:
    info.context.replayed |= view.is_replayed
    return Order.of(view, info.context)
