"""Addresses as settings write them: of databases, servers, people. What is wrong is a ValueError
that completes the sentence «The setting …», and never repeats what may hold a password."""

import re
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

_LIBPQ_ONLY = ("connect_timeout", "keepalives", "tcp_user_timeout", "gssencmode")
_WRITABLE = ("read-write", "primary")
SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")

_MAILBOX = re.compile(
    r"""(?P<bracket>"?(?P<name>[^"<>@,;]*?)"?\ *<)?"""
    r"(?P<local>[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+)@(?P<domain>[A-Za-z0-9.-]+)(?(bracket)>)"
)

_ORIGIN = re.compile(
    r"(https)://[a-z0-9.-]+(:\d{1,5})?|(http)://(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?"
)
_ISSUER = re.compile(rf"(?:{_ORIGIN.pattern})(?:/[!-\"$->@-~]*)?")


@dataclass(frozen=True)
class SmtpServer:
    """Where mails are handed over: by TLS from the first byte, from STARTTLS on, or in clear."""

    host: str
    port: int
    is_tls: bool
    starts_tls: bool
    user: str | None = None
    password: str | None = field(default=None, repr=False)


class Mailbox(NamedTuple):
    """A name, perhaps empty, and the two halves of an address."""

    name: str
    local: str
    domain: str


class Postgres(NamedTuple):
    """An address for each host that a URL names, without the options that only libpq knows and
    that we set otherwise; and whether only a host will do that can be written to."""

    urls: tuple[str, ...]
    is_to_be_writable: bool


def postgres(url: str) -> Postgres:
    """Take apart an address of PostgreSQL's. Of several hosts the one is meant that takes writes,
    as `target_session_attrs=read-write` says of a single one."""
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    wanted = options.pop("target_session_attrs", "any")
    options = {name: of for name, of in options.items() if not name.startswith(_LIBPQ_ONLY)}
    login, at, netloc = parts.netloc.rpartition("@")
    hosts, ports = options.pop("host", "").split(","), options.pop("port", "").split(",")
    netlocs = netloc.split(",")
    urls = []
    for number in range(max(len(netlocs), len(hosts), len(ports))):
        own = dict(options)
        if host := hosts[min(number, len(hosts) - 1)]:
            own["host"] = host
        if port := ports[min(number, len(ports) - 1)]:
            own["port"] = port
        of = f"{login}{at}{netlocs[min(number, len(netlocs) - 1)]}"
        urls.append(parts._replace(netloc=of, query=urlencode(own)).geturl())
    return Postgres(tuple(urls), len(urls) > 1 or wanted in _WRITABLE)


def check_database(url: str) -> None:
    """Refuse what is no address of PostgreSQL's; never repeat it: it may hold a password."""
    try:
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
        hosts = f"{parts.netloc.rpartition('@')[2]},{options.get('host', '')}".split(",")
        names = [host.rpartition("]")[2] for host in hosts if not host.startswith("/")]
        ports = [name.partition(":")[2] for name in names] + options.get("port", "").split(",")
        is_right = all(0 < int(port) < 65_536 for port in ports if port)
    except ValueError:
        is_right = False
    if not is_right:
        raise ValueError("is no address such as postgresql://user:password@host:5432/database")
    if options.get("sslmode", "prefer") not in SSL_MODES:
        raise ValueError(f"has an unknown sslmode; there are {', '.join(SSL_MODES)}")
    if options.get("target_session_attrs", "any") not in ("any", *_WRITABLE):
        raise ValueError("asks for a host that takes no writes; target_session_attrs=read-write")


def smtp_server(url: str) -> SmtpServer:
    """Read the address of an SMTP server; never repeat it: it may hold a password."""
    try:
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
        port, is_tls = parts.port, parts.scheme == "smtps"
        starttls = None if is_tls else options.pop("starttls", "on")
        is_right = parts.scheme in ("smtp", "smtps") and starttls in (None, "on", "off")
        is_right &= not options and parts.path in ("", "/") and not parts.fragment and port != 0
    except ValueError:
        is_right = False
    if not is_right or not parts.hostname:
        raise ValueError("is no address such as smtp://user:password@host:587")
    return SmtpServer(
        host=parts.hostname,
        port=port or (465 if is_tls else 587),
        is_tls=is_tls,
        starts_tls=starttls == "on",
        user=None if parts.username is None else unquote(parts.username),
        password=None if parts.password is None else unquote(parts.password),
    )


def mailbox(text: str) -> Mailbox:
    found = _MAILBOX.fullmatch(text)
    if found is None or not text.isprintable():
        raise ValueError("is no mailbox such as Shop <shop@example.com>")
    return Mailbox(found["name"] or "", found["local"], found["domain"])


def check_origin(text: str) -> None:
    if not _ORIGIN.fullmatch(text):
        raise ValueError("must be https, a host and perhaps a port; http on this machine")


def check_issuer(text: str) -> None:
    if len(text) > 255 or not _ISSUER.fullmatch(text):
        raise ValueError("must be an https address without ? and #; http on this machine")
