from pathlib import Path

import pytest

from giftgql.addresses import Postgres, SmtpServer
from giftgql.settings import Settings, SettingsError, read_settings

PASSWORD = "correct-horse"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory: no setting comes from anywhere but the test."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_each_setting_has_a_default_that_works() -> None:
    settings = read_settings()
    assert settings.sqlite_file == Path("var/giftgql.db")
    assert settings.keyring_file == Path("var/keys.json")
    assert not settings.production
    assert settings.currency == "EUR"


def test_each_setting_is_described() -> None:
    assert all(field.description for field in Settings.model_fields.values())


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIFTGQL_DATA_DIR", "elsewhere")
    monkeypatch.setenv("GIFTGQL_CURRENCY", "JPY")
    settings = read_settings()
    assert (settings.keyring_file, settings.currency) == (Path("elsewhere/keys.json"), "JPY")


def test_settings_come_from_dot_env_and_the_environment_goes_before_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / ".env").write_text("GIFTGQL_CURRENCY=CHF\nGIFTGQL_TIME_ZONE=Europe/Berlin\n")
    monkeypatch.setenv("GIFTGQL_CURRENCY", "JPY")
    settings = read_settings()
    assert (settings.currency, settings.time_zone) == ("JPY", "Europe/Berlin")


def test_a_setting_left_empty_has_its_default(folder: Path) -> None:
    names = (f"GIFTGQL_{name.upper()}=\n" for name in Settings.model_fields)
    (folder / ".env").write_text("".join(names))
    assert read_settings() == Settings(_env_file=None)


def test_an_address_has_one_for_each_host_without_what_only_libpq_knows() -> None:
    def taken_apart(url: str) -> Postgres:
        return Settings(database_url=url, _env_file=None).postgres

    login = "postgresql://u:p%40ss@"
    more = "&connect_timeout=10&keepalives=1&keepalives_idle=5&gssencmode=disable"
    both = (f"{login}one:5432/db?sslmode=require", f"{login}two:5433/db?sslmode=require")
    assert taken_apart(f"{login}one:5432,two:5433/db?sslmode=require{more}") == (both, True)
    one = f"{login}one/db"
    assert taken_apart(one) == ((one,), False)
    assert taken_apart(f"{one}?target_session_attrs=read-write") == ((one,), True)
    socket = "postgresql://postgres@/cards?host="
    folder = "%2Fvar%2Frun%2Fpostgresql"
    assert taken_apart(f"{socket}/var/run/postgresql") == ((f"{socket}{folder}",), False)
    assert taken_apart(f"{socket}/var/run/postgresql,one&port=5433") == (
        (f"{socket}{folder}&port=5433", f"{socket}one&port=5433"),
        True,
    )


@pytest.mark.parametrize(
    ("wrong", "others"),
    [
        ("STATEMENT_SECONDS", {"LOCK_SECONDS": "6"}),
        ("REQUEST_SECONDS", {"CONNECT_SECONDS": "23"}),
        ("REQUEST_SECONDS", {"SILENCE_SECONDS": "31"}),
        ("REQUEST_SECONDS", {"BODY_SECONDS": "31"}),
    ],
)
def test_times_that_do_not_fit_each_other_are_refused(
    wrong: str, others: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, seconds in others.items():
        monkeypatch.setenv(f"GIFTGQL_{name}", seconds)
    with pytest.raises(SettingsError, match=rf"^GIFTGQL_{wrong}: must not be less than [^\n]+$"):
        read_settings()


def test_settings_cannot_be_changed_once_read() -> None:
    with pytest.raises(ValueError, match="frozen"):
        read_settings().production = True  # type: ignore[misc]


@pytest.mark.parametrize(
    ("url", "file"),
    [
        ("sqlite:///cards.db", "cards.db"),
        ("sqlite:///some/where/cards.db", "some/where/cards.db"),
        ("sqlite:////srv/cards.db", "/srv/cards.db"),
        ("sqlite:////srv/with space%20é.db", "/srv/with space%20é.db"),
        ("", "var/giftgql.db"),
    ],
)
def test_sqlite_is_named_by_a_relative_or_an_absolute_path(url: str, file: str) -> None:
    assert Settings(database_url=url, _env_file=None).sqlite_file == Path(file)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:p@db.example:5432/cards",
        "postgres://u@db/cards",
        "postgresql:///cards",
        "postgresql://",
        "postgresql:///cards?host=/var/run/postgresql",
        "postgresql://u@/cards?host=/var/run/postgresql&port=5433",
        "postgresql://u:p@one:5432,two:5433,three/cards?target_session_attrs=primary",
        "postgresql://u:p@one,[::1]:5433/cards",
        "postgresql://u:p%40ss@db/cards?sslmode=verify-full&sslrootcert=/etc/ca.pem",
    ],
)
def test_addresses_of_postgresql_are_taken_as_people_write_them(url: str) -> None:
    settings = Settings(database_url=url, _env_file=None)
    assert settings.sqlite_file is None
    assert settings.database_url == url


@pytest.mark.parametrize(
    "url",
    [
        f"mysql://u:{PASSWORD}@db/cards",
        f"postgresql+asyncpg://u:{PASSWORD}@db/cards",
        f"u:{PASSWORD}@db/cards",
        f"postgresql://u:{PASSWORD}@db:port/cards",
        f"postgresql://u:{PASSWORD}@db:70000/cards",
        f"postgresql://u:[{PASSWORD}@db/cards",
        f"postgresql://u:{PASSWORD}@db/cards?sslmode=sometimes",
        f"postgresql://u:{PASSWORD}@db/cards?sslmode",
        f"sqlite://{PASSWORD}.db",
        "sqlite:///",
        "sqlite:///:memory:",
    ],
)
def test_what_is_no_address_is_refused_by_the_settings_name_without_repeating_it(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIFTGQL_DATABASE_URL", url)
    with pytest.raises(SettingsError) as refused:
        read_settings()
    assert str(refused.value).startswith("GIFTGQL_DATABASE_URL: ")
    assert PASSWORD not in str(refused.value)
    assert refused.value.__cause__ is None


def test_the_database_s_password_is_not_printed_with_the_settings() -> None:
    settings = Settings(database_url=f"postgresql://u:{PASSWORD}@db/cards", _env_file=None)
    assert PASSWORD not in f"{settings!r} {settings}"


def test_an_smtp_server_is_named_by_an_address() -> None:
    def server(url: str) -> SmtpServer | None:
        return Settings(smtp_url=url, mail_from="a@b.example", _env_file=None).smtp

    assert server("") is None
    assert server("smtp://mx") == SmtpServer("mx", 587, False, True)
    assert server("smtp://mx:25/?starttls=off") == SmtpServer("mx", 25, False, False)
    assert server("smtps://[::1]") == SmtpServer("::1", 465, True, False)
    found = server(f"smtp://me%40x:{PASSWORD}%2F@mx?starttls=on")
    assert found == SmtpServer("mx", 587, False, True, "me@x", f"{PASSWORD}/")
    assert PASSWORD not in repr(found)


@pytest.mark.parametrize(
    "url",
    [
        f"http://u:{PASSWORD}@mx",
        f"u:{PASSWORD}@mx",
        f"smtp://u:{PASSWORD}@",
        f"smtp://u:{PASSWORD}@mx:0",
        f"smtp://u:{PASSWORD}#x@mx",
        f"smtp://u:{PASSWORD}/x@mx",
        f"smtp://u:{PASSWORD}?x@mx",
        f"smtp://u:{PASSWORD}@mx?starttls=maybe",
        f"smtp://u:{PASSWORD}@mx?tls=off",
        f"smtps://u:{PASSWORD}@mx?starttls=off",
    ],
)
def test_what_is_no_smtp_server_is_refused_without_repeating_it(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIFTGQL_SMTP_URL", url)
    monkeypatch.setenv("GIFTGQL_MAIL_FROM", "a@b.example")
    with pytest.raises(SettingsError, match=r"^GIFTGQL_SMTP_URL: ") as refused:
        read_settings()
    assert PASSWORD not in str(refused.value)


def test_mails_come_from_a_mailbox_which_an_smtp_server_needs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for text, sender in (
        ("Café <shop@a.example>", ("Café", "shop", "a.example")),
        ('"A. Shop" <a+b@c>', ("A. Shop", "a+b", "c")),
        ("shop@a.example", ("", "shop", "a.example")),
    ):
        assert Settings(mail_from=text, _env_file=None).sender == sender
    monkeypatch.setenv("GIFTGQL_SMTP_URL", "smtp://mx")
    for wrong in ("", "shop", "<a@b", "A <a@b>, B <b@c>", "a@b\u2028", "x" * 9 + "\tA <a@b>"):
        monkeypatch.setenv("GIFTGQL_MAIL_FROM", wrong)
        with pytest.raises(SettingsError, match=r"^GIFTGQL_MAIL_FROM: "):
            read_settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LOG_LEVEL", "loud"),
        ("PRODUCTION", "perhaps"),
        ("CURRENCY", "TALER"),
        ("TIME_ZONE", "Atlantis/Capital"),
        ("TIME_ZONE", "../../etc/passwd"),
        ("DATABASE_POOL", "0"),
        ("LOCK_SECONDS", "soon"),
        ("MAX_BODY_BYTES", "-1"),
        ("PUBLIC_URL", "http://cards.example"),
        ("PUBLIC_URL", "https://cards.example/"),
        ("PUBLIC_URL", "https://user@cards.example"),
        ("STAFF_OIDC_ROLES", "managers=boss"),
        ("STAFF_OIDC_ROLES", "=clerk"),
        ("STAFF_OIDC_ROLES", "managers"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_by_its_name(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"GIFTGQL_{name}", value)
    with pytest.raises(SettingsError, match=rf"^GIFTGQL_{name}: [^\n]+$") as refused:
        read_settings()
    assert value not in str(refused.value) or value in {"0", "-1"}


def test_a_provider_is_an_https_address_and_comes_with_what_it_is_used_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for wrong in (
        *("http://login.example", "https://", "https://a b", "https://a/?x=1", "https://a/#x"),
        *("https://u:p@a", "ftp://a", "login.example", "https://a/" + "x" * 255),
    ):
        monkeypatch.setenv("GIFTGQL_MEMBER_OIDC_ISSUER", wrong)
        with pytest.raises(SettingsError, match=r"^GIFTGQL_MEMBER_OIDC_ISSUER: "):
            read_settings()
    monkeypatch.delenv("GIFTGQL_MEMBER_OIDC_ISSUER")
    monkeypatch.setenv("GIFTGQL_STAFF_OIDC_ISSUER", "https://login.example/realms/a/")
    with pytest.raises(SettingsError) as refused:
        read_settings()
    needed = {line.partition(":")[0] for line in str(refused.value).splitlines()}
    assert needed == {"GIFTGQL_STAFF_OIDC_CLIENT_ID", "GIFTGQL_STAFF_OIDC_ROLES"}
    monkeypatch.setenv("GIFTGQL_STAFF_OIDC_CLIENT_ID", "gifts")
    monkeypatch.setenv("GIFTGQL_STAFF_OIDC_CLIENT_SECRET", PASSWORD)
    monkeypatch.setenv("GIFTGQL_STAFF_OIDC_ROLES", "cn=a,dc=b=manager; tills = clerk;tills=till;")
    read = read_settings()
    assert read.staff_roles == {"cn=a,dc=b": {"manager"}, "tills": {"clerk", "till"}}
    assert PASSWORD not in repr(read)


def test_all_wrong_settings_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIFTGQL_LOG_LEVEL", "loud")
    monkeypatch.setenv("GIFTGQL_CURRENCY", "TALER")
    with pytest.raises(SettingsError) as refused:
        read_settings()
    assert {line.partition(":")[0] for line in str(refused.value).splitlines()} == {
        "GIFTGQL_LOG_LEVEL",
        "GIFTGQL_CURRENCY",
    }


def test_a_dot_env_that_is_no_text_is_refused_in_a_sentence(folder: Path) -> None:
    (folder / ".env").write_bytes(b"GIFTGQL_CURRENCY=\xff\xfe\n")
    with pytest.raises(SettingsError, match=r"^\.env is not UTF-8 text$"):
        read_settings()
