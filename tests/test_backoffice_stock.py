"""The pages of products, pools and imports, and of the cards that belong to them."""

import pytest

from giftgql import work
from giftgql.permissions import Permission
from giftgql.store import Store
from tests import importing, stock
from tests.backoffice import Visitor, visitor
from tests.client import Client, Server

CARDS = """Number,PoolSystemName,Cvv,Balance,Status
BOX-0001,box,123,50.00,Inactive
BOX-0002,box,456,50.00,CanBeUsed
BOX-SECRET-3,box,7,50.00,Inactive
BOX-SECRET-4,none,78903461,50.00,Inactive
"""


async def test_products_and_pools_are_shown_with_their_cards(
    server: Server, store: Store, admin: Client
) -> None:
    manager = await visitor(server, store, role="manager")
    assert "A product is a template" in (await manager.open("/office/products")).text
    assert (
        "A pool holds cards that somebody else has made"
        in (await manager.open("/office/pools")).text
    )
    product = await stock.product(
        admin,
        name="Birthday <b>",
        presets=[{"price": "45.00", "value": "50.00"}],
        custom={"minimum": "10.00", "maximum": "500.00"},
        expiration={"kind": "RELATIVE", "after": "P1Y6M"},
    )
    issued = await stock.issue(admin, product)
    assert issued.code is None
    await importing.pools(store, "Boxes,box,EUR,50.00,false,true,2099-12-31")
    page = await manager.open("/office/pools/1")
    assert "Fill it with cards." in page.text
    await importing.imported(store, CARDS)

    listing = await manager.open("/office/products?name=birth")
    assert "€10.00 to €500.00" in listing.text
    assert "Boxes" not in listing.text
    assert (
        "No product has that in its name." in (await manager.open("/office/products?name=zz")).text
    )
    page = await manager.open(f"/office/products/{product['id']}")
    for shown in ("Birthday <b>", "bonus €5.00", "€45.00", "1 year 6 months after the sale"):
        assert shown in page.text
    of_product = f"/office/cards?product={product['id']}"
    assert f'href="{of_product}"' in page.html
    assert "Of the product Birthday <b>" in (await manager.open(of_product)).text

    assert "Dec 31, 2099" in (page := await manager.open("/office/pools/1")).text
    assert "only whole, at once" in page.text
    assert "Not activated 1" in page.text
    assert "Activated 1" in page.text
    assert await shown_cards(manager, "pool=1&status=NOT_ACTIVATED") == 1
    assert await shown_cards(manager, "pool=x") == 0, "what is no id is nothing's"
    pools_product = await manager.open("/office/products/2")
    assert 'href="/office/pools/1"' in pools_product.html


async def shown_cards(manager: Visitor, asked: str) -> int:
    page = await manager.open(f"/office/cards?{asked}")
    return int(page.html.count('<a href="/office/cards/'))


async def test_many_cards_are_summed_up_on_demand(
    server: Server, store: Store, admin: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("giftgql.backoffice.stock.COUNTED", 3)
    await stock.campaign(admin, count=4, startActivated=True)
    await work.do_all(store)
    manager = await visitor(server, store, role="manager")
    page = await manager.open("/office/campaigns/1")
    assert "Sum up all 4 cards" in page.text
    assert "€400.00" in (await manager.open("/office/campaigns/1?count=yes")).text
    sums_nothing = await visitor(server, store, Permission.MANAGE_CAMPAIGNS)
    page = await sums_nothing.open("/office/campaigns/1?count=yes")
    assert "needs the right ListGiftCards" in page.text
    assert (await sums_nothing.open("/office/products")).status == 403
    for missing in ("/office/pools/9", "/office/products/9", "/office/imports/9"):
        assert (await manager.open(missing)).status == 404


async def test_rows_are_pasted_and_what_is_wrong_is_shown_by_line_without_secrets(
    server: Server, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("giftgql.backoffice.listing.ROWS", 1)
    monkeypatch.setattr("giftgql.backoffice.imports.ROWS", 1)
    manager = await visitor(server, store, role="manager")
    empty = await manager.open("/office/imports")
    assert "First the pools" in empty.text
    form = empty.form("/office/imports")
    refused = await manager.send(form, kind="POOLS", rows=" ")
    assert (refused.status, "The rows is needed" in refused.text) == (422, True)
    head = "Name,SystemName,Currency,FaceValue,IsCvvRequired"
    page = await manager.send(form, kind="POOLS", rows=f"{head}\r\nBoxes,box,EUR,50.00,true\r\n")
    assert "0 of 1 rows" in page.text
    await work.do_all(store)
    form = (await manager.open("/office/imports")).form("/office/imports")
    page = await manager.send(form, kind="CARDS", rows=CARDS)
    assert "None until now." in page.text
    await work.do_all(store)
    assert 'hx-trigger="load"' in (await manager.open("/office/imports/2/progress")).html
    page = await manager.open("/office/imports/2")
    assert "4 of 4 rows" in page.text
    assert 'href="/imports/2/failures.csv"' in page.html
    assert "?skip=1" in page.html
    second = await manager.open("/office/imports/2?skip=1")
    assert "PoolSystemName names no pool that is there." in second.text
    for each in (page, second):
        assert "BOX-SECRET" not in each.html
        assert "78903461" not in each.html
    wrong = await manager.send(form, kind="CARDS", rows="A,B\n1,2\n")
    await work.do_all(store)
    wrong = await manager.open("/office/imports/3")
    assert "Correct the file and import it again" in wrong.text
    listing = await manager.open("/office/imports?skip=1")
    assert ("Cards, no. 2" in listing.text, "Pools, no. 1" in listing.text) == (True, False)
