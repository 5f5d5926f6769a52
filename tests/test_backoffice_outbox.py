"""The back office's outbox and webhooks."""

import pytest

from giftgql import work
from giftgql.permissions import Permission
from giftgql.store import Store
from tests import mailing, webhooking
from tests.client import Client
from tests.test_backoffice import MakeVisitor, visitor_with
from tests.webhooking import endpoint, receiver

__all__ = ["visitor_with"]

P = Permission


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
