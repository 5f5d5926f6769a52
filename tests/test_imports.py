"""What becomes of the rows of imported files; section 5 of the behaviour reference."""

import asyncio

from giftgql import work
from giftgql.imports.models import ImportChunk, ImportKind, ImportStatus
from giftgql.permissions import THE_OPERATOR
from giftgql.pools import service as pool_service
from giftgql.store import Store
from tests import importing
from tests.client import Client
from tests.conftest import SetClock
from tests.factories import done, edit, member, movements, trans
from tests.importing import are_clean, card, counts, imported, now, sent, shown, why
from tests.stock import POOL, cards, remove
from tests.tables import Tables

BOXES = "Boxes,boxes,EUR,50.00,true,false,NONE"
ANY = "Any,any,EUR,,true,false,NONE"


async def holds(caller: Client, system_name: str) -> int:
    """How many cards a pool says that it holds."""
    query = f"query ($s: String!) {{ giftcardPool(systemName: $s) {{ results {{ {POOL} }} }} }}"
    [pool] = (await caller.run(query, s=system_name))["giftcardPool"]["results"]
    return int(pool["cardCount"])


async def test_each_row_of_pools_is_a_pool_with_its_product(
    admin: Client, store: Store, clock: SetClock
) -> None:
    file = (
        "SystemName;Name;Currency;FaceValue;ArbitraryValue;PartialRedemption;IsCvvRequired;"
        "Expiration\n"
        "boxes;Boxes;usd;50;;no;TRUE;P6M\n"
        "any;Beliebig, groß;JPY;;1;;;2027-01-31\n"
        "plain;Plain;;5.00;;;;\n"
        "boxes;Other;usd;60;;no;TRUE;P6M\n"
        "plain;Plain;EUR;5;false;true;false;NONE\n"
    )
    first = await imported(store, file, ImportKind.POOLS)
    assert counts(first) == (3, 1, 1)
    assert list(await why(store, first)) == [(5, "SystemName", "boxes")]
    query = f"{{ giftcardPool {{ results {{ {POOL} product {{ name automatic }} }} }} }}"
    found = (await admin.run(query))["giftcardPool"]["results"]
    facts = ("systemName", "currency", "faceValue", "partialRedemption", "isCvvRequired")
    assert [tuple(pool[fact] for fact in facts) for pool in found] == [
        ("boxes", "USD", "50.00", False, True),
        ("any", "JPY", None, True, False),
        ("plain", "EUR", "5.00", True, False),
    ]
    assert [tuple(pool["expiration"].values()) for pool in found] == [
        ("RELATIVE", None, "P6M"),
        ("FIXED", "2027-01-31", None),
        ("NONE", None, None),
    ]
    assert [pool["product"] for pool in found] == [
        {"name": name, "automatic": True} for name in ("Boxes", "Beliebig, groß", "Plain")
    ]
    assert counts(await imported(store, file, ImportKind.POOLS)) == (0, 4, 1)
    assert (await admin.run(query))["giftcardPool"]["results"] == found


async def test_each_column_of_a_card_lands_and_balances_come_from_the_import_account(
    admin: Client, store: Store, clock: SetClock
) -> None:
    await importing.pools(store, BOXES, ANY)
    await member(admin, "C1")
    file = (
        "Number,PoolSystemName,Cvv,Pin,Balance,Status,PurchaseDate,ExpiresOn,PointOfContact,"
        "MemberId\n"
        "BOX 0001,boxes,123,4711,50.00,CanBeUsed,2026-08-31,2027-12-31,Store 7,C1\n"
        "BOX-0002,boxes,,,,,,,,\n"
        "BOX0003,boxes,,,50,blocked,,,,\n"
        "ANY0001,any,,,0.01,canbeused,,,,\n"
        "ANY0002,any,,,12.34,INACTIVE,,,,\n"
        "ANY0003,any,,,10,Inactive,,,,C1\n"
    )
    taken = await imported(store, file)
    assert counts(taken) == (6, 0, 0)
    full = await card(admin, "BOX0001")
    assert (full["status"], full["balance"], full["lifetimeTotal"]) == (
        *("ACTIVATED", "50.00", "50.00"),
    )
    facts = ("expiresOn", "memberId", "purchasedOn", "pointOfContact")
    assert [full[fact] for fact in facts] == ["2027-12-31", "C1", "2026-08-31", "Store 7"]
    for number, status, balance in (
        *(("BOX0002", "NOT_ACTIVATED", "0.00"), ("BOX0003", "BLOCKED", "50.00")),
        *(("ANY0001", "ACTIVATED", "0.01"), ("ANY0002", "NOT_ACTIVATED", "0.00")),
    ):
        found = await card(admin, number)
        assert (found["status"], found["balance"]) == (status, balance), number
    [movement] = await movements(admin, giftcardId=full["id"])
    told = ("transType", "status", "amount", "balance", "reason", "caller")
    assert [movement[fact] for fact in told] == [
        *("IMPORT", "COMPLETED", "50.00", "50.00"),
        *(f"import {taken.id}", THE_OPERATOR.name),
    ]
    assert await movements(admin, giftcardId=(await card(admin, "BOX0002"))["id"]) == []
    assert (await holds(admin, "boxes"), await holds(admin, "any")) == (3, 3)
    await are_clean(store)
    answer = await admin.run("{ ledgerCheck { isClean } }")
    assert answer["ledgerCheck"]["isClean"]


async def test_a_file_that_is_sent_again_changes_nothing(admin: Client, store: Store) -> None:
    await importing.pools(store, BOXES, ANY)
    file = "Number,PoolSystemName,Balance,Status\nAAA1,boxes,,\nAAA2,any,5,CanBeUsed\nAAA3,any,x,\n"
    assert counts(await imported(store, file)) == (2, 0, 1)
    done(await trans(admin, code="AAA2", transType="USE", amount="-2.00"))
    before = [await cards(admin), await movements(admin)]
    assert counts(await imported(store, file)) == (0, 2, 1)
    other = file.replace("AAA1,boxes,,", "AAA1,boxes,50,CanBeUsed").replace(
        "AAA2,any,5", "aaa2,any,9"
    )
    assert counts(await imported(store, other)) == (0, 2, 1)
    assert [await cards(admin), await movements(admin)] == before
    assert (await holds(admin, "boxes"), await holds(admin, "any")) == (1, 1)


async def test_the_same_file_sent_twice_while_it_is_imported_is_one_import(
    admin: Client, store: Store
) -> None:
    await importing.pools(store, BOXES)
    file = "Number,PoolSystemName\nAAA1,boxes\n"
    first, again = await sent(store, file), await sent(store, file, size=5)
    assert first == again
    assert await sent(store, f"{file}AAA2,boxes\n") != first
    assert await sent(store, file, ImportKind.POOLS) != first
    await work.do_all(store)
    assert counts(await now(store, first)) == (1, 0, 0)
    assert await sent(store, file) != first, "that one is done"
    query = "{ giftcardImport { results { id status error } } }"
    found = (await admin.run(query))["giftcardImport"]["results"]
    assert [each["error"] for each in found].count("The same file is being imported already.") == 1


async def test_the_same_file_sent_by_many_at_once_is_one_import(
    admin: Client, store: Store
) -> None:
    await importing.pools(store, BOXES)
    file = "Number,PoolSystemName\nAAA1,boxes\n"
    ids = await asyncio.gather(*(sent(store, file) for _ in range(6)))
    assert len(set(ids)) == 1
    await work.do_all(store)
    assert counts(await now(store, ids[0])) == (1, 0, 0)


async def test_of_rows_with_one_number_the_first_good_one_lands(
    admin: Client, store: Store, clock: SetClock
) -> None:
    await importing.pools(store, BOXES, ANY)
    head = "Number,PoolSystemName,Balance,Status,ExpiresOn\n"
    many = "".join(f"M{number:05},any,1,,\n" for number in range(2_500))
    file = (
        f"{head}AAA1,any,x,,\nAAA1,any,5,,\nAAA1,any,6,CanBeUsed,\naa-a1,any,7,,\nAAA1,boxes,,,\n"
        "BBB1,any,5,CanBeUsed,2026-11-20\nBBB1,any,6,CanBeUsed,2026-11-20\nBBB1,any,7,CanBeUsed,\n"
        f"BBB1,any,8,CanBeUsed,\nBBB1,boxes,,,\n{many}AAA1,any,9,,\nAAA1,boxes,,,\nM00000,any,2,,\n"
    )
    taken = await imported(store, file)
    assert list(await why(store, taken)) == [
        *((2, "Balance", "x"), (6, "Number", "************A1"), (7, "ExpiresOn", "2026-11-20")),
        *((8, "ExpiresOn", "2026-11-20"), (11, "Number", "************B1")),
        (2513, "Number", "************A1"),
    ]
    assert counts(taken) == (2_502, 5, 6)
    assert (await card(admin, "AAA1"))["status"] == "NOT_ACTIVATED"
    assert (await card(admin, "BBB1"))["balance"] == "7.00"
    assert (await holds(admin, "boxes"), await holds(admin, "any")) == (0, 2_502)
    await are_clean(store)


async def test_a_number_that_was_ever_a_physical_code_does_not_come_in_again(
    admin: Client, store: Store
) -> None:
    await importing.pools(store, BOXES, ANY)
    head = "Number,PoolSystemName,Balance\n"
    own = "OLD1,any,5\nOLD2,any,5\n"
    assert counts(await imported(store, f"{head}{own}")) == (2, 0, 0)
    replaced, removed = await card(admin, "OLD1"), await card(admin, "OLD2")
    done(await edit(admin, replaced["id"], physicalCode="NEW1"))
    done(await remove(admin, removed["id"]))
    for given in ({"physicalCode": "TILL1"}, {"externalCode": "SHOP1"}):
        given_in = "mutation ($g: GiftcardAddInput!) { giftcardAdd(giftcard: $g) { id } }"
        done(await admin.run(given_in, g=given))
    taken = await imported(store, f"{head}{own}NEW1,any,5\nTILL1,any,5\nSHOP1,any,5\nnew1,boxes,\n")
    assert counts(taken) == (1, 1, 4)
    found = await why(store, taken)
    assert [line for line, *_ in found] == [2, 3, 5, 7]
    assert set(found.values()) == {"Number is or was in use; a code is never used again."}
    assert (await holds(admin, "any"), await holds(admin, "boxes")) == (2, 0)


async def test_members_and_pools_that_are_not_there_are_named(admin: Client, store: Store) -> None:
    await importing.pools(store, BOXES)
    await member(admin, "C1")
    taken = await imported(
        store,
        "Number,PoolSystemName,MemberId\nAAA1,boxes,C1\nAAA2,boxes,C2\nAAA3,other,C1\nAAA4,Boxes,\n"
        "AAA5,,\n,boxes,\nAAA7,boxes,c1\n",
    )
    assert await why(store, taken) == {
        (3, "MemberId", "C2"): "MemberId names no member that is there.",
        (4, "PoolSystemName", "other"): "PoolSystemName names no pool that is there.",
        (5, "PoolSystemName", "Boxes"): "PoolSystemName names no pool that is there.",
        (6, "PoolSystemName", ""): "PoolSystemName is missing.",
        (7, "Number", ""): "Number is missing.",
        (8, "MemberId", "c1"): "MemberId names no member that is there.",
    }
    assert counts(taken) == (1, 0, 6)


async def test_cards_come_into_a_pool_whatever_the_api_let_its_name_be(
    admin: Client, store: Store
) -> None:
    names = ("spring 2026", "a/b:c", "=sum", "_x", "spring")
    add = "mutation ($p: GiftcardPoolAddInput!) { giftcardPoolAdd(pool: $p) { id } }"
    for name in names:
        done(await admin.run(add, p={"name": "x", "systemName": name, "faceValue": "5"}))
    rows = "".join(f"NUM{place},{name}\n" for place, name in enumerate(names))
    taken = await imported(store, f"Number,PoolSystemName\n{rows}")
    assert counts(taken) == (len(names), 0, 0), await why(store, taken)


async def test_an_import_shows_its_progress_while_it_runs_and_keeps_nothing_after(
    admin: Client, store: Store
) -> None:
    await importing.pools(store, ANY)
    rows = "".join(f"M{number:05},any,{number % 3}\n" for number in range(3_000))
    import_id = await sent(store, f"Number,PoolSystemName,Balance\n{rows}")
    at_first = await shown(admin, import_id)
    assert (at_first["status"], at_first["endedAt"]) == ("IN_PROGRESS", None)
    assert at_first["progress"] == {"done": 0, "total": 3_000}
    working, seen = asyncio.create_task(work.do_all(store)), set[int]()
    while not working.done():
        seen.add((await shown(admin, import_id))["progress"]["done"])
        await asyncio.sleep(0.01)
    await working
    assert any(0 < each < 3_000 for each in seen)
    in_the_end = await shown(admin, import_id)
    assert in_the_end["progress"] == {"done": 3_000, "total": 3_000}
    facts = ("status", "imported", "unchanged", "failed", "error")
    assert [in_the_end[fact] for fact in facts] == ["DONE", 2_000, 0, 1_000, None]
    async with Tables.of(store.settings) as tables:
        assert await tables.all(ImportChunk.__table__.select()) == []  # type: ignore[attr-defined]


async def test_a_pool_that_changes_or_goes_in_the_middle_is_taken_as_it_is_then(
    admin: Client, store: Store
) -> None:
    await importing.pools(store, ANY)
    rows = "".join(f"M{number:05},any,{number % 2 + 4}\n" for number in range(2_000))
    import_id = await sent(store, f"Number,PoolSystemName,Balance\n{rows}")
    [there] = (await admin.run("{ giftcardPool { results { id } } }"))["giftcardPool"]["results"]

    async def change(tx_changes: dict[str, object]) -> None:
        async with store.write() as tx:
            await pool_service.edit(tx, int(there["id"]), tx_changes)

    await change({"face_value": 500})
    working = asyncio.create_task(work.do_all(store))
    await change({"name": "Renamed"})
    await working
    taken = await now(store, import_id)
    assert taken.status is ImportStatus.DONE
    assert counts(taken) == (1_000, 0, 1_000)
    assert await holds(admin, "any") == 1_000
    await are_clean(store)
