"""Campaigns: cards that the server makes; section 6 of the behaviour reference (Voucherify)."""

import asyncio
import re
from typing import Any

from giftgql import work
from giftgql.jobs import service as jobs
from giftgql.permissions import Permission
from giftgql.store import Store
from tests import factories
from tests.client import Answer, Client
from tests.conftest import MakeClient, SetClock
from tests.factories import code_of, done, member, refund, spend, top_up, trans
from tests.stock import (
    CAMPAIGN,
    campaign,
    campaign_now,
    cards,
    change,
    generated,
    publish,
    stocked,
)
from tests.stock import pool as make_pool

PRINTED = {"codeType": "PHYSICAL", "codeConfig": {"length": 12, "charset": "0123456789"}}


async def add(caller: Client, **given: Any) -> Answer:
    wanted = {"name": "October", "count": 5, "value": "100.00", **given}
    return await change(caller, "giftcardCampaignAdd", "campaign", CAMPAIGN, **wanted)


async def to(caller: Client, verb: str, made: dict[str, Any], **given: Any) -> Answer:
    """`await to(admin, "Pause", made)`."""
    name = f"giftcardCampaign{verb}"
    return await change(caller, name, "campaign", CAMPAIGN, id=made["id"], **given)


async def test_gift_cards_october(admin: Client, store: Store, client_with: MakeClient) -> None:
    made = await campaign(admin, name="Gift cards October", count=50)
    assert (made["status"], made["progress"]) == ("IN_PROGRESS", {"done": 0, "total": 50})
    await work.do_all(store)
    now = await campaign_now(admin, made)
    assert (now["status"], now["progress"]) == ("DONE", {"done": 50, "total": 50})
    assert now["codeConfig"]["pattern"] == "########"
    seeing = await client_with(*Permission)
    found = await cards(seeing, campaignId=made["id"])
    codes = {code_of(each) for each in found}
    assert len(codes) == 50
    assert all(re.fullmatch("[0-9a-zA-Z]{8}", each) for each in codes)
    assert {(each["status"], each["balance"]) for each in found} == {("NOT_ACTIVATED", "0.00")}
    owner = await member(admin)
    card = done(await publish(seeing, made, memberId=owner, sourceId="1"))
    assert (await spend(admin, card, "-50.00"))["balance"] == "50.00"
    refused = await trans(admin, code=code_of(card), transType="USE", amount="-50.01")
    assert (refused.code, refused.errors[0]["extensions"]["available"]) == (
        *("INSUFFICIENT_FUNDS", "50.00"),
    )
    await top_up(admin, card, "7.00")
    adjust = {"transType": "ADJUST", "amount": "-2.00", "reason": "too much"}
    done(await trans(admin, code=code_of(card), **adjust))
    query = """query ($id: ID!) { giftcardCampaign(id: $id) { results { summary { cards
        counts { status count } lifetimeTotal redeemed subtracted balance redeemedCount } } } }"""
    [shown] = (await admin.run(query, id=made["id"]))["giftcardCampaign"]["results"]
    assert shown["summary"] == {
        "cards": 50,
        "counts": shown["summary"]["counts"],
        **{"lifetimeTotal": "107.00", "redeemed": "50.00", "subtracted": "2.00"},
        **{"balance": "55.00", "redeemedCount": 1},
    }
    assert {each["status"]: each["count"] for each in shown["summary"]["counts"]} == {
        "ACTIVATED": 1,
        "NOT_ACTIVATED": 49,
    }


async def test_codes_have_the_form_that_is_asked_for(
    admin: Client, store: Store, client_with: MakeClient
) -> None:
    seeing = await client_with(*Permission)
    for number, (config, form) in enumerate(
        (
            ({"length": 10, "charset": "abcABC123"}, "[abcABC123]{10}"),
            ({"length": 12, "prefix": "GIFT-", "postfix": "-X"}, "GIFT-[0-9a-zA-Z]{12}-X"),
            ({"length": 3, "pattern": "AB-####-####"}, "AB-[0-9a-zA-Z]{4}-[0-9a-zA-Z]{4}"),
            ({"charset": "00112233445566778899", "length": 14}, "[0-9]{14}"),
            ({"pattern": "*#####*#####", "prefix": "P"}, r"P\*\w{5}\*\w{5}"),
        )
    ):
        made = await generated(store, admin, name=f"c{number}", codeConfig=config)
        codes = [code_of(each) for each in await cards(seeing, campaignId=made["id"])]
        assert len(set(codes)) == 5, config
        assert all(re.fullmatch(form, each) for each in codes), codes


async def test_a_campaign_that_cannot_be_is_refused_by_name(admin: Client, clock: SetClock) -> None:
    for given, code, field in (
        ({"count": 0}, "INVALID_INPUT", "count"),
        ({"count": 10_000_001}, "INVALID_INPUT", "count"),
        ({"value": "0"}, "INVALID_AMOUNT", "value"),
        ({"value": "1.001"}, "INVALID_AMOUNT", "value"),
        ({"name": ""}, "INVALID_INPUT", "name"),
        ({"currency": "XXX"}, "INVALID_INPUT", "currency"),
        ({"codeType": "PERSONAL"}, "INVALID_INPUT", "codeType"),
        ({"codeType": "EXTERNAL"}, "INVALID_INPUT", "codeType"),
        ({"pinLength": 3}, "INVALID_INPUT", "pinLength"),
        ({"pinLength": 13}, "INVALID_INPUT", "pinLength"),
        ({"redemptionLimit": 0}, "INVALID_INPUT", "redemptionLimit"),
        ({"codeConfig": {"prefix": "="}}, "INVALID_INPUT", "codeConfig"),
        ({"codeConfig": {"pattern": "none"}}, "INVALID_INPUT", "codeConfig.pattern"),
        ({"codeConfig": {"charset": "aA"}}, "INVALID_INPUT", "codeConfig.charset"),
        (
            {"expiration": {"kind": "FIXED", "on": "2026-11-20"}},
            *("PAST_EXPIRATION", "expiration.on"),
        ),
        (
            {"startsOn": "2027-01-02", "expiration": {"kind": "FIXED", "on": "2027-01-01"}},
            *("INVALID_INPUT", "startsOn"),
        ),
    ):
        answer = await add(admin, **given)
        assert (answer.code, answer.field) == (code, field), given
    answer = await admin.run("{ giftcardCampaign { results { id } } }")
    assert answer["giftcardCampaign"]["results"] == []


async def test_a_code_space_that_is_too_small_is_refused_with_what_is_possible(
    admin: Client, store: Store
) -> None:
    small = {"codeConfig": {"charset": "0123456789", "length": 7}}
    refused = await add(admin, count=11, **small)
    assert (refused.code, refused.field) == ("CODE_SPACE_EXHAUSTED", "codeConfig")
    facts = refused.errors[0]["extensions"]
    assert (facts["possible"], facts["most"]) == (10_000_000, 10)
    made = await generated(store, admin, count=6, **small)
    assert (await to(admin, "Extend", made, count=5)).code == "CODE_SPACE_EXHAUSTED"
    assert (await add(admin, name="same space", count=5, **small)).code == "CODE_SPACE_EXHAUSTED"
    assert done(await to(admin, "Extend", made, count=4))["count"] == 10
    await work.do_all(store)
    assert (await campaign_now(admin, made))["progress"] == {"done": 10, "total": 10}


async def test_a_code_that_was_ever_issued_is_not_made_again(
    admin: Client, store: Store, client_with: MakeClient
) -> None:
    boxes = await make_pool(admin)
    taken = await stocked(store, boxes, 1000, begin="99")
    config = {"charset": "0123456789", "prefix": "9900", "length": 4}
    made = await generated(
        *(store, admin), count=1, codeType="PHYSICAL", codeConfig=config | {"length": 6}
    )
    assert made["status"] == "DONE"
    # The same again in a space of 10,000 of which a tenth is taken, headroom or not.
    async with store.write() as tx:
        [row] = await tx.campaigns.by_ids([int(made["id"])])
        facts = {"code_config": {**row.code_config, "pattern": "####", "length": 4}}
        await tx.campaigns.update(row, {**facts, "count": 301, "status": "IN_PROGRESS"})
        await jobs.add(tx, "campaign", int(made["id"]))
    await work.do_all(store)
    assert (await campaign_now(admin, made))["progress"]["done"] == 301
    seeing = await client_with(*Permission)
    new = [code_of(each) for each in await cards(seeing, campaignId=made["id"])]
    assert len({*new, *taken}) == 1301


async def test_a_campaign_can_be_paused_resumed_extended_and_cancelled(
    admin: Client, store: Store
) -> None:
    made = await campaign(admin, count=3)
    assert done(await to(admin, "Resume", made))["status"] == "IN_PROGRESS"
    assert done(await to(admin, "Pause", made))["status"] == "PAUSED"
    assert done(await to(admin, "Pause", made))["status"] == "PAUSED"
    await work.do_all(store)
    assert (await campaign_now(admin, made))["progress"]["done"] == 0
    extended = done(await to(admin, "Extend", made, count=2))
    assert (extended["status"], extended["count"]) == ("PAUSED", 5)
    await work.do_all(store)
    assert await cards(admin, campaignId=made["id"]) == []
    assert done(await to(admin, "Resume", made))["status"] == "IN_PROGRESS"
    await work.do_all(store)
    now = await campaign_now(admin, made)
    assert (now["status"], now["progress"]["done"]) == ("DONE", 5)
    for verb in ("Pause", "Resume"):
        assert (await to(admin, verb, made)).code == "CONFLICT"
    assert done(await to(admin, "Extend", made, count=1))["status"] == "IN_PROGRESS"
    assert done(await to(admin, "Cancel", made))["status"] == "CANCELLED"
    assert done(await to(admin, "Cancel", made))["status"] == "CANCELLED"
    await work.do_all(store)
    assert len(await cards(admin, campaignId=made["id"])) == 5, "those that are made stay"
    for verb, given in (("Pause", {}), ("Resume", {}), ("Extend", {"count": 1})):
        assert (await to(admin, verb, made, **given)).code == "CONFLICT"
    owner = await member(admin)
    assert (await publish(admin, made, memberId=owner, sourceId="1")).code == "CONFLICT"
    assert (await add(admin, name=made["name"])).code == "CONFLICT", "a name is used once"
    assert (await to(admin, "Pause", {"id": "99"})).code == "NOT_FOUND"


async def test_a_campaign_that_is_paused_and_resumed_while_it_is_made_has_its_cards_once(
    admin: Client, store: Store
) -> None:
    made = await campaign(admin, count=7_000)
    working = asyncio.create_task(work.do_all(store))
    for _ in range(4):
        await asyncio.sleep(0.05)
        assert (await to(admin, "Pause", made)).code in (None, "CONFLICT")
        assert (await to(admin, "Resume", made)).code in (None, "CONFLICT")
    await working
    await work.do_all(store)
    now = await campaign_now(admin, made)
    assert (now["status"], now["progress"]) == ("DONE", {"done": 7_000, "total": 7_000})
    query = (
        f"""{{ giftcardCampaign(id: "{made["id"]}") {{ results {{ summary {{ cards }} }} }} }}"""
    )
    [found] = (await admin.run(query))["giftcardCampaign"]["results"]
    assert found["summary"]["cards"] == 7_000


async def test_many_who_add_one_name_at_once_get_one_campaign(admin: Client) -> None:
    answers = await asyncio.gather(*(add(admin) for _ in range(5)))
    assert sorted(str(each.code) for each in answers) == ["CONFLICT"] * 4 + ["None"]


async def test_before_its_first_day_a_card_takes_funds_and_pays_nothing(
    admin: Client, store: Store, clock: SetClock
) -> None:
    made = await generated(store, admin, startsOn="2026-12-01", count=1, **PRINTED)
    [card] = await cards(admin, campaignId=made["id"])
    assert card["validFrom"].startswith("2026-12-01T00:00")
    await top_up(admin, card, "100.00")
    early = await trans(admin, code=code_of(card), transType="USE", amount="-1")
    assert early.code == "CARD_NOT_YET_VALID"
    await top_up(admin, card, "5.00")
    clock.forward(days=10)
    assert (await spend(admin, card, "-1.00"))["balance"] == "104.00"


async def test_a_card_is_redeemed_as_often_as_its_campaign_says(
    admin: Client, store: Store
) -> None:
    made = await generated(store, admin, redemptionLimit=2, count=1, startActivated=True, **PRINTED)
    [card] = await cards(admin, campaignId=made["id"])
    assert (card["redemptionLimit"], card["redeemedCount"]) == (2, 0)
    first = await spend(admin, card, "-1.00")
    await spend(admin, card, "-1.00")
    third = await trans(admin, code=code_of(card), transType="USE", amount="-1")
    assert third.code == "REDEMPTION_LIMIT_REACHED"
    done(await factories.refund(admin, first["id"]))
    await spend(admin, card, "-1.00")
    [card] = await cards(admin, campaignId=made["id"])
    assert (card["balance"], card["redeemedCount"]) == ("98.00", 2)


async def test_a_card_opens_with_its_value_and_nothing_else(admin: Client, store: Store) -> None:
    made = await generated(store, admin, count=1, **PRINTED)
    [card] = await cards(admin, campaignId=made["id"])
    assert card["faceValue"] == "100.00"
    for amount in ("99.99", "100.01", "1"):
        refused = await trans(admin, code=code_of(card), transType="ADD", amount=amount)
        assert (refused.code, refused.field) == ("INVALID_AMOUNT", "amount"), amount
    await top_up(admin, card, "100.00")
    assert (await top_up(admin, card, "0.01"))["balance"] == "100.01"


async def test_campaigns_are_for_those_who_manage_them(
    admin: Client, store: Store, client_with: MakeClient
) -> None:
    made = await generated(store, admin, count=1)
    other = await client_with(*frozenset(Permission) - {Permission.MANAGE_CAMPAIGNS})
    assert (await add(other)).code == "PERMISSION_DENIED"
    for verb, given in (("Pause", {}), ("Resume", {}), ("Cancel", {}), ("Extend", {"count": 1})):
        assert (await to(other, verb, made, **given)).code == "PERMISSION_DENIED", verb
    owner = await member(admin)
    refused = await publish(other, made, memberId=owner, sourceId="1")
    assert refused.code == "PERMISSION_DENIED"
    query = "{ giftcard { limitedByPermission results { campaign { name } } } }"
    assert (await other.run(query))["giftcard"] == {
        "limitedByPermission": True,
        "results": [{"campaign": None}],
    }


async def test_a_card_that_was_used_and_wholly_refunded_is_given_to_nobody_else(
    admin: Client, store: Store
) -> None:
    made = await campaign(admin, count=1, startActivated=True)
    await work.do_all(store)
    [only] = await cards(admin, campaignId=made["id"])
    used = done(await trans(admin, giftcardId=only["id"], transType="USE", amount="-1.00"))
    done(await refund(admin, used["id"]))
    assert (await cards(admin, campaignId=made["id"]))[0]["balance"] == "100.00"
    member_id = await member(admin)
    given = {"campaignId": made["id"], "memberId": member_id, "sourceId": "one"}
    answer = await change(admin, "giftcardPublish", "giftcard", "id", **given)
    assert answer.code == "POOL_EXHAUSTED"
