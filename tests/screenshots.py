"""The README's pictures, of a real server with a card that was used: `scripts/screenshots`."""

import tempfile
from pathlib import Path

import httpx
from playwright.sync_api import expect

from tests import servers
from tests.browsing import chromium, staff_key, window

DOCS = Path(__file__).parent.parent / "docs"
SIZE = (1120, 700)
CARD = """mutation {
  giftcardAdd(giftcard: {physicalCode: "WELCOME-1", note: "Opening day"}) { id }
  a: giftcardTransAdd(trans: {code: "WELCOME-1", transType: ADD, amount: "50.00", refNo: "R-1",
    sourceId: "Till 7"}) { id }
  b: giftcardTransAdd(trans: {code: "WELCOME-1", transType: USE, amount: "-12.50", refNo: "R-2",
    sourceId: "Till 7"}) { id }
  c: giftcardTransAdd(trans: {code: "WELCOME-1", transType: USE, amount: "-10.00",
    authorizeOnly: true, authorizeFor: "PT1H", sourceId: "Web shop"}) { id } }"""


def main() -> None:
    DOCS.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        chromium() as browser,
        servers.serving(servers.environment(Path(folder))) as server,
    ):
        headers = {"Authorization": f"Bearer {server.development_key}"}
        answer = httpx.post(f"{server.url}/graphql", json={"query": CARD}, headers=headers)
        assert "errors" not in answer.json(), answer.text
        key = staff_key(server, "Anna Weber", "--role", "manager")
        with window(browser, server, SIZE) as opened:
            page = opened.page
            opened.sign_in(key, "/graphql")
            expect(page.locator(".graphiql-editor").first).to_contain_text("LookUp")
            page.locator(".graphiql-editor .monaco-editor").first.click()
            page.keyboard.press("Control+Enter")
            expect(page.locator(".result-window")).to_contain_text("ACTIVATED")
            page.screenshot(path=DOCS / "explorer.png")
            page.goto(f"{server.url}/office/cards/1")
            page.screenshot(path=DOCS / "office.png")


if __name__ == "__main__":
    main()
