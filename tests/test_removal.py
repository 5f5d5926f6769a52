"""Cards that were never used are removed: for good, and out of everybody's reach."""

import asyncio

from giftgql.permissions import Permission
from giftgql.store import Store
from tests.client import Client
from tests.conftest import MakeClient
from tests.factories import (
    add,
    balance,
    cancel,
    card,
    code_of,
    done,
    edit,
    find,
    funded,
    hold,
    listed,
    member,
    stand,
    trans,
    transfer,
)
from tests.stock import cards, issue, pool, remove, stocked


async def test_a_removed_card_is_nowhere_but_in_synchronisations(admin: Client) -> None:
    owner = await member(admin)
    made = await card(admin, memberId=owner, physicalCode="LOST0001", physicalPin="1234")
    other = await funded(admin)
    until = (await listed(admin, since=""))["giftcard"]["until"]
    gone = done(await remove(admin, made["id"]))
    assert (gone["id"], gone["removed"]) == (made["id"], True)
    assert [each["id"] for each in await cards(admin)] == [other["id"]]
    assert await cards(admin, id=made["id"]) == []
    assert await cards(admin, memberId=owner) == []
    assert (await find(admin, "LOST0001"))["giftcard"]["results"] == []
    assert (await listed(admin, lastFour="0001"))["giftcard"]["results"] == []
    [changed] = await cards(admin, since=until)
    assert (changed["id"], changed["removed"], changed["codes"]) == (made["id"], True, [])
    query = f'{{ member(id: "{owner}") {{ results {{ giftcards {{ results {{ id }} }} }} }} }}'
    [found] = (await admin.run(query))["member"]["results"]
    assert found["giftcards"]["results"] == []


async def test_nothing_can_be_done_with_a_removed_card(admin: Client) -> None:
    made = await card(admin, physicalCode="LOST0001", physicalPin="1234")
    other = await funded(admin)
    done(await remove(admin, made["id"]))
    money = {"transType": "ADD", "amount": "1.00"}
    for answer in (
        await remove(admin, made["id"]),
        await trans(admin, giftcardId=made["id"], **money),
        await trans(admin, code="LOST0001", **money),
        await edit(admin, made["id"], note="x"),
        await edit(admin, made["id"], physicalCode="NEW00001"),
        await stand(admin, "Block", made["id"]),
        await stand(admin, "Unblock", made["id"]),
        await stand(admin, "Disable", made["id"]),
        await stand(admin, "Extend", made["id"], expiresOn="2030-01-01"),
    ):
        assert answer.code == "NOT_FOUND", answer
    for pair in ((other["id"], made["id"]), (made["id"], other["id"])):
        assert (await transfer(admin, *pair)).code in ("NOT_FOUND", "CARD_DISABLED")
    assert (await balance(admin, "LOST0001", pin="1234")).code in ("NOT_FOUND", "SECRET_INVALID")
    again = await add(admin, physicalCode="LOST0001")
    assert again.code == "CODE_TAKEN", "a code is never used again"
    assert (await cards(admin, id=other["id"]))[0]["balance"] == "10.00"


async def test_a_card_with_movements_is_not_removed(admin: Client, client_with: MakeClient) -> None:
    used, tried, held = await funded(admin), await card(admin), await card(admin)
    assert (await remove(admin, used["id"])).code == "HAS_TRANSACTIONS"
    on_hold = await hold(admin, held, "5.00")
    assert (await remove(admin, held["id"])).code == "HAS_TRANSACTIONS"
    done(await cancel(admin, on_hold["id"]))
    assert (await remove(admin, held["id"])).code == "HAS_TRANSACTIONS"
    declined = await trans(admin, code=code_of(tried), transType="USE", amount="-1")
    assert declined.code == "CARD_NOT_ACTIVATED"
    nobody = await client_with(*frozenset(Permission) - {Permission.DISABLE_GIFT_CARD})
    assert (await remove(nobody, tried["id"])).code == "PERMISSION_DENIED"
    assert done(await remove(admin, tried["id"]))["removed"], "a refusal is no movement"


async def test_a_card_is_removed_or_sold_never_both(admin: Client, store: Store) -> None:
    made = await pool(admin)
    codes = await stocked(store, made, 8)
    query = "query ($id: ID!) { giftcardProduct(id: $id) { results { id presets { id } } } }"
    [sold_as] = (await admin.run(query, id=made["productId"]))["giftcardProduct"]["results"]
    found = await cards(admin, poolId=made["id"])
    answers = await asyncio.gather(
        *(remove(admin, each["id"]) for each in reversed(found)),
        *(issue(admin, sold_as) for _ in range(8)),
        *(trans(admin, code=code, transType="ADD", amount="50.00") for code in codes[:4]),
    )
    gone = [each for each in answers[:8] if not each.errors]
    sold = [done(each)["id"] for each in answers[8:16] if not each.errors]
    paid = [done(each)["giftcardId"] for each in answers[16:] if not each.errors]
    left = {each["id"]: each["lifetimeTotal"] for each in await cards(admin, poolId=made["id"])}
    assert len(set(sold)) == len(sold)
    assert len(left) + len(gone) == 8
    for each, total in left.items():
        assert total == f"{50 * (sold.count(each) + paid.count(each))}.00"
    pools = await admin.run("{ giftcardPool { results { cardCount } } }")
    assert pools["giftcardPool"]["results"] == [{"cardCount": len(left)}]
