"""The back office in a browser, with its scripts and without."""

from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests import browsing, servers
from tests.browsing import PHONE, staff_key, window

CARD = """mutation { giftcardAdd(giftcard: {physicalCode: "GC49288331"}) { id }
  giftcardTransAdd(trans: {code: "GC49288331", transType: ADD, amount: "50.00"}) { id } }"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing.chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    folder = tmp_path_factory.mktemp("office")
    with servers.serving(servers.environment(folder)) as running:
        headers = {"Authorization": f"Bearer {running.development_key}"}
        made = httpx.post(f"{running.url}/graphql", json={"query": CARD}, headers=headers)
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
        clerk.sign_in(staff_key(server, "Ben", "--role", "manager"), "/office/cards")
        clerk.require_no_sideways_scrolling()
        clerk.page.goto(f"{server.url}/office/cards/1")
        clerk.require_no_sideways_scrolling()
        assert clerk.faults() == []
