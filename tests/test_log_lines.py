"""What a log line looks like, whose request it is of, and what of slow things is said."""

import asyncio
import io
import json
import logging
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from sqlalchemy import text

from giftgql import log
from giftgql.choices import LogFormat, LogTo
from giftgql.settings import Settings
from giftgql.startup import open_store
from giftgql.statements import about
from giftgql.store import Store
from tests import factories, servers
from tests.client import Client, Server
from tests.test_metrics import over, told, value


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def as_before() -> Iterator[None]:
    """The log of the tests is put back."""
    yield
    for handler in logging.getLogger().handlers[:]:
        logging.getLogger().removeHandler(handler)
        handler.close()
    structlog.reset_defaults()


def line_on(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch, **given: Any) -> str:
    monkeypatch.setattr(sys, "stderr", stream)
    log.configure(Settings(log_to=LogTo.STDERR, **given, _env_file=None))
    structlog.get_logger("giftgql.test").info("it was so", request_id="abc", answer=42)
    logging.getLogger("elsewhere").warning("of a library")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("stream", "format_", "is_json"),
    [
        (io.StringIO, None, True),
        (Terminal, None, False),
        (Terminal, LogFormat.JSON, True),
        (io.StringIO, LogFormat.CONSOLE, False),
    ],
)
def test_programs_read_json_and_people_columns(
    stream: type[io.StringIO],
    format_: LogFormat | None,
    is_json: bool,
    monkeypatch: pytest.MonkeyPatch,
    as_before: None,
) -> None:
    said = line_on(stream(), monkeypatch, log_format=format_)
    assert len(said.splitlines()) == 2
    assert "of a library" in said
    if is_json:
        line = json.loads(said.splitlines()[0])
        assert (line["event"], line["request_id"], line["answer"]) == ("it was so", "abc", 42)
    else:
        assert "it was so" in said
        assert "{" not in said


def lines(settings: Settings) -> list[dict[str, Any]]:
    file = log.log_folder(settings) / "test.log"
    return [json.loads(line) for line in file.read_text().splitlines()]


async def test_all_lines_of_a_request_have_its_id(
    store: Store, monkeypatch: pytest.MonkeyPatch, as_before: None
) -> None:
    """Those of work done for many have nobody's."""
    log.configure(store.settings, file_name="test.log")
    async with over(store, slow_ms=1) as http:
        await http.get("/readyz", headers={"X-Request-ID": "first"})
        monkeypatch.setattr(store, "read", broken)
        await asyncio.gather(
            *(http.get("/readyz", headers={"X-Request-ID": f"more-{n}"}) for n in range(3))
        )
    found = lines(store.settings)
    assert [each["event"] for each in found if each.get("request_id") == "first"] == ["request"]
    for number in range(3):
        events = [each["event"] for each in found if each.get("request_id") == f"more-{number}"]
        assert events == ["not ready", "request"]


def test_a_full_file_makes_room_for_a_new_one(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, as_before: None
) -> None:
    monkeypatch.setattr(log, "FILE_BYTES", 1_000)
    log.configure(settings, file_name="test.log")
    for number in range(60):
        structlog.get_logger("giftgql.test").info("said", number=number)
    folder = log.log_folder(settings)
    files = [folder / "test.log", *(folder / f"test.log.{n}" for n in (1, 2, 3, 4, 5))]
    assert set(folder.iterdir()) == set(files)
    kept = [json.loads(line) for each in reversed(files) for line in each.read_text().splitlines()]
    assert [each["number"] for each in kept] == list(range(60))[-len(kept) :]
    assert all(1_000 <= each.stat().st_size < 1_200 for each in files[1:])


def broken() -> Any:
    raise ZeroDivisionError


async def test_slow_requests_and_statements_are_told_without_a_value(
    settings: Settings, as_before: None
) -> None:
    """With a limit of one millisecond some of each are slow, on any machine."""
    secret = "SLOW-SECRET-1"
    log.configure(settings, file_name="test.log")
    impatient = Settings(**{**settings.model_dump(), "slow_ms": 1}, _env_file=None)
    store = await open_store(impatient)
    before = value(await told(store), "slow_statements_total")
    try:
        async with Server.over(store) as server:
            key = (await factories.client(store, roles=["till"])).client_secret
            till = server.client(key)
            await slow_use(till, secret)
        async with store.read() as reading:
            await (await reading.session.connection()).execute(text(LONG), {"secret": secret})
        assert value(await told(store), "slow_statements_total") > before
    finally:
        await store.close()
    found = lines(settings)
    slow = [each for each in found if each["event"] == "slow statement"]
    assert all(each["level"] == "warning" and each["ms"] >= 1 for each in slow)
    assert ("SELECT", ["gift_card"]) in [(each["verb"], each["tables"]) for each in slow]
    requests = [each for each in found if each["event"] == "request"]
    assert {each["level"] for each in requests if "slow" in each} == {"warning"}
    assert {each["level"] for each in requests if "slow" not in each} <= {"info"}
    assert secret not in (log.log_folder(settings) / "test.log").read_text()


LONG = """WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30000)
    SELECT count(*) FROM n, (SELECT count(*) AS c FROM gift_card) AS g WHERE :secret <> 'x'"""


async def slow_use(till: Client, code: str) -> None:
    await factories.card(till, physicalCode=code, physicalPin="4711")
    await factories.trans(till, code=code, transType="ADD", amount="5.00")
    await factories.trans(till, code=code, pin="4711", transType="USE", amount="-1.00")


def test_a_statement_is_told_by_verb_tables_and_digest() -> None:
    statement = "SELECT code.id FROM code JOIN gift_card ON 1 = 1 WHERE note = 'FROM SECRET'"
    said = about(statement)
    assert (said["verb"], said["tables"]) == ("SELECT", ["code", "gift_card"])
    assert said == about(statement)
    assert about("PRAGMA optimize")["verb"] == "other"
    written = about("WITH w0 AS (INSERT INTO movement (id) VALUES ($1) RETURNING 1) SELECT 1")
    assert (written["verb"], written["tables"]) == ("INSERT", ["movement"])


async def test_nothing_is_slow_where_the_setting_says_so(settings: Settings) -> None:
    store = await open_store(Settings(**{**settings.model_dump(), "slow_ms": 0}, _env_file=None))
    try:
        before = value(await told(store), "slow_statements_total")
        async with store.read() as reading:
            await (await reading.session.connection()).execute(text(LONG), {"secret": "y"})
        assert value(await told(store), "slow_statements_total") == before
    finally:
        await store.close()


def test_a_server_says_where_it_is_and_goes_on(tmp_path: Path) -> None:
    """As one is asked to whose event loop is stuck."""
    with servers.serving(servers.environment(tmp_path)) as server:
        server.process.send_signal(signal.SIGUSR1)
        assert server.line(r"^Current thread ")
        assert httpx.get(f"{server.url}/healthz", timeout=servers.PATIENCE).status_code == 200
