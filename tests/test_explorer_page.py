"""The explorer's page and files, as far as they need no browser."""

import json
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest
from graphql import parse, validate
from graphql.execution.values import get_variable_values
from graphql.language import OperationDefinitionNode

from giftgql import schema
from giftgql.app.explorer import POLICY
from giftgql.errors import ErrorCode
from giftgql.store import Store
from giftgql.web import built
from tests.client import Server
from tests.signing_in import Browser, person

TABS = Path(built.FOLDER).parent / "src" / "tabs.json"


def test_the_tabs_of_the_tills_day_fit_the_schema() -> None:
    tabs = json.loads(TABS.read_text())
    names = []
    for tab in tabs:
        document = parse(tab["query"])
        assert validate(schema.build()._schema, document) == []
        [operation] = document.definitions
        assert isinstance(operation, OperationDefinitionNode)
        assert operation.name is not None
        names.append(operation.name.value)
        given = get_variable_values(
            schema.build()._schema, operation.variable_definitions or (), tab["variables"]
        )
        assert not isinstance(given, list), given
    assert len(set(names)) == len(names) == 9


@pytest.fixture
def browser(server: Server) -> Browser:
    return Browser(server)


async def test_the_page_is_for_who_is_signed_in_and_says_who_that_is(
    browser: Browser, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    html = {"Accept": "text/html,*/*"}
    asked = await browser.get("/graphql", **html)
    assert (asked.status_code, asked.headers["location"]) == (303, "/sign-in?next=%2Fgraphql")
    for path in ("/explorer/schema.graphql", "/explorer/hints.json"):
        assert (await browser.get(path)).status_code == 303
    anna = await person(store, role="manager", name="<i>Anna</i>")
    await browser.sign_in(anna.key, "/graphql")
    monkeypatch.setattr(built, "entry", lambda: built.Entry("/built/a.js", ("/built/a.css",)))
    page = await browser.get("/graphql", **html)
    assert "&lt;i&gt;Anna&lt;/i&gt; · manager" in page.text
    assert '<script type="module" src="/built/a.js"></script>' in page.text
    assert page.headers["content-security-policy"] == POLICY
    monkeypatch.setattr(built, "entry", lambda: None)
    page = await browser.get("/graphql", **html)
    assert built.HOW_TO_GET_IT in page.text
    assert "<script" not in page.text
    text = (await browser.get("/explorer/schema.graphql")).text
    assert text == schema.build().as_str()
    hints = (await browser.get("/explorer/hints.json")).json()
    assert hints["CARD_EXPIRED"] == "Extend its validity first."
    assert hints.keys() <= set(ErrorCode)


async def test_what_was_built_is_sent_small_and_kept_for_ever(
    browser: Browser, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "assets").mkdir()
    for name in ("assets/a-1.js", "assets/a-1.js.br", "pico.css", "manifest.json"):
        (tmp_path / name).write_text(name)
    monkeypatch.setattr(built, "FOLDER", tmp_path)
    built._files.cache_clear()
    try:
        small = await browser.send("GET", "/built/assets/a-1.js", headers={"Accept-Encoding": "br"})
        assert small.headers["content-encoding"] == "br"
        assert "immutable" in small.headers["cache-control"]
        plain = await browser.send("GET", "/built/assets/a-1.js", headers={"Accept-Encoding": "x"})
        assert (plain.text, plain.headers["vary"]) == ("assets/a-1.js", "Accept-Encoding")
        office = await browser.get("/built/pico.css")
        assert office.headers["cache-control"] == "max-age=600"
        for hidden in ("manifest.json", "../vite.config.js", "assets/", "assets/a-1.js.br"):
            assert (await browser.get(f"/built/{hidden}")).status_code == 404
    finally:
        built._files.cache_clear()


BUILD = "import sys; from hatchling.build import build_wheel; print(build_wheel(sys.argv[1]))"


def test_a_wheel_has_all_that_the_pages_need_and_none_of_their_sources(tmp_path: Path) -> None:
    root = Path(built.FOLDER).parents[2]
    command = (sys.executable, "-c", BUILD, tmp_path)
    made = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    with ZipFile(tmp_path / made.stdout.strip()) as wheel:
        held = {name for name in wheel.namelist() if not name.endswith((".py", "/"))}
    needed = {
        file.relative_to(root).as_posix()
        for folder in (root / "giftgql").rglob("*")
        if folder.name in ("templates", "static", "built")
        for file in folder.rglob("*")
        if file.is_file()
    }
    assert needed <= held
    sources = {name for name in held if name.startswith("giftgql/explorer/")} - needed
    assert sources == set()
