"""Orders in the back office: found, shown with who pays what, cancelled, given back."""

import pytest

from giftgql.permissions import Permission
from tests import factories, ordering, stock
from tests.client import Client
from tests.factories import funded, money
from tests.ordering import bought, cash, gift, goods, paying, placed
from tests.test_backoffice import MakeVisitor, visitor_with

__all__ = ["visitor_with"]

P = Permission


async def test_an_order_shows_who_pays_what_and_is_cancelled_once(
    visitor_with: MakeVisitor, admin: Client
) -> None:
    card = await funded(admin, "30.00", physicalCode="PAYS-0001")
    line = goods("99.99", quantity=2, sku="S-1", bundleId="B-7")
    line |= {"discount": {"amount": "10.00"}, "tax": {"rate": "19"}}
    order = await placed(
        admin, line, giftcards=paying(card), payments=[cash("20.00")], refNo="<b>W-1</b>"
    )
    manager = await visitor_with(role="manager")
    page = await manager.open(f"/office/orders/{order['id']}")
    for shown in (
        "Order 1 pending",
        "2 \u00d7 €99.99",
        "in bundle B-7",
        "-€10.00 discount",
        "Shoes",
    ):
        assert shown in page.text
    due = f"Due €{order['amountDue']}"
    for shown in ("Gift cards €30.00", "Other ways €20.00", due, "<b>W-1</b>", "Gift card card"):
        assert shown in page.text
    assert f'href="/office/cards/{card["id"]}"' in page.html
    assert "0001" in page.text
    assert not page.offers("/refund")
    history = await manager.open(f"/office/cards/{card['id']}")
    assert f'href="/office/orders/{order["id"]}"' in history.html
    form = page.form("/cancel")
    refused = await manager.send(form, reason="Changed her mind")
    assert refused.status == 422
    assert "this cannot be undone" in refused.text
    for _ in range(2):
        page = await manager.send(form, reason="Changed her mind", confirmed="yes")
        assert page.status == 200, page.text
        assert "The order is cancelled" in page.text
    assert "Changed her mind" in page.text
    assert (await money(admin, card["id"]))["balance"] == "30.00"
    again = await manager.post(form.action, {**form.fields, "key": "x", "confirmed": "yes"})
    assert again.status == 422
    assert "look it up again" in again.text


async def test_an_order_is_given_back_by_payment_by_card_and_as_a_whole(
    visitor_with: MakeVisitor, admin: Client
) -> None:
    card = await funded(admin, "30.00")
    order = await placed(admin, goods("50.00"), giftcards=paying(card), payments=[cash("20.00")])
    manager = await visitor_with(role="manager")
    manager.languages = "de"
    page = await manager.open(f"/office/orders/{order['id']}")
    by_cash = next(
        each for each in page.forms if each.fields.get("payments.id") == order["payments"][1]["id"]
    )
    wrong = await manager.send(by_cash, **{"payments.amount": "20,01", "confirmed": "yes"})
    assert wrong.status == 422
    assert "no more than is left" in wrong.text
    form = next(each for each in wrong.forms if each.fields.get("payments.amount") == "20,01")
    page = await manager.send(form, **{"payments.amount": "5,50", "confirmed": "yes"})
    assert "shop: 5,50 €" in page.text
    page = await manager.send(page.form("/refund"), amount="10", confirmed="yes", reason="Late")
    assert (await money(admin, card["id"]))["balance"] == "10.00"
    forgotten = await manager.send(page.form("/refund"), confirmed="yes")
    assert forgotten.status == 422, "no amount is not all of it"
    page = await manager.send(page.form("/refund-all"), confirmed="yes")
    assert (await money(admin, card["id"]))["balance"] == "30.00"
    assert "shop: 20,00 €" in page.text
    assert not page.offers("/refund")
    assert not page.offers("/refund-all")

    product = await stock.product(admin)
    order = await placed(admin, gift(product, quantity=2), payments=[cash("100.00")])
    first, second = bought(order)
    page = await manager.open(f"/office/orders/{order['id']}")
    assert not page.offers("/refund-payment"), "all of it was for cards"
    form = next(each for each in page.forms if each.fields.get("giftcards") == second)
    page = await manager.send(form, confirmed="yes")
    assert "taken back" in page.text
    [found] = await ordering.orders(admin, id=order["id"])
    assert found["refundDue"] == "50.00"
    assert (await money(admin, second))["status"] == "DISABLED"
    assert (await money(admin, first))["status"] == "ACTIVATED"


async def test_orders_are_listed_for_whoever_may_see_them(
    visitor_with: MakeVisitor, admin: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("giftgql.backoffice.orders.ROWS", 2)
    manager = await visitor_with(role="manager")
    assert "There are no orders yet." in (await manager.open("/office/orders")).text
    member = await factories.member(admin, name="Ada", email="ada@example.org")
    for number in range(3):
        await placed(admin, goods("9.99"), refNo=f"W-{number}", memberId=member)
    page = await manager.open("/office/orders")
    assert ("W-2" in page.text, "W-1" in page.text, "W-0" in page.text) == (True, True, False)
    assert "W-0" in (await manager.open("/office/orders?before=2")).text
    assert "W-0" in (await manager.open(f"/office/orders?refNo=W-0&member={member}")).text
    page = await manager.open("/office/orders?id=2")
    assert ("W-1" in page.text, "W-0" in page.text, "W-2" in page.text) == (True, False, False)
    assert (await manager.open("/office/orders?id=W-0")).status == 422
    assert "No order is like that." in (await manager.open("/office/orders?status=PAID")).text
    assert (await manager.open("/office/orders?status=SOLD")).status == 422
    assert "Ada" in (await manager.open("/office/orders/1")).text
    assert (await manager.open("/office/orders/99")).status == 404
    viewer = await visitor_with(P.VIEW_ORDERS)
    page = await viewer.open("/office/orders/1")
    assert "Ada" not in page.text
    assert not page.offers("/cancel")
    cancel = {"formToken": page.forms[0].fields["formToken"], "key": "k", "confirmed": "yes"}
    refused = await viewer.post("/office/orders/1/cancel", cancel)
    assert refused.status == 403
    own = await visitor_with(P.CREATE_ORDER)
    assert "that you have placed" in (await own.open("/office/orders")).text
    assert (await own.open("/office/orders/1")).status == 404
    assert (await (await visitor_with(P.REFUND_ORDER)).open("/office/orders")).status == 403
