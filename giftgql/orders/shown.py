"""Orders as the API shows them: types of its schema."""

from collections.abc import Sequence
from datetime import datetime

import strawberry

from giftgql.cards import mentions
from giftgql.cards.api import cards_by_ids
from giftgql.cards.shown import GiftCard
from giftgql.context import Context, Info
from giftgql.errors import ErrorCode
from giftgql.fields import resolved
from giftgql.members.api import Member, members_by_id
from giftgql.money import Money
from giftgql.orders import models
from giftgql.orders.calculation import LineSum, Share
from giftgql.orders.models import LineKind, OrderStatus, PaymentStatus
from giftgql.orders.pricing import Priced
from giftgql.orders.quoting import Quoted
from giftgql.orders.views import OrderView
from giftgql.permissions import Permission
from giftgql.values import register

register("Where an order stands.")(OrderStatus)
register("What a line buys.")(LineKind)
register("Where a payment stands.")(PaymentStatus)


@strawberry.type(description="A line as it is calculated.")
class OrderLineSum:
    kind: LineKind = strawberry.field(description="What it buys.")
    name: str = strawberry.field(description="What it is.")
    quantity: int = strawberry.field(description="Pieces.")
    unit_price: Money = strawberry.field(description="The price of a piece.")
    value: Money | None = strawberry.field(description="What comes on each gift card.")
    subtotal: Money = strawberry.field(description="`quantity` times `unitPrice`.")
    discount: Money = strawberry.field(description="Its own discount and its part of the order's.")
    tax: Money = strawberry.field(description="Its tax, which is in `total` in any case.")
    total: Money = strawberry.field(description="What it comes to.")
    requires_shipping: bool = strawberry.field(
        description="Whether it is to be shipped; gift cards never are."
    )

    @classmethod
    def calculated(cls, line: Priced, sums: LineSum, currency: str) -> "OrderLineSum":
        def money(minor: int) -> Money:
            return Money(minor, currency)

        return cls(
            kind=LineKind.GIFT_CARD if line.sold else LineKind.GOODS,
            name=line.name,
            quantity=line.item.quantity,
            unit_price=money(line.item.price),
            value=None if line.sold is None else money(line.sold.terms.value),
            subtotal=money(sums.subtotal),
            discount=money(sums.discount),
            tax=money(sums.tax),
            total=money(sums.total),
            requires_shipping=line.new.requires_shipping,
        )


@strawberry.type(description="What a gift card would pay.")
class OrderGiftcardShare:
    giftcard_id: strawberry.ID = strawberry.field(description="The card's internal id.")
    amount: Money = strawberry.field(
        description="How much; 0 where it cannot pay, or nothing is left to be paid."
    )
    not_applicable: ErrorCode | None = strawberry.field(
        description="Why it cannot pay for this order; null if it can."
    )

    @classmethod
    def of(cls, card_id: int, share: Share, currency: str) -> "OrderGiftcardShare":
        return cls(
            giftcard_id=strawberry.ID(str(card_id)),
            amount=Money(share.amount, currency),
            not_applicable=share.refused,
        )


@strawberry.type(description="What an order would come to now, and who would pay it.")
class OrderCalculation:
    currency: str = strawberry.field(description="ISO 4217 code of all amounts.")
    lines: list[OrderLineSum] = strawberry.field(description="The lines.")
    subtotal: Money = strawberry.field(description="All lines before discounts and taxes.")
    discount: Money = strawberry.field(description="All discounts.")
    tax: Money = strawberry.field(description="All taxes, which are in `grandTotal` in any case.")
    grand_total: Money = strawberry.field(description="What is to be paid.")
    giftcards: list[OrderGiftcardShare] = strawberry.field(
        description="The gift cards that are to pay, in the order given."
    )
    paid_by_giftcards: Money = strawberry.field(description="What they would pay together.")
    amount_due: Money = strawberry.field(description="What is left to be paid in other ways.")
    allowed_payment_methods: list[str] = strawberry.field(
        description="Of the methods offered those that can pay what is due; none if nothing is."
    )
    refused_payment_methods: list[str] = strawberry.field(
        description="Methods that cannot pay for this order because gift cards are in it."
    )
    requires_shipping: bool = strawberry.field(description="Whether any line is to be shipped.")
    quote: str = strawberry.field(
        description="To be given to `orderAdd`, which refuses if the order came to something else."
    )

    @classmethod
    def of(
        cls, found: Quoted, methods: Sequence[str], not_for_gift_cards: frozenset[str]
    ) -> "OrderCalculation":
        currency, sums = found.new.currency, found.sums

        def money(minor: int) -> Money:
            return Money(minor, currency)

        refused = not_for_gift_cards if found.has_gift_cards else frozenset[str]()
        lines = list(zip(found.lines, sums.lines, strict=True))
        return cls(
            currency=currency,
            lines=[OrderLineSum.calculated(line, each, currency) for line, each in lines],
            subtotal=money(sums.subtotal),
            discount=money(sums.discount),
            tax=money(sums.tax),
            grand_total=money(sums.total),
            giftcards=[
                OrderGiftcardShare.of(card.presented.card_id, share, currency)
                for card, share in found.shares
            ],
            paid_by_giftcards=money(sums.by_cards),
            amount_due=money(sums.due),
            allowed_payment_methods=[each for each in methods if each not in refused and sums.due],
            refused_payment_methods=sorted(refused),
            requires_shipping=any(line.new.requires_shipping for line in found.lines),
            quote=found.quote,
        )


@strawberry.type(description="A line of an order.")
class OrderLine(OrderLineSum):
    sku: str | None = strawberry.field(description="The caller's article number.")
    bundle_id: str | None = strawberry.field(description="The bundle that it belongs to.")
    product_id: strawberry.ID | None = strawberry.field(description="The gift cards' product.")
    deliver_on: datetime | None = strawberry.field(
        description="When the code is sent, UTC; null if at once."
    )
    giftcard_ids: list[strawberry.ID] = strawberry.field(
        description="The gift cards that it bought; of a pool, those reserved for it before."
    )
    card_ids: strawberry.Private[Sequence[int]]

    @resolved(description="The gift cards. Null without `FindGiftCardByCode` or `ListGiftCards`.")
    async def giftcards(self, info: Info) -> list[GiftCard] | None:
        caller = info.context.caller
        if not _may_see_cards(info.context):
            return None
        info.context.ask_rows(len(self.card_ids))
        found = [await info.context.load(cards_by_ids, each) for each in self.card_ids]
        return [GiftCard.of(view, caller) for view in found]

    @classmethod
    def of(cls, line: models.OrderLine, view: OrderView) -> "OrderLine":
        def money(minor: int) -> Money:
            return Money(minor, view.order.currency)

        card_ids = [
            piece.card_id
            for piece in view.pieces
            if piece.line == line.place and piece.card_id is not None
        ]
        return cls(
            kind=line.kind,
            name=line.name,
            quantity=line.quantity,
            unit_price=money(line.price),
            value=None if line.value is None else money(line.value),
            subtotal=money(line.subtotal),
            discount=money(line.discount),
            tax=money(line.tax),
            total=money(line.total),
            requires_shipping=line.requires_shipping,
            sku=line.sku,
            bundle_id=line.bundle_id,
            product_id=_id(line.product_id),
            deliver_on=line.deliver_at,
            giftcard_ids=[strawberry.ID(str(each)) for each in card_ids],
            card_ids=card_ids,
        )


@strawberry.type(description="A payment of an order, by gift card or in another way.")
class OrderPayment:
    id: strawberry.ID = strawberry.field(description="The payment's id, for `orderRefund`.")
    method: str = strawberry.field(description="`gift_card`, or the shop's name of the method.")
    status: PaymentStatus = strawberry.field(description="Where it stands.")
    amount: Money = strawberry.field(description="How much it is of the order.")
    refunded: Money = strawberry.field(
        description="How much of it was given back: to the card, be it past the order; or, of "
        "other methods, is or was to be given back by the shop."
    )
    giftcard_id: strawberry.ID | None = strawberry.field(description="The gift card.")
    transaction_id: strawberry.ID | None = strawberry.field(
        description="The transaction on the gift card."
    )
    ref_no: str | None = strawberry.field(description="The payment's number elsewhere.")
    created_at: datetime = strawberry.field(description="When it was reported or held, UTC.")
    code_id: strawberry.Private[int | None]

    @resolved(description="The code that was presented, masked; null for other methods.")
    async def masked_code(self, info: Info) -> str | None:
        if self.code_id is None:
            return None
        hidden: str = await info.context.load(codes_hidden, self.code_id)
        return hidden

    @classmethod
    def of(cls, payment: models.OrderPayment, view: OrderView) -> "OrderPayment":
        currency = view.order.currency
        return cls(
            id=strawberry.ID(str(payment.id)),
            method=payment.method,
            status=view.status_of(payment),
            amount=Money(payment.amount, currency),
            refunded=Money(view.refunded_of(payment), currency),
            giftcard_id=_id(payment.card_id),
            transaction_id=_id(payment.movement_id),
            ref_no=payment.ref_no,
            created_at=payment.created_at,
            code_id=payment.code_id,
        )


@strawberry.type(description="A purchase: what is bought, and how it is paid.")
class Order:
    id: strawberry.ID = strawberry.field(description="The order's id.")
    status: OrderStatus = strawberry.field(description="Where it stands.")
    currency: str = strawberry.field(description="ISO 4217 code of all amounts.")
    lines: list[OrderLine] = strawberry.field(description="What is bought.")
    prices_include_tax: bool = strawberry.field(description="Whether prices have taxes in them.")
    subtotal: Money = strawberry.field(description="All lines before discounts and taxes.")
    discount: Money = strawberry.field(description="All discounts.")
    tax: Money = strawberry.field(description="All taxes, which are in `grandTotal` in any case.")
    grand_total: Money = strawberry.field(description="What is to be paid in all.")
    payments: list[OrderPayment] = strawberry.field(description="How it is paid.")
    paid_by_giftcards: Money = strawberry.field(description="What gift cards pay: held or taken.")
    paid_otherwise: Money = strawberry.field(description="What was paid in other ways.")
    amount_due: Money = strawberry.field(description="What is left to be paid.")
    refund_due: Money = strawberry.field(
        description="All that is or was to be given back by the shop, in other ways than by card."
    )
    member_id: strawberry.ID | None = strawberry.field(description="The customer's id.")
    customer_name: str | None = strawberry.field(
        description="The customer's name, as it was given. Null without `ViewMembers`."
    )
    customer_email: str | None = strawberry.field(
        description="The customer's address, as it was given. Null without `ViewMembers`."
    )
    source_id: str | None = strawberry.field(description="Where, as the caller said.")
    ref_no: str | None = strawberry.field(description="The caller's own number.")
    caller: str = strawberry.field(description="Who placed it: `client:…`.")
    reason: str | None = strawberry.field(description="Why it was cancelled.")
    hold_until: datetime = strawberry.field(description="Until when it may be paid, UTC.")
    created_at: datetime = strawberry.field(description="When it was placed, UTC.")
    modified_at: datetime = strawberry.field(description="When it last changed, UTC.")
    paid_at: datetime | None = strawberry.field(description="When it was paid, UTC.")
    cancelled_at: datetime | None = strawberry.field(description="When it ended unpaid, UTC.")

    @resolved(description="The customer who is a member. Null without `ViewMembers`.")
    async def member(self, info: Info) -> Member | None:
        if self.member_id is None or not info.context.caller.may(Permission.VIEW_MEMBERS):
            return None
        return await info.context.load(members_by_id, str(self.member_id))

    @classmethod
    def of(cls, view: OrderView, context: Context) -> "Order":
        order = view.order

        def money(minor: int) -> Money:
            return Money(minor, order.currency)

        knows_people = context.caller.may(Permission.VIEW_MEMBERS)
        customer = (order.customer or {}) if knows_people else {}
        cancelled_at = order.hold_until if view.is_over else order.cancelled_at
        return cls(
            id=strawberry.ID(str(order.id)),
            status=view.status,
            currency=order.currency,
            lines=[OrderLine.of(line, view) for line in view.lines],
            prices_include_tax=order.prices_include_tax,
            subtotal=money(order.subtotal),
            discount=money(order.discount),
            tax=money(order.tax),
            grand_total=money(order.total),
            payments=[OrderPayment.of(payment, view) for payment in view.payments],
            paid_by_giftcards=money(view.paid_by(is_card=True)),
            paid_otherwise=money(view.paid_by(is_card=False)),
            amount_due=money(view.due),
            refund_due=money(order.refund_due),
            member_id=None if order.member_id is None else strawberry.ID(order.member_id),
            customer_name=customer.get("name"),
            customer_email=customer.get("email"),
            source_id=order.source_id,
            ref_no=order.ref_no,
            caller=order.caller,
            reason=order.reason,
            hold_until=order.hold_until,
            created_at=order.created_at,
            modified_at=order.modified_at,
            paid_at=order.paid_at,
            cancelled_at=cancelled_at,
        )


async def codes_hidden(context: Context, code_ids: Sequence[int]) -> list[str]:
    """A batch for `Context.load`."""
    async with context.read() as reading:
        found = await mentions.codes_hidden(reading, code_ids)
    return [found[each] for each in code_ids]


def _may_see_cards(context: Context) -> bool:
    caller = context.caller
    return caller.may(Permission.FIND_GIFT_CARD_BY_CODE) or caller.may(Permission.LIST_GIFT_CARDS)


def _id(number: int | None) -> strawberry.ID | None:
    return None if number is None else strawberry.ID(str(number))
