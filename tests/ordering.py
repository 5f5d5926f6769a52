"""Orders for tests, placed through the API."""

from typing import Any

from sqlmodel import select

from giftgql.outbox.models import OutboxMessage
from tests.client import Answer, Client
from tests.factories import code_of, done
from tests.stock import change
from tests.tables import Tables

ORDER = """id status currency subtotal discount tax grandTotal paidByGiftcards paidOtherwise
    amountDue refundDue refNo memberId customerEmail reason holdUntil paidAt cancelledAt
    lines { kind name quantity unitPrice value subtotal discount tax total requiresShipping
        sku bundleId productId deliverOn giftcardIds }
    payments { id method status amount refunded giftcardId transactionId refNo maskedCode }"""
CALCULATION = """currency subtotal discount tax grandTotal paidByGiftcards amountDue quote
    requiresShipping allowedPaymentMethods refusedPaymentMethods
    giftcards { giftcardId amount notApplicable }
    lines { kind name quantity unitPrice value subtotal discount tax total requiresShipping }"""


def goods(price: str, **more: Any) -> dict[str, Any]:
    return {"name": "Shoes", "unitPrice": price, **more}


def gift(product: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A line of a product's first preset."""
    card = {"productId": product["id"], "variantId": product["presets"][0]["id"]}
    of_line = ("quantity", "unitPrice", "discount", "bundleId")
    line: dict[str, Any] = {key: more.pop(key) for key in of_line if key in more}
    return {"giftcard": {**card, **more}, **line}


def paying(*cards: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    """Cards that pay, by their first codes."""
    return [{"code": code_of(card), **more} for card in cards]


def cash(amount: str, **more: Any) -> dict[str, Any]:
    return {"method": "cash", "amount": amount, **more}


async def calculate(caller: Client, *lines: dict[str, Any], **more: Any) -> Answer:
    given = {"lines": lines, **more}
    return await change(caller, "orderCalculate", "order", CALCULATION, **given)


async def place(caller: Client, *lines: dict[str, Any], **more: Any) -> Answer:
    return await change(caller, "orderAdd", "order", ORDER, **{"lines": lines, **more})


async def placed(caller: Client, *lines: dict[str, Any], **more: Any) -> dict[str, Any]:
    return done(await place(caller, *lines, **more))


async def pay(caller: Client, order: dict[str, Any], amount: str, **more: Any) -> Answer:
    given = {"id": order["id"], "method": "cash", "amount": amount, **more}
    return await change(caller, "orderPaymentAdd", "order", ORDER, **given)


async def cancel(caller: Client, order: dict[str, Any], **more: Any) -> Answer:
    return await change(caller, "orderCancel", "order", ORDER, id=order["id"], **more)


async def refund(caller: Client, order: dict[str, Any], **more: Any) -> Answer:
    return await change(caller, "orderRefund", "order", ORDER, id=order["id"], **more)


async def orders(caller: Client, **arguments: Any) -> list[dict[str, Any]]:
    return list((await listed(caller, **arguments))["order"]["results"])


async def listed(caller: Client, **arguments: Any) -> Answer:
    return await caller.run(
        """query ($id: ID, $status: OrderStatus, $refNo: String, $memberId: ID, $giftcardId: ID,
                  $since: String, $first: Int! = 100) {
            order(id: $id, status: $status, refNo: $refNo, memberId: $memberId,
                  giftcardId: $giftcardId, since: $since, first: $first) """
        f"{{ until hasMoreResults limitedByPermission results {{ {ORDER} }} }} }}",
        **arguments,
    )


def bought(order: dict[str, Any]) -> list[str]:
    """The cards of all lines."""
    return [card for line in order["lines"] for card in line["giftcardIds"]]


async def mails(tables: Tables, **facts: Any) -> list[OutboxMessage]:
    """What is to be mailed or was, with these facts."""
    found = await tables.all(select(OutboxMessage).order_by(OutboxMessage.id))  # type: ignore[arg-type]
    return [each for each in found if all(getattr(each, k) == v for k, v in facts.items())]
