"""Pools: their rules, their product, their cards; section 5 of the behaviour reference."""

import asyncio
from typing import Any

from giftgql.permissions import Permission
from giftgql.store import Store
from tests.client import Answer, Client
from tests.conftest import MakeClient, SetClock, statements
from tests.factories import code_of, done, edit, stand, trans
from tests.stock import POOL, PRODUCT, cards, change, issue, pool, remove, stocked


async def add(caller: Client, **given: Any) -> Answer:
    wanted = {"name": "Boxes", "systemName": "boxes", **given}
    return await change(caller, "giftcardPoolAdd", "pool", POOL, **wanted)


async def edit_pool(caller: Client, made: dict[str, Any], **given: Any) -> Answer:
    return await change(caller, "giftcardPoolEdit", "pool", POOL, id=made["id"], **given)


async def remove_pool(caller: Client, made: dict[str, Any]) -> Answer:
    return await change(caller, "giftcardPoolRemove", "pool", POOL, id=made["id"])


async def listed(caller: Client, arguments: str = "") -> dict[str, Any]:
    query = f"{{ giftcardPool{arguments} {{ results {{ {POOL} }} until }} }}"
    return dict((await caller.run(query))["giftcardPool"])


async def product_of(caller: Client, made: dict[str, Any]) -> dict[str, Any] | None:
    query = f"query ($id: ID!) {{ giftcardProduct(id: $id) {{ results {{ {PRODUCT} }} }} }}"
    found = (await caller.run(query, id=made["productId"]))["giftcardProduct"]["results"]
    return dict(found[0]) if found else None


async def test_a_pool_comes_with_its_product_which_follows_it(admin: Client) -> None:
    made = await pool(admin, expiration={"kind": "RELATIVE", "after": "P1Y"})
    assert made["cardCount"] == 0
    sold = await product_of(admin, made)
    assert sold is not None
    assert sold["automatic"]
    assert [(each["price"], each["value"]) for each in sold["presets"]] == [("50.00", "50.00")]
    assert sold["custom"] is None
    assert sold["expiration"]["after"] == "P1Y"

    changed = done(await edit_pool(admin, made, name="Other", faceValue="60.00"))
    assert (changed["name"], changed["faceValue"]) == ("Other", "60.00")
    sold = await product_of(admin, made)
    assert sold is not None
    assert (sold["name"], sold["presets"][0]["price"]) == ("Other", "60.00")
    arbitrary = done(await edit_pool(admin, made, faceValue=None))
    assert (arbitrary["arbitraryValue"], arbitrary["faceValue"]) == (True, None)
    sold = await product_of(admin, made)
    assert sold is not None
    assert (sold["presets"], sold["custom"]["minimum"]) == ([], "0.01")

    touched = await change(
        *(admin, "giftcardProductEdit", "product", PRODUCT),
        **{"id": sold["id"], "revision": sold["revision"], "expiration": {"kind": "NONE"}},
    )
    assert touched.code == "CONFLICT"
    gone = await change(admin, "giftcardProductRemove", "product", PRODUCT, id=sold["id"])
    assert gone.code == "CONFLICT"
    done(await remove_pool(admin, made))
    assert await product_of(admin, made) is None


async def test_a_pool_that_cannot_be_is_refused_by_name(admin: Client, clock: SetClock) -> None:
    fixed = {"faceValue": "50.00"}
    for given, code, field in (
        ({}, "INVALID_INPUT", "faceValue"),
        ({**fixed, "arbitraryValue": True}, "INVALID_INPUT", "faceValue"),
        ({"faceValue": "0"}, "INVALID_AMOUNT", "faceValue"),
        ({"faceValue": "1.001"}, "INVALID_AMOUNT", "faceValue"),
        ({**fixed, "name": ""}, "INVALID_INPUT", "name"),
        ({**fixed, "name": "x" * 56}, "INVALID_INPUT", "name"),
        ({**fixed, "systemName": ""}, "INVALID_INPUT", "systemName"),
        ({**fixed, "systemName": " x"}, "INVALID_INPUT", "systemName"),
        ({**fixed, "systemName": "böxes"}, "INVALID_INPUT", "systemName"),
        ({**fixed, "systemName": "a\u0000b"}, "INVALID_INPUT", "systemName"),
        ({**fixed, "systemName": "x" * 65}, "INVALID_INPUT", "systemName"),
        ({**fixed, "currency": "XXX"}, "INVALID_INPUT", "currency"),
        (
            {**fixed, "expiration": {"kind": "FIXED", "on": "2026-11-21"}},
            *("PAST_EXPIRATION", "expiration.on"),
        ),
    ):
        answer = await add(admin, **given)
        assert (answer.code, answer.field) == (code, field), given
    assert (await listed(admin))["results"] == []


async def test_a_pool_with_cards_is_frozen_but_for_its_name(admin: Client, store: Store) -> None:
    made = await pool(admin)
    await stocked(store, made, 2)
    for given in (
        {"faceValue": "60.00"},
        {"faceValue": None},
        {"systemName": "other"},
        {"partialRedemption": False},
        {"isCvvRequired": True},
        {"expiration": {"kind": "RELATIVE", "after": "P1Y"}},
        {"name": "Other", "isCvvRequired": True},
    ):
        assert (await edit_pool(admin, made, **given)).code == "POOL_FROZEN", given
    same = done(await edit_pool(admin, made, name="New", isCvvRequired=False, faceValue="50"))
    assert (same["name"], same["cardCount"]) == ("New", 2)
    refused = await remove_pool(admin, made)
    assert refused.code == "POOL_NOT_EMPTY"
    assert refused.errors[0]["extensions"]["cards"] == 2
    for each in await cards(admin, poolId=made["id"]):
        done(await remove(admin, each["id"]))
    assert done(await edit_pool(admin, made, isCvvRequired=True))["cardCount"] == 0
    done(await remove_pool(admin, made))
    assert (await remove_pool(admin, made)).code == "NOT_FOUND"
    assert (await edit_pool(admin, made, name="Other")).code == "NOT_FOUND"


async def test_a_system_name_is_one_pools_until_that_is_removed(admin: Client) -> None:
    made = await pool(admin)
    for taken in (await add(admin, faceValue="5"), await add(admin, faceValue="5", name="Other")):
        assert (taken.code, taken.field) == ("CONFLICT", "systemName")
    other = await pool(admin, systemName="other")
    assert (await edit_pool(admin, other, systemName="boxes")).code == "CONFLICT"
    done(await remove_pool(admin, made))
    assert done(await edit_pool(admin, other, systemName="boxes"))["systemName"] == "boxes"
    assert done(await edit_pool(admin, other, systemName="third"))["systemName"] == "third"
    again = await pool(admin)
    assert again["id"] != made["id"]
    products = await admin.run("{ giftcardProduct { results { id } } }")
    there = {each["id"] for each in products["giftcardProduct"]["results"]}
    assert there == {other["productId"], again["productId"]}, "refused pools left no product"


async def test_of_pools_that_want_one_system_name_at_once_one_gets_it(admin: Client) -> None:
    answers = await asyncio.gather(*(add(admin, faceValue="5") for _ in range(6)))
    assert sorted(str(each.code) for each in answers) == ["CONFLICT"] * 5 + ["None"]
    others = [await pool(admin, systemName=f"other {n}") for n in range(6)]
    renamed = await asyncio.gather(
        *(edit_pool(admin, each, systemName="wanted", name="Same") for each in others)
    )
    assert sorted(str(each.code) for each in renamed) == ["CONFLICT"] * 5 + ["None"]
    names = sorted(each["systemName"] for each in (await listed(admin))["results"])
    assert names.count("wanted") == 1
    assert len(names) == 7


async def test_removed_pools_come_in_a_synchronisation_only(admin: Client) -> None:
    made, kept = await pool(admin), await pool(admin, systemName="kept")
    until = (await listed(admin, '(since: "")'))["until"]
    done(await remove_pool(admin, made))
    assert [each["id"] for each in (await listed(admin))["results"]] == [kept["id"]]
    [changed] = (await listed(admin, f'(since: "{until}")'))["results"]
    assert (changed["id"], changed["removed"]) == (made["id"], True)
    found = await listed(admin, '(systemName: "kept")')
    assert [each["id"] for each in found["results"]] == [kept["id"]]
    assert (await listed(admin, '(id: "x")'))["results"] == []


async def test_a_pool_counts_its_cards_by_status_in_one_statement_for_all(
    admin: Client, store: Store
) -> None:
    made, other = await pool(admin), await pool(admin, systemName="other")
    await stocked(store, made, 4)
    sold = done(await issue(admin, {"id": made["productId"]}, **await preset(admin)))
    first, *_ = await cards(admin, poolId=made["id"])
    assert sold["id"] == first["id"]
    free = (await cards(admin, poolId=made["id"], status="NOT_ACTIVATED"))[0]
    done(await stand(admin, "Block", free["id"]))
    query = "{ giftcardPool { results { id counts { status count } product { name } } } }"
    await admin.run(query)
    with statements(store) as seen:
        answer = await admin.run(query)
    many = len(seen)
    counts = {
        pool["id"]: {each["status"]: each["count"] for each in pool["counts"]}
        for pool in answer["giftcardPool"]["results"]
    }
    assert counts == {
        made["id"]: {"ACTIVATED": 1, "BLOCKED": 1, "NOT_ACTIVATED": 2},
        other["id"]: {},
    }
    for number in range(3):
        await pool(admin, systemName=f"more {number}")
    with statements(store) as seen:
        await admin.run(query)
    assert len(seen) == many, "as many statements, however many pools there are"


async def preset(caller: Client) -> dict[str, Any]:
    """The one preset of the first product."""
    answer = await caller.run("{ giftcardProduct { results { presets { id } } } }")
    return {"variantId": answer["giftcardProduct"]["results"][0]["presets"][0]["id"]}


async def test_pools_are_for_those_who_manage_them(
    admin: Client, store: Store, client_with: MakeClient
) -> None:
    made = await pool(admin)
    [code] = await stocked(store, made)
    nobody = await client_with(*frozenset(Permission) - {Permission.MANAGE_POOLS})
    assert (await add(nobody, faceValue="5")).code == "PERMISSION_DENIED"
    assert (await edit_pool(nobody, made, name="x")).code == "PERMISSION_DENIED"
    assert (await remove_pool(nobody, made)).code == "PERMISSION_DENIED"
    refused = await nobody.run("{ giftcardPool { results { id } } }")
    assert refused.code == "PERMISSION_DENIED"
    query = "query ($c: String) { giftcard(code: $c) { limitedByPermission results { %s } } }"
    hidden = (await nobody.run(query % "pool { name }", c=code))["giftcard"]
    assert hidden == {"limitedByPermission": True, "results": [{"pool": None}]}
    shown = (await admin.run(query % "pool { name }", c=code))["giftcard"]
    assert shown == {"limitedByPermission": False, "results": [{"pool": {"name": "Boxes"}}]}
    unasked = (await nobody.run(query % "id", c=code))["giftcard"]
    assert not unasked["limitedByPermission"]


async def test_a_card_of_a_pool_is_paid_with_under_its_rules(
    admin: Client, store: Store, clock: SetClock
) -> None:
    made = await pool(admin, isCvvRequired=True, partialRedemption=False)
    [code] = await stocked(store, made, cvv="123")
    use = {"code": code, "transType": "USE"}
    early = await trans(admin, **use, amount="-50.00", cvv="123")
    assert early.code == "CARD_NOT_ACTIVATED"
    add_all = {"code": code, "transType": "ADD"}
    assert (await trans(admin, **add_all, amount="49.00")).code == "INVALID_AMOUNT"
    done(await trans(admin, **add_all, amount="50.00"))
    for given, refusal in (
        ({"amount": "-50.00"}, "CVV_REQUIRED"),
        ({"amount": "-50.00", "cvv": "321"}, "SECRET_INVALID"),
        ({"amount": "-49.99", "cvv": "123"}, "PARTIAL_REDEMPTION_NOT_SUPPORTED"),
        ({"amount": "-50.01", "cvv": "123"}, "INSUFFICIENT_FUNDS"),
    ):
        assert (await trans(admin, **use, **given)).code == refusal, given
    assert done(await trans(admin, **use, amount="-50.00", cvv="123"))["balance"] == "0.00"


async def test_a_cards_first_owner_takes_it_out_of_stock(admin: Client, store: Store) -> None:
    made = await pool(admin)
    await stocked(store, made)
    [card] = await cards(admin, poolId=made["id"])
    await admin.run('mutation { memberAdd(member: {id: "C1"}) { id } }')
    assert code_of(done(await edit(admin, card["id"], memberId="C1"))) == "BOX000000"
    refused = await issue(admin, {"id": made["productId"]}, **await preset(admin))
    assert refused.code == "POOL_EXHAUSTED"
