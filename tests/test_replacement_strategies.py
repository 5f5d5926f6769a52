"""Which cards are replaced on use, and what their successors are like."""

from datetime import timedelta
from typing import Any

import pytest

from giftgql.ledger import service as ledger
from giftgql.store import Reading, Store
from tests import heirs, importing, mailing, webhooking
from tests.client import Client
from tests.conftest import SetClock
from tests.factories import code_of, done, find, member, spend
from tests.heirs import are_clean, card, heir, mails, use
from tests.stock import generated, issue, pool, product, publish, stocked

REPLACEMENT = {"strategy": "REPLACEMENT"}
Card = dict[str, Any]


@pytest.fixture(autouse=True)
def replacing(store: Store) -> None:
    heirs.replace_on_use(store)


async def test_a_product_says_what_becomes_of_its_cards_and_they_keep_it(
    admin: Client, store: Store
) -> None:
    plain = await product(admin, strategy="BALANCE")
    made = await product(admin)
    query = "query ($id: ID) { giftcardProduct(id: $id) { results { strategy revision } } }"
    shown = await admin.run(query, id=made["id"])
    assert shown["giftcardProduct"]["results"] == [{"strategy": "REPLACEMENT", "revision": 1}]
    recipient = {"recipient": {"name": "Bo", "email": "bo@example.org"}}
    first = done(await issue(admin, made, **recipient))
    kept = done(await issue(admin, plain, **recipient))
    change = """mutation ($p: GiftcardProductEditInput!) {
        giftcardProductEdit(product: $p) { strategy } }"""
    for each, strategy in ((made, "BALANCE"), (plain, "REPLACEMENT")):
        given = {"id": each["id"], "revision": 1, "strategy": strategy}
        answer = await admin.run(change, p=given)
        assert answer["giftcardProductEdit"]["strategy"] == strategy
    later = done(await issue(admin, made, **recipient))
    for sold, is_replaced in ((first, True), (kept, False), (later, False)):
        trans = done(await used(admin, sold, "-20.00"))
        assert (trans["replacedById"] is not None) == is_replaced
    [sent] = await mails(admin)
    assert (sent["address"], sent["facts"]["recipient"]) == ("bo@example.org", "Bo")
    new = await card(admin, sent["giftcardId"])
    assert (new["productId"], new["strategy"]) == (made["id"], "REPLACEMENT")
    assert new["recipient"] == recipient["recipient"]
    await are_clean(store)


async def used(caller: Client, made: Card, amount: str) -> Any:
    """Use a card whose code is masked."""
    wanted = {"giftcardId": made["id"], "transType": "USE", "amount": amount}
    return await heirs.asked(caller, "giftcardTransAdd", wanted)


async def test_a_pools_card_is_sold_with_its_products_strategy_and_leaves_the_pool(
    admin: Client, store: Store
) -> None:
    made = await pool(admin, isCvvRequired=True)
    [code] = await stocked(store, made, cvv="0123")
    change = """mutation ($p: GiftcardProductEditInput!) {
        giftcardProductEdit(product: $p) { id revision presets { id } strategy } }"""
    given = {"id": made["productId"], "revision": 1, **REPLACEMENT}
    sold_as = (await admin.run(change, p=given))["giftcardProductEdit"]
    sold = done(await issue(admin, sold_as, recipient={"email": "bo@example.org"}))
    trans = done(await use(admin, {"codes": [{"code": code}]}, "-20.00", cvv="0123"))
    assert trans["giftcardId"] == sold["id"]
    new = await card(admin, trans["replacedById"])
    assert (new["poolId"], new["productId"]) == (None, sold_as["id"])
    again = done(await use(admin, await heir(store, trans), "-10.00"))
    assert again["replacedBy"]["balance"] == "20.00", "the new card has no CVV"
    await are_clean(store)


async def test_imported_cards_have_the_strategy_of_their_pools_product(
    admin: Client, store: Store
) -> None:
    made = await pool(admin, systemName="boxes")
    await pool(admin, systemName="others")
    change = "mutation ($p: GiftcardProductEditInput!) { giftcardProductEdit(product: $p) { id } }"
    given = {"id": made["productId"], "revision": 1, "strategy": "BALANCE"}
    await admin.run(change, p=given)
    await member(admin, "C1", email="ada@example.org")
    rows = ["BOX1,boxes,CanBeUsed,C1", "OTH1,others,CanBeUsed,C1"]
    done_ = await importing.imported(
        store, "\n".join(["Number,PoolSystemName,Status,MemberId", *rows])
    )
    assert importing.counts(done_) == (2, 0, 0)
    for code, is_replaced in (("BOX1", False), ("OTH1", True)):
        trans = done(await use(admin, {"codes": [{"code": code}]}, "-20.00"))
        assert (trans["replacedById"] is not None) == is_replaced
    await are_clean(store)


@pytest.mark.parametrize(
    ("form", "is_kept"), [("GIFT-################", True), ("GIFT-########", False)]
)
async def test_the_new_code_has_the_campaigns_pattern_where_that_is_long_enough(
    admin: Client, store: Store, form: str, is_kept: bool
) -> None:
    made = await generated(store, admin, count=1, codeConfig={"pattern": form}, redemptionLimit=2)
    owner = await member(admin, email="ada@example.org")
    given = done(await publish(admin, made, memberId=owner, sourceId="1"))
    code = await mailing.code_of(store, given["id"])
    trans = done(await use(admin, {"codes": [{"code": code}]}, "-60.00"))
    new = await heir(store, trans)
    assert code_of(new).startswith("GIFT-") == is_kept
    assert len(code_of(new)) == (len(form) if is_kept else 27)
    shown = await card(admin, new["id"])
    assert (shown["campaignId"], shown["redemptionLimit"]) == (made["id"], 1)
    last = done(await use(admin, new, "-10.00"))
    assert (last["replacedById"], last["keptWithoutAddress"], last["balance"]) == (
        *(None, False),
        "30.00",
    )
    assert (await use(admin, new, "-10.00")).code == "REDEMPTION_LIMIT_REACHED"
    await are_clean(store)


async def test_webhooks_tell_of_the_new_card_and_not_that_the_old_one_was_used_up(
    admin: Client, store: Store
) -> None:
    webhooking.allow_private(store)
    async with webhooking.receiver() as hooks:
        await webhooking.endpoint(admin, hooks)
        made = await heirs.owned(admin)
        await webhooking.run(store)
        hooks.take()
        trans = done(await use(admin, made, "-60.00"))
        await webhooking.run(store)
        calls = hooks.take()
    told = {
        card_id: [call.event["type"] for call in calls if call.data["giftcardId"] == card_id]
        for card_id in (made["id"], trans["replacedById"])
    }
    assert told == {
        made["id"]: ["giftcard.transaction"] * 2,
        trans["replacedById"]: ["giftcard.created", "giftcard.activated", "giftcard.transaction"],
    }
    new = await mailing.code_of(store, trans["replacedById"])
    assert not any(new in str(call.body) for call in calls)


async def test_a_card_of_the_other_strategy_is_used_as_ever(admin: Client, store: Store) -> None:
    sold_as = await product(admin, strategy="BALANCE")
    made = done(await issue(admin, sold_as, memberId=await member(admin, email="a@example.org")))
    trans = done(await used(admin, made, "-20.00"))
    assert (trans["replacedById"], trans["keptWithoutAddress"]) == (None, False)
    assert (await card(admin, made["id"]))["strategy"] == "BALANCE"
    held = await heirs.asked(
        admin,
        "giftcardTransAdd",
        {"giftcardId": made["id"], "transType": "USE", "amount": "-5.00", "authorizeOnly": True},
    )
    done(await used(admin, made, "-5.00"))
    assert done(await heirs.capture(admin, done(held), "5.00"))["replacedBy"] is None
    assert await mails(admin) == []


async def test_a_card_that_gets_its_strategy_while_it_is_used_is_looked_at_again(
    admin: Client, store: Store, clock: SetClock
) -> None:
    """What was looked up of it before the sale is stale after it."""
    made = await pool(admin)
    [code] = await stocked(store, made)
    view = await card(admin, (await find(admin, code))["giftcard"]["results"][0]["id"])
    assert view["strategy"] == "BALANCE"
    async with store.read() as reading:
        before = await _revision(reading, int(view["id"]))
    change = """mutation ($p: GiftcardProductEditInput!) {
        giftcardProductEdit(product: $p) { id presets { id } } }"""
    given = {"id": made["productId"], "revision": 1, **REPLACEMENT}
    sold_as = (await admin.run(change, p=given))["giftcardProductEdit"]
    done(await issue(admin, sold_as))
    async with store.read() as reading:
        assert await _revision(reading, int(view["id"])) > before
    clock.forward(seconds=timedelta(hours=1).total_seconds())
    assert (await spend(admin, {"codes": [{"code": code}]}, "-1.00"))["balance"] == "49.00"


async def _revision(reading: Reading, card_id: int) -> int:
    return (await ledger.accounts(reading, [card_id]))[card_id].revision
