from collections.abc import Sequence
from typing import Any

from giftgql.audit import service as audit
from giftgql.audit.models import Event
from giftgql.errors import InvalidAmount, MemberNotFound
from giftgql.installation import service as installation
from giftgql.ledger import service as ledger
from giftgql.members import service as members
from giftgql.money import Money, positive_minor
from giftgql.movements import service as movements
from giftgql.orders import settling
from giftgql.orders.asked import CardPayment, NewOrder, NewPayment
from giftgql.orders.criteria import Criteria
from giftgql.orders.models import (
    LineKind,
    Order,
    OrderLine,
    OrderPayment,
    OrderStatus,
    PaymentStatus,
)
from giftgql.orders.quoting import Quoted, quoted, require_method
from giftgql.orders.refusals import (
    GiftCardCannotPayForGiftCard,
    OrderCancelled,
    OrderNotFound,
    OrderPaid,
    PaymentMethodNotAllowed,
    PriceChanged,
)
from giftgql.orders.views import OrderView, views
from giftgql.paging import Page, cut, page_of
from giftgql.permissions import CallerKind, Permission
from giftgql.requests import service as requests
from giftgql.requests.service import Once, Outcome
from giftgql.store import Reading, Transaction

TIME_IS_UP = "It was not paid in time."


async def place(tx: Transaction, new: NewOrder, cards: Sequence[CardPayment]) -> OrderView:
    """Place an order: hold what its cards are to pay, reserve the pool cards that it buys, and
    take note of what was paid already. If that is all, it is paid at once.

    All of it, or nothing. Refuses what `quoted` does and what the rules of money decline,
    `PRICE_CHANGED`, `GIFT_CARD_CANNOT_PAY_FOR_GIFT_CARD`, `PAYMENT_METHOD_NOT_ALLOWED`,
    `POOL_EXHAUSTED`, `MEMBER_NOT_FOUND`. Raises PresentedOtherwise.
    """
    if wanted := new.named_cards | {card.presented.card_id for card in cards}:
        await ledger.lock_all(tx, wanted)
    if (done := await requests.claim(tx, new.request)) is not None:
        return await again(tx, done)
    await _require_members(tx, new)
    found = await quoted(tx, new, cards)
    _refuse_cards(found)
    paid = _payments(tx, found)
    order = _order(tx, found)
    order_id = await tx.orders.add(order)
    await tx.orders.add_parts(_lines(order_id, found))
    await tx.orders.add_parts(await settling.reserve(tx, order, found))
    order.hold_until = tx.now + new.hold_for  # from now on: cards may have been waited for
    held = await settling.hold(tx, order, [each for each in found.shares if each[1].amount])
    for payment in (*held, *paid):
        payment.order_id = order_id
    await tx.orders.add_parts([*held, *paid])
    subject, total = f"order:{order_id}", Money(order.total, order.currency)
    await audit.record(tx, Event.ORDER_ADDED, subject, source_id=order.source_id, total=total)
    return await _settled(tx, new.request, order)


async def pay(tx: Transaction, order_id: int, new: NewPayment, request: Once | None) -> OrderView:
    """Take note of money that was taken elsewhere; with the last of it the order is paid.

    It is never refused for what has become of the order: what a card can no longer pay is due
    again, and what there is no use for is to be given back. Refuses `ORDER_NOT_FOUND`,
    `INVALID_AMOUNT`, `PAYMENT_METHOD_NOT_ALLOWED`.
    """
    view, done = await held(tx, order_id, request)
    if done is not None:
        return await again(tx, done)
    order = view.order
    has_gift_cards = any(line.kind is LineKind.GIFT_CARD for line in view.lines)
    require_method(tx, new.method, has_gift_cards=has_gift_cards, field="method")
    amount = positive_minor(new.amount, order.currency, "amount")
    payment = _payment(tx, new, amount)
    payment.order_id = order_id
    if order.status is not OrderStatus.PENDING:
        payment.refunded = amount
        await tx.orders.update(order, {"refund_due": order.refund_due + amount})
    await tx.orders.add_parts([payment])
    facts: dict[str, Any] = {
        "method": payment.method,
        "amount": Money(amount, order.currency),
    }
    await audit.record(tx, Event.ORDER_PAYMENT_ADDED, f"order:{order_id}", **facts)
    if order.status is OrderStatus.PENDING and (await fresh(tx, order)).due == 0:
        await settling.let_go(tx, await fresh(tx, order))
    return await _settled(tx, request, order)


async def cancel(
    tx: Transaction, order_id: int, reason: str | None, request: Once | None
) -> OrderView:
    """End an order that is not paid, and give everything back. Refuses `ORDER_NOT_FOUND`,
    `ORDER_PAID`, `ORDER_CANCELLED`."""
    view, done = await held(tx, order_id, request)
    if done is not None:
        return await again(tx, done)
    if view.order.status is OrderStatus.PAID:
        raise OrderPaid
    if view.order.status is OrderStatus.CANCELLED:
        raise OrderCancelled
    await settling.release(tx, view, reason=TIME_IS_UP if view.is_over else reason)
    return await answered(tx, request, view.order)


async def end_overdue(tx: Transaction) -> int:
    """End the order whose time has been up for longest; returns how many there were: 1, or 0."""
    for order_id in await tx.orders.overdue(tx.now, at_most=1):
        view, _ = await held(tx, order_id, None)
        if view.is_over:
            await settling.release(tx, view, reason=TIME_IS_UP)
        return 1
    return 0


async def page(
    reading: Reading, criteria: Criteria, *, first: int, skip: int, since: str | None = None
) -> Page[OrderView]:
    """Orders by id, or in the order in which they changed."""
    where = cut(first, skip, await installation.window(reading, since, Order, int))
    found = page_of(await reading.orders.page(where, criteria, reading.now), where)
    return Page(await views(reading, found.rows), found.has_more, found.until)


async def latest(
    reading: Reading, criteria: Criteria, *, first: int, before: int | None = None
) -> Page[OrderView]:
    """Orders, the newest first, from those before one."""
    cut(first, 0)
    found = await reading.orders.latest(criteria, reading.now, before=before, many=first + 1)
    return Page(await views(reading, found[:first]), len(found) > first)


async def by_ids(reading: Reading, order_ids: Sequence[int]) -> dict[int, OrderView]:
    found = await views(reading, await reading.orders.by_ids(order_ids))
    return {view.order.id: view for view in found if view.order.id is not None}


async def of_member(reading: Reading, member_id: str) -> Sequence[Order]:
    """The orders that a member placed, or that buy cards for it, by id."""
    return await reading.orders.of_member(member_id)


def is_open(reading: Reading, order: Order) -> bool:
    """Whether an order is pending, and its time not up."""
    return order.status is OrderStatus.PENDING and order.hold_until > reading.now


async def forget_people(tx: Transaction, orders: Sequence[Order], member_id: str) -> None:
    """Leave nobody's name, address or words in the orders of a member, and in the lines of others
    that bought cards for it."""
    mine = {order.id for order in orders if order.member_id == member_id}
    for line in await tx.orders.lines([order.id for order in orders if order.id is not None]):
        if line.order_id in mine or line.member_id == member_id:
            await tx.orders.update_part(line, {"delivery": None})
    for order in orders:
        customer = None if order.id in mine else order.customer
        await tx.orders.update(order, {"customer": customer, "modified_at": tx.now})


async def of_movements(reading: Reading, movement_ids: Sequence[int]) -> dict[int, int]:
    """The orders that movements of money were made for."""
    return await reading.orders.of_movements(movement_ids)


# One order, held


async def held(
    tx: Transaction, order_id: int, request: Once | None
) -> tuple[OrderView, Outcome | None]:
    """An order that nobody changes until the transaction ends, with the accounts of all its cards,
    and what this request did when it came first. Refuses `ORDER_NOT_FOUND`."""
    order = await tx.orders.get(order_id)
    if order is None or not is_for(tx, order):
        raise OrderNotFound
    (before,) = await views(tx, [order])
    if before.card_ids:
        heirs = await ledger.last_of(tx, before.card_ids)
        await ledger.lock_all(tx, {*before.card_ids, *heirs.values()})
    done = await requests.claim(tx, request)
    locked = await tx.orders.lock(order_id)
    assert locked is not None
    await tx.read_clock()
    return await fresh(tx, locked), done


async def fresh(tx: Transaction, order: Order) -> OrderView:
    """An order as it is by now in this transaction."""
    return (await views(tx, [order]))[0]


async def answered(tx: Transaction, request: Once | None, order: Order) -> OrderView:
    """The order as this transaction leaves it, kept as the answer to the request."""
    view = await fresh(tx, order)
    await requests.settle(tx, request, view.then())
    return view


def is_for(reading: Reading, order: Order) -> bool:
    """Whether the caller may see an order: its own, or any with `ViewOrders`."""
    caller = reading.caller
    is_of_server = caller.kind is CallerKind.SERVER
    return is_of_server or order.caller == caller.name or caller.may(Permission.VIEW_ORDERS)


async def _settled(tx: Transaction, request: Once | None, order: Order) -> OrderView:
    """The answer, once the order is settled if nothing is due any more, or ended if its time was
    up before that."""
    view = await fresh(tx, order)
    if view.is_over:
        await settling.release(tx, view, reason=TIME_IS_UP)
    elif view.status is OrderStatus.PENDING and view.due == 0:
        await settling.settle(tx, view)
    return await answered(tx, request, order)


async def again(reading: Reading, done: Outcome) -> OrderView:
    """The first answer to a repeated request."""
    order = await reading.orders.get(done["order"]["id"])
    assert order is not None
    return OrderView.again(done, order, await reading.orders.lines([done["order"]["id"]]))


# What a new order is made of


async def _require_members(tx: Transaction, new: NewOrder) -> None:
    owners = [line.gift_cards.member_id for line in new.lines if line.gift_cards]
    wanted = {member_id for member_id in (new.member_id, *owners) if member_id is not None}
    if wanted and wanted - await members.named(tx, wanted):
        raise MemberNotFound


def _refuse_cards(found: Quoted) -> None:
    if found.new.quote not in (None, found.quote):
        raise PriceChanged
    if found.cards and found.has_gift_cards:
        raise GiftCardCannotPayForGiftCard
    for _, share in found.shares:
        if share.refused is not None:
            raise movements.declined(share.refused)


def _payments(tx: Transaction, found: Quoted) -> list[OrderPayment]:
    """What was paid in other ways, at most what is due."""
    currency, payments = found.new.currency, list[OrderPayment]()
    for new in found.new.payments:
        require_method(tx, new.method, has_gift_cards=found.has_gift_cards, field="payments.method")
        amount = positive_minor(new.amount, currency, "payments.amount")
        payments.append(_payment(tx, new, amount))
    if payments and found.sums.due == 0:
        raise PaymentMethodNotAllowed("Nothing is due, so nothing is accepted in other ways.")
    if sum(payment.amount for payment in payments) > found.sums.due:
        raise InvalidAmount("are more than is due", "payments.amount")
    return payments


def _payment(tx: Transaction, new: NewPayment, amount: int) -> OrderPayment:
    return OrderPayment(
        order_id=0,
        status=PaymentStatus.PAID,
        method=new.method,
        amount=amount,
        ref_no=new.ref_no,
        created_at=tx.now,
    )


def _order(tx: Transaction, found: Quoted) -> Order:
    new, sums = found.new, found.sums
    goods = (
        each.total for each, line in zip(sums.lines, found.lines, strict=True) if not line.sold
    )
    return Order(
        currency=new.currency,
        prices_include_tax=new.prices_include_tax,
        subtotal=sums.subtotal,
        discount=sums.discount,
        tax=sums.tax,
        total=sums.total,
        goods=sum(goods),
        member_id=new.member_id,
        customer=new.customer,
        source_id=new.source_id,
        ref_no=new.ref_no,
        caller=tx.caller.name,
        hold_until=tx.now + new.hold_for,
        created_at=tx.now,
        modified_at=tx.now,
    )


def _lines(order_id: int, found: Quoted) -> list[OrderLine]:
    lines = []
    for place, (line, sums) in enumerate(zip(found.lines, found.sums.lines, strict=True)):
        row = OrderLine(
            order_id=order_id,
            place=place,
            kind=LineKind.GIFT_CARD if line.sold else LineKind.GOODS,
            name=line.name,
            sku=line.new.sku,
            bundle_id=line.new.bundle_id,
            quantity=line.item.quantity,
            price=line.item.price,
            subtotal=sums.subtotal,
            discount=sums.discount,
            tax=sums.tax,
            total=sums.total,
            requires_shipping=line.new.requires_shipping and not line.sold,
        )
        if line.sold is not None and line.new.gift_cards is not None:
            product, wanted = line.sold.product, line.new.gift_cards
            row.product_id, row.value = product.id, line.sold.terms.value
            row.pool_id = line.sold.pool.id if line.sold.pool else None
            row.expires_on, row.expires_after = product.expires_on, product.expires_after
            row.strategy = product.strategy
            row.member_id, row.delivery = wanted.member_id, wanted.delivery
            row.deliver_at = line.sold.deliver_at
        lines.append(row)
    return lines
