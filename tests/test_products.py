"""Products: variants, expiries, revisions, lists; section 4 of the behaviour reference (Wix)."""

from typing import Any

import pytest

from giftgql.permissions import Permission
from tests.client import Client
from tests.conftest import MakeClient, SetClock
from tests.factories import done, movements, refund
from tests.stock import PRODUCT, change, issue, product

PRESET = {"price": "45.00", "value": "50.00"}
RANGE = {"minimum": "10.00", "maximum": "200.00"}


async def add(caller: Client, /, **given: Any) -> Any:
    wanted = {"name": "A gift", **given}
    return await change(caller, "giftcardProductAdd", "product", PRODUCT, **wanted)


async def edit(caller: Client, made: dict[str, Any], **given: Any) -> Any:
    wanted = {"id": made["id"], "revision": made["revision"], **given}
    return await change(caller, "giftcardProductEdit", "product", PRODUCT, **wanted)


async def listed(caller: Client, arguments: str = "") -> list[dict[str, Any]]:
    query = f"{{ giftcardProduct{arguments} {{ results {{ {PRODUCT} }} until }} }}"
    return list((await caller.run(query))["giftcardProduct"]["results"])


async def test_a_product_has_presets_and_a_range_side_by_side(admin: Client) -> None:
    made = await product(
        admin,
        name="Birthday",
        description="For\nyou",
        imageUrl="https://example.org/a.png",
        presets=[PRESET, {"price": "20.00", "value": "20.00"}],
        custom=RANGE,
        expiration={"kind": "RELATIVE", "after": "P1Y"},
    )
    assert [(each["price"], each["value"]) for each in made["presets"]] == [
        ("45.00", "50.00"),
        ("20.00", "20.00"),
    ]
    assert {name: made["custom"][name] for name in RANGE} == RANGE
    assert made["expiration"] == {"kind": "RELATIVE", "on": None, "after": "P1Y"}
    assert (made["revision"], made["active"], made["automatic"], made["currency"]) == (
        *(1, True, False),
        "EUR",
    )
    assert await listed(admin, f'(id: "{made["id"]}")') == [made]


@pytest.mark.parametrize(
    ("given", "code", "field"),
    [
        ({}, "NO_VARIANTS", "presets"),
        ({"presets": []}, "NO_VARIANTS", "presets"),
        ({"custom": {"minimum": "10", "maximum": "10"}}, "INVALID_RANGE", "custom"),
        ({"custom": {"minimum": "10.01", "maximum": "10"}}, "INVALID_RANGE", "custom"),
        ({"custom": {"minimum": "0", "maximum": "10"}}, "INVALID_AMOUNT", "custom.minimum"),
        ({"presets": [{"price": "0", "value": "1"}]}, "INVALID_AMOUNT", "presets.price"),
        ({"presets": [{"price": "1", "value": "-1"}]}, "INVALID_AMOUNT", "presets.value"),
        ({"presets": [{"price": "1", "value": "1.001"}]}, "INVALID_AMOUNT", "presets.value"),
        ({"presets": [PRESET, PRESET]}, "INVALID_INPUT", "presets"),
        ({"presets": [PRESET], "name": ""}, "INVALID_INPUT", "name"),
        ({"presets": [PRESET], "name": "x" * 56}, "INVALID_INPUT", "name"),
        ({"presets": [PRESET], "description": "x" * 3001}, "INVALID_INPUT", "description"),
        ({"presets": [PRESET], "imageUrl": "javascript:x"}, "INVALID_INPUT", "imageUrl"),
        ({"presets": [PRESET], "currency": "XXX"}, "INVALID_INPUT", "currency"),
        (
            {"presets": [PRESET], "expiration": {"kind": "FIXED", "on": "2026-11-21"}},
            *("PAST_EXPIRATION", "expiration.on"),
        ),
        (
            {"presets": [PRESET], "expiration": {"kind": "RELATIVE", "after": "PT1H"}},
            *("INVALID_INPUT", "expiration.after"),
        ),
        (
            {"presets": [PRESET], "expiration": {"kind": "NONE", "after": "P1Y"}},
            *("INVALID_INPUT", "expiration.after"),
        ),
    ],
)
async def test_a_product_that_cannot_be_is_refused_by_name(
    admin: Client, clock: SetClock, given: dict[str, Any], code: str, field: str
) -> None:
    answer = await add(admin, **given)
    assert (answer.code, answer.field) == (code, field)
    assert await listed(admin) == []


async def test_there_may_be_200_presets_and_no_more(admin: Client) -> None:
    presets = [{"price": f"{n}.00", "value": f"{n}.00"} for n in range(1, 202)]
    assert (await add(admin, presets=presets)).code == "INVALID_INPUT"
    assert len(done(await add(admin, presets=presets[:200]))["presets"]) == 200


async def test_a_change_needs_the_revision_that_was_read(admin: Client) -> None:
    made = await product(admin)
    changed = done(await edit(admin, made, name="Other"))
    assert (changed["name"], changed["revision"]) == ("Other", 2)
    stale = await edit(admin, made, name="Third")
    assert (stale.code, stale.field) == ("STALE_REVISION", "revision")
    assert [each["name"] for each in await listed(admin)] == ["Other"]


async def test_presets_that_are_given_replace_all_and_equal_ones_keep_their_id(
    admin: Client,
) -> None:
    made = await product(admin, presets=[PRESET, {"price": "20", "value": "20"}], custom=RANGE)
    new = {"price": "5.00", "value": "5.00"}
    changed = done(await edit(admin, made, presets=[new, PRESET]))
    assert [each["price"] for each in changed["presets"]] == ["5.00", "45.00"]
    assert changed["presets"][1]["id"] == made["presets"][0]["id"]
    assert changed["custom"] == made["custom"], "what is left out stays"
    gone = done(await edit(admin, changed, custom=None))
    assert gone["custom"] is None
    assert (await edit(admin, gone, presets=None)).code == "NO_VARIANTS"
    [found] = await listed(admin)
    assert found["presets"] == changed["presets"]


async def test_cards_keep_what_they_were_sold_with(admin: Client, clock: SetClock) -> None:
    made = await product(admin, expiration={"kind": "RELATIVE", "after": "P1M"})
    sold = done(await issue(admin, made))
    changed = done(
        await edit(
            *(admin, made),
            presets=[{"price": "1", "value": "2"}],
            expiration={"kind": "NONE"},
        )
    )
    done(await change(admin, "giftcardProductRemove", "product", "id", id=made["id"]))
    answer = await admin.run(
        "query ($id: ID!) { giftcard(id: $id) { results { balance expiresOn "
        "product { name removed revision } } } }",
        id=sold["id"],
    )
    [found] = answer["giftcard"]["results"]
    assert (found["balance"], found["expiresOn"]) == ("50.00", "2026-12-21")
    assert found["product"] == {
        "name": "A gift",
        "removed": True,
        "revision": changed["revision"] + 1,
    }


async def test_a_removed_product_is_gone_but_for_synchronisations(admin: Client) -> None:
    made = await product(admin)
    removed = done(await change(admin, "giftcardProductRemove", "product", PRODUCT, id=made["id"]))
    assert removed["removed"] is True
    assert await listed(admin) == []
    assert await listed(admin, f'(id: "{made["id"]}")') == []
    assert [each["removed"] for each in await listed(admin, '(since: "")')] == [True]
    for again in (
        await change(admin, "giftcardProductRemove", "product", PRODUCT, id=made["id"]),
        await edit(admin, removed, name="x"),
        await change(admin, "giftcardProductRemove", "product", PRODUCT, id="no id"),
    ):
        assert again.code == "NOT_FOUND"
    sold = await issue(admin, made)
    assert (sold.code, sold.field) == ("NOT_FOUND", "productId")


async def test_products_are_found_filtered_sorted_and_paged(admin: Client) -> None:
    for name, active in (("Beta 50%", True), ("alpha", False), ("Gamma", True)):
        await product(admin, name=name, active=active)

    async def names(arguments: str) -> list[str]:
        return [each["name"] for each in await listed(admin, arguments)]

    assert await names("(active: true)") == ["Beta 50%", "Gamma"]
    assert await names('(name: "ALPH")') == ["alpha"]
    assert await names('(name: "%")') == ["Beta 50%"], "no wildcard"
    assert await names("(descending: true)") == ["Gamma", "alpha", "Beta 50%"]
    assert await names('(sort: NAME, descending: true, name: "m")') == ["Gamma"]
    assert await names("(sort: CREATED_AT, first: 1, skip: 1)") == ["alpha"]
    assert await names('(currency: "USD")') == []
    answer = await admin.run('{ giftcardProduct(since: "", sort: NAME) { until } }')
    assert (answer.code, answer.field) == ("INVALID_INPUT", "sort")


async def test_who_sells_may_read_products_and_only_who_manages_them_may_change_them(
    till: Client, client_with: MakeClient
) -> None:
    manager = await client_with(Permission.MANAGE_PRODUCTS)
    made = await product(manager)
    assert [each["id"] for each in await listed(till)] == [made["id"]]
    for answer in (await add(till, presets=[PRESET]), await edit(till, made, name="x")):
        assert answer.code == "PERMISSION_DENIED"
    nobody = await client_with(Permission.VIEW_MEMBERS)
    assert (await nobody.run("{ giftcardProduct { until } }")).code == "PERMISSION_DENIED"


async def test_what_a_card_is_worth_beyond_its_price_is_promotion(admin: Client) -> None:
    async def balances() -> dict[str, str]:
        lines = (await admin.run("{ ledgerTrialBalance { account balance } }"))[
            "ledgerTrialBalance"
        ]
        return {line["account"]: line["balance"] for line in lines}

    made = await product(admin, presets=[PRESET, {"price": "22.00", "value": "20.00"}])
    cheap, dear = made["presets"]
    sold = done(await issue(admin, made, variantId=cheap["id"]))
    assert sold["balance"] == "50.00"
    assert await balances() == {"CARDS": "50.00", "TENDER": "-45.00", "PROMOTION": "-5.00"}
    done(await issue(admin, made, variantId=dear["id"]))
    assert await balances() == {"CARDS": "70.00", "TENDER": "-67.00", "PROMOTION": "-3.00"}
    done(await issue(admin, made, variantId=cheap["id"], complimentary=True))
    assert await balances() == {"CARDS": "120.00", "TENDER": "-67.00", "PROMOTION": "-53.00"}
    [bought, *_] = await movements(admin, giftcardId=sold["id"])
    half = done(await refund(admin, bought["id"], "25.00"))
    assert half["amount"] == "-25.00"
    assert await balances() == {"CARDS": "95.00", "TENDER": "-44.50", "PROMOTION": "-50.50"}
    assert (await admin.run("{ ledgerCheck { isClean } }"))["ledgerCheck"]["isClean"] is True
