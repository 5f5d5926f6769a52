"""Visitors of the back office for tests: they sign in, read pages, fill in and send their forms."""

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

import httpx

from giftgql.permissions import Permission
from giftgql.store import Store
from tests.client import Server
from tests.signing_in import SAME_ORIGIN, Browser, person

_VOID = frozenset({"br", "hr", "img", "input", "link", "meta", "col", "wbr"})


@dataclass
class PageForm:
    """A form as a browser has it: where it goes, and its fields as they were rendered."""

    action: str
    fields: dict[str, str] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)


class _Reader(HTMLParser):
    """Reads texts, forms and what is wrong with the markup."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[PageForm] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.ids: list[str] = []
        self.labels: set[str] = set()
        self.unlabelled: list[str] = []
        self._choice = ""

    def handle_starttag(self, tag: str, given: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in given}
        assert not {"style", "onclick", "onsubmit"} & attributes.keys(), self.get_starttag_text()
        assert tag != "style", "inline style"
        assert tag != "script" or attributes.get("src"), "inline script"
        if "id" in attributes:
            self.ids.append(attributes["id"])
        if "for" in attributes:
            self.labels.add(attributes["for"])
        if tag == "form":
            self.forms.append(PageForm(attributes.get("action", "")))
        if tag in ("input", "select", "textarea", "option"):
            self._control(tag, attributes)
        if tag not in _VOID:
            self.open.append(tag)

    def _control(self, tag: str, attributes: dict[str, str]) -> None:
        name, value = attributes.get("name", ""), attributes.get("value", "")
        if tag == "option":
            if "selected" in attributes or self._choice not in self.forms[-1].fields:
                self.forms[-1].fields[self._choice] = value
            return
        kind = attributes.get("type", "text")
        if kind != "hidden" and "label" not in self.open:
            self.unlabelled.append(attributes.get("id", name))
        if tag == "select":
            self._choice = name
        self.forms[-1].names.add(name)
        if kind not in ("checkbox", "radio") or "checked" in attributes:
            self.forms[-1].fields[name] = value

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes another"

    def handle_data(self, data: str) -> None:
        self.words.append(data)


class Page:
    """An answer read as a person reads it. Every page is held to the rules of markup here."""

    def __init__(self, answer: httpx.Response) -> None:
        self.status, self.html, self.headers = answer.status_code, answer.text, answer.headers
        self.location = answer.headers.get("location", "")
        reader = _Reader()
        reader.feed(self.html)
        self.forms = reader.forms
        self.text = re.sub(r"\s+", " ", " ".join(reader.words)).replace("\u00a0", " ")
        assert reader.open == [], "tags are left open"
        assert len(reader.ids) == len(set(reader.ids)), f"ids twice: {sorted(reader.ids)}"
        assert set(reader.unlabelled) <= reader.labels, "inputs without a label"

    def form(self, ends: str) -> PageForm:
        """The first form that is sent to an address with this end."""
        return next(form for form in self.forms if form.action.endswith(ends))

    def offers(self, ends: str) -> bool:
        return any(form.action.endswith(ends) for form in self.forms)


@dataclass
class Visitor:
    browser: Browser
    languages: str = "en"

    async def open(self, path: str) -> Page:
        return Page(await self.browser.get(path, **{"Accept-Language": self.languages}))

    async def send(self, form: PageForm, **typed: str) -> Page:
        """Fill a form in and send it; where it leads on, give the page there."""
        assert typed.keys() <= form.names | {"confirmed"}, "there is no such field"
        answer = await self.post(form.action, {**form.fields, **typed})
        return await self.open(answer.location) if answer.status == 303 else answer

    async def post(
        self, path: str, fields: dict[str, str], headers: dict[str, str] = SAME_ORIGIN
    ) -> Page:
        sent = {"Accept-Language": self.languages, **headers}
        return Page(await self.browser.post(path, fields, headers=sent))


async def visitor(
    server: Server, store: Store, *permissions: Permission, role: str | None = None
) -> Visitor:
    """Somebody who is signed in, with these rights."""
    somebody = await person(store, *permissions, role=role)
    browser = Browser(server)
    await browser.sign_in(somebody.key)
    return Visitor(browser)
