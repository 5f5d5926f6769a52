"""A real browser for tests of pages: Debian's Chromium, which finds no host but this one."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, Request, expect, sync_playwright

from tests import servers
from tests.needed import skip_without

AXE = Path(__file__).parent / "js" / "node_modules" / "axe-core" / "axe.min.js"
DESKTOP, PHONE = (1280, 800), (390, 844)
ONLY_THIS_HOST = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
REPORTS = """
window.violations = [];
document.addEventListener('securitypolicyviolation', (event) => {
  window.violations.push(`${event.violatedDirective} ${event.blockedURI}`);
});
"""


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser; skips the test where there is none."""
    program = shutil.which("chromium")
    if program is None:
        skip_without("Debian's chromium, which .ci/run installs")

    expect.set_options(timeout=servers.PATIENCE * 1000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=[ONLY_THIS_HOST])
        try:
            yield browser
        finally:
            browser.close()


def staff_key(server: servers.Server, name: str, *rights: str) -> str:
    """Add a staff member, `"--role", "manager"`; returns the key to sign in with."""
    made = servers.giftgql(server.environment, "staff", "add", name, *rights, "--json")
    return str(json.loads(made.stdout)["key"])


@dataclass
class Window:
    """A window of a browser of its own, and what went wrong in it."""

    page: Page
    server: servers.Server
    asked: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.add_init_script(REPORTS)
        self.page.on("request", self._ask)
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))

    def _ask(self, request: Request) -> None:
        self.asked.append(request.url)

    def sign_in(self, key: str, path: str) -> None:
        """Be sent to the sign-in from a page, sign in, and come back to it."""
        self.page.goto(self.server.url + path)
        assert self.page.url.startswith(f"{self.server.url}/sign-in?next=")
        self.page.get_by_label("Personal access key").fill(key)
        self.page.keyboard.press("Enter")
        self.page.wait_for_url(self.server.url + path)

    def require_nothing_wrong(self) -> None:
        """No script failed, nothing was asked of another host, the policy was kept."""
        assert self.wrong == []
        own = (self.server.url, "data:", "blob:")
        assert [url for url in self.asked if not url.startswith(own)] == []
        assert self.page.evaluate("window.violations") == []

    def require_no_sideways_scrolling(self) -> None:
        widths = "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
        width, seen = self.page.evaluate(widths)
        assert width <= seen

    def faults(self, *, apart_from: tuple[str, ...] = ()) -> list[Any]:
        """Serious faults for people who use the keyboard or hear the page, as axe finds them."""
        if not AXE.exists():
            skip_without("npm: run scripts/setup --dev where it is")
        # Past the policy, which lets no script into the page but its own.
        self.page.evaluate(AXE.read_text())
        found = self.page.evaluate("axe.run()")["violations"]
        return [
            (each["id"], each["nodes"][0]["html"][:200])
            for each in found
            if each["impact"] in ("serious", "critical") and each["id"] not in apart_from
        ]


@contextmanager
def window(
    browser: Browser, server: servers.Server, size: tuple[int, int] = DESKTOP, **more: Any
) -> Iterator[Window]:
    """A window without cookies of another one. Nothing was wrong in it."""
    viewport: Any = {"width": size[0], "height": size[1]}
    context = browser.new_context(viewport=viewport, **more)
    try:
        opened = Window(context.new_page(), server)
        yield opened
        opened.require_nothing_wrong()
    finally:
        context.close()
