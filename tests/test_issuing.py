"""Cards are sold, given away and published: each to one, and each once."""

import asyncio
from collections import Counter
from datetime import UTC, datetime
from typing import Any

from giftgql import work
from giftgql.permissions import Permission
from giftgql.store import Store
from tests.client import Answer, Client
from tests.conftest import MakeClient, SetClock
from tests.factories import (
    done,
    edit,
    find,
    member,
    member_token,
    movements,
    refund,
    stand,
    trans,
)
from tests.stock import cards, generated, issue, pool, product, publish, stocked

RANGE = {"minimum": "10.00", "maximum": "200.00"}


async def pool_product(caller: Client, made: dict[str, Any]) -> dict[str, Any]:
    """A pool's product, to be issued."""
    query = "query ($id: ID!) { giftcardProduct(id: $id) { results { id presets { id } } } }"
    [found] = (await caller.run(query, id=made["productId"]))["giftcardProduct"]["results"]
    return dict(found)


def codes_of(answers: list[Answer]) -> Counter[str]:
    return Counter(str(each.code) for each in answers)


async def test_a_preset_and_a_chosen_value_are_issued(admin: Client, clock: SetClock) -> None:
    made = await product(admin, presets=[{"price": "45", "value": "50"}], custom=RANGE)
    owner = await member(admin)
    sold = done(await issue(admin, made, memberId=owner, note="n", sourceId="T1", refNo="R1"))
    assert (sold["status"], sold["balance"], sold["memberId"]) == ("ACTIVATED", "50.00", owner)
    assert (sold["productId"], sold["purchasedOn"]) == (made["id"], "2026-11-21")
    [code] = sold["codes"]
    assert (code["codeType"], code["isMasked"]) == ("DIGITAL", True)
    [movement] = await movements(admin, giftcardId=sold["id"])
    assert (movement["transType"], movement["amount"]) == ("ADD", "50.00")
    assert (movement["sourceId"], movement["refNo"]) == ("T1", "R1")
    chosen = done(await issue(admin, made, value="12.34", recipient={"email": "a@example.org"}))
    assert (chosen["balance"], chosen["memberId"]) == ("12.34", None)
    assert chosen["recipient"] == {"email": "a@example.org"}
    again = done(await issue(admin, made, value="200", variantId=made["custom"]["id"]))
    assert again["balance"] == "200.00"


async def test_what_cannot_be_issued_is_refused_and_makes_nothing(
    admin: Client, clock: SetClock
) -> None:
    presets = [{"price": "50", "value": "50"}]
    made = await product(admin, custom=RANGE, presets=presets)
    other = await product(admin, name="Other")
    idle = await product(admin, active=False)
    late = await product(admin, expiration={"kind": "FIXED", "on": "2026-11-22"})
    clock.forward(days=2)
    for of, given, code, field in (
        (made, {"value": "9.99"}, "INVALID_INPUT", "value"),
        (made, {"value": "200.01"}, "INVALID_INPUT", "value"),
        (made, {"value": "-10"}, "INVALID_AMOUNT", "value"),
        (made, {"value": "10.001"}, "INVALID_AMOUNT", "value"),
        (made, {"variantId": None, "value": None}, "INVALID_INPUT", "variantId"),
        (made, {"variantId": made["custom"]["id"]}, "INVALID_INPUT", "variantId"),
        (made, {"variantId": other["presets"][0]["id"]}, "INVALID_INPUT", "variantId"),
        (other, {"value": "50"}, "INVALID_INPUT", "value"),
        (made, {"memberId": "nobody"}, "MEMBER_NOT_FOUND", "memberId"),
        (made, {"memberId": "x", "recipient": {"name": "y"}}, "INVALID_INPUT", "recipient"),
        (made, {"recipient": {}}, "INVALID_INPUT", "recipient"),
        (made, {"recipient": {"email": "a@b\nBcc: c@d"}}, "INVALID_INPUT", "recipient.email"),
        (idle, {}, "CONFLICT", "productId"),
        (late, {}, "PAST_EXPIRATION", "expiresOn"),
        ({**made, "id": "999"}, {}, "NOT_FOUND", "productId"),
    ):
        answer = await issue(admin, of, **given)
        assert (answer.code, answer.field) == (code, field), given
    assert await cards(admin) == []


async def test_what_issuing_needs_is_the_right_to_make_cards_and_to_fund_them(
    admin: Client, client_with: MakeClient
) -> None:
    made = await product(admin)
    both = {Permission.CREATE_GIFT_CARD, Permission.GIFT_CARD_TRANS_ADD}
    for lacking in both:
        poor = await client_with(*both - {lacking})
        assert (await issue(poor, made)).code == "PERMISSION_DENIED"
    shop = await client_with(*both)
    sold = done(await issue(shop, made, recipient={"name": "Ada", "email": "ada@example.org"}))
    assert sold["recipient"] is None, "people are for those who may see members"
    assert sold["codes"][0]["isMasked"]
    gift = await issue(shop, made, complimentary=True)
    assert (gift.code, len(await cards(admin))) == ("PERMISSION_DENIED", 1)
    assert done(await issue(admin, made, complimentary=True))["balance"] == "50.00"
    token = await member_token(admin, await member(admin))
    holder = Client(admin.http, token)
    assert (await issue(holder, made)).code == "PERMISSION_DENIED"


async def test_a_member_sees_its_card_and_nothing_of_the_shops(admin: Client, store: Store) -> None:
    owner = await member(admin)
    made = await product(admin)
    done(await issue(admin, made, memberId=owner, note="bad payer", metadata={"a": 1}))
    campaign = await generated(store, admin)
    done(await publish(admin, campaign, memberId=owner, sourceId="1"))
    holder = Client(admin.http, await member_token(admin, owner))
    shown = """note metadata productId poolId campaignId pointOfContact recipient balance
        product { id } pool { id } campaign { id } codes { isMasked }"""
    answer = await holder.run(f"{{ me {{ giftcards {{ results {{ {shown} }} }} }} }}")
    for each in answer["me"]["giftcards"]["results"]:
        assert each.pop("balance") in ("50.00", "100.00")
        assert each.pop("codes") == [{"isMasked": False}]
        assert set(each.values()) == {None}, each


async def test_the_same_key_issues_one_card(admin: Client, till: Client) -> None:
    made = await product(admin, custom=RANGE)
    given = {"value": "20", "idempotencyKey": "sale 1"}
    first, *others = await asyncio.gather(*(issue(till, made, **given) for _ in range(5)))
    assert sum(each.is_replayed for each in (first, *others)) == 4
    assert len({str(done(each)) for each in (first, *others)}) == 1
    assert len(await cards(admin)) == 1
    for other in ({"value": "21"}, {"complimentary": True}, {"note": "x"}):
        conflict = await issue(admin if "complimentary" in other else till, made, **given | other)
        if "complimentary" not in other:  # the key of another client is another key
            assert conflict.code == "IDEMPOTENCY_CONFLICT"
    refused = await issue(till, made, value="1", idempotencyKey="sale 2")
    assert refused.code == "INVALID_INPUT"
    assert done(await issue(till, made, value="10", idempotencyKey="sale 2"))["balance"] == "10.00"


async def test_a_pools_product_takes_a_free_card_and_leaves_what_is_known_of_it(
    admin: Client, store: Store, clock: SetClock
) -> None:
    made = await pool(admin, expiration={"kind": "RELATIVE", "after": "P6M"})
    await stocked(store, made, 2)
    sold_as = await pool_product(admin, made)
    first, second = await cards(admin, poolId=made["id"])
    assert first["expiresOn"] is None, "time begins with the sale"
    done(await edit(admin, first["id"], note="dented box", metadata={"shelf": 3}))
    clock.forward(days=3)
    owner = await member(admin)
    sold = done(await issue(admin, sold_as, memberId=owner))
    assert (sold["id"], sold["status"], sold["balance"]) == (first["id"], "ACTIVATED", "50.00")
    assert (sold["purchasedOn"], sold["expiresOn"]) == ("2026-11-24", "2027-05-24")
    assert (sold["productId"], sold["poolId"]) == (made["productId"], made["id"])
    kept = (await find(admin, sold["codes"][0]["code"]))["giftcard"]["results"][0]
    assert (kept["note"], kept["metadata"]) == ("dented box", {"shelf": 3})
    assert done(await issue(admin, sold_as))["id"] == second["id"]
    none = await issue(admin, sold_as, idempotencyKey="k")
    assert (none.code, none.field) == ("POOL_EXHAUSTED", "productId")
    await stocked(store, made, begin="NEW")
    assert done(await issue(admin, sold_as, idempotencyKey="k"))["balance"] == "50.00"


async def test_a_value_takes_a_card_of_that_value(admin: Client, store: Store) -> None:
    made = await pool(admin, arbitraryValue=True)
    await stocked(store, made, 2, value="25.00", begin="SMALL")
    await stocked(store, made, value="75.00", begin="LARGE")
    sold_as = {"id": made["productId"]}
    assert done(await issue(admin, sold_as, value="75"))["codes"][0]["code"] == "LARGE000000"
    assert (await issue(admin, sold_as, value="75")).code == "POOL_EXHAUSTED"
    assert (await issue(admin, sold_as, value="50")).code == "POOL_EXHAUSTED"
    assert done(await issue(admin, sold_as, value="25"))["balance"] == "25.00"


async def test_cards_that_somebody_has_or_that_are_stopped_are_not_taken(
    admin: Client, till: Client, store: Store, clock: SetClock
) -> None:
    made = await pool(admin, expiration={"kind": "FIXED", "on": "2026-12-24"})
    codes = await stocked(store, made, 8)
    sold_as = await pool_product(admin, made)
    found = [each["id"] for each in await cards(admin, poolId=made["id"])]
    done(await trans(till, code=codes[0], transType="ADD", amount="50.00"))
    done(await stand(admin, "Block", found[1]))
    done(await stand(admin, "Disable", found[2]))
    hold = {"transType": "ADD", "amount": "50.00", "authorizeOnly": True}
    done(await trans(till, code=codes[3], **hold))
    done(await edit(admin, found[4], memberId=await member(admin)))
    done(await edit(admin, found[5], revokePhysicalCode=True))
    done(await edit(admin, found[6], physicalCode="NEWCODE01", physicalExpiresOn="2026-11-21"))
    clock.forward(days=1)
    assert done(await issue(admin, sold_as))["id"] == found[7]
    assert (await issue(admin, sold_as)).code == "POOL_EXHAUSTED"
    done(await stand(admin, "Unblock", found[1]))
    assert done(await issue(admin, sold_as))["id"] == found[1], "blocked is not for ever"
    await stocked(store, made, begin="LATE")
    clock.now = datetime(2026, 12, 25, 12, tzinfo=UTC)
    assert (await issue(admin, sold_as)).code in ("POOL_EXHAUSTED", "PAST_EXPIRATION")


async def test_each_card_of_a_pool_is_sold_once_however_many_ask(
    admin: Client, store: Store
) -> None:
    made = await pool(admin)
    await stocked(store, made, 10)
    sold_as = await pool_product(admin, made)
    found = await cards(admin, poolId=made["id"])

    async def disturb() -> None:
        """Changes of the same cards, meanwhile."""
        for each in found:
            await edit(admin, each["id"], note="counted")

    answers, _ = await asyncio.gather(
        asyncio.gather(*(issue(admin, sold_as) for _ in range(20))), disturb()
    )
    assert codes_of(answers) == {"None": 10, "POOL_EXHAUSTED": 10}
    assert {done(each)["id"] for each in answers if not each.errors} == {e["id"] for e in found}
    for each in await cards(admin, poolId=made["id"]):
        assert (each["balance"], each["lifetimeTotal"]) == ("50.00", "50.00")


async def test_a_publication_is_made_once_by_its_source_id(admin: Client, store: Store) -> None:
    made = await generated(store, admin, count=12)
    owner, other = await member(admin), await member(admin)
    answers = await asyncio.gather(
        *(publish(admin, made, memberId=owner, sourceId="order 1") for _ in range(10))
    )
    first = done(answers[0])
    assert {done(each)["id"] for each in answers} == {first["id"]}
    assert (first["memberId"], first["balance"], first["status"]) == (owner, "100.00", "ACTIVATED")
    assert len(await movements(admin, giftcardId=first["id"])) == 1
    taken = await publish(admin, made, memberId=other, sourceId="order 1")
    assert (taken.code, taken.field) == ("CONFLICT", "sourceId")
    owners = [owner, other] * 5
    each_its_own = await asyncio.gather(
        *(publish(admin, made, memberId=m, sourceId=f"o{n}") for n, m in enumerate(owners))
    )
    assert len({done(each)["id"] for each in each_its_own} | {first["id"]}) == 11
    keyed = {"memberId": owner, "sourceId": "last", "idempotencyKey": "k"}
    last = done(await publish(admin, made, **keyed))
    assert (await publish(admin, made, **keyed)).is_replayed
    other_key = await publish(admin, made, **keyed | {"sourceId": "x"})
    assert other_key.code == "IDEMPOTENCY_CONFLICT"
    gone = await publish(admin, made, memberId=owner, sourceId="one more")
    assert (gone.code, gone.field) == ("POOL_EXHAUSTED", "campaignId")
    again = done(await publish(admin, made, memberId=owner, sourceId="last"))
    assert again["id"] == last["id"], "also when there is none left"
    assert (await publish(admin, made, memberId="x", sourceId="y")).code == "MEMBER_NOT_FOUND"


async def test_a_card_that_a_till_has_sold_is_not_published(
    admin: Client, till: Client, store: Store
) -> None:
    owner, ref = await member(admin), {"codeType": "PHYSICAL", "codeConfig": {"length": 12}}
    made = await generated(store, admin, count=3, name="printed", **ref)
    sold, free, removed = await cards(admin, campaignId=made["id"])
    code = sold["codes"][0]["code"]
    refused = await trans(till, code=code, transType="ADD", amount="99.99")
    assert refused.code == "INVALID_AMOUNT"
    done(await trans(till, code=code, transType="ADD", amount="100.00"))
    query = (
        f'mutation {{ giftcardRemove(giftcard: {{id: "{removed["id"]}", reason: "x"}}) {{ id }} }}'
    )
    assert not (await admin.run(query)).errors
    assert done(await publish(admin, made, memberId=owner, sourceId="1"))["id"] == free["id"]
    assert (await publish(admin, made, memberId=owner, sourceId="2")).code == "POOL_EXHAUSTED"
    [now] = await cards(admin, id=sold["id"])
    assert (now["memberId"], now["balance"]) == (None, "100.00")


async def test_a_card_born_with_funds_is_published_while_nobody_has_used_it(
    admin: Client, till: Client, store: Store
) -> None:
    owner, kind = await member(admin), {"codeType": "PHYSICAL", "codeConfig": {"length": 12}}
    made = await generated(store, admin, count=4, startActivated=True, **kind)
    spent, topped, held, free = await cards(admin, campaignId=made["id"])
    assert free["balance"] == "100.00"
    use = {"transType": "USE", "amount": "-1.00"}
    done(await trans(till, code=spent["codes"][0]["code"], **use))
    done(await trans(till, code=topped["codes"][0]["code"], transType="ADD", amount="1.00"))
    done(await trans(till, code=held["codes"][0]["code"], **use, authorizeOnly=True))
    given = done(await publish(admin, made, memberId=owner, sourceId="1"))
    assert (given["id"], given["balance"], given["lifetimeTotal"]) == (
        *(free["id"], "100.00", "100.00"),
    )
    assert (await publish(admin, made, memberId=owner, sourceId="2")).code == "POOL_EXHAUSTED"


async def test_a_period_begins_with_the_sale_and_ends_with_the_month(
    admin: Client, store: Store, clock: SetClock
) -> None:
    for day, after, ends in (
        ("2026-08-31", "P6M", "2027-02-28"),
        ("2027-08-31", "P6M", "2028-02-29"),
        ("2028-02-29", "P1Y", "2029-02-28"),
        ("2028-02-29", "P4Y", "2032-02-29"),
        ("2026-12-31", "P2M", "2027-02-28"),
        ("2026-01-31", "P1M", "2026-02-28"),
        ("2026-08-31", "P1D", "2026-09-01"),
    ):
        clock.now = datetime.fromisoformat(f"{day}T12:00:00+00:00")
        made = await product(admin, expiration={"kind": "RELATIVE", "after": after})
        assert done(await issue(admin, made))["expiresOn"] == ends, day
    clock.now = datetime(2026, 11, 21, 12, tzinfo=UTC)
    after_year = {"kind": "RELATIVE", "after": "P6M"}
    made = await generated(store, admin, count=1, expiration=after_year)
    born = await generated(
        store, admin, count=1, name="born", startActivated=True, expiration=after_year
    )
    clock.now = datetime(2027, 8, 31, 12, tzinfo=UTC)
    owner = await member(admin)
    given = done(await publish(admin, made, memberId=owner, sourceId="1"))
    assert given["expiresOn"] == "2028-02-29", "counted from the publication"
    [old] = await cards(admin, campaignId=born["id"])
    assert (old["expiresOn"], old["status"]) == ("2027-05-21", "EXPIRED")
    none = await publish(admin, born, memberId=owner, sourceId="1")
    assert none.code == "POOL_EXHAUSTED", "expired cards are not given out"
    await work.do_all(store)


async def test_a_refunded_sale_does_not_put_the_card_back(admin: Client, store: Store) -> None:
    made = await pool(admin)
    await stocked(store, made)
    sold_as = await pool_product(admin, made)
    sold = done(await issue(admin, sold_as))
    [added] = await movements(admin, giftcardId=sold["id"])
    done(await refund(admin, added["id"]))
    assert (await issue(admin, sold_as)).code == "POOL_EXHAUSTED"
    assert (await cards(admin, id=sold["id"]))[0]["balance"] == "0.00"
