"""Restoring into a place of SQLite's that is not as empty, or not as quiet, as it looks."""

import asyncio
import os
import shutil
import sys
from pathlib import Path

import pytest

from giftgql import backups
from giftgql.backups import BackupError
from giftgql.settings import Settings
from giftgql.startup import open_store
from giftgql.store import Store
from tests import factories
from tests.client import Client
from tests.conftest import on_sqlite


def another_place(settings: Settings, folder: Path) -> Settings:
    """With the same keys, and no database yet."""
    folder.mkdir()
    shutil.copy(settings.keyring_file, folder / "keys.json")
    return Settings(data_dir=folder, database_url="", _env_file=None)


@on_sqlite
async def test_a_log_that_was_left_behind_is_no_part_of_what_is_restored(
    settings: Settings, store: Store, admin: Client, tmp_path: Path
) -> None:
    """As where a database was moved away after a crash, and its log was not: SQLite would write
    that into whatever has the name next."""
    elsewhere = another_place(settings, tmp_path / "elsewhere")
    await backups.back_up(settings, tmp_path / "backup")
    card = await factories.card(admin)
    await factories.top_up(admin, card, "7.00")
    for end in ("-wal", "-shm"):
        shutil.copy(f"{settings.sqlite_file}{end}", f"{elsewhere.sqlite_file}{end}")
    left = [each.read_bytes() for each in elsewhere.data_dir.glob("*-wal")]
    assert (await backups.restore(elsewhere, tmp_path / "backup")).movements == 0
    again = await open_store(elsewhere)
    try:
        async with again.snapshot() as reading:
            assert await reading.reports.count_movements() == 0
    finally:
        await again.close()
    kept = [each for each in elsewhere.data_dir.iterdir() if ".replaced-" in each.name]
    assert [each.read_bytes() for each in kept] == left


@on_sqlite
async def test_a_power_cut_leaves_the_database_that_was_there_whole(
    settings: Settings,
    store: Store,
    admin: Client,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was acknowledged last is in its log, where a server was killed."""
    await backups.back_up(settings, tmp_path / "backup")
    await factories.top_up(admin, await factories.card(admin), "7.00")
    elsewhere = another_place(settings, tmp_path / "elsewhere")
    for end in ("", "-wal"):
        shutil.copy(f"{settings.sqlite_file}{end}", f"{elsewhere.sqlite_file}{end}")

    def cut(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", cut)
    with pytest.raises(KeyboardInterrupt):
        await backups.restore(elsewhere, tmp_path / "backup", replacing=True)
    monkeypatch.undo()
    again = await open_store(elsewhere)
    try:
        async with again.snapshot() as reading:
            assert await reading.reports.count_movements() == 1
    finally:
        await again.close()


@on_sqlite
async def test_nothing_is_restored_under_whoever_has_the_database_open(
    settings: Settings, tmp_path: Path
) -> None:
    """A command between two transactions holds none of our locks, but what it writes then would
    go into the database that was replaced."""
    await backups.back_up(settings, tmp_path / "backup")
    looks = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); "
        "c.execute('SELECT * FROM installation').fetchall(); print(flush=True); input()"
    )
    command = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", looks, str(settings.sqlite_file)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert command.stdout is not None
    await command.stdout.readline()
    with pytest.raises(BackupError, match="Stop it first"):
        await backups.restore(settings, tmp_path / "backup", replacing=True)
    await command.communicate(b"\n")
    assert (await backups.restore(settings, tmp_path / "backup", replacing=True)).wrong == 0


@on_sqlite
async def test_a_backup_goes_to_a_file_system_without_links_and_replaces_nothing_there(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def has_none(*_: object) -> None:
        raise PermissionError("Operation not permitted")

    monkeypatch.setattr(os, "link", has_none)
    with pytest.raises(BackupError, match="is there already"):
        await backups.back_up(settings, settings.keyring_file)
    assert (await backups.back_up(settings, tmp_path / "backup")).wrong == 0
    with pytest.raises(BackupError, match="is there already"):
        await backups.back_up(settings, tmp_path / "backup")
    assert not [each for each in os.listdir(tmp_path) if "draft" in each]
