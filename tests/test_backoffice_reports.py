"""The back office's liability, outbox and webhooks."""

import pytest

from giftgql import work
from giftgql.backoffice.chart import HEIGHT, WIDTH, drawn
from giftgql.permissions import Permission
from giftgql.store import Store
from tests import mailing, webhooking
from tests.client import Client
from tests.conftest import SetClock
from tests.factories import funded, spend
from tests.test_backoffice import MakeVisitor, visitor_with
from tests.webhooking import endpoint, receiver

__all__ = ["visitor_with"]

P = Permission


def test_a_chart_has_round_edges_and_nought_in_it() -> None:
    chart = drawn([0, 3_300, 1_000])
    assert (chart.top, chart.middle, chart.bottom) == (5_000, 2_500, 0)
    assert chart.points == ((0, HEIGHT), (WIDTH / 2, 68), (WIDTH, 160))
    assert drawn([0]).points == ((0, HEIGHT),)
    below = drawn([-10, 7])
    assert (below.top, below.bottom) == (10, -10)
    assert below.area == "0,100 0,200 600,30 600,100"


async def test_what_is_owed_is_drawn_and_written_for_each_day(
    visitor_with: MakeVisitor,
    admin: Client,
    clock: SetClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    viewer = await visitor_with(P.VIEW_REPORTS)
    assert "Nothing is owed" in (await viewer.open("/office/liability")).text
    card = await funded(admin, "1250.00")
    await funded(admin, "500", currency="JPY")
    clock.forward(days=14)
    await spend(admin, card, "-250.00")
    viewer, elsewhere = await visitor_with(P.VIEW_REPORTS), await visitor_with(role="clerk")
    viewer.languages = "de"
    page = await viewer.open("/office/liability")
    assert "1.000,00 €" in page.text
    assert "500 ¥" in page.text
    assert "05.12.2026 bis jetzt" not in page.text, "words stay English; only figures are by locale"
    for row in ("28.11.2026 1 1.250,00 €", "14.11.2026 0 0,00 €", "21.11.2026 1 1.250,00 €"):
        assert row in page.text
    assert page.html.count("<polyline") == 2
    assert page.html.count('class="dot"') == 2 * 14
    monkeypatch.setattr("giftgql.backoffice.liability.PATIENCE", -1.0)
    page = await viewer.open("/office/liability?period=year")
    assert "The books are large: the 12 earliest days" in page.text
    assert "1.000,00 €" in page.text
    assert (await viewer.open("/office/liability?period=age")).status == 422
    assert (await elsewhere.open("/office/liability")).status == 403


async def test_messages_are_listed_tried_again_and_sent_again(
    visitor_with: MakeVisitor, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    staff = await visitor_with(P.MANAGE_OUTBOX)
    assert "Nothing was to be said" in (await staff.open("/office/outbox")).text
    assert "Nothing was given up." in (await staff.open("/office/outbox?state=DEAD")).text
    for _ in range(3):
        await mailing.put(store)
    monkeypatch.setattr("giftgql.backoffice.outbox.ROWS", 2)
    page = await staff.open("/office/outbox?state=WAITING&channel=MAIL")
    assert "no. 3" in page.text
    assert "no. 1" not in page.text
    assert "no. 1" in (await staff.open("/office/outbox?before=2")).text
    retry = page.form("/retry")
    page = await staff.send(retry)
    assert "The message is tried now." in page.text
    assert page.form("/office/outbox").fields["state"] == "WAITING", "the list stays narrowed"
    await work.do_all(store)
    late = await staff.post("/office/outbox/retry", {**retry.fields, "state": ""})
    assert late.status == 422
    assert "The message is sent; it can be sent anew." in late.text
    again = (await staff.open("/office/outbox?state=SENT")).form("/resend")
    for _ in range(2):
        page = await staff.send(again)
        assert "on its way once more" in page.text
    page = await staff.open("/office/outbox")
    assert ("no. 4" in page.text, "no. 5" in page.text) == (True, False)
    assert (await staff.open("/office/outbox?state=LOST")).status == 422
    assert (await (await visitor_with(role="manager")).open("/office/outbox")).status == 403


async def test_an_endpoint_is_tested_switched_off_and_on(
    visitor_with: MakeVisitor, admin: Client, store: Store
) -> None:
    webhooking.allow_private(store)
    staff = await visitor_with(P.MANAGE_WEBHOOKS, P.MANAGE_OUTBOX)
    assert "No other system is told" in (await staff.open("/office/webhooks")).text
    async with receiver() as shop:
        made = await endpoint(admin, shop.url, description="The shop")
        page = await staff.open("/office/webhooks")
        assert "The shop" in page.text
        path = f"/office/webhooks/{made['id']}"
        page = await staff.open(path)
        assert "Nothing yet." in page.text
        assert made["secret"] not in page.html
        test = page.form("/test")
        for _ in range(2):
            page = await staff.send(test)
            assert "A test is on its way" in page.text
        await work.do_all(store)
        assert shop.types == ["test"]
    page = await staff.open(path)
    assert "test sent" in page.text
    off = page.form("/switch-off")
    assert (await staff.send(off)).status == 422
    page = await staff.send(off, confirmed="yes")
    assert "It is told nothing any more." in page.text
    late = await staff.send(test, key="another")
    assert late.status == 422
    assert "The endpoint is not active." in late.text
    page = await staff.send(page.form("/switch-on"))
    assert page.offers("/test")
    other = await visitor_with(P.MANAGE_WEBHOOKS)
    assert "needs the right ManageOutbox" in (await other.open(path)).text
    assert (await other.open("/office/webhooks/99")).status == 404
    assert (await (await visitor_with(role="manager")).open(path)).status == 403
