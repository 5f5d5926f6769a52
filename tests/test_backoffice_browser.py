"""The back office in a browser, with its scripts and without."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests import browsing, servers
from tests.browsing import DESKTOP, PHONE, staff_key, window

CARD = """mutation { giftcardAdd(giftcard: {physicalCode: "GC49288331"}) { id }
  giftcardTransAdd(trans: {code: "GC49288331", transType: ADD, amount: "50.00"}) { id } }"""
ORDER = """mutation { giftcardAdd(giftcard: {physicalCode: "PAYS-0001"}) { id }
  giftcardTransAdd(trans: {code: "PAYS-0001", transType: ADD, amount: "30.00"}) { id }
  orderAdd(order: {lines: [{name: "Shoes", unitPrice: "50.00"}], giftcards: [{code: "PAYS-0001"}],
    payments: [{method: "credit_card", amount: "20.00"}]}) { id } }"""
WEBHOOK = """mutation {
  webhookAdd(webhook: {url: "http://127.0.0.1:9/", events: [ORDER_PAID]}) { id }
  webhookTest(webhook: {id: "1"}) { id } }"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing.chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    folder = tmp_path_factory.mktemp("office")
    private = {"GIFTGQL_WEBHOOKS_ALLOW_PRIVATE": "true"}
    with servers.serving({**servers.environment(folder), **private}) as running:
        headers = {"Authorization": f"Bearer {running.development_key}"}
        for query in (CARD, ORDER, WEBHOOK):
            made = httpx.post(f"{running.url}/graphql", json={"query": query}, headers=headers)
            assert "errors" not in made.json(), made.text
        yield running


def redeem(page: Page, amount: str) -> None:
    """Open the form on a card's page, where it is not open, and send it."""
    field = page.locator("#redeem-amount")
    if not field.is_visible():
        page.locator("summary", has_text="Redeem").first.click()
    field.fill(amount)
    page.get_by_role("button", name="Take the amount").click()


@pytest.mark.parametrize("has_scripts", [True, False])
def test_a_manager_finds_a_card_and_takes_an_amount_from_it(
    browser: Browser, server: servers.Server, has_scripts: bool
) -> None:
    with window(browser, server, java_script_enabled=has_scripts, locale="en-US") as manager:
        manager.sign_in(staff_key(server, "Anna", "--role", "manager"), "/office/cards/1")
        page = manager.page
        before = "€50.00" if has_scripts else "€37.50"
        expect(page.get_by_role("main")).to_contain_text(before)
        redeem(page, "1000")
        expect(page.locator("#redeem-problem")).to_contain_text("More was asked than is available")
        redeem(page, "12.50")
        left = "€37.50" if has_scripts else "€25.00"
        expect(page.get_by_role("main")).to_contain_text(left)
        if has_scripts:
            assert manager.faults() == []


def test_pages_fit_a_phone(browser: Browser, server: servers.Server) -> None:
    with window(browser, server, PHONE) as clerk:
        rights = ("--role", "manager", "--permission", "ViewAudit")
        clerk.sign_in(staff_key(server, "Ben", *rights), "/office/cards")
        for page in ("cards", "cards/1", "audit"):
            clerk.page.goto(f"{server.url}/office/{page}")
            clerk.require_no_sideways_scrolling()
        assert clerk.faults() == []


ROWS = "Name,SystemName,Currency,FaceValue\nBoxes,box,EUR,50.00\nBoxes,box,EUR,60.00\n"
PAGES = (
    *("campaigns", "campaigns/1", "campaigns/new", "imports", "imports/1", "pools", "pools/1"),
    *("products", "products/1", "cards?pool=1"),
)


def test_a_campaign_goes_on_before_the_eyes_and_its_pages_fit_a_desk_and_a_phone(
    browser: Browser, server: servers.Server, tmp_path: Path
) -> None:
    file = tmp_path / "pools.csv"
    file.write_text(ROWS)
    key = staff_key(server, "Cleo", "--role", "manager")
    with window(browser, server, locale="en-US") as manager:
        page = manager.page
        manager.sign_in(key, "/office/campaigns")
        page.get_by_role("link", name="New campaign").click()
        page.get_by_label("Name").fill("Summer")
        page.get_by_label("How many cards").fill("60000")
        page.get_by_label("Value of each card").fill("25.00")
        page.get_by_label("Begin with").fill("SUN-")
        expect(page.locator("#sample li").first).to_have_text(re.compile("^SUN-"))
        page.get_by_role("button", name="Make the cards").click()
        page.evaluate("window.stays = true")
        progress = page.locator("#progress")
        expect(progress).to_contain_text("in progress")
        expect(progress).to_contain_text(re.compile("cards a (second|minute)"))
        expect(progress).to_contain_text("60,000 of 60,000 cards")
        expect(page.get_by_role("main")).to_contain_text("Not activated 60,000")
        assert page.evaluate("window.stays"), "all without the page being loaded anew"
        expect(page.get_by_role("button", name="Pause")).to_have_count(0)
        page.goto(f"{server.url}/office/imports")
        page.get_by_label("CSV file").set_input_files(file)
        page.get_by_role("button", name="Send").click()
        page.wait_for_url("**/office/imports/1")
        expect(page.get_by_role("main")).to_contain_text("2 of 2 rows")
        with page.expect_download() as begun:
            page.get_by_role("link", name="Download them").click()
        assert '"Boxes","box"' in begun.value.path().read_text()
        for path in PAGES:
            page.goto(f"{server.url}/office/{path}")
            manager.require_no_sideways_scrolling()
    with window(browser, server, PHONE) as on_the_way:
        on_the_way.sign_in(key, "/office")
        for path in PAGES:
            on_the_way.page.goto(f"{server.url}/office/{path}")
            on_the_way.require_no_sideways_scrolling()
            assert on_the_way.faults() == [], path


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
def test_orders_liability_outbox_and_webhooks_are_walked_by_their_links(
    browser: Browser, server: servers.Server, size: tuple[int, int]
) -> None:
    with window(browser, server, size, locale="de-DE") as chief:
        key = staff_key(server, f"Cleo {size[0]}", "--role", "administrator")
        chief.sign_in(key, "/office")
        page = chief.page
        for section in ("Orders", "Liability", "Outbox", "Webhooks"):
            page.get_by_label("Sections").get_by_role("link", name=section).click()
            expect(page.get_by_role("heading", level=1)).to_have_text(section)
            chief.require_no_sideways_scrolling()
            assert chief.faults() == []
        page.get_by_role("link", name="http://127.0.0.1:9/").click()
        page.get_by_role("button", name="Send a test").click()
        expect(page.get_by_role("status").first).to_contain_text("A test is on its way")
        chief.require_no_sideways_scrolling()
        page.goto(f"{server.url}/office/orders")
        page.get_by_role("link", name="1", exact=True).click()
        page.locator("summary", has_text="Refund an amount").click()
        refund = page.locator("#refund-form")
        refund.get_by_label("Amount").fill("5.00")
        refund.get_by_role("checkbox").check()
        refund.get_by_role("button").click()
        expect(page.locator("#refund-problem")).to_contain_text("12,50")
        refund.get_by_label("Amount").fill("5,00")
        refund.get_by_role("checkbox").check()
        refund.get_by_role("button").click()
        expect(page.get_by_role("status").first).to_contain_text("Refunded")
        chief.require_no_sideways_scrolling()
        assert chief.faults() == []
