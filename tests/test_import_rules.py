"""Imported cards are used under the rules of their pool: CVV, PIN, whole or in parts, expiry."""

from datetime import UTC, date, timedelta

from giftgql import work
from giftgql.jobs.runner import Lane
from giftgql.permissions import Channel
from giftgql.store import Store
from tests import importing
from tests.client import Client
from tests.conftest import ALL_BUT_UNMASKED, MakeClient, SetClock
from tests.factories import add, balance, done, edit, member, trans
from tests.importing import are_clean, card, counts, imported, now, sent, why
from tests.stock import issue

GUARDED = "Guarded,guarded,EUR,50.00,true,true,NONE"


def use(code: str, amount: str = "-1.00", **facts: str) -> dict[str, str]:
    return {"code": code, "transType": "USE", "amount": amount, **facts}


async def test_a_card_of_a_guarded_pool_pays_with_its_cvv_only_on_both_channels(
    admin: Client, store: Store, client_with: MakeClient
) -> None:
    online = await client_with(*ALL_BUT_UNMASKED, channel=Channel.ONLINE)
    await importing.pools(store, GUARDED)
    file = (
        "Number,PoolSystemName,Cvv,Pin,Status\nGUARD1,guarded,0123,4711,CanBeUsed\n"
        "GUARD2,guarded,,4711,CanBeUsed\nGUARD3,guarded,12a,,\nGUARD4,guarded,0123,,Inactive\n"
    )
    taken = await imported(store, file)
    assert list(await why(store, taken)) == [(3, "Cvv", ""), (4, "Cvv", "(blanked)")]
    assert counts(taken) == (2, 0, 2)
    found = await card(admin, "GUARD1")
    external = {"externalCode": "WEB-GUARD-1"}
    done(await edit(admin, found["id"], **external))
    for caller, pin in ((admin, {}), (online, {"pin": "4711"})):
        for code, secret in (("GUARD1", pin), ("WEB-GUARD-1", {})):
            refused = await trans(caller, **use(code, **secret))
            assert refused.code == "CVV_REQUIRED", (code, pin)
            wrong = await trans(caller, **use(code, cvv="0124", **secret))
            assert wrong.code == "SECRET_INVALID", (code, pin)
            assert not (await trans(caller, **use(code, cvv="0123", **secret))).errors
            held = await trans(caller, **use(code, **secret), authorizeOnly=True)
            assert held.code == "CVV_REQUIRED"
    assert (await trans(admin, **use("GUARD4", cvv="0123"))).code == "CARD_NOT_ACTIVATED"
    assert (await card(admin, "GUARD1"))["balance"] == "46.00"
    await are_clean(store)


async def test_a_cvv_that_no_rule_asks_for_must_be_right_where_it_is_given(
    admin: Client, store: Store
) -> None:
    await importing.pools(store, "Open,open,EUR,50.00,true,false,NONE")
    await imported(
        store, "Number,PoolSystemName,Cvv,Status\nOPEN1,open,123,CanBeUsed\nOPEN2,open,,CanBeUsed\n"
    )
    assert not (await trans(admin, **use("OPEN2"))).errors
    assert not (await trans(admin, **use("OPEN1", cvv="123"))).errors
    assert (await trans(admin, **use("OPEN1", cvv="124"))).code == "SECRET_INVALID"


async def test_a_pin_that_came_in_is_good_in_store_at_once_and_online_once_it_is_hardened(
    admin: Client, store: Store, client_with: MakeClient
) -> None:
    online = await client_with(*ALL_BUT_UNMASKED, channel=Channel.ONLINE)
    await importing.pools(store, "Open,open,EUR,50.00,true,false,NONE")
    import_id = await sent(
        store, "Number,PoolSystemName,Pin,Status\nPINS1,open,0471,CanBeUsed\nPINS2,open,,CanBeUsed"
    )
    lane = Lane(store, work.WORKS, ["import"])
    assert await lane.do_next()
    assert counts(await now(store, import_id)) == (2, 0, 0)
    assert not (await trans(admin, **use("PINS1", pin="0471"))).errors
    assert not (await trans(admin, **use("PINS1"))).errors
    assert (await trans(admin, **use("PINS1", pin="0472"))).code == "SECRET_INVALID"
    early = await trans(online, **use("PINS1", pin="0471"))
    assert early.code is not None
    assert (await card(admin, "PINS1"))["balance"] == "48.00"
    await work.do_all(store)
    assert not (await trans(online, **use("PINS1", pin="0471"))).errors
    assert (await trans(online, **use("PINS1"))).code == "PIN_REQUIRED"
    assert (await trans(online, **use("PINS1", pin="4710"))).code == "SECRET_INVALID"
    assert not (await trans(admin, **use("PINS1", pin="0471"))).errors
    without = await trans(online, **use("PINS2"))
    assert without.code is not None, "a printed code without PIN is not for the web"
    assert (await card(admin, "PINS1"))["balance"] == "46.00"
    shown = done(await balance(online, "PINS1", codeType="PHYSICAL", pin="0471"))
    assert shown["balance"] == "46.00"


async def test_a_card_of_a_whole_only_pool_is_spent_at_once_or_not(
    admin: Client, store: Store
) -> None:
    await importing.pools(store, "Whole,whole,EUR,,false,false,NONE")
    await imported(store, "Number,PoolSystemName,Balance,Status\nWHOLE1,whole,20,CanBeUsed\n")
    part = await trans(admin, **use("WHOLE1", "-19.99"))
    assert part.code == "PARTIAL_REDEMPTION_NOT_SUPPORTED"
    assert done(await trans(admin, **use("WHOLE1", "-20.00")))["balance"] == "0.00"
    assert (await card(admin, "WHOLE1"))["status"] == "REDEEMED"


async def test_validity_counts_from_the_purchase_and_expires_on_wins(
    admin: Client, store: Store, clock: SetClock
) -> None:
    await importing.pools(
        store,
        "Half,half,EUR,50.00,true,false,P6M",
        "Fixed,fixed,EUR,50.00,true,false,2027-03-31",
        "Never,never,EUR,50.00,true,false,NONE",
        "Long,long,EUR,50.00,true,false,P100Y",
    )
    head = "Number,PoolSystemName,Status,PurchaseDate,ExpiresOn\n"
    good = {
        "HALF1,half,CanBeUsed,2026-08-31,": "2027-02-28",
        "HALF2,half,CanBeUsed,2026-08-31,2026-12-31": "2026-12-31",
        "HALF3,half,Blocked,2026-05-21,": "2026-11-21",
        "HALF4,half,Inactive,2026-08-31,": None,
        "HALF5,half,Inactive,,2028-02-29": "2028-02-29",
        "HALF6,half,CanBeUsed,,2026-11-21": "2026-11-21",
        "FIXED1,fixed,CanBeUsed,2020-08-31,": "2027-03-31",
        "FIXED2,fixed,Inactive,,": "2027-03-31",
        "FIXED3,fixed,CanBeUsed,,2029-01-01": "2029-01-01",
        "NEVER1,never,CanBeUsed,,": None,
        "NEVER2,never,CanBeUsed,,9999-12-30": "9999-12-30",
        "LONG1,long,CanBeUsed,9899-12-30,": "9999-12-30",
        "LONG3,long,CanBeUsed,9899-12-31,": "9999-12-31",
        "NEVER4,never,CanBeUsed,,9999-12-31": "9999-12-31",
        "NEVER6,never,Inactive,,9999-12-31": "9999-12-31",
    }
    bad = {
        "HALF7,half,CanBeUsed,2026-05-20,": (17, "ExpiresOn", ""),
        "HALF8,half,CanBeUsed,,": (18, "PurchaseDate", ""),
        "HALF9,half,Blocked,2026-08-31,2026-11-20": (19, "ExpiresOn", "2026-11-20"),
        "NEVER3,never,CanBeUsed,2026-08-31,2026-08-30": (20, "ExpiresOn", "2026-08-30"),
        "LONG2,long,CanBeUsed,9999-01-01,": (21, "PurchaseDate", "9999-01-01"),
        "NEVER5,never,CanBeUsed,,0001-01-01": (22, "ExpiresOn", "0001-01-01"),
    }
    taken = await imported(store, head + "\n".join([*good, *bad]))
    assert taken.error is None
    assert set(await why(store, taken)) == set(bad.values())
    for row, last_day in good.items():
        found = await card(admin, row.partition(",")[0])
        assert found["expiresOn"] == last_day, row
    assert counts(taken) == (len(good), 0, len(bad))
    half = await card(admin, "HALF1")
    assert not (await trans(admin, **use("HALF1"))).errors
    clock.now = clock.now.replace(year=2027, month=3, day=1)
    assert (await trans(admin, **use("HALF1"))).code == "CARD_EXPIRED"
    assert (await card(admin, "HALF1"))["id"] == half["id"]
    await are_clean(store)


async def test_the_last_day_that_there_is_has_an_end_in_every_time_zone(store: Store) -> None:
    for zone in ("Pacific/Kiritimati", "Etc/GMT+12", "UTC", "Europe/Berlin"):
        there = Store(
            store.database, store.vault, store.settings.model_copy(update={"time_zone": zone})
        )
        async with there.read() as reading:
            for day in (date.max, date.max - timedelta(days=1), date.min):
                end = reading.end_of(day)
                assert end is not None
                assert reading.last_day(end.astimezone(UTC)) == day, (zone, day)


async def test_only_an_inactive_card_without_an_owner_is_sold(
    admin: Client, store: Store, clock: SetClock
) -> None:
    await importing.pools(store, "Half,half,EUR,50.00,true,false,P6M")
    await member(admin, "C1")
    await imported(
        store,
        "Number,PoolSystemName,Status,PurchaseDate,MemberId\nSOLD1,half,CanBeUsed,2026-08-31,\n"
        "SOLD2,half,,,C1\nSOLD3,half,Blocked,2026-08-31,\nSOLD4,half,Inactive,2020-01-01,\n",
    )
    product = (await card(admin, "SOLD4"))["productId"]
    query = "query ($id: ID!) { giftcardProduct(id: $id) { results { id presets { id } } } }"
    [found] = (await admin.run(query, id=product))["giftcardProduct"]["results"]
    clock.now = clock.now.replace(year=2027, month=8, day=31)
    sold = done(await issue(admin, found))
    assert sold["id"] == (await card(admin, "SOLD4"))["id"]
    assert (sold["status"], sold["balance"], sold["expiresOn"]) == (
        *("ACTIVATED", "50.00", "2028-02-29"),
    )
    assert (await issue(admin, found)).code == "POOL_EXHAUSTED"
    await are_clean(store)


async def test_a_balance_is_exact_and_within_the_ceiling_and_fits_its_pool(
    admin: Client, store: Store
) -> None:
    await importing.pools(
        store, "Yen,yen,JPY,,true,false,NONE", "Dinar,dinar,KWD,,true,false,NONE",
        "Fixed,fixed,EUR,50.00,true,false,NONE",
    )  # fmt: skip
    good = {"YEN1": "500", "YEN2": "1000000000000000", "DIN1": "1.250"}
    bad = ("YEN3,yen,500.5", "YEN4,yen,1000000000000001", "YEN5,yen,0", "YEN6,yen,-5",
           "YEN7,yen,", "DIN2,dinar,1.2501", "DIN3,dinar,1e3", "DIN4,dinar,NaN",
           "FIX1,fixed,49.99", "FIX2,fixed,50.001", "DIN5,dinar,٣")  # fmt: skip
    pools = {"Y": "yen", "D": "dinar"}
    rows = [f"{number},{pools[number[0]]},{worth}" for number, worth in good.items()]
    file = "Number,PoolSystemName,Balance,Status\n"
    file += "".join(f"{row},CanBeUsed\n" for row in [*rows, *bad])
    taken = await imported(store, file)
    assert counts(taken) == (len(good), 0, len(bad))
    assert {column for _, column, _ in await why(store, taken)} == {"Balance"}
    for number, worth in good.items():
        assert (await card(admin, number))["balance"] == worth
    more = await trans(admin, code="YEN2", transType="ADD", amount="1")
    assert more.code is not None
    await are_clean(store)


async def test_a_card_added_by_hand_is_not_the_import_s_to_take(
    admin: Client, store: Store
) -> None:
    await importing.pools(store, "Open,open,EUR,50.00,true,false,NONE")
    done(await add(admin, physicalCode="HAND1"))
    taken = await imported(store, "Number,PoolSystemName,Cvv\nHAND1,open,123\n")
    assert counts(taken) == (0, 0, 1)
    assert (await card(admin, "HAND1"))["poolId"] is None
