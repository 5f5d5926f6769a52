"""Exports: who gets which codes, PINs once, and files that are safe in a spreadsheet."""

import asyncio
import csv
import io
from pathlib import Path
from typing import Any

import httpx
import pytest

from giftgql import work
from giftgql.cards.criteria import Criteria
from giftgql.errors import Unavailable
from giftgql.exports import service as exports
from giftgql.movements.criteria import Criteria as Movements
from giftgql.permissions import THE_OPERATOR, Channel, Permission
from giftgql.store import Store
from tests.client import Client
from tests.conftest import MakeClient, RunCommand, SetClock
from tests.factories import code_of, done, funded, member, member_token, spend, trans
from tests.stock import campaign, cards, generated, remove

PRINTED = {"codeType": "PHYSICAL", "pinLength": 6}
ALL = frozenset(Permission)


async def get(caller: Client, path: str, **query: str) -> httpx.Response:
    headers = {"Authorization": f"Bearer {caller.token}"}
    return await caller.http.get(f"/exports/{path}", params=query, headers=headers)


def rows(response: httpx.Response) -> list[dict[str, str]]:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(response.text)))


async def read(store: Store, query: str) -> list[Any]:
    async with store.read() as reading:
        connection = await reading.session.connection()
        return list((await connection.exec_driver_sql(query)).all())


async def events(store: Store) -> list[Any]:
    """Whom the audit trail knows to have taken codes."""
    query = "SELECT subject, facts FROM audit_event WHERE event = 'CODES_EXPORTED' ORDER BY id"
    return await read(store, query)


async def many_pins(store: Store) -> tuple[int, int]:
    """How many PINs can still be printed, and how many are to be hardened."""
    [[printed]] = await read(store, "SELECT count(*) FROM printed_pin")
    [[quick]] = await read(store, "SELECT count(*) FROM quick_pin")
    return int(printed), int(quick)


async def test_codes_in_clear_are_for_those_who_may_export_them(
    admin: Client, store: Store, client_with: MakeClient, clock: SetClock
) -> None:
    made = await generated(store, admin, startsOn="2026-12-01", count=3)
    path = f"campaigns/{made['id']}.csv"
    found = rows(await get(admin, path))
    ids = [each["id"] for each in await cards(admin, campaignId=made["id"])]
    assert [each["CardId"] for each in found] == ids
    assert {(each["Value"], each["Currency"], each["StartsOn"]) for each in found} == {
        ("100.00", "EUR", "2026-12-01")
    }
    assert len({each["Code"] for each in found}) == 3
    for each in found:
        added = await trans(admin, code=each["Code"], transType="ADD", amount="100.00")
        assert done(added)["giftcardId"] == each["CardId"]
    poor = await client_with(*ALL - {Permission.EXPORT_GIFT_CARD_CODES})
    manager = await client_with(role="manager")
    holder = Client(admin.http, await member_token(admin, await member(admin)))
    before = await events(store)
    for caller in (poor, manager, holder):
        refused = await get(caller, path)
        assert refused.status_code == 403
        assert refused.json()["errors"][0]["extensions"]["code"] == "PERMISSION_DENIED"
    assert (await get(Client(admin.http, "ggk_nobody"), path)).status_code == 401
    assert (await get(admin, "campaigns/99.csv")).status_code == 404
    assert (await get(admin, "campaigns/x.csv")).status_code == 404
    assert [each[0] for each in before] == [f"campaign:{made['id']}"]
    assert await events(store) == before


async def test_pins_are_given_out_once_and_nothing_of_them_is_left(
    admin: Client, store: Store, client_with: MakeClient
) -> None:
    made = await generated(store, admin, **PRINTED)
    path = f"campaigns/{made['id']}.csv"
    assert await many_pins(store) == (5, 0), "hardened, and sealed until they are printed"
    assert "Pin" not in rows(await get(admin, path))[0]
    found = rows(await get(admin, path, pins="true"))
    assert all(len(each["Pin"]) == 6 and each["Pin"].isdecimal() for each in found)
    assert await many_pins(store) == (0, 0)
    again = await get(admin, path, pins="true")
    assert (again.status_code, again.json()["errors"][0]["extensions"]["code"]) == (409, "CONFLICT")
    assert len(rows(await get(admin, path))) == 5
    online = await client_with(*ALL, channel=Channel.ONLINE)
    first, second, *_ = found
    done(await trans(admin, code=first["Code"], transType="ADD", amount="100.00"))
    use = {"code": first["Code"], "transType": "USE", "amount": "-1.00"}
    assert (await trans(online, **use)).code == "PIN_REQUIRED"
    wrong = second["Pin"] if second["Pin"] != first["Pin"] else "000000"
    assert (await trans(online, **use, pin=wrong)).code == "SECRET_INVALID"
    assert done(await trans(online, **use, pin=first["Pin"]))["balance"] == "99.00"
    for _, facts in await events(store):
        assert not any(each["Pin"] in str(facts) or each["Code"] in str(facts) for each in found)
    plain = await generated(store, admin, name="no pins")
    assert (await get(admin, f"campaigns/{plain['id']}.csv", pins="true")).status_code == 409


async def test_of_two_who_want_the_pins_at_once_one_gets_them(admin: Client, store: Store) -> None:
    made = await generated(store, admin, **PRINTED)
    path = f"campaigns/{made['id']}.csv"
    answers = await asyncio.gather(*(get(admin, path, pins="true") for _ in range(5)))
    assert sorted(each.status_code for each in answers) == [200, 409, 409, 409, 409]
    assert await many_pins(store) == (0, 0)


async def test_pins_that_were_broken_off_can_be_taken_again(
    admin: Client, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "PAGE", 2)
    made = await generated(store, admin, **PRINTED)
    number = int(made["id"])
    table = await exports.campaign_codes(store, THE_OPERATOR, number, with_pins=True)
    first = await anext(table.pages)
    await table.pages.aclose()
    assert await many_pins(store) == (5, 0)
    found = rows(await get(admin, f"campaigns/{number}.csv", pins="true"))
    assert [each["Pin"] for each in found[:2]] == [row[1] for row in first]
    assert len({each["CardId"] for each in found}) == 5
    assert (await get(admin, f"campaigns/{number}.csv", pins="true")).status_code == 409


async def test_of_more_cards_the_new_pins_are_given_out(admin: Client, store: Store) -> None:
    made = await generated(store, admin, count=2, **PRINTED)
    path = f"campaigns/{made['id']}.csv"
    old = {each["CardId"] for each in rows(await get(admin, path, pins="true"))}
    extend = f'giftcardCampaignExtend(campaign: {{id: "{made["id"]}", count: 3}}) {{ id }}'
    await admin.run(f"mutation {{ {extend} }}")
    await work.do_all(store)
    gone = (await cards(admin, campaignId=made["id"]))[-1]
    done(await remove(admin, gone["id"]))
    found = rows(await get(admin, path, pins="true"))
    assert {each["CardId"] for each in found if not each["Pin"]} == old
    assert len(found) == 4
    assert await many_pins(store) == (0, 0)


async def test_a_campaign_of_thousands_is_exported_whole(
    admin: Client, store: Store, clock: SetClock
) -> None:
    made = await generated(store, admin, count=5_000)
    found = rows(await get(admin, f"campaigns/{made['id']}.csv"))
    assert len({each["Code"] for each in found}) == 5_000
    listed = rows(await get(admin, "cards.csv", campaignId=made["id"], status="NOT_ACTIVATED"))
    ids = [each["CardId"] for each in listed]
    assert ids == [each["CardId"] for each in found]
    assert len(set(ids)) == 5_000


async def test_a_list_of_cards_is_masked_without_the_permission(
    admin: Client, client_with: MakeClient
) -> None:
    owner = await member(admin, "=1+1")
    made = await funded(admin, "12.00", memberId=owner, physicalCode="-CMD|CALC", note="@x")
    await spend(admin, made, "-2.00")
    [found] = rows(await get(admin, "cards.csv"))
    assert (found["Physical"], found["MemberId"]) == ("'-CMD|CALC", "'=1+1")
    assert (found["Balance"], found["Redeemed"], found["Status"]) == ("10.00", "2.00", "ACTIVATED")
    poor = await client_with(*ALL - {Permission.EXPORT_GIFT_CARD_CODES})
    [masked] = rows(await get(poor, "cards.csv", memberId=owner))
    assert masked["Physical"] == "************CALC"
    blind = await client_with(Permission.LIST_GIFT_CARDS, Permission.EXPORT_GIFT_CARD_CODES)
    assert rows(await get(blind, "cards.csv"))[0]["Physical"] == ""
    assert rows(await get(admin, "cards.csv", status="BLOCKED")) == []
    none = await client_with(*ALL - {Permission.LIST_GIFT_CARDS})
    assert (await get(none, "cards.csv")).status_code == 403


async def test_transactions_are_exported_by_filter(
    admin: Client, clock: SetClock, client_with: MakeClient
) -> None:
    made = await funded(admin, "12.00")
    clock.forward(days=1)
    await spend(admin, made, "-2.00", sourceId="=T1", refNo="+R")
    refused = {"code": code_of(made), "transType": "USE", "amount": "-99"}
    assert (await trans(admin, **refused)).code == "INSUFFICIENT_FUNDS"
    everything = rows(await get(admin, "transactions.csv"))
    assert [each["Amount"] for each in everything] == ["12.00", "-2.00", "-99.00"]
    assert everything[2]["Error"] == "INSUFFICIENT_FUNDS"
    assert (everything[1]["SourceId"], everything[1]["RefNo"]) == ("'=T1", "'+R")
    for given, many in (
        ({"transType": "ADD"}, 1),
        ({"sourceId": "=T1"}, 1),
        ({"cardId": made["id"]}, 3),
        ({"cardId": "99"}, 0),
        ({"from": "2026-11-22"}, 2),
        ({"to": "2026-11-21"}, 1),
        ({"from": "2026-11-22", "to": "2026-11-21"}, 0),
        ({"from": "0001-01-01", "to": "9999-12-31"}, 3),
    ):
        assert len(rows(await get(admin, "transactions.csv", **given))) == many, given
    none = await client_with(*ALL - {Permission.LIST_GIFT_CARD_TRANS})
    assert (await get(none, "transactions.csv")).status_code == 403


async def test_a_list_is_of_one_moment(
    admin: Client, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "PAGE", 1)
    made = [await funded(admin, "10.00") for _ in range(3)]
    of_cards = await exports.card_list(store, THE_OPERATOR, Criteria())
    of_money = await exports.transaction_list(store, THE_OPERATOR, Movements())
    begun = [await anext(of_cards.pages), await anext(of_money.pages)]
    await spend(admin, made[-1], "-4.00")
    await funded(admin, "1.00")
    balances = [
        row[3] for page in [begun[0], *[page async for page in of_cards.pages]] for row in page
    ]
    amounts = [
        row[4] for page in [begun[1], *[page async for page in of_money.pages]] for row in page
    ]
    assert [str(each) for each in balances] == [str(each) for each in amounts] == ["10.00"] * 3
    later = rows(await get(admin, "cards.csv"))
    assert [each["Balance"] for each in later] == ["10.00", "10.00", "6.00", "1.00"]


async def test_an_export_has_a_time_limit_of_its_own(
    admin: Client, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "PAGE", 1)
    made = await generated(store, admin, **PRINTED)
    monkeypatch.setattr(
        store, "settings", store.settings.model_copy(update={"report_seconds": 0.3})
    )
    table = await exports.campaign_codes(store, THE_OPERATOR, int(made["id"]), with_pins=True)
    await anext(table.pages)
    await asyncio.sleep(0.5)  # whoever takes them is slow
    with pytest.raises(Unavailable, match="GIFTGQL_REPORT_SECONDS"):
        [_ async for _ in table.pages]
    monkeypatch.undo()
    assert len(rows(await get(admin, f"campaigns/{made['id']}.csv", pins="true"))) == 5


async def test_an_export_that_cannot_begin_is_refused(
    admin: Client, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store.database, "_patience", 0.05)
    async with store.snapshot(), store.snapshot():
        refused = await get(admin, "transactions.csv")
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "10")
    assert refused.json()["errors"][0]["extensions"]["code"] == "UNAVAILABLE"
    assert rows(await get(admin, "transactions.csv")) == []


async def test_a_filter_that_is_none_is_refused(admin: Client, store: Store) -> None:
    for path, given in (
        ("cards.csv", {"state": "BLOCKED"}),
        ("cards.csv", {"status": "blocked"}),
        ("cards.csv", {"poolId": "x"}),
        ("cards.csv", {"poolId": "9" * 19}),
        ("cards.csv", {"memberId": "a\0b"}),
        ("cards.csv", {"memberId": ""}),
        ("transactions.csv", {"sourceId": "\0"}),
        ("transactions.csv", {"from": "yesterday"}),
        ("transactions.csv", {"transType": "GIFT"}),
        ("transactions.csv", {"cardId": "-1"}),
        ("campaigns/1.csv", {"pin": "true"}),
        ("campaigns/1.csv", {"pins": "maybe"}),
    ):
        refused = await get(admin, path, **given)
        assert refused.status_code == 400, (path, given, refused.text)
        assert refused.json()["errors"][0]["extensions"]["code"] == "INVALID_INPUT"
    headers = {"Authorization": f"Bearer {admin.token}"}
    twice = await admin.http.get(
        "/exports/cards.csv?status=BLOCKED&status=EXPIRED", headers=headers
    )
    assert twice.status_code == 400
    assert await events(store) == []


async def test_a_campaigns_codes_never_begin_like_a_formula(admin: Client, store: Store) -> None:
    for prefix in "=+-@":
        answer = await admin.run(
            'mutation ($p: String) { giftcardCampaignAdd(campaign: {name: "x", count: 1, '
            'value: "1", codeConfig: {prefix: $p}}) { id } }',
            p=prefix,
        )
        assert (answer.code, answer.field) == ("INVALID_INPUT", "codeConfig"), prefix
    made = await campaign(admin, codeConfig={"pattern": "########,\"'=1"}, count=1)
    await work.do_all(store)
    [found] = rows(await get(admin, f"campaigns/{made['id']}.csv"))
    assert found["Code"].endswith(",\"'=1")


async def test_the_commands_export_what_the_server_does(
    admin: Client, store: Store, clock: SetClock, command: RunCommand, tmp_path: Path
) -> None:
    async def run(*arguments: str) -> list[dict[str, str]]:
        code, said = await asyncio.to_thread(command, "export", *arguments)
        assert code == 0, said
        return list(csv.DictReader(io.StringIO(said)))

    made = await generated(store, admin, **PRINTED)
    card = await funded(admin, "9.00")
    clock.forward(days=1)
    await spend(admin, card, "-2.00", sourceId="T1")
    for arguments, path, query in (
        (["campaign", made["id"]], f"campaigns/{made['id']}.csv", {}),
        (["cards"], "cards.csv", {}),
        (["cards", "--status", "ACTIVATED"], "cards.csv", {"status": "ACTIVATED"}),
        (["cards", "--campaign-id", made["id"]], "cards.csv", {"campaignId": made["id"]}),
        (["transactions"], "transactions.csv", {}),
        (["transactions", "--trans-type", "USE"], "transactions.csv", {"transType": "USE"}),
        (["transactions", "--from", "2026-11-22"], "transactions.csv", {"from": "2026-11-22"}),
        (["transactions", "--to", "2026-11-21"], "transactions.csv", {"to": "2026-11-21"}),
        (["transactions", "--source-id", "T2"], "transactions.csv", {"sourceId": "T2"}),
        (["transactions", "--card-id", card["id"]], "transactions.csv", {"cardId": card["id"]}),
    ):
        assert await run(*arguments) == rows(await get(admin, path, **query)), arguments
    assert await run("campaign", made["id"], "--pins", "--out", "pins.csv") == []
    pins = csv.DictReader(io.StringIO((tmp_path / "pins.csv").read_text()))
    assert [len(each["Pin"]) for each in pins] == [6] * 5
    assert await many_pins(store) == (0, 0)
    for refused, why in (
        (["cards", "--status", "activated"], "--status must be one of "),
        (["transactions", "--trans-type", "GIFT"], "--trans-type must be one of "),
        (["campaign", made["id"], "--pins"], "given out once"),
        (["cards", "--out", "pins.csv"], "File exists (pins.csv)"),
    ):
        code, said = await asyncio.to_thread(command, "export", *refused)
        assert (code, why in said) == (1, True), said


async def test_who_only_asks_for_the_head_of_a_file_takes_no_pins(
    admin: Client, store: Store
) -> None:
    """Programs that fetch files ask so first; what has no body would have used the PINs up."""
    made = await generated(store, admin, **PRINTED, count=2)
    address = f"/exports/campaigns/{made['id']}.csv?pins=true"
    headers = {"Authorization": f"Bearer {admin.token}"}
    refused = await admin.http.head(address, headers=headers)
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET")
    assert (await many_pins(store))[0] == 2
    assert await events(store) == []
    found = rows(await get(admin, f"campaigns/{made['id']}.csv", pins="true"))
    assert all(each["Pin"] for each in found)
