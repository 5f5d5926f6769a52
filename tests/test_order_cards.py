"""Gift cards that orders buy: each piece one card, once, after all is paid; and their refunds."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from giftgql.outbox.models import OutboxState
from giftgql.store import Store
from tests.client import Client
from tests.conftest import SetClock
from tests.factories import code_of, done, edit, funded, member, money, movements, stand, trans
from tests.ordering import (
    bought,
    calculate,
    cancel,
    cash,
    gift,
    goods,
    mails,
    orders,
    pay,
    paying,
    place,
    placed,
    refund,
)
from tests.stock import cards, change, pool, product, stocked
from tests.tables import Tables

RANGE = {"minimum": "10.00", "maximum": "200.00"}


@pytest.fixture
def tables(store: Store) -> Tables:
    return Tables(store)


async def test_each_piece_becomes_a_card_after_payment_with_its_value_and_a_mail(
    admin: Client, tables: Tables, clock: SetClock
) -> None:
    made = await product(
        admin,
        name="Spring",
        presets=[{"price": "45.00", "value": "50.00"}],
        custom=RANGE,
        expiration={"kind": "RELATIVE", "after": "P1M"},
    )
    recipient = {"name": "Bo", "email": "bo@example.org"}
    lines = [
        gift(made, quantity=2, recipient=recipient, sender="Al", message="Happy\nbirthday"),
        {"giftcard": {"productId": made["id"], "value": "12.34"}},
        goods("5.00"),
    ]
    order = await placed(admin, *lines)
    assert (order["status"], order["amountDue"], bought(order)) == ("PENDING", "107.34", [])
    assert await cards(admin) == []
    customer = {"email": "al@example.org"}
    order = await placed(admin, *lines, payments=[cash("107.34")], customer=customer, refNo="S-7")
    assert order["status"] == "PAID"
    assert [len(line["giftcardIds"]) for line in order["lines"]] == [2, 1, 0]
    assert [line["requiresShipping"] for line in order["lines"]] == [False, False, True]
    shown = {each["id"]: each for each in await cards(admin)}
    assert sorted(shown) == sorted(bought(order))
    first, second, chosen = (shown[each] for each in bought(order))
    assert [each["balance"] for each in (first, second, chosen)] == ["50.00", "50.00", "12.34"]
    assert (first["status"], first["expiresOn"]) == ("ACTIVATED", "2026-12-21")
    assert first["recipient"] == recipient
    assert first["codes"][0]["codeType"] == "DIGITAL"
    [add] = await movements(admin, giftcardId=first["id"])
    assert (add["transType"], add["amount"], add["refNo"]) == ("ADD", "50.00", "S-7")
    sent = await mails(tables, topic="CARD")
    assert [(each.address, each.card_id) for each in sent] == [
        ("bo@example.org", int(first["id"])),
        ("bo@example.org", int(second["id"])),
        ("al@example.org", int(chosen["id"])),
    ]
    assert sent[0].facts["sender"] == "Al"
    assert sent[0].facts["message"] == "Happy\nbirthday"
    assert sent[0].facts["product"] == "Spring"
    assert await tables.findings() == []


async def test_the_rules_of_gift_card_lines_hold_in_bundles_too(
    admin: Client, tables: Tables
) -> None:
    made = await product(admin)
    card = await funded(admin, "90.00")
    lines = [goods("30.00", bundleId="b"), gift(made, bundleId="b")]
    found = done(
        await calculate(
            admin,
            *lines,
            discounts=[{"amount": "40.00"}],
            giftcards=paying(card),
            paymentMethods=["cash", "invoice"],
        )
    )
    assert (found["grandTotal"], found["discount"]) == ("50.00", "30.00")
    [share] = found["giftcards"]
    assert share["notApplicable"] == "GIFT_CARD_CANNOT_PAY_FOR_GIFT_CARD"
    assert (found["allowedPaymentMethods"], found["refusedPaymentMethods"]) == (
        ["cash"],
        ["invoice"],
    )
    refused = await place(admin, *lines, giftcards=paying(card))
    assert refused.code == "GIFT_CARD_CANNOT_PAY_FOR_GIFT_CARD"
    by_invoice = [{"method": "invoice", "amount": "80.00"}]
    answer = await place(admin, *lines, payments=by_invoice)
    assert (answer.code, answer.field) == ("PAYMENT_METHOD_NOT_ALLOWED", "payments.method")
    discounted = await place(admin, gift(made, discount={"percent": "1"}))
    assert (discounted.code, discounted.field) == ("INVALID_INPUT", "lines.discount")
    order = await placed(admin, *lines)
    assert [line["bundleId"] for line in order["lines"]] == ["b", "b"]
    assert (await pay(admin, order, "80.00", method="invoice")).code == "PAYMENT_METHOD_NOT_ALLOWED"
    assert (await money(admin, card["id"]))["balance"] == "90.00"
    assert await tables.findings() == []


@pytest.mark.parametrize(
    ("card", "code"),
    [
        ({}, "INVALID_INPUT"),
        ({"productId": "999", "variantId": "1"}, "NOT_FOUND"),
        ({"poolId": "999"}, "NOT_FOUND"),
        ({"giftcardId": "999"}, "NOT_FOUND"),
        ({"productId": "PRODUCT", "value": "9.99"}, "INVALID_INPUT"),
        ({"productId": "PRODUCT", "variantId": "999"}, "INVALID_INPUT"),
        ({"productId": "PRODUCT"}, "INVALID_INPUT"),
        ({"productId": "PRODUCT", "poolId": "1", "value": "10.00"}, "INVALID_INPUT"),
        ({"productId": "PRODUCT", "value": "10.00", "memberId": "nobody"}, "MEMBER_NOT_FOUND"),
        ({"productId": "PRODUCT", "value": "10.00", "deliverOn": "2026-11-20"}, "INVALID_INPUT"),
        ({"productId": "PRODUCT", "value": "10.00", "sender": "a\r\nb"}, "INVALID_INPUT"),
    ],
    ids=lambda given: given if isinstance(given, str) else ",".join(given.values()) or "nothing",
)
async def test_what_cannot_be_bought_is_refused(
    admin: Client, clock: SetClock, card: dict[str, Any], code: str
) -> None:
    made = await product(admin, custom=RANGE)
    given = {key: made["id"] if value == "PRODUCT" else value for key, value in card.items()}
    answer = await place(admin, {"giftcard": given}, payments=[cash("10.00")])
    assert answer.code == code, answer.errors
    assert (await orders(admin), await cards(admin)) == ([], [])


async def test_pool_cards_are_reserved_when_ordered_and_two_orders_never_get_one(
    admin: Client, store: Store, tables: Tables
) -> None:
    boxes = await pool(admin)
    await stocked(store, boxes, 5)
    free = [each["id"] for each in await cards(admin, poolId=boxes["id"])]
    named = await placed(admin, {"giftcard": {"giftcardId": free[2]}}, payments=[cash("50.00")])
    assert (named["status"], bought(named)) == ("PAID", [free[2]])
    assert (await place(admin, {"giftcard": {"giftcardId": free[2]}})).code == "POOL_EXHAUSTED"
    line = {"giftcard": {"poolId": boxes["id"]}, "quantity": 2}
    answers = await asyncio.gather(*(place(admin, line) for _ in range(4)))
    codes = Counter(answer.code for answer in answers)
    assert codes[None] == 2
    assert codes["POOL_EXHAUSTED"] + codes["UNAVAILABLE"] == 2
    good = [answer["orderAdd"] for answer in answers if not answer.errors]
    reserved = [card for order in good for card in bought(order)]
    assert sorted(reserved) == sorted(set(free) - {free[2]})
    one, two = good
    paid = done(await pay(admin, one, "100.00"))
    assert bought(paid) == bought(one)
    assert {(await money(admin, each))["balance"] for each in bought(paid)} == {"50.00"}
    assert bought(done(await cancel(admin, two))) == []
    again = await placed(admin, line)
    assert sorted(bought(again)) == sorted(bought(two))
    assert await tables.findings() == []


async def test_a_reserved_card_that_a_till_sells_meanwhile_is_not_sold_twice(
    admin: Client, store: Store, tables: Tables
) -> None:
    boxes = await pool(admin)
    codes = await stocked(store, boxes, 2)
    one = await placed(admin, {"giftcard": {"poolId": boxes["id"]}})
    two = await placed(admin, {"giftcard": {"poolId": boxes["id"]}})
    await cancel(admin, two)
    done(await trans(admin, code=codes[0], transType="ADD", amount="50.00"))
    paid = done(await pay(admin, one, "50.00"))
    assert bought(paid) == bought(two) != bought(one)
    three = await place(admin, {"giftcard": {"poolId": boxes["id"]}})
    assert three.code == "POOL_EXHAUSTED"
    assert await tables.findings() == []


@pytest.mark.parametrize("how", ["removed", "owned", "disabled"])
async def test_a_reserved_card_that_staff_takes_away_meanwhile_is_replaced_by_another(
    admin: Client, store: Store, tables: Tables, how: str
) -> None:
    boxes = await pool(admin)
    await stocked(store, boxes, 2)
    order = await placed(admin, {"giftcard": {"poolId": boxes["id"]}})
    [reserved] = bought(order)
    if how == "removed":
        done(await change(admin, "giftcardRemove", "giftcard", "id", id=reserved, reason="Torn"))
    elif how == "owned":
        done(await edit(admin, reserved, memberId=await member(admin)))
    else:
        await stand(admin, "Disable", reserved)
    paid = done(await pay(admin, order, "50.00"))
    [card_id] = bought(paid)
    assert card_id != reserved
    assert (await money(admin, card_id))["balance"] == "50.00"
    assert (await tables.account(reserved)).lifetime == 0
    assert await tables.findings() == []


async def test_what_can_no_longer_be_issued_is_to_be_given_back(
    admin: Client, store: Store, clock: SetClock, tables: Tables
) -> None:
    boxes = await pool(admin)
    [code] = await stocked(store, boxes)
    fixed = await product(admin, expiration={"kind": "FIXED", "on": "2026-11-22"})
    order = await placed(
        admin, {"giftcard": {"poolId": boxes["id"]}}, gift(fixed), goods("1.00"), holdFor="P3D"
    )
    done(await trans(admin, code=code, transType="ADD", amount="50.00"))
    clock.forward(days=2)
    paid = done(await pay(admin, order, "101.00"))
    assert (paid["status"], paid["refundDue"], bought(paid)) == ("PAID", "100.00", [])
    assert paid["payments"][0]["refunded"] == "100.00"
    assert done(await refund(admin, paid))["refundDue"] == "101.00"
    assert await tables.findings() == []


async def test_a_card_is_delivered_on_its_day_to_who_it_is_for(
    admin: Client, store: Store, clock: SetClock, tables: Tables
) -> None:
    made = await product(admin)
    owner = await member(admin, email="owner@example.org")
    await placed(
        admin,
        gift(made, memberId=owner, deliverOn="2026-11-24"),
        gift(made),
        payments=[cash("100.00")],
    )
    [mail] = await mails(tables)
    assert (mail.address, mail.state, mail.due_at.isoformat()) == (
        *("owner@example.org", OutboxState.WAITING),
        "2026-11-24T00:00:00+00:00",
    )
    [own] = await cards(admin, memberId=owner)
    assert own["balance"] == "50.00"


async def test_an_owner_is_told_what_was_paid_with_the_card_and_the_payer_is_not(
    admin: Client, tables: Tables
) -> None:
    owner = await member(admin, email="owner@example.org")
    card, nobodys = await funded(admin, "50.00", memberId=owner), await funded(admin, "50.00")
    order = await placed(
        admin,
        goods("30.00"),
        giftcards=[*paying(card, amount="20.00"), *paying(nobodys)],
        customer={"email": "payer@example.org"},
        refNo="S-3",
        sourceId="shop",
    )
    [mail] = await mails(tables)
    assert (mail.topic, mail.address) == ("USAGE", "owner@example.org")
    facts = {name: mail.facts[name] for name in ("paid", "left", "order_no", "place", "last_four")}
    assert facts == {
        **{"paid": 2_000, "left": 3_000, "order_no": "S-3", "place": "shop"},
        "last_four": code_of(card)[-4:],
    }
    assert str(mail.order_id) == order["id"]
