"""Orders that gift cards pay for: what is held, taken and given back, and what is not."""

from typing import Any

import pytest

from giftgql import work
from giftgql.permissions import Permission
from giftgql.store import Store
from tests.client import Client
from tests.conftest import MakeClient, SetClock
from tests.factories import cancel as cancel_trans
from tests.factories import capture, done, funded, member, money, movements, spend, stand, trans
from tests.ordering import (
    calculate,
    cancel,
    cash,
    gift,
    goods,
    listed,
    orders,
    pay,
    paying,
    place,
    placed,
    refund,
)
from tests.stock import pool, product, stocked
from tests.tables import Tables


@pytest.fixture
def tables(store: Store) -> Tables:
    return Tables(store)


async def is_clean(tables: Tables) -> bool:
    return await tables.findings() == []


async def test_an_order_is_calculated_and_nothing_is_spent(admin: Client, tables: Tables) -> None:
    first, second = await funded(admin, "40.00"), await funded(admin, "100.00")
    found = done(
        await calculate(
            admin,
            goods("100.00", quantity=2, tax={"rate": "19"}),
            goods("10.00", requiresShipping=False),
            discounts=[{"percent": "10"}],
            giftcards=paying(first, second),
            paymentMethods=["cash", "invoice"],
        )
    )
    assert (found["subtotal"], found["discount"], found["tax"]) == ("210.00", "21.00", "34.20")
    assert (found["grandTotal"], found["amountDue"]) == ("223.20", "83.20")
    assert [(each["amount"], each["notApplicable"]) for each in found["giftcards"]] == [
        ("40.00", None),
        ("100.00", None),
    ]
    assert found["allowedPaymentMethods"] == ["cash", "invoice"]
    assert found["refusedPaymentMethods"] == []
    assert [line["requiresShipping"] for line in found["lines"]] == [True, False]
    for card in (first, second):
        assert await movements(admin, giftcardId=card["id"], transType="USE") == []
    assert await orders(admin) == []


async def test_a_pending_order_holds_what_its_cards_pay_and_takes_it_when_it_is_paid(
    admin: Client, tables: Tables
) -> None:
    card = await funded(admin, "60.00")
    order = await placed(
        admin, goods("100.00"), giftcards=paying(card), refNo="S-1", sourceId="shop"
    )
    assert (order["status"], order["amountDue"]) == ("PENDING", "40.00")
    assert (order["paidByGiftcards"], order["paidOtherwise"]) == ("60.00", "0.00")
    [payment] = order["payments"]
    assert (payment["status"], payment["amount"], payment["method"]) == (
        *("HELD", "60.00"),
        "gift_card",
    )
    assert payment["maskedCode"].startswith("************")
    assert (await money(admin, card["id"]))["balance"] == "0.00"
    part = done(await pay(admin, order, "15.00"))
    assert (part["status"], part["amountDue"]) == ("PENDING", "25.00")
    paid = done(await pay(admin, order, "25.00", refNo="P-9"))
    assert (paid["status"], paid["amountDue"], paid["refundDue"]) == ("PAID", "0.00", "0.00")
    assert [each["status"] for each in paid["payments"]] == ["PAID"] * 3
    shown = await money(admin, card["id"])
    assert (shown["balance"], shown["held"], shown["redeemed"]) == ("0.00", "0.00", "60.00")
    [use] = await movements(admin, giftcardId=card["id"], transType="USE")
    assert (use["status"], use["refNo"], use["sourceId"]) == ("COMPLETED", "S-1", "shop")
    assert use["reason"] == f"order {order['id']}"
    assert await is_clean(tables)


async def test_a_till_pays_in_one_call_and_only_what_is_needed_is_taken(
    admin: Client, tables: Tables
) -> None:
    first, second, third = [await funded(admin, "50.00") for _ in range(3)]
    order = await placed(admin, goods("80.00"), giftcards=paying(first, second, third))
    assert order["status"] == "PAID"
    assert [each["amount"] for each in order["payments"]] == ["50.00", "30.00"]
    mixed = await placed(
        admin, goods("30.00"), giftcards=paying(second, amount="5.00"), payments=[cash("25.00")]
    )
    assert (mixed["status"], mixed["paidByGiftcards"]) == ("PAID", "5.00")
    balances = [(await money(admin, each["id"]))["balance"] for each in (first, second, third)]
    assert balances == ["0.00", "15.00", "50.00"]
    assert (await placed(admin, goods("0.00")))["status"] == "PAID"
    assert await is_clean(tables)


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"payments": [cash("20.01")]}, "INVALID_AMOUNT"),
        ({"payments": [cash("-1.00")]}, "INVALID_AMOUNT"),
        ({"payments": [{"method": "gift_card", "amount": "1.00"}]}, "INVALID_INPUT"),
        ({"lines": [goods("60.00")], "payments": [cash("1.00")]}, "PAYMENT_METHOD_NOT_ALLOWED"),
        ({"cards": {"amount": "60.01"}}, "INSUFFICIENT_FUNDS"),
        ({"quote": "0" * 32}, "PRICE_CHANGED"),
        ({"currency": "USD"}, "CURRENCY_MISMATCH"),
        ({"memberId": "nobody"}, "MEMBER_NOT_FOUND"),
        ({"lines": []}, "INVALID_INPUT"),
        ({"lines": [goods("1.00", quantity=0)]}, "INVALID_INPUT"),
        ({"lines": [goods("-1.00")]}, "INVALID_INPUT"),
        ({"lines": [goods("1.001")]}, "INVALID_AMOUNT"),
        ({"lines": [{"name": "no price"}]}, "INVALID_INPUT"),
        ({"lines": [goods("9", discount={"percent": "101"})]}, "INVALID_INPUT"),
        ({"lines": [goods("9", discount={"percent": "1", "amount": "1"})]}, "INVALID_INPUT"),
        ({"lines": [goods("9", tax={"amount": "10"})], "pricesIncludeTax": True}, "INVALID_INPUT"),
        ({"holdFor": "P1Y"}, "INVALID_INPUT"),
    ],
    ids=lambda given: given if isinstance(given, str) else ",".join(given),
)
async def test_what_cannot_be_ordered_is_refused_and_nothing_is_held(
    admin: Client, more: dict[str, Any], code: str
) -> None:
    card = await funded(admin, "60.00")
    facts = {"lines": [goods("80.00")], "cards": {}, **more}
    cards, lines = paying(card, **facts.pop("cards")), facts.pop("lines")
    answer = await place(admin, *lines, giftcards=cards, **facts)
    assert answer.code == code, answer.errors
    assert (await money(admin, card["id"]))["balance"] == "60.00"
    assert await orders(admin) == []


async def test_a_card_that_cannot_pay_is_named_with_its_reason_and_refused(admin: Client) -> None:
    blocked, empty, good = [await funded(admin, "10.00") for _ in range(3)]
    await stand(admin, "Block", blocked["id"])
    await spend(admin, empty, "-10.00")
    found = done(await calculate(admin, goods("15.00"), giftcards=paying(blocked, empty, good)))
    assert [(each["amount"], each["notApplicable"]) for each in found["giftcards"]] == [
        ("0.00", "CARD_BLOCKED"),
        ("0.00", "INSUFFICIENT_FUNDS"),
        ("10.00", None),
    ]
    for card in (blocked, empty):
        refused = await place(admin, goods("15.00"), giftcards=paying(good, card))
        assert refused.code in ("CARD_BLOCKED", "INSUFFICIENT_FUNDS")
    assert (await money(admin, good["id"]))["balance"] == "10.00"
    twice = await place(admin, goods("15.00"), giftcards=paying(good, good))
    assert (twice.code, twice.field) == ("INVALID_INPUT", "giftcards")
    unknown = [{"code": "NOBODY0001"}]
    assert (await place(admin, goods("1.00"), giftcards=unknown)).code == "NOT_FOUND"


async def test_two_orders_hold_parts_of_one_card_and_neither_takes_the_others(
    admin: Client, tables: Tables
) -> None:
    card = await funded(admin, "100.00")
    one = await placed(admin, goods("90.00"), giftcards=paying(card, amount="60.00"))
    two = await placed(admin, goods("90.00"), giftcards=paying(card))
    assert (one["amountDue"], two["amountDue"]) == ("30.00", "50.00")
    assert (await trans(admin, code=card["codes"][0]["code"], transType="USE", amount="-0.01")).code
    assert done(await cancel(admin, one, reason="changed my mind"))["status"] == "CANCELLED"
    assert (await money(admin, card["id"]))["balance"] == "60.00"
    assert done(await pay(admin, two, "50.00"))["status"] == "PAID"
    shown = await money(admin, card["id"])
    assert (shown["balance"], shown["redeemed"]) == ("60.00", "40.00")
    assert await is_clean(tables)


async def test_an_order_nobody_pays_ends_by_itself_and_frees_what_it_held(
    admin: Client, store: Store, clock: SetClock, tables: Tables
) -> None:
    boxes = await pool(admin)
    await stocked(store, boxes)
    card = await funded(admin, "50.00")
    order = await placed(admin, goods("80.00"), giftcards=paying(card), holdFor="PT10M")
    bought = await placed(admin, {"giftcard": {"poolId": boxes["id"]}}, holdFor="PT10M")
    assert (await place(admin, {"giftcard": {"poolId": boxes["id"]}})).code == "POOL_EXHAUSTED"
    clock.forward(seconds=600)
    assert (await money(admin, card["id"]))["balance"] == "50.00"
    [shown] = await orders(admin, id=order["id"])
    assert (shown["status"], shown["payments"][0]["status"]) == ("CANCELLED", "RELEASED")
    assert [each["id"] for each in await orders(admin, status="CANCELLED")] == [
        order["id"],
        bought["id"],
    ]
    assert await orders(admin, status="PENDING") == []
    await work.sweep(store)
    [shown] = await orders(admin, id=order["id"])
    assert (shown["status"], shown["reason"]) == ("CANCELLED", "It was not paid in time.")
    assert (await placed(admin, {"giftcard": {"poolId": boxes["id"]}}))["status"] == "PENDING"
    late = done(await pay(admin, order, "30.00"))
    assert (late["status"], late["refundDue"]) == ("CANCELLED", "30.00")
    assert (await cancel(admin, order)).code == "ORDER_CANCELLED"
    assert await is_clean(tables)


async def test_money_taken_elsewhere_is_never_refused(
    admin: Client, clock: SetClock, tables: Tables
) -> None:
    blocked, ended, good = [await funded(admin, "20.00") for _ in range(3)]
    order = await placed(admin, goods("90.00"), giftcards=paying(blocked, ended, good))
    await stand(admin, "Block", blocked["id"])
    await stand(admin, "Disable", ended["id"])
    due = done(await pay(admin, order, "30.00"))
    assert (due["status"], due["amountDue"], due["paidByGiftcards"]) == (
        "PENDING",
        "40.00",
        "20.00",
    )
    assert [each["status"] for each in due["payments"]] == ["RELEASED", "RELEASED", "HELD", "PAID"]
    paid = done(await pay(admin, order, "45.00"))
    assert (paid["status"], paid["refundDue"]) == ("PAID", "5.00")
    assert paid["payments"][-1]["refunded"] == "5.00"
    more = done(await pay(admin, order, "1.00"))
    assert (more["status"], more["refundDue"]) == ("PAID", "6.00")
    await stand(admin, "Unblock", blocked["id"])
    assert (await money(admin, blocked["id"]))["balance"] == "20.00"
    cancelled = await placed(admin, goods("5.00"), payments=[cash("2.00")])
    given = done(await cancel(admin, cancelled))
    assert (given["status"], given["refundDue"], given["amountDue"]) == (
        "CANCELLED",
        "2.00",
        "0.00",
    )
    assert done(await pay(admin, cancelled, "3.00"))["refundDue"] == "5.00"
    assert (await cancel(admin, order)).code == "ORDER_PAID"
    assert await is_clean(tables)


async def test_what_a_client_captures_past_the_order_is_paid_as_far_as_it_was_captured(
    admin: Client, tables: Tables
) -> None:
    whole, part, given_up = [await funded(admin, "20.00") for _ in range(3)]
    order = await placed(admin, goods("70.00"), giftcards=paying(whole, part, given_up))
    holds = [payment["transactionId"] for payment in order["payments"]]
    done(await capture(admin, holds[0]))
    done(await capture(admin, holds[1], "15.00"))
    done(await cancel_trans(admin, holds[2]))
    due = done(await pay(admin, order, "10.00"))
    assert (due["status"], due["amountDue"], due["paidByGiftcards"]) == (
        "PENDING",
        "25.00",
        "35.00",
    )
    paid = done(await pay(admin, order, "25.00"))
    assert [each["status"] for each in paid["payments"]] == [
        *("PAID", "PAID", "RELEASED"),
        *("PAID", "PAID"),
    ]
    assert done(await refund(admin, paid, amount="35.00"))["refundDue"] == "0.00"
    balances = [(await money(admin, each["id"]))["balance"] for each in (whole, part, given_up)]
    assert balances == ["20.00", "20.00", "20.00"]
    assert await is_clean(tables)


async def test_a_quote_holds_while_prices_do(admin: Client, clock: SetClock) -> None:
    made = await product(admin, presets=[{"price": "45.00", "value": "50.00"}])
    quote = done(await calculate(admin, gift(made), goods("5.00")))["quote"]
    assert done(await calculate(admin, gift(made), goods("5.00")))["quote"] == quote
    assert (await place(admin, gift(made), goods("5.01"), quote=quote)).code == "PRICE_CHANGED"
    order = await placed(admin, gift(made), goods("5.00"), quote=quote)
    assert order["grandTotal"] == "50.00"
    wrong = await place(admin, gift(made, unitPrice="44.99"))
    assert (wrong.code, wrong.field) == ("PRICE_CHANGED", "lines.unitPrice")
    await admin.run(
        """mutation ($p: GiftcardProductEditInput!) { giftcardProductEdit(product: $p) { id } }""",
        p={"id": made["id"], "revision": 1, "presets": [{"price": "45.00", "value": "51.00"}]},
    )
    edited = {**made, "presets": [{"id": made["presets"][0]["id"]}]}
    assert (await place(admin, gift(edited), goods("5.00"), quote=quote)).code == "INVALID_INPUT"
    paid = done(await pay(admin, order, "50.00"))
    [card_id] = paid["lines"][0]["giftcardIds"]
    assert (await money(admin, card_id))["balance"] == "50.00"


async def test_orders_are_for_who_placed_them_or_may_view_them(
    admin: Client, client_with: MakeClient
) -> None:
    card = await funded(admin, "50.00")
    shop, other = [await client_with(role="till") for _ in range(2)]
    customer = {"name": "Ada", "email": "ada@example.org"}
    order = await placed(shop, goods("80.00"), giftcards=paying(card), customer=customer)
    assert order["customerEmail"] is None
    assert [each["id"] for each in await orders(shop)] == [order["id"]]
    answer = await listed(other)
    assert answer["order"] == {
        **{"results": [], "until": None, "hasMoreResults": False},
        "limitedByPermission": True,
    }
    for attempt in (pay(other, order, "30.00"), cancel(other, order)):
        assert (await attempt).code == "ORDER_NOT_FOUND"
    assert (await cancel(other, {"id": "no number"})).code == "ORDER_NOT_FOUND"
    [seen] = await orders(admin, giftcardId=card["id"])
    assert (seen["customerEmail"], seen["id"]) == ("ada@example.org", order["id"])
    nobody = await client_with(Permission.VIEW_MEMBERS)
    assert (await listed(nobody)).code == "PERMISSION_DENIED"
    looker = await client_with(Permission.CREATE_ORDER, Permission.USE_PHYSICAL_GIFT_CARD_CODES)
    assert (await place(looker, goods("1.00"), giftcards=paying(card))).code == "PERMISSION_DENIED"


async def test_the_history_of_a_card_names_its_orders_and_customers(admin: Client) -> None:
    owner = await member(admin, email="c@example.org")
    card = await funded(admin, "50.00")
    order = await placed(admin, goods("20.00"), giftcards=paying(card), memberId=owner)
    done(await refund(admin, order, amount="5.00"))
    answer = await admin.run(
        """query ($id: ID!) { giftcardTrans(giftcardId: $id) { results {
            amount balance createdAt order { id status member { id } payments { maskedCode }
                paidByGiftcards paidOtherwise } } } }""",
        id=card["id"],
    )
    bought, use, back = answer["giftcardTrans"]["results"]
    assert (use["amount"], use["balance"]) == ("-20.00", "30.00")
    assert (bought["order"], back["amount"], back["order"]) == (None, "5.00", use["order"])
    assert use["order"]["id"] == order["id"]
    assert use["order"]["member"] == {"id": owner}
    code = card["codes"][0]["code"]
    assert use["order"]["payments"] == [{"maskedCode": f"************{code[-4:]}"}]


async def test_orders_take_part_in_synchronisation(admin: Client) -> None:
    order = await placed(admin, goods("20.00"))
    first = await listed(admin, since="")
    assert [each["id"] for each in first["order"]["results"]] == [order["id"]]
    await pay(admin, order, "20.00")
    then = await listed(admin, since=first["order"]["until"])
    assert [each["status"] for each in then["order"]["results"]] == ["PAID"]
