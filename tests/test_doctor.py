"""What `giftgql doctor` says is wrong, and that it changes nothing."""

import asyncio
import json
import os
import shutil
import time
from collections.abc import Callable, Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from giftgql import examination
from giftgql.doctor import examine
from giftgql.findings import Finding, Level
from giftgql.jobs import service as jobs
from giftgql.settings import Settings
from giftgql.store import Store
from giftgql.vault import Keyring
from tests import openid_provider, servers
from tests.mailing import Postbox, smtp_server
from tests.servers import giftgql
from tests.test_additive import add_what_is_to_come
from tests.test_metrics import add_mail
from tests.test_startup import change


def diagnosis(environment: dict[str, str]) -> str:
    """What doctor finds wrong: one line, with exit code 1 and without a traceback."""
    done = giftgql(environment, "doctor")
    assert (done.returncode, done.stderr) == (1, "")
    wrong = [line for line in done.stdout.splitlines() if line.startswith("WRONG ")]
    assert len(wrong) == 1, done.stdout
    return wrong[0]


def test_doctor_names_the_setting_that_is_wrong(tmp_path: Path) -> None:
    environment = servers.environment(tmp_path, GIFTGQL_LOG_LEVEL="s3cret-value")
    said = diagnosis(environment)
    assert said.startswith("WRONG settings: GIFTGQL_LOG_LEVEL: ")
    assert "s3cret-value" not in said


def test_doctor_tells_of_a_name_that_is_no_setting(tmp_path: Path) -> None:
    environment = servers.environment(tmp_path, GIFTGQL_PRODUCTOIN="true")
    done = giftgql(environment, "doctor")
    assert done.returncode == 0
    assert "no such settings: GIFTGQL_PRODUCTOIN" in done.stdout


async def test_doctor_knows_sick_databases_and_keys(settings: Settings) -> None:
    """One database after the other state of it; `keys.json` is put back each time."""
    environment = servers.environment(settings.data_dir, settings.database_url)
    keys = settings.keyring_file
    good = keys.read_bytes()
    assert giftgql(environment, "doctor").returncode == 0

    keys.chmod(0o644)
    assert "can be read by others. Run 'chmod 600" in diagnosis(environment)
    keys.unlink()
    assert "There is no key file" in diagnosis(environment)
    Keyring.new().write(keys)
    assert "is not this database's" in diagnosis(environment)
    keys.write_text("{")
    assert "is damaged" in diagnosis(environment)
    keys.write_bytes(good)

    await change(settings, "UPDATE alembic_version SET version_num = '9999'")
    assert "newer giftgql" in diagnosis(environment)


def test_doctor_knows_a_database_that_is_not_migrated(
    postgres: servers.PostgresServer, tmp_path: Path
) -> None:
    environment = servers.environment(tmp_path, postgres.create())
    assert "Run 'giftgql migrate'" in diagnosis(environment)
    assert giftgql(environment, "migrate").returncode == 0
    assert giftgql(environment, "doctor").returncode == 0


def test_doctor_knows_a_database_that_cannot_be_reached(
    postgres: servers.PostgresServer, tmp_path: Path
) -> None:
    gone = f"postgresql://postgres:s3cret@/x?host={tmp_path}"
    for url, wanted in (
        (gone, "cannot be reached"),
        (postgres.url("nowhere"), 'database "nowhere" does not exist'),
    ):
        said = diagnosis(servers.environment(tmp_path, url))
        assert wanted in said
        assert "Check GIFTGQL_DATABASE_URL" in said
        assert "s3cret" not in said


async def test_doctor_says_where_mails_go(tmp_path: Path) -> None:
    said = giftgql(servers.environment(tmp_path), "doctor").stdout
    assert f"written into {tmp_path / 'mail'}, not sent" in said
    more = {"GIFTGQL_MAIL_FROM": "Shop <shop@example.com>"}
    async with smtp_server(Postbox()) as port:
        more["GIFTGQL_SMTP_URL"] = f"smtp://127.0.0.1:{port}?starttls=off"
        environment = servers.environment(tmp_path, **more)
        said = (await asyncio.to_thread(giftgql, environment, "doctor")).stdout
        assert f"sent by 127.0.0.1:{port}, from Shop <shop@example.com>" in said
        more["GIFTGQL_SMTP_URL"] = f"smtp://u:s3cret@127.0.0.1:{port}"
        said = await asyncio.to_thread(diagnosis, servers.environment(tmp_path, **more))
    assert f"127.0.0.1:{port} does not take mails: STARTTLS or AUTH is not offered." in said
    assert "s3cret" not in said
    more = {"GIFTGQL_MAIL_TEMPLATES": str(tmp_path / "none")}
    said = await asyncio.to_thread(diagnosis, servers.environment(tmp_path, **more))
    assert "GIFTGQL_MAIL_TEMPLATES" in said


async def test_doctor_says_whether_the_providers_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIFTGQL_MEMBER_OIDC_AUDIENCE", "gifts")
    async with openid_provider.running() as running:
        monkeypatch.setenv("GIFTGQL_MEMBER_OIDC_ISSUER", running.issuer)
        found = (await examine())[-1]
        assert (found.what, found.is_well) == ("sign-in of members", True)
    found = (await examine())[-1]
    assert not found.is_well
    assert "is no OpenID provider now: No connection." in found.says


def test_doctor_changes_nothing(tmp_path: Path) -> None:
    environment = servers.environment(tmp_path / "data")
    assert giftgql(environment, "doctor").returncode == 0
    assert not (tmp_path / "data").exists()
    production = {**environment, "GIFTGQL_PRODUCTION": "1"}
    assert "giftgql keys new" in diagnosis(production)


# What is well today, and may not be for ever

Look = Callable[..., Coroutine[Any, Any, dict[str, list[Finding]]]]


@pytest.fixture
def look(settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Look:
    """What doctor finds with these settings, by what it is about, but for what is well."""

    async def found(**given: str) -> dict[str, list[Finding]]:
        monkeypatch.chdir(tmp_path)
        given |= {"DATA_DIR": str(settings.data_dir), "DATABASE_URL": settings.database_url}
        with monkeypatch.context() as patched:
            for name, value in given.items():
                is_ours = name != "FORWARDED_ALLOW_IPS"
                patched.setenv(f"GIFTGQL_{name}" if is_ours else name, value)
            answer: dict[str, list[Finding]] = {}
            for finding in await examine():
                if finding.level is not Level.OK:
                    answer.setdefault(finding.what, []).append(finding)
            return answer

    return found


async def test_settings_that_do_harm_in_production_are_named(look: Look) -> None:
    assert "production" not in await look(ALLOW_GET="true")
    found = await look(
        PRODUCTION="true",
        ALLOW_GET="true",
        LOG_LEVEL="DEBUG",
        WEBHOOKS_ALLOW_PRIVATE="true",
        METRICS_PORT="9100",
        METRICS_HOST="0.0.0.0",
    )
    said = " ".join(str(each) for each in found["production"])
    for named in ("ALLOW_GET", "LOG_LEVEL", "ALLOW_PRIVATE", "PUBLIC_URL", "nobody gets a card"):
        assert named in said
    assert all(each.level is Level.WARNING and each.do for each in found["production"])
    assert "0.0.0.0:9100" in found["metrics"][0].says
    found = await look(
        PRODUCTION="true",
        SMTP_URL="smtp://127.0.0.1:1?starttls=off",
        MAIL_FROM="Shop <shop@example.com>",
        PUBLIC_URL="https://cards.example.com",
    )
    assert [each.do for each in found["production"]] == ["Leave out starttls=off."]


async def test_whose_word_is_taken_for_where_requests_come_from(look: Look) -> None:
    assert "proxies" not in await look(FORWARDED_ALLOW_IPS="10.0.0.7")
    for production, level in (("false", Level.WARNING), ("true", Level.WRONG)):
        found = await look(FORWARDED_ALLOW_IPS="*", PRODUCTION=production)
        assert found["proxies"][0].level is level


async def test_a_file_of_settings_that_everybody_can_read_is_told(
    look: Look, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("GIFTGQL_SLOW_MS=500\n")
    for mode, is_told in ((0o640, False), (0o644, True)):
        (tmp_path / ".env").chmod(mode)
        assert ("settings" in await look()) is is_told


async def test_keys_grow_old(look: Look, settings: Settings) -> None:
    assert "keys" not in await look()
    long_ago = time.time() - timedelta(days=401).total_seconds()
    os.utime(settings.keyring_file, (long_ago, long_ago))
    found = (await look())["keys"][0]
    assert (found.level, "401 days ago" in found.says) == (Level.WARNING, True)
    assert "keys rotate" in found.do


async def test_a_disk_that_fills_up_is_told_in_time(
    look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    for free, level in ((10**12, None), (5 * 10**8, Level.WARNING), (10**7, Level.WRONG)):
        usage = shutil._ntuple_diskusage(10**12, 0, free)
        monkeypatch.setattr(shutil, "disk_usage", lambda _, usage=usage: usage)
        found = (await look()).get("disk")
        assert (found and found[0].level) == level


async def test_work_that_is_left_undone_is_told(look: Look, store: Store) -> None:
    assert not (await look()).keys() & {"jobs", "outbox", "webhooks"}
    async with store.write() as tx:
        await jobs.add(tx, "mail", 1, run_at=tx.now - timedelta(minutes=11))
        await jobs.add(tx, "campaign", 2)
        lease = await jobs.claim_of(tx, "campaign", 2, "somebody")
        assert lease is not None
        await jobs.fail(tx, lease, "why", is_last=True)
        await add_mail(tx, "DEAD", tx.now)
    found = await look()
    assert "1 MAIL" in found["outbox"][0].says
    assert "mail" in found["jobs"][0].says
    assert "1 campaign" in found["jobs"][1].says


async def test_a_database_of_a_newer_version_that_has_only_added_is_told(
    look: Look, store: Store
) -> None:
    await add_what_is_to_come(store)
    assert (await look())["migrations"][0].level is Level.WARNING


async def test_a_database_that_may_lose_money_is_wrong_in_production(
    look: Look,
    settings: Settings,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if settings.sqlite_file is not None:
        settings.sqlite_file.chmod(0o644)
        assert "chmod 600" in (await look())["database"][0].do
        monkeypatch.setattr(examination, "_file_system", lambda _: "nfs4")
        afar = (await look())["database"][-1]
        assert (afar.level, "is on nfs4" in afar.says) == (Level.WRONG, True)
        return
    postgres: servers.PostgresServer = request.getfixturevalue("postgres")
    name = postgres.name(settings.database_url)
    postgres.sql(
        f"ALTER DATABASE {name} SET synchronous_commit = off",
        f"ALTER DATABASE {name} SET log_statement = 'all'",
    )
    for production, level in (("false", Level.WARNING), ("true", Level.WRONG)):
        found = (await look(PRODUCTION=production))["PostgreSQL"]
        lost = next(each for each in found if "synchronous_commit" in each.says)
        assert (lost.level, "lost in a crash" in lost.says) == (level, True)
        assert any("log_parameter_max_length" in each.do for each in found)
    assert any("superuser" in each.says for each in found)
    few = (await look(DATABASE_POOL="100"))["PostgreSQL"]
    assert any("one process may open 200" in each.says for each in few)


def test_doctor_speaks_json_and_is_strict_where_it_is_asked_to_be(tmp_path: Path) -> None:
    environment = servers.environment(tmp_path, GIFTGQL_PRODUCTOIN="true")
    done = giftgql(environment, "doctor", "--json")
    answer = json.loads(done.stdout)
    assert (done.returncode, answer["isWell"]) == (0, True)
    assert answer["findings"][0] == {
        "level": "warn",
        "what": "settings",
        "says": "there are no such settings: GIFTGQL_PRODUCTOIN.",
        "do": "Correct their names; they are ignored.",
    }
    strict = giftgql(environment, "doctor", "--json", "--strict")
    assert (strict.returncode, json.loads(strict.stdout)["isWell"]) == (1, False)
