"""Settings: read once, from the environment and `.env`, frozen. Each has a default that works."""

from functools import cached_property
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from giftgql import addresses, timeouts
from giftgql.choices import DocumentLimits, LogFormat, LogLevel, LogTo, RedemptionStrategy
from giftgql.money import CEILING_MINOR, is_currency
from giftgql.permissions import roles_by_group

NOBODY = "Gift cards <gift-cards@localhost>"
"""Who mails come from that nobody will answer, as long as they only go to a folder."""

SHORTEST_TOKEN = 16

Seconds = Annotated[int, Field(ge=1, le=86_400, validate_default=True)]


class Settings(BaseSettings):
    """Every setting of the server, as `GIFTGQL_…`; `.env.example` shows each with its default."""

    model_config = SettingsConfigDict(
        env_prefix="GIFTGQL_",
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
    )

    data_dir: Path = Field(
        Path("var"), description="Folder of the SQLite database, the keys and the logs."
    )
    database_url: str = Field(
        "",
        repr=False,  # it may hold a password
        description="`sqlite:///path` or `postgresql://…`; empty: giftgql.db in the data folder.",
    )
    keys_file: Path | None = Field(
        None, description="The key file; empty: keys.json in the data folder."
    )
    production: bool = Field(
        False, description="Refuse what is only for trying out: made-up keys, a ready client."
    )
    log_level: LogLevel = Field(LogLevel.INFO, description="DEBUG, INFO, WARNING or ERROR.")
    log_to: LogTo = Field(
        LogTo.FILE,
        description="`file`: logs/ in the data folder, one file a port; `stderr`: for containers.",
    )
    log_format: LogFormat | None = Field(
        None,
        description="`json`: an object a line; `console`: lines for people; empty: `console` on a "
        "terminal, else `json`.",
    )
    slow_ms: int = Field(
        1_000,
        ge=0,
        description="From how many milliseconds on a request or statement is logged as slow; 0: "
        "never.",
    )
    metrics_port: int | None = Field(
        None,
        ge=1,
        le=65_000,
        description="Port of its own at which a process tells its metrics, or the next free one of "
        "64; empty: none.",
    )
    metrics_host: str = Field("127.0.0.1", description="Address of that port.")
    metrics_token: str = Field(
        "",
        repr=False,
        description="Bearer token for `/metrics` on the server's own port, 16 characters or more; "
        "empty: not there.",
    )
    currency: str = Field("EUR", description="ISO 4217 currency of cards that name none.")
    strategy: RedemptionStrategy = Field(
        RedemptionStrategy.BALANCE,
        description="What a use leaves, where no product says: `BALANCE` on the same code, "
        "`REPLACEMENT` on a new one.",
    )
    time_zone: str = Field("UTC", description="IANA time zone in which a day of expiry ends.")
    access_token_seconds: Seconds = Field(900, description="Life of a client's access token.")
    member_token_seconds: Seconds = Field(900, description="Life of a member's token.")
    session_seconds: Seconds = Field(
        28_800, description="Longest time for which staff are signed in."
    )
    session_idle_seconds: Seconds = Field(
        1_800, description="After how long without a request staff are signed out."
    )
    public_url: str = Field(
        "", description="Origin at which browsers reach the server: https, a host, perhaps a port."
    )
    staff_oidc_issuer: str = Field(
        "", description="Issuer of the OpenID provider by which staff sign in; empty: by key alone."
    )
    staff_oidc_client_id: str = Field("", description="The server's client id at that provider.")
    staff_oidc_client_secret: str = Field(
        "", repr=False, description="The secret to it; empty for a public client."
    )
    staff_oidc_scope: str = Field(
        "openid profile", description="What that provider is asked for, spaces between."
    )
    staff_oidc_claim: str = Field(
        "roles", description="Claim with a person's groups or roles; `a.b` is one within another."
    )
    staff_oidc_roles: str = Field(
        "", description="Which of those gives which role: `gift-cards=manager; tills=clerk`."
    )
    member_oidc_issuer: str = Field(
        "", description="Issuer of the OpenID provider whose tokens members call with; empty: none."
    )
    member_oidc_audience: str = Field("", description="Audience that those tokens must name.")
    member_oidc_claim: str = Field("sub", description="Claim with the member's id.")
    authorize_seconds: Seconds = Field(
        86_400, description="How long an authorisation holds that names no time."
    )
    max_authorize_days: int = Field(
        30, ge=1, le=366, description="Longest time an authorisation may hold."
    )
    order_seconds: Seconds = Field(
        3_600, description="How long an order may be paid that names no time."
    )
    methods_not_for_gift_cards: str = Field(
        "invoice", description="Methods with which gift cards cannot be bought, commas between."
    )
    ceiling_minor: int = Field(
        CEILING_MINOR,
        ge=1,
        le=CEILING_MINOR,
        description="Largest amount and balance, in minor units.",
    )
    sweep_seconds: Seconds = Field(
        60, description="How often ended holds and expired funds are looked for."
    )
    works: bool = Field(
        True,
        description="Whether servers do the jobs (imports, campaigns, the sweep) themselves.",
    )
    smtp_url: str = Field(
        "",
        repr=False,  # it may hold a password
        description="`smtp://user:password@host:587` or `smtps://…`; empty: mails go to mail/ "
        "in the data folder.",
    )
    smtp_ca_file: Path | None = Field(
        None, description="Who may vouch for the SMTP server (PEM); empty: the system's list."
    )
    mail_from: str = Field(
        NOBODY, description="Who mails come from: `Name <address>`. Needed with an SMTP server."
    )
    mail_templates: Path | None = Field(
        None, description="Folder of templates that go before giftgql's own of the same name."
    )
    trusted_documents: Path | None = Field(
        None,
        description="File or folder of documents that bound clients may run: a manifest of JSON, "
        "`.graphql` files.",
    )
    allow_get: bool = Field(
        False,
        description="Answer queries by GET as well; codes then stand in addresses, which get "
        "logged.",
    )
    reveals_per_hour: int = Field(
        20, ge=0, description="Of so many cards a person may see codes in clear within an hour."
    )
    reveals_per_day: int = Field(100, ge=0, description="The same within a day.")
    client_reveals_per_hour: int = Field(
        1_000, ge=0, description="Of so many cards a client may see codes in clear within an hour."
    )
    client_reveals_per_day: int = Field(5_000, ge=0, description="The same within a day.")
    webhooks_allow_private: bool = Field(
        False, description="Let webhooks go to private and loopback addresses, over http as well."
    )
    max_waiting_movements: int = Field(
        2_000, ge=100, description="Most movements of money that wait at once."
    )
    database_pool: int = Field(
        8, ge=1, le=100, description="Connections per process for reading, and again for writing."
    )
    database_pooler: bool = Field(
        False,
        description="Whether pgbouncer stands in between, giving out connections by transaction.",
    )
    pool_seconds: Seconds = Field(3, description="Longest wait for a free connection of the pool.")
    connect_seconds: Seconds = Field(
        3, description="Longest time to connect to a host of PostgreSQL's."
    )
    lock_seconds: Seconds = Field(3, description="Longest wait for a lock or a turn to write.")
    statement_seconds: Seconds = Field(5, description="Longest run of one statement (PostgreSQL).")
    idle_seconds: Seconds = Field(
        10, description="How long PostgreSQL keeps a transaction of ours that says nothing."
    )
    silence_seconds: Seconds = Field(
        10, description="After how long without a sign of life a connection's other end is gone."
    )
    report_seconds: Seconds = Field(
        300, description="Longest time that a report, export or check of the books may take."
    )
    body_seconds: Seconds = Field(10, description="Longest time a request's body may take to come.")
    request_seconds: Seconds = Field(
        30, description="Longest time until a request is answered, files that come in excepted."
    )
    shutdown_seconds: Seconds = Field(30, description="Time to finish requests when stopping.")
    max_body_bytes: int = Field(65_536, ge=1_024, description="Largest request body.")
    max_import_mib: int = Field(
        512, ge=1, le=10_240, description="Largest file to be imported, in MiB."
    )
    max_tokens: int = Field(2_000, ge=50, description="Most tokens in a GraphQL document.")
    max_depth: int = Field(12, ge=3, description="Deepest nesting of fields.")
    max_fields: int = Field(500, ge=10, description="Most fields, with every fragment expanded.")
    max_aliases: int = Field(30, ge=1, description="Most aliases, with every fragment expanded.")
    max_root_fields: int = Field(10, ge=1, description="Most root fields in one operation.")
    max_rows: int = Field(
        10_000, ge=1_000, description="Most rows in all lists of one request, by their `first`."
    )
    max_code_lookups: int = Field(
        5, ge=1, description="Most codes that one document names, variables too."
    )
    max_failures: int = Field(
        200,
        ge=20,
        le=1_000_000,
        description="Most failed look-ups by code of a client or staff member in an hour.",
    )
    max_unknown_codes: int = Field(
        50,
        ge=1,
        description="Most different unknown codes of a client in an hour until it is suspended.",
    )
    max_failed_percent: int = Field(
        20,
        ge=1,
        le=100,
        description="Percentage of a client's look-ups in an hour, of 100 or more, that may fail.",
    )

    @field_validator("metrics_token")
    @classmethod
    def _no_short_token(cls, value: str) -> str:
        if 0 < len(value) < SHORTEST_TOKEN:
            raise ValueError(f"must have {SHORTEST_TOKEN} characters or more")
        return value

    @field_validator("currency")
    @classmethod
    def _known_currency(cls, value: str) -> str:
        if not is_currency(value):
            raise ValueError("is no ISO 4217 currency")
        return value

    @field_validator("time_zone")
    @classmethod
    def _known_time_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError("is no IANA time zone") from None
        return value

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, value: str) -> str:
        if value and not value.startswith(("sqlite:///", "postgresql://", "postgres://")):
            raise ValueError("must begin with sqlite:/// or postgresql://")
        if value in ("sqlite:///", "sqlite:///:memory:"):
            raise ValueError("must name a file")
        if not value.startswith("sqlite:///"):
            addresses.check_database(value)
        return value

    @field_validator(*timeouts.NO_LESS_THAN)
    @classmethod
    def _fits_the_others(cls, value: int, info: ValidationInfo) -> int:
        timeouts.check(str(info.field_name), value, info.data)
        return value

    @field_validator("smtp_url")
    @classmethod
    def _known_smtp_server(cls, value: str) -> str:
        if value:
            addresses.smtp_server(value)
        return value

    @field_validator("mail_from")
    @classmethod
    def _known_sender(cls, value: str, info: ValidationInfo) -> str:
        addresses.mailbox(value)
        if info.data.get("smtp_url") and value == NOBODY:
            raise ValueError("is needed with an SMTP server")
        return value

    @field_validator("public_url")
    @classmethod
    def _known_origin(cls, value: str) -> str:
        if value:
            addresses.check_origin(value)
        return value

    @field_validator("staff_oidc_issuer", "member_oidc_issuer")
    @classmethod
    def _known_issuer(cls, value: str) -> str:
        if value:
            addresses.check_issuer(value)
        return value

    @field_validator("staff_oidc_client_id", "staff_oidc_roles", "member_oidc_audience")
    @classmethod
    def _needed_with_an_issuer(cls, value: str, info: ValidationInfo) -> str:
        whose = str(info.field_name).partition("_")[0]
        if info.data.get(f"{whose}_oidc_issuer") and not value.strip():
            raise ValueError(f"is needed with GIFTGQL_{whose.upper()}_OIDC_ISSUER")
        if info.field_name == "staff_oidc_roles":
            roles_by_group(value)
        return value

    @cached_property
    def staff_roles(self) -> dict[str, set[str]]:
        """The roles that each group of the staff's provider gives."""
        return roles_by_group(self.staff_oidc_roles)

    @cached_property
    def sqlite_file(self) -> Path | None:
        """Where the SQLite database is; None on PostgreSQL."""
        if not self.database_url:
            return self.data_dir / "giftgql.db"
        if self.database_url.startswith("sqlite:///"):
            return Path(self.database_url.removeprefix("sqlite:///"))
        return None

    @cached_property
    def postgres(self) -> addresses.Postgres:
        """The hosts of PostgreSQL's that the address names."""
        return addresses.postgres(self.database_url)

    @cached_property
    def keyring_file(self) -> Path:
        return self.keys_file or self.data_dir / "keys.json"

    @cached_property
    def not_for_gift_cards(self) -> frozenset[str]:
        names = (name.strip().casefold() for name in self.methods_not_for_gift_cards.split(","))
        return frozenset(filter(None, names))

    @cached_property
    def smtp(self) -> addresses.SmtpServer | None:
        """The server that mails are handed over to; None where they go to the folder."""
        return addresses.smtp_server(self.smtp_url) if self.smtp_url else None

    @cached_property
    def mail_folder(self) -> Path:
        return self.data_dir / "mail"

    @cached_property
    def sender(self) -> addresses.Mailbox:
        """Who mails come from."""
        return addresses.mailbox(self.mail_from)

    @cached_property
    def document_limits(self) -> DocumentLimits:
        return DocumentLimits(
            tokens=self.max_tokens,
            depth=self.max_depth,
            fields=self.max_fields,
            aliases=self.max_aliases,
            root_fields=self.max_root_fields,
            code_lookups=self.max_code_lookups,
        )

    @cached_property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)


class SettingsError(Exception):
    """A setting is wrong; each line of the message names one and says how."""


def read_settings() -> Settings:
    """The settings of this process. Values are not repeated in errors: they may hold passwords."""
    try:
        return Settings()
    except ValidationError as error:
        problems = [
            f"GIFTGQL_{str(item['loc'][0]).upper()}: {item['msg'].removeprefix('Value error, ')}"
            for item in error.errors()
        ]
        raise SettingsError("\n".join(problems)) from None
    except UnicodeDecodeError:
        raise SettingsError(".env is not UTF-8 text") from None
    except OSError as error:
        raise SettingsError(f".env cannot be read: {error.strerror}") from None
