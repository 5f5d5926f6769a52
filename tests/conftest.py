"""Every test gets a database of its own, on SQLite and on PostgreSQL: a copy of a migrated one."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
import structlog
from sqlalchemy import event
from typer.testing import CliRunner

from giftgql import cli, condition, log, pins
from giftgql.permissions import Channel, Permission
from giftgql.settings import Settings
from giftgql.startup import open_store
from giftgql.store import Store
from tests import factories, servers, spawner
from tests.client import Client, Server
from tests.databases import Databases

TEMPLATE = "giftgql_template"
PATIENT: dict[str, Any] = {
    **{f"{what}_seconds": 30 for what in ("lock", "pool", "connect", "statement")},
    "request_seconds": 300,
}
"""Longer than any machine is busy: tests of what is refused after a while say how long that is."""

ALL_BUT_UNMASKED = frozenset(Permission) - {Permission.VIEW_UNMASKED_GIFT_CARD_CODES}


@pytest.fixture(autouse=True)
def plain_log() -> None:
    """A traceback in a line each: structlog's own with all variables takes seconds, in which no
    other request is served, so that one failure would bring on the next."""
    plain = structlog.dev.ConsoleRenderer(
        colors=False, exception_formatter=structlog.dev.plain_traceback
    )
    structlog.configure(processors=[structlog.processors.add_log_level, plain])


@pytest.fixture(autouse=True)
def cheap_secrets(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The least that argon2 can cost, but for tests of what it costs."""
    if request.node.get_closest_marker("real_argon2") is None:
        monkeypatch.setattr(pins, "MEMORY_KIB", 8)
        monkeypatch.setattr(pins, "ROUNDS", 1)


@pytest.fixture(autouse=True)
def patient_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine's database is not down."""
    monkeypatch.setattr(condition, "PATIENCE", 30.0)


@pytest.fixture(scope="session", autouse=True)
def forking() -> Iterator[None]:
    """Servers and commands are forked from a process that has imported the program."""
    with spawner.running():
        yield


@pytest.fixture(scope="session")
def postgres() -> Iterator[servers.PostgresServer]:
    with servers.postgres() as server:
        server.relax()
        yield server


@dataclass(frozen=True)
class Templates:
    """A migrated database of each kind with the keys that both belong to."""

    folder: Path

    @property
    def keys(self) -> Path:
        return self.folder / "keys.json"

    @property
    def sqlite(self) -> Path:
        return self.folder / "giftgql.db"


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Templates:
    folder = tmp_path_factory.mktemp("templates")
    _migrate(Settings(data_dir=folder, _env_file=None))
    return Templates(folder)


@pytest.fixture(scope="session")
def databases(postgres: servers.PostgresServer, templates: Templates) -> Iterator[Databases]:
    postgres.sql(f"CREATE DATABASE {TEMPLATE}")
    url = postgres.url(TEMPLATE)
    _migrate(Settings(data_dir=templates.folder, database_url=url, _env_file=None))
    databases = Databases(postgres, TEMPLATE)
    yield databases
    databases.close()


OF_THE_DATABASE = frozenset(
    {"test_concurrency", "test_jobs", "test_migrations", "test_money_faults", "test_snapshots"}
    | {"test_startup", "test_upgrade"}
)
"""Whose runs on PostgreSQL run code that no other test does."""

OF_NO_NEW_CODE = frozenset(
    {"test_architecture", "test_conformance", "test_crash", "test_dependencies", "test_docs"}
    | {"test_hostile_bodies", "test_import_secrets", "test_imports_crash", "test_leaks"}
    | {"test_money_crash", "test_money_leaving", "test_money_machine", "test_races"}
    | {"test_schema", "test_work_processes"}
)
"""Who race, kill or read what other tests run as well."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what runs no code that another test does not: coverage, which makes tests twice as
    slow, is measured without it."""
    for item in items:
        given = getattr(item, "callspec", None)
        is_again = given is not None and "postgresql" in given.params.values()
        if item.path.stem in OF_NO_NEW_CODE or (is_again and item.path.stem not in OF_THE_DATABASE):
            item.add_marker("no_new_code")


on_sqlite = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
on_postgresql = pytest.mark.parametrize("settings", ["postgresql"], indirect=True)
"""Tests of what one of the databases does by itself."""


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(
    request: pytest.FixtureRequest, tmp_path: Path, templates: Templates
) -> Iterator[Settings]:
    """Settings of a fresh migrated database, once of each kind."""
    shutil.copy(templates.keys, tmp_path / "keys.json")
    if request.param == "sqlite":
        shutil.copy(templates.sqlite, tmp_path / "giftgql.db")
        yield Settings(data_dir=tmp_path, **PATIENT, _env_file=None)
        return
    databases: Databases = request.getfixturevalue("databases")
    url = databases.take()
    yield Settings(data_dir=tmp_path, database_url=url, **PATIENT, _env_file=None)
    databases.give_back(url)


RunCommand = Callable[..., tuple[int, str]]


@pytest.fixture
def command(settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> RunCommand:
    """Run `giftgql …` in the folder of this test: its exit code, and what it said."""
    monkeypatch.setenv("GIFTGQL_DATA_DIR", str(settings.data_dir))
    monkeypatch.setenv("GIFTGQL_DATABASE_URL", settings.database_url)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(log, "configure", lambda *_, **__: None)  # it would stay

    def run(*arguments: str, given: bytes | None = None) -> tuple[int, str]:
        done = CliRunner().invoke(cli.app, arguments, input=given)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, done.output

    return run


@pytest.fixture
async def store(settings: Settings) -> AsyncIterator[Store]:
    opened = await open_store(settings)
    yield opened
    await opened.close()


@pytest.fixture
def clock(store: Store) -> "SetClock":
    """A clock that stands until it is moved on."""
    set_clock = SetClock(datetime(2026, 11, 21, 12, 0, tzinfo=UTC))
    store.clock = set_clock
    return set_clock


class SetClock:
    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **by: float) -> None:
        self.now += timedelta(**by)


@pytest.fixture
async def server(store: Store) -> AsyncIterator[Server]:
    """The application over the store, without a network in between."""
    async with Server.over(store) as running:
        yield running


MakeClient = Callable[..., Awaitable[Client]]


@pytest.fixture
def client_with(server: Server, store: Store) -> MakeClient:
    """Make a client: `await client_with(Permission.X, role="till", channel=…)`."""

    async def make(
        *permissions: Permission, role: str | None = None, channel: Channel = Channel.IN_STORE
    ) -> Client:
        credential = await factories.client(
            store, permissions=permissions, roles=[role] if role else [], channel=channel
        )
        return server.client(credential.client_secret)

    return make


@pytest.fixture
async def admin(client_with: MakeClient) -> Client:
    """May do everything but see generated codes in clear."""
    return await client_with(*ALL_BUT_UNMASKED)


@pytest.fixture
async def till(client_with: MakeClient) -> Client:
    return await client_with(role="till")


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds by which the memory of credentials has aged."""
    aged = [0.0]
    monkeypatch.setattr("giftgql.app.callers.monotonic", lambda: monotonic() + aged[0])
    return aged


@contextmanager
def statements(store: Store) -> Iterator[list[str]]:
    """The SQL that readers run meanwhile."""
    seen = list[str]()

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        seen.append(statement)

    where = (store.database.reader.sync_engine, "before_cursor_execute", note)
    event.listen(*where)
    yield seen
    event.remove(*where)


def _migrate(settings: Settings) -> None:
    async def open_and_close() -> None:
        await (await open_store(settings)).close()

    asyncio.run(open_and_close())
