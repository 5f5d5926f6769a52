"""What is given back of orders: to cards what they paid, for bought cards what they cost."""

import asyncio
from collections import Counter

import pytest

from giftgql import work
from giftgql.outbox.models import OutboxState
from giftgql.store import Store
from tests.client import Client
from tests.factories import done, funded, money, stand, trans
from tests.factories import refund as undo
from tests.ordering import (
    bought,
    cancel,
    cash,
    gift,
    goods,
    mails,
    paying,
    placed,
    refund,
)
from tests.stock import product
from tests.tables import Tables


@pytest.fixture
def tables(store: Store) -> Tables:
    return Tables(store)


async def test_what_a_card_paid_comes_back_to_it_and_never_more(
    admin: Client, tables: Tables
) -> None:
    card = await funded(admin, "60.00")
    order = await placed(admin, goods("100.00"), giftcards=paying(card), payments=[cash("40.00")])
    first = done(await refund(admin, order, amount="25.00", reason="a shoe"))
    assert [each["refunded"] for each in first["payments"]] == ["25.00", "0.00"]
    by_card, by_cash = (each["id"] for each in order["payments"])
    second = done(await refund(admin, order, payments=[{"id": by_cash, "amount": "10.00"}]))
    assert (second["refundDue"], second["payments"][1]["refunded"]) == ("10.00", "10.00")
    for too_much in (
        {"amount": "65.01"},
        {"payments": [{"id": by_card, "amount": "35.01"}]},
        {"payments": [{"id": by_cash, "amount": "30.01"}]},
    ):
        assert (await refund(admin, order, **too_much)).code == "REFUND_EXCEEDS_CAPTURED"
    unequal = {"amount": "5.00", "payments": [{"id": by_card, "amount": "4.00"}]}
    assert (await refund(admin, order, **unequal)).code == "INVALID_INPUT"
    assert (await refund(admin, order, payments=[{"id": "9", "amount": "1"}])).code == "NOT_FOUND"
    await stand(admin, "Block", card["id"])
    assert (await refund(admin, order)).code == "CARD_BLOCKED"
    assert (await money(admin, card["id"]))["balance"] == "25.00"
    await stand(admin, "Unblock", card["id"])
    last = [await refund(admin, order, idempotencyKey="last") for _ in range(2)]
    assert last[1].is_replayed
    rest = last[1]["orderRefund"]
    assert [each["refunded"] for each in rest["payments"]] == ["60.00", "40.00"]
    assert (rest["refundDue"], (await money(admin, card["id"]))["balance"]) == ("40.00", "60.00")
    assert (await refund(admin, order, amount="0.01")).code == "REFUND_EXCEEDS_CAPTURED"
    pending = await placed(admin, goods("1.00"))
    assert (await refund(admin, pending)).code == "CONFLICT"
    await cancel(admin, pending)
    assert (await refund(admin, pending)).code == "ORDER_CANCELLED"
    assert await tables.findings() == []


async def test_a_bought_card_is_taken_back_only_while_it_is_as_it_was_sold(
    admin: Client, store: Store, tables: Tables
) -> None:
    made = await product(admin, presets=[{"price": "45.00", "value": "50.00"}])
    line = gift(made, quantity=3, recipient={"email": "bo@example.org"})
    order = await placed(admin, line, goods("10.00"), payments=[cash("145.00")])
    used, kept, returned = bought(order)
    done(await trans(admin, giftcardId=used, transType="USE", amount="-1.00"))
    assert (await refund(admin, order)).code == "CONFLICT"
    assert (await refund(admin, order, giftcards=[used])).code == "CONFLICT"
    assert (await refund(admin, order, amount="10.01")).code == "REFUND_EXCEEDS_CAPTURED"
    assert {(await money(admin, each))["status"] for each in (kept, returned)} == {"ACTIVATED"}
    back = done(await refund(admin, order, giftcards=[returned], amount="4.00"))
    assert back["refundDue"] == "49.00"
    assert (await money(admin, returned))["status"] == "DISABLED"
    [message] = await mails(tables, card_id=int(returned))
    assert message.state is OutboxState.CANCELLED
    twice = await refund(admin, order, giftcards=[returned])
    assert (twice.code, twice.field) == ("NOT_FOUND", "giftcards")
    rest = done(await refund(admin, order, giftcards=[kept], amount="6.00"))
    assert rest["refundDue"] == "100.00"
    assert (await refund(admin, order, giftcards=["999"])).code == "NOT_FOUND"
    postings = await tables.postings(returned)
    assert sum(each.amount for each in postings if each.credit_account == int(returned)) == 5_000
    assert sum(each.amount for each in postings if each.debit_account == int(returned)) == 5_000
    assert await tables.findings() == []


async def test_refunds_at_once_give_back_no_more_than_was_paid(
    admin: Client, tables: Tables
) -> None:
    card = await funded(admin, "60.00")
    order = await placed(admin, goods("60.00"), giftcards=paying(card))
    answers = await asyncio.gather(*(refund(admin, order, amount="7.00") for _ in range(20)))
    assert Counter(answer.code for answer in answers) == {None: 8, "REFUND_EXCEEDS_CAPTURED": 12}
    [payment] = order["payments"]
    direct = await undo(admin, payment["transactionId"], "5.00")
    assert direct.code == "REFUND_EXCEEDS_CAPTURED"
    assert (await money(admin, card["id"]))["balance"] == "56.00"
    assert await tables.findings() == []


async def test_a_bought_card_pays_for_the_next_order(admin: Client, store: Store) -> None:
    made = await product(admin)
    order = await placed(admin, gift(made), payments=[cash("50.00")])
    [card_id] = bought(order)
    await work.do_all(store)
    answer = await admin.run(
        "query ($id: ID!) { order(id: $id) { results { lines { giftcards { id balance } } } } }",
        id=order["id"],
    )
    [line] = answer["order"]["results"][0]["lines"]
    assert line["giftcards"] == [{"id": card_id, "balance": "50.00"}]
