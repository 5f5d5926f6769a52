"""What `giftgql doctor` looks at. It changes nothing, and works while the server runs."""

import os
import sqlite3
import stat
from collections.abc import AsyncIterator
from dataclasses import dataclass

from giftgql import trusted
from giftgql.database import Database
from giftgql.errors import Refusal
from giftgql.installation.repository import InstallationRepository
from giftgql.jobs.service import NotDone
from giftgql.mail import transports
from giftgql.openid.calls import Unreachable
from giftgql.openid.provider import Provider
from giftgql.settings import Settings, SettingsError, read_settings
from giftgql.startup import DatabaseTooNew, Form, form_of, why_unusable
from giftgql.vault import KeyringError, Vault

SAFE_SQLITE = (3, 51, 3)


@dataclass(frozen=True)
class Finding:
    """One thing looked at: whether it is well, and in a sentence what it is or what to do."""

    what: str
    is_well: bool
    says: str


async def examine() -> list[Finding]:
    try:
        settings = read_settings()
    except SettingsError as error:
        return [Finding("settings", False, str(error).replace("\n", "; "))]
    findings = [_settings()]
    findings.append(_data_folder(settings))
    findings += [finding async for finding in _database(settings)]
    findings.append(await _mails(settings))
    findings.append(_trusted_documents(settings))
    findings += [finding async for finding in _providers(settings)]
    return findings


def _settings() -> Finding:
    """A mistyped name is no error, since other programs may set names like ours; but said."""
    known = {f"GIFTGQL_{name.upper()}" for name in Settings.model_fields}
    unknown = sorted(name for name in os.environ if name.startswith("GIFTGQL_"))
    ignored = [name for name in unknown if name not in known]
    says = f" Ignored, as there are no such settings: {', '.join(ignored)}." if ignored else ""
    return Finding("settings", True, f"all can be read.{says}")


def _data_folder(settings: Settings) -> Finding:
    folder = settings.data_dir
    if not folder.exists():
        return Finding("data folder", True, f"{folder} is not there yet; the server makes it.")
    if not folder.is_dir():
        return Finding("data folder", False, f"{folder} is no folder. Set GIFTGQL_DATA_DIR.")
    return Finding("data folder", True, f"{folder}.")


async def _database(settings: Settings) -> AsyncIterator[Finding]:
    file = settings.sqlite_file
    if file is not None and not file.exists():
        yield Finding("database", True, f"{file} is not there yet; the server makes it.")
        yield _key_file(settings)
        return
    database = Database.of(settings)
    try:
        async with database.reading() as session:
            await session.connection()
            yield Finding("database", True, f"{file or 'PostgreSQL'} can be reached.")
            if file is not None:
                yield _sqlite_version()
            if await form_of(session) is Form.OLDER:
                says = "the database is empty or in an older form. Run 'giftgql migrate'."
                yield Finding("migrations", False, says)
                yield _key_file(settings)
                return
            yield Finding("migrations", True, "the database is up to date.")
            yield await _keys(settings, InstallationRepository(session))
    except DatabaseTooNew as error:
        yield Finding("migrations", False, str(error))
    except Refusal as refusal:
        yield Finding(
            "database", False, f"{refusal} Check GIFTGQL_DATABASE_URL, and that it is running."
        )
    except Exception as error:
        reason = why_unusable(error) or f"It cannot be used: {type(error).__name__}."
        yield Finding("database", False, reason)
    finally:
        await database.close()


async def _keys(settings: Settings, installation: InstallationRepository) -> Finding:
    checks = await installation.key_checks()
    found = _key_file(settings, is_needed=bool(checks))
    if not found.is_well or not checks:
        return found
    path = settings.keyring_file
    vault = Vault.open(path)
    for check in checks:
        if check.key_id not in vault.ring.keys or vault.canary(check.key_id) != check.canary:
            return Finding(
                "keys", False, f"{path} is not this database's. Put back the one that is."
            )
    return Finding("keys", True, f"{path} fits the database.")


def _key_file(settings: Settings, *, is_needed: bool = False) -> Finding:
    path = settings.keyring_file
    if not path.exists() and not is_needed:
        if settings.production:
            return Finding("keys", False, f"there is no {path}. Run 'giftgql keys new'.")
        return Finding("keys", True, f"{path} is not there yet; the server makes it.")
    try:
        Vault.open(path)
    except KeyringError as error:
        return Finding("keys", False, str(error))
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        return Finding("keys", False, f"{path} can be read by others. Run 'chmod 600 {path}'.")
    return Finding("keys", True, f"{path} can be read.")


def _sqlite_version() -> Finding:
    version = sqlite3.sqlite_version
    if sqlite3.sqlite_version_info < SAFE_SQLITE:
        return Finding(
            "SQLite", True, f"{version}; from 3.51.3 on it is safe even without giftgql's lock."
        )
    return Finding("SQLite", True, f"{version}.")


async def _providers(settings: Settings) -> AsyncIterator[Finding]:
    for whose, issuer in (
        ("staff", settings.staff_oidc_issuer),
        ("members", settings.member_oidc_issuer),
    ):
        if not issuer:
            continue
        try:
            await Provider(issuer).read()
            yield Finding(f"sign-in of {whose}", True, f"{issuer} can be reached.")
        except Unreachable as error:
            says = f"{issuer} is no OpenID provider now: {error}. Check the issuer."
            yield Finding(f"sign-in of {whose}", False, says)


async def _mails(settings: Settings) -> Finding:
    folder, server = settings.mail_templates, settings.smtp
    if folder is not None and not folder.is_dir():
        return Finding("mail", False, f"there is no {folder}. Set GIFTGQL_MAIL_TEMPLATES.")
    if server is None:
        says = f"written into {settings.mail_folder}, not sent. Set GIFTGQL_SMTP_URL to send them."
        return Finding("mail", True, says)
    where = f"{server.host}:{server.port}"
    try:
        await transports.greet(settings)
    except NotDone as reason:
        says = f"{where} does not take mails: {reason.why}. Check GIFTGQL_SMTP_URL."
        return Finding("mail", False, says)
    return Finding("mail", True, f"sent by {where}, from {settings.mail_from}.")


def _trusted_documents(settings: Settings) -> Finding:
    """Whether they can be read, and each fits the schema and the limits of this version."""
    what = "trusted documents"
    if settings.trusted_documents is None:
        return Finding(what, True, "none are set.")
    from giftgql.schema import fits  # it takes a second, which nobody else need wait

    try:
        found = trusted.documents(settings)
    except trusted.TrustedDocumentsError as error:
        return Finding(what, False, f"{error} Check GIFTGQL_TRUSTED_DOCUMENTS.")
    if unfit := [digest for digest, text in found.items() if not fits(text, settings)]:
        these = ", ".join(each[:12] for each in sorted(unfit)[:5])
        says = f"{len(unfit)} of {len(found)} cannot be run any more, the first being {these}."
        return Finding(what, False, says)
    return Finding(what, True, f"{len(found)} in {settings.trusted_documents}.")
