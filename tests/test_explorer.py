"""The page in which staff write GraphQL, in a browser."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from giftgql.web import built
from tests import browsing, servers
from tests.browsing import PHONE, Window, staff_key, window
from tests.needed import skip_without

SEES_CODES = "ViewUnmaskedGiftCardCodes"
PASTES: dict[str, Any] = {"permissions": ["clipboard-read", "clipboard-write"]}
OF_THE_LIBRARY = (
    "color-contrast",
    "nested-interactive",
    "scrollable-region-focusable",
    "select-name",
)
"""What axe finds in GraphiQL itself."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if built.entry() is None:
        skip_without("the explorer, which scripts/setup builds where npm is")
    with browsing.chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    with servers.serving(servers.environment(tmp_path_factory.mktemp("explorer"))) as running:
        yield running


def run(page: Page, document: str, variables: str = "{}") -> None:
    """Write a document in a new tab, and press Ctrl-Enter."""
    expect(page.locator(".graphiql-editor .view-lines").first).to_contain_text(re.compile(r"\w"))
    page.get_by_role("button", name="New tab").click()
    write(page, 0, document)
    write(page, 1, variables)
    page.keyboard.press("Control+Enter")


def write(page: Page, editor: int, text: str) -> None:
    """Paste over what an editor has: it closes brackets that are typed."""
    field = page.locator(".graphiql-editor").nth(editor)
    page.evaluate("text => navigator.clipboard.writeText(text)", text)
    field.locator(".monaco-editor").click()
    page.keyboard.press("Control+A")
    page.keyboard.press("Control+V")
    first = re.search(r"\w+", text)
    expect(field.locator(".view-lines")).to_contain_text(first[0] if first else "{}")


ADD = """mutation ($card: GiftcardAddInput!) {
  giftcardAdd(giftcard: $card) { id codes { codeType code isMasked } } }"""
FIND = '{ giftcard(code: "GC49288331") { results { id codes { code isMasked } } } }'
LIST = "{ giftcard { results { id } } }"
BACKGROUND = """each => {
  while (getComputedStyle(each).backgroundColor === "rgba(0, 0, 0, 0)") each = each.parentElement;
  return getComputedStyle(each).backgroundColor.match(/[0-9]+/g).slice(0, 3).map(Number);
}"""
"""The red, green and blue that are seen behind an element."""


def member(server: servers.Server, member_id: str) -> str:
    servers.giftgql(server.environment, "member", "add", member_id)
    return member_id


def shown(opened: Window, text: str) -> None:
    expect(opened.page.locator(".result-window")).to_contain_text(text)


def test_rights_decide_what_staff_see_and_nothing_secret_is_kept(
    browser: Browser, server: servers.Server
) -> None:
    owner = member(server, "C000000212")
    card = {"physicalCode": "GC49288331", "addPersonalCode": True, "memberId": owner}
    with window(browser, server, **PASTES) as manager:
        manager.sign_in(staff_key(server, "Anna", "--role", "manager"), "/graphql")
        page = manager.page
        expect(page.locator(".who summary")).to_have_text("Anna · manager")
        run(page, ADD, json.dumps({"card": card}))
        shown(manager, "************")
        run(page, FIND)
        shown(manager, "GC49288331")
        page.reload()
        expect(page.get_by_role("tab", name="LookUp")).to_be_visible()
        kept = page.evaluate("JSON.stringify({ ...localStorage })")
        assert "GiftcardAddInput" in kept
        assert not any(secret in kept for secret in ("GC49288331", owner))
        assert manager.faults(apart_from=OF_THE_LIBRARY) == []
        page.get_by_role("button", name="Sign out").click()
        expect(page).to_have_url(f"{server.url}/sign-in")
        page.goto(f"{server.url}/graphql")
        expect(page).to_have_url(f"{server.url}/sign-in?next=%2Fgraphql")
    with window(browser, server, **PASTES) as seer:
        rights = ("--role", "manager", "--permission", SEES_CODES)
        seer.sign_in(staff_key(server, "Olga", *rights), "/graphql")
        run(seer.page, FIND)
        expect(seer.page.locator(".result-window")).not_to_contain_text("true")
        shown(seer, "GC49288331")
        expect(seer.page.locator(".result-window")).not_to_contain_text("****")


def test_a_clerk_on_a_phone_cannot_list_cards_and_is_told_why(
    browser: Browser, server: servers.Server
) -> None:
    with window(browser, server, PHONE, **PASTES) as clerk:
        clerk.sign_in(staff_key(server, "Ben", "--role", "clerk"), "/graphql")
        expect(clerk.page.get_by_role("tab", name="LookUp")).to_be_visible()
        clerk.require_no_sideways_scrolling()
        run(clerk.page, LIST)
        shown(clerk, "PERMISSION_DENIED")
        expect(clerk.page.get_by_role("status")).to_contain_text("PERMISSION_DENIED")
        expect(clerk.page.get_by_role("status")).to_contain_text("Ask whoever runs the server")


def test_who_was_signed_out_signs_in_beside_and_goes_on_also_in_the_dark(
    browser: Browser, server: servers.Server
) -> None:
    key = staff_key(server, "Cleo", "--role", "manager")
    with window(browser, server, **PASTES) as manager:
        manager.sign_in(key, "/graphql")
        page = manager.page
        run(page, LIST)
        shown(manager, "results")  # what is pressed while it runs is not heard
        page.context.clear_cookies()
        page.emulate_media(color_scheme="dark")
        expect(page.locator("body")).to_have_class(re.compile("graphiql-dark"))
        page.keyboard.press("Control+Enter")
        with page.expect_popup() as opened:
            page.get_by_role("link", name="Sign in beside").click()
        beside = opened.value
        beside.get_by_label("Personal access key").fill(key)
        beside.keyboard.press("Enter")
        expect(beside.get_by_role("tab", name="LookUp")).to_be_visible()
        beside.close()
        page.get_by_role("button", name="Execute query").click()
        shown(manager, "results")
        expect(page.get_by_role("link", name="Sign in beside")).to_have_count(0)
        paper = page.locator(".graphiql-editor").first.evaluate(BACKGROUND)
        assert max(paper) < 100, "dark, as the system has become"
