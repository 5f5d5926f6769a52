"""What `giftgql doctor` says is wrong, and that it changes nothing."""

import asyncio
from pathlib import Path

import pytest

from giftgql.doctor import examine
from giftgql.settings import Settings
from giftgql.vault import Keyring
from tests import openid_provider, servers
from tests.mailing import Postbox, smtp_server
from tests.servers import giftgql
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
