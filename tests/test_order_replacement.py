"""Orders that are paid with cards which are replaced on use, and orders that buy such cards."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from giftgql import work
from giftgql.store import Store
from tests import heirs, mailing, ordering
from tests.client import Client
from tests.conftest import SetClock
from tests.factories import done, funded, member, stand
from tests.heirs import are_clean, card, figures, heir, mails, owned
from tests.ordering import calculate, cancel, cash, gift, goods, pay, paying, place, placed
from tests.stock import change, pool, product, stocked

Card = dict[str, Any]


@pytest.fixture(autouse=True)
def replacing(store: Store) -> None:
    heirs.replace_on_use(store)


async def successor(admin: Client, store: Store, made: Card) -> Card:
    """The card that took the place of one, with its code in clear."""
    return await heir(store, {"replacedById": (await card(admin, made["id"]))["replacedBy"]["id"]})


async def test_an_order_replaces_its_card_and_what_is_left_pays_the_next_one(
    admin: Client, store: Store, clock: SetClock
) -> None:
    made = await owned(admin)
    first = await placed(admin, goods("60.00"), giftcards=paying(made), refNo="S-1")
    assert (first["status"], first["paidByGiftcards"]) == ("PAID", "60.00")
    new = await successor(admin, store, made)
    assert await figures(admin, made["id"]) == ("0.00", "100.00", "60.00", "40.00", 1)
    await work.do_all(store)
    (sent,) = mailing.sent(store)
    assert "60.00" in str(sent.get_body(("plain",))), "one mail says what was paid and what is left"
    assert [each["facts"]["order_no"] for each in await mails(admin)] == ["S-1"]
    [shown] = (await calculate(admin, goods("50.00"), giftcards=paying(made)))["orderCalculate"][
        "giftcards"
    ]
    assert shown["notApplicable"] == "CARD_REPLACED"
    assert (await place(admin, goods("50.00"), giftcards=paying(made))).code == "CARD_REPLACED"
    second = await placed(
        admin, goods("50.00"), giftcards=paying(new), payments=[cash("10.00")], refNo="S-2"
    )
    assert (second["status"], second["paidByGiftcards"]) == ("PAID", "40.00")
    assert (await card(admin, new["id"]))["replacedBy"] is None, "nothing was left"
    await are_clean(store)


async def test_a_pending_order_keeps_its_card_to_itself_until_it_is_paid_or_ends(
    admin: Client, store: Store
) -> None:
    made = await owned(admin)
    pending = await placed(admin, goods("80.00"), giftcards=paying(made, amount="60.00"))
    assert pending["status"] == "PENDING"
    for answer in (
        await place(admin, goods("10.00"), giftcards=paying(made)),
        await heirs.use(admin, made, "-10.00"),
    ):
        assert answer.code == "CONFLICT"
    done(await cancel(admin, pending))
    assert (await card(admin, made["id"]))["balance"] == "100.00"
    other = await placed(admin, goods("80.00"), giftcards=paying(made, amount="60.00"))
    assert done(await pay(admin, other, "20.00"))["status"] == "PAID"
    assert (await card(admin, made["id"]))["replacedBy"]["balance"] == "40.00"
    await are_clean(store)


async def test_a_hold_of_an_order_that_is_captured_outside_of_it_replaces_the_card_too(
    admin: Client, store: Store
) -> None:
    made = await owned(admin)
    pending = await placed(admin, goods("80.00"), giftcards=paying(made, amount="60.00"))
    taken = {"id": pending["payments"][0]["transactionId"]}
    trans = done(await heirs.capture(admin, taken, "60.00"))
    assert done(await pay(admin, pending, "20.00"))["status"] == "PAID"
    assert trans["replacedBy"]["balance"] == "40.00"
    assert len(await mails(admin)) == 1
    await are_clean(store)


async def test_what_an_order_gives_back_goes_to_the_cards_that_have_replaced_those_that_paid(
    admin: Client, store: Store
) -> None:
    one, two = await owned(admin, "100.00"), await owned(admin, "100.00")
    cards = [*paying(one, amount="60.00"), *paying(two, amount="30.00")]
    order = await placed(admin, goods("90.00"), giftcards=cards)
    new_one, new_two = [await successor(admin, store, each) for each in (one, two)]
    done(await heirs.use(admin, new_one, "-15.00"))
    newest = await successor(admin, store, new_one)
    done(await ordering.refund(admin, order, amount="70.00"))
    assert [(await card(admin, each["id"]))["balance"] for each in (newest, new_two)] == [
        *("85.00", "80.00")
    ]
    done(await stand(admin, "Block", new_two["id"]))
    assert (await ordering.refund(admin, order)).code == "CARD_BLOCKED"
    done(await stand(admin, "Unblock", new_two["id"]))
    done(await ordering.refund(admin, order))
    assert (await ordering.refund(admin, order, amount="0.01")).code == "REFUND_EXCEEDS_CAPTURED"
    assert await figures(admin, one["id"]) == ("0.00", "100.00", "0.00", "100.00", 0)
    assert (await card(admin, new_two["id"]))["balance"] == "100.00"
    await are_clean(store)


async def test_without_an_address_an_order_leaves_the_code_what_is_left(
    admin: Client, store: Store
) -> None:
    made = await funded(admin, "100.00")
    order = await placed(
        admin, goods("60.00"), giftcards=paying(made), customer={"email": "payer@example.org"}
    )
    assert (order["status"], await mails(admin)) == ("PAID", [])
    trans = await heirs.trans(admin, order["payments"][0]["transactionId"])
    assert (trans["keptWithoutAddress"], trans["replacedById"]) == (True, None)
    assert (await card(admin, made["id"]))["balance"] == "40.00"
    await are_clean(store)


async def test_a_card_keeps_the_strategy_with_which_it_was_ordered(
    admin: Client, store: Store
) -> None:
    made, boxes = await product(admin, strategy="REPLACEMENT"), await pool(admin)
    await stocked(store, boxes)
    edit = "id presets { id } strategy"
    given = {"id": boxes["productId"], "revision": 1, "strategy": "REPLACEMENT"}
    box = done(await change(admin, "giftcardProductEdit", "product", edit, **given))
    owner = await member(admin, email="bo@example.org")
    pending = await placed(admin, gift(made, memberId=owner), gift(box, memberId=owner))
    for each in (made, box):
        given = {"id": each["id"], "revision": 1 if each is made else 2, "strategy": "BALANCE"}
        done(await change(admin, "giftcardProductEdit", "product", edit, **given))
    paid = done(await pay(admin, pending, "100.00"))
    later = done(await pay(admin, await placed(admin, gift(made, memberId=owner)), "50.00"))
    bought = [line["giftcardIds"][0] for line in (*paid["lines"], *later["lines"])]
    strategies = [(await card(admin, each))["strategy"] for each in bought]
    assert strategies == ["REPLACEMENT", "REPLACEMENT", "BALANCE"]
    await are_clean(store)


async def test_of_fifty_orders_at_once_one_replaces_the_card(admin: Client, store: Store) -> None:
    made = await owned(admin, "10.00")
    asked = (place(admin, goods("1.00"), giftcards=paying(made)) for _ in range(50))
    answers = await asyncio.gather(*asked)
    codes = Counter(answer.code for answer in answers)
    assert codes[None] == 1
    assert set(codes) <= {None, "CARD_REPLACED", "CONFLICT"}
    assert (await card(admin, made["id"]))["replacedBy"]["balance"] == "9.00"
    assert len(await mails(admin)) == 1
    await are_clean(store)
