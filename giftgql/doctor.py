"""What `giftgql doctor` looks at. It changes nothing, and works while the server runs.

Here are the settings, the files and whom the server calls; `examination` has the database.
"""

import ipaddress
import os
import shutil
import stat
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from giftgql import examination, trusted
from giftgql.choices import LogLevel
from giftgql.findings import Finding, ok, warning, wrong
from giftgql.jobs.service import NotDone
from giftgql.mail import transports
from giftgql.openid.calls import Unreachable
from giftgql.openid.provider import Provider
from giftgql.settings import Settings, SettingsError, read_settings

LITTLE, TOO_LITTLE = 2**30, 100 * 2**20
"""Bytes free on the disk below which that is told, and is wrong."""


async def examine() -> list[Finding]:
    try:
        settings = read_settings()
    except SettingsError as error:
        return [wrong("settings", str(error).replace("\n", "; "))]
    findings = [_names(), *_dangers(settings), *_data_folder(settings)]
    findings += [finding async for finding in examination.of_database(settings)]
    findings.append(await _mails(settings))
    findings.append(_trusted_documents(settings))
    findings += [finding async for finding in _providers(settings)]
    return findings


def _names() -> Finding:
    """A mistyped name is no error, since other programs may set names like ours; but told."""
    known = {f"GIFTGQL_{name.upper()}" for name in Settings.model_fields}
    named = sorted(name for name in os.environ if name.startswith("GIFTGQL_"))
    if ignored := [name for name in named if name not in known]:
        says = f"there are no such settings: {', '.join(ignored)}."
        return warning("settings", says, "Correct their names; they are ignored.")
    return ok("settings", "all can be read.")


def _dangers(settings: Settings) -> Iterator[Finding]:
    """Settings that can be read, and do harm."""
    if not settings.works and settings.sqlite_file is not None:
        says = "GIFTGQL_WORKS=false on SQLite: nobody does the jobs, nor sends mails."
        yield wrong("jobs", says, "Leave it out; a worker of its own needs PostgreSQL.")
    yield _proxies(settings)
    if (file := Path(".env")).exists() and file.stat().st_mode & stat.S_IRWXO:
        says = f"{file.absolute()}, which may hold passwords, can be read by everybody."
        yield warning("settings", says, "Run 'chmod 600 .env'.")
    if settings.metrics_port and not _is_loopback(settings.metrics_host):
        says = f"whoever reaches {settings.metrics_host}:{settings.metrics_port} reads them."
        yield warning("metrics", says, "Let only Prometheus through, by the firewall.")
    if not settings.production:
        says = "GIFTGQL_PRODUCTION is not set: keys and a first client are made up."
        yield ok("production", f"{says} Set it where real cards are sold.")
        return
    found = list(_dangers_of_production(settings))
    yield from found or [ok("production", "no setting that is only for trying out.")]


def _dangers_of_production(settings: Settings) -> Iterator[Finding]:
    what = "production"
    if settings.log_level is LogLevel.DEBUG:
        yield warning(what, "GIFTGQL_LOG_LEVEL=DEBUG fills the disk.", "Set INFO.")
    if settings.allow_get:
        says = "GIFTGQL_ALLOW_GET=true: codes stand in addresses, which proxies log."
        yield warning(what, says, "Leave it out.")
    if settings.webhooks_allow_private:
        says = "GIFTGQL_WEBHOOKS_ALLOW_PRIVATE=true: who manages webhooks reaches inner machines."
        yield warning(what, says, "Leave it out.")
    if settings.smtp is None:
        says = f"mails are only written into {settings.mail_folder}: nobody gets a card."
        yield warning(what, says, "Set GIFTGQL_SMTP_URL and GIFTGQL_MAIL_FROM.")
    elif not (settings.smtp.is_tls or settings.smtp.starts_tls):
        says = "mails, with the codes in them, go to the SMTP server in clear."
        yield warning(what, says, "Leave out starttls=off.")
    if not settings.public_url:
        says = "without GIFTGQL_PUBLIC_URL staff can sign in on this machine alone."
        yield warning(what, says, "Set it to the address that browsers use.")


def _proxies(settings: Settings) -> Finding:
    """Whose word is taken for where a request comes from: uvicorn's setting, not ours."""
    trusted_ones = os.environ.get("FORWARDED_ALLOW_IPS", "127.0.0.1")
    if "*" in trusted_ones:
        says = "FORWARDED_ALLOW_IPS=*: everybody may say to come from anywhere, by https."
        tell = wrong if settings.production else warning
        return tell("proxies", says, "Name the proxy's address.")
    return ok("proxies", f"X-Forwarded-For and -Proto are believed from {trusted_ones}.")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _data_folder(settings: Settings) -> Iterator[Finding]:
    folder = settings.data_dir
    if not folder.exists():
        yield ok("data folder", f"{folder} is not there yet; the server makes it.")
    elif not folder.is_dir():
        yield wrong("data folder", f"{folder} is no folder.", "Set GIFTGQL_DATA_DIR.")
    else:
        yield ok("data folder", f"{folder}.")
        folders = {folder, settings.sqlite_file.parent} if settings.sqlite_file else {folder}
        yield from (_disk(each) for each in sorted(folders) if each.is_dir())


def _disk(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    says = f"{free / 2**30:,.1f} GiB are free in {folder}."
    if free < LITTLE:
        tell = wrong if free < TOO_LITTLE else warning
        return tell("disk", says, "Make room: without it nothing can be written.")
    return ok("disk", says)


async def _providers(settings: Settings) -> AsyncIterator[Finding]:
    for whose, issuer in (
        ("staff", settings.staff_oidc_issuer),
        ("members", settings.member_oidc_issuer),
    ):
        if not issuer:
            continue
        try:
            await Provider(issuer).read()
            yield ok(f"sign-in of {whose}", f"{issuer} can be reached.")
        except Unreachable as error:
            says = f"{issuer} is no OpenID provider now: {error}."
            yield wrong(f"sign-in of {whose}", says, "Check the issuer.")


async def _mails(settings: Settings) -> Finding:
    folder, server = settings.mail_templates, settings.smtp
    if folder is not None and not folder.is_dir():
        return wrong("mail", f"there is no {folder}.", "Set GIFTGQL_MAIL_TEMPLATES.")
    if server is None:
        says = f"written into {settings.mail_folder}, not sent. Set GIFTGQL_SMTP_URL to send them."
        return ok("mail", says)
    where = f"{server.host}:{server.port}"
    try:
        await transports.greet(settings)
    except NotDone as reason:
        says = f"{where} does not take mails: {reason.why}."
        return wrong("mail", says, "Check GIFTGQL_SMTP_URL.")
    return ok("mail", f"sent by {where}, from {settings.mail_from}.")


def _trusted_documents(settings: Settings) -> Finding:
    """Whether they can be read, and each fits the schema and the limits of this version."""
    what = "trusted documents"
    if settings.trusted_documents is None:
        return ok(what, "none are set.")
    from giftgql.schema import fits  # it takes a second, which nobody else need wait

    try:
        found = trusted.documents(settings)
    except trusted.TrustedDocumentsError as error:
        return wrong(what, str(error), "Check GIFTGQL_TRUSTED_DOCUMENTS.")
    if unfit := [digest for digest, text in found.items() if not fits(text, settings)]:
        these = ", ".join(each[:12] for each in sorted(unfit)[:5])
        says = f"{len(unfit)} of {len(found)} cannot be run any more, the first being {these}."
        return wrong(what, says, "Build the clients anew, or keep their documents as they were.")
    return ok(what, f"{len(found)} in {settings.trusted_documents}.")
