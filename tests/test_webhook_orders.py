"""What endpoints are told of orders, and of the money that moves for them."""

import re
from typing import Any

import pytest

from giftgql import schema, work
from giftgql.store import Store
from tests import ordering, webhooking
from tests.client import Client
from tests.conftest import SetClock
from tests.factories import done, funded
from tests.ordering import cash, gift, goods, paying, placed
from tests.stock import product
from tests.webhooking import Call, endpoint, receiver, require_numbered


@pytest.fixture(autouse=True)
def private(store: Store) -> None:
    webhooking.allow_private(store)


def of_orders(calls: list[Call]) -> list[tuple[Any, ...]]:
    return [
        (call.type, *(call.data[each] for each in ("orderId", "status", "refunded", "refundDue")))
        for call in calls
        if call.type.startswith("order.")
    ]


def require_told(calls: list[Call], bought: dict[str, Any]) -> None:
    """What is said of a paid order, of the money that moved for it, of the card that another one
    issued; all that the schema describes and nothing else."""
    require_numbered([call for call in calls if "sequence" in call.data])
    paid = next(call.data for call in calls if call.data.get("orderId") == bought["id"])
    assert (paid["transType"], paid["status"]) == ("USE", "AUTHORIZED")
    given = [call.data for call in calls if call.data.get("transType") == "REFUND"]
    assert [each["orderId"] for each in given] == [bought["id"]] * 2
    order = next(call.data for call in calls if call.type == "order.paid")
    names = ("grandTotal", "paidByGiftcards", "paidOtherwise", "refNo", "sourceId", "giftcardIds")
    assert [order[name] for name in names] == ["60.00", "60.00", "0.00", "R-17", "Till 7", []]
    issued = next(call.data for call in calls if call.type == "giftcard.created")
    assert [call.data["giftcardIds"] for call in calls if call.type == "order.paid"][1] == [
        issued["giftcardId"]
    ]
    assert b"ada@example.org" not in b"".join(call.body for call in calls)
    described = str(schema.build().get_type_by_name("WebhookEvent").description)  # type: ignore[union-attr]
    assert {name for call in calls for name in call.data} == set(
        re.findall(r"`(\w+)`", described)
    ) - {"type", "id", "timestamp", "data", "CAPTURED", "CANCELLED", "TIMED_OUT"}


async def test_an_order_is_told_of_when_it_is_paid_cancelled_and_refunded(
    admin: Client, store: Store, clock: SetClock
) -> None:
    card, sold = await funded(admin, "100.00"), await product(admin)
    clock.forward(seconds=1)
    async with receiver() as hooks:
        await endpoint(admin, hooks)
        customer = {"name": "Ada Jansen", "email": "ada@example.org"}
        facts = {"refNo": "R-17", "sourceId": "Till 7", "customer": customer}
        bought = await placed(admin, goods("60.00"), giftcards=paying(card), **facts)
        with_card = await placed(admin, gift(sold), payments=[cash("50.00")])
        open_ = await placed(admin, goods("50.00"), giftcards=paying(card))
        lapsed = await placed(admin, goods("50.00"), holdFor="PT1M")
        await webhooking.run(store)
        assert of_orders(hooks.calls) == [
            ("order.paid", bought["id"], "PAID", "0.00", "0.00"),
            ("order.paid", with_card["id"], "PAID", "0.00", "0.00"),
        ]
        first = hooks.take()
        done(await ordering.cancel(admin, open_))
        done(await ordering.refund(admin, bought, amount="10.00"))
        await webhooking.run(store)
        done(await ordering.refund(admin, bought, amount="20.00"))
        clock.forward(minutes=2)
        await work.sweep(store)
        await webhooking.run(store)
        assert sorted(of_orders(hooks.calls), key=str) == sorted(
            [
                ("order.cancelled", open_["id"], "CANCELLED", "0.00", "0.00"),
                ("order.cancelled", lapsed["id"], "CANCELLED", "0.00", "0.00"),
                ("order.refunded", bought["id"], "PAID", "10.00", "0.00"),
                ("order.refunded", bought["id"], "PAID", "30.00", "0.00"),
            ],
            key=str,
        )
        calls = first + hooks.calls
    require_told(calls, bought)


async def test_of_old_orders_what_is_new_is_told(
    admin: Client, store: Store, clock: SetClock
) -> None:
    paid, pending, over = [
        await placed(admin, goods("60.00"), payments=[cash(amount)] if amount else [])
        for amount in ("60.00", None, None)
    ]
    done(await ordering.cancel(admin, over))
    clock.forward(seconds=1)
    async with receiver() as hooks:
        await endpoint(admin, hooks)
        await webhooking.run(store)
        assert hooks.calls == []
        done(await ordering.refund(admin, paid, amount="10.00"))
        done(await ordering.pay(admin, pending, "60.00"))
        done(await ordering.pay(admin, over, "60.00"))
        await webhooking.run(store)
        assert of_orders(hooks.calls) == [
            ("order.refunded", paid["id"], "PAID", "10.00", "10.00"),
            ("order.paid", pending["id"], "PAID", "0.00", "0.00"),
            ("order.refunded", over["id"], "CANCELLED", "60.00", "60.00"),
        ]
