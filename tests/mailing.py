"""Mails for tests: put into the outbox, sent, read again; and an SMTP server to send them to."""

import asyncio
import email
import email.policy
import ssl
import struct
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import zxingcpp
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from giftgql import work
from giftgql.cards import mentions
from giftgql.jobs.runner import Lane
from giftgql.jobs.service import Patience
from giftgql.mail import service as mail
from giftgql.outbox import service as outbox
from giftgql.outbox.mails import CardBrought, Content, Mail
from giftgql.outbox.models import OutboxMessage
from giftgql.settings import Settings
from giftgql.store import Store
from tests import factories
from tests.conftest import PATIENT

SHOP = "Shop <shop@example.com>"


def brought(**facts: Any) -> CardBrought:
    """What a mail that brings a card of 50 EUR says, and whatever else it is to say."""
    return CardBrought(**{"currency": "EUR", "value": 5_000, **facts})


async def put(store: Store, card_id: str = "", content: Content | None = None, **more: Any) -> int:
    """Have a mail sent to Ada, about a new card with a digital code if nothing else is said;
    returns its id."""
    card_id = card_id or await factories.digital(store)
    given = {"address": "ada@example.org", "content": content or brought(), **more}
    async with store.write() as tx:
        return await outbox.put(tx, Mail(card_id=int(card_id), **given))


async def message(store: Store, message_id: int) -> OutboxMessage:
    async with store.read() as reading:
        return await outbox.get(reading, message_id)


async def code_of(store: Store, card_id: str) -> str:
    """The code that a mail about a card is to bring."""
    async with store.read() as reading:
        found = await mentions.code_to_send(reading, int(card_id))
    assert found is not None
    return found.clear


def lane(store: Store) -> Lane:
    """Whoever sends mails, in a process of its own."""
    return Lane(store, work.WORKS, [mail.JOB])


def impatient(monkeypatch: Any, attempts: int = 2) -> None:
    """Give mails up after so many failures, a minute after each other."""
    minute = timedelta(minutes=1)
    hasty = replace(work.WORKS[mail.JOB], patience=Patience(attempts, minute, minute))
    monkeypatch.setitem(work.WORKS, mail.JOB, hasty)


def sent(store: Store) -> list[EmailMessage]:
    """The mails in the folder."""
    files = store.settings.mail_folder.glob("*")
    return [parsed(file.read_bytes()) for file in sorted(files)]


def parsed(content: bytes) -> EmailMessage:
    found = email.message_from_bytes(content, policy=email.policy.default)
    assert isinstance(found, EmailMessage)
    assert not found.defects
    return found


def body(found: EmailMessage, kind: str) -> str:
    """The `plain` or the `html` text of a mail."""
    part = found.get_body((kind,))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")


def picture(found: EmailMessage) -> EmailMessage | None:
    """The QR code of a mail."""
    parts = [each for each in found.walk() if each.get_content_type() == "image/png"]
    assert len(parts) <= 1
    return parts[0] if parts else None


def scanned(png: bytes) -> str:
    """What a phone reads off a picture of black and white."""
    width, height, depth, colour = struct.unpack(">IIBB", png[16:26])
    assert (depth, colour) == (1, 0)
    data, at = b"", 8
    while at < len(png):
        [size] = struct.unpack(">I", png[at : at + 4])
        if png[at + 4 : at + 8] == b"IDAT":
            data += png[at + 8 : at + 8 + size]
        at += size + 12
    packed, stride = zlib.decompress(data), (width + 7) // 8 + 1
    pixels, above = bytearray(), bytes(stride - 1)
    for start in range(0, height * stride, stride):
        row = packed[start + 1 : start + stride]
        if packed[start] == 2:  # it is what is to be added to the row above
            row = bytes((one + other) % 256 for one, other in zip(row, above, strict=True))
        pixels += bytes(255 * (row[x // 8] >> (7 - x % 8) & 1) for x in range(width))
        above = row
    view = memoryview(bytes(pixels)).cast("B", [height, width])
    [found] = zxingcpp.read_barcodes(view)
    return str(found.text)


@dataclass
class Postbox:
    """What an SMTP server was given, and the replies it has left before it takes anything."""

    of_recipients: list[str] = field(default_factory=list)
    of_contents: list[str] = field(default_factory=list)
    taken: list[Envelope] = field(default_factory=list)
    were_secret: list[bool] = field(default_factory=list)

    def mails(self) -> list[EmailMessage]:
        contents = [each.content for each in self.taken]
        return [parsed(each) for each in contents if isinstance(each, bytes)]

    async def handle_RCPT(  # noqa: N802  aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.of_recipients:
            return self.of_recipients.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802  aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        if self.of_contents:
            return self.of_contents.pop(0)
        self.taken.append(envelope)
        assert server.transport is not None
        self.were_secret.append(server.transport.get_extra_info("sslcontext") is not None)
        return "250 OK"


@asynccontextmanager
async def smtp_server(
    postbox: Any,
    *,
    port: int = 0,
    tls: ssl.SSLContext | None = None,
    starttls: ssl.SSLContext | None = None,
    password: str | None = None,
) -> AsyncIterator[int]:
    """An SMTP server on 127.0.0.1; gives its port."""

    def known(*given: Any) -> AuthResult:
        found = given[-1]
        assert isinstance(found, LoginPassword)
        is_right = found.password == str(password).encode()
        return AuthResult(success=is_right, handled=False)

    loop = asyncio.get_running_loop()
    options: dict[str, Any] = {"enable_SMTPUTF8": True, "hostname": "localhost"}
    if password is not None:
        options |= {"authenticator": known, "auth_required": True}
        options |= {"auth_require_tls": starttls is not None}
    if starttls is not None:
        options |= {"tls_context": starttls, "require_starttls": True}
    server = await loop.create_server(
        lambda: SMTP(postbox, loop=loop, **options), "127.0.0.1", port, ssl=tls
    )
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


def by_smtp(store: Store, url: str, **more: Any) -> None:
    """Have a store's mails sent to a server."""
    before = store.settings
    given = {"data_dir": before.data_dir, "database_url": before.database_url, **PATIENT, **more}
    store.settings = Settings(smtp_url=url, mail_from=SHOP, _env_file=None, **given)


def certificate(folder: Path, host: str | None = None) -> tuple[ssl.SSLContext, Path]:
    """What a server on 127.0.0.1, or of a name, shows, and the file by which it is believed."""
    key, name = (
        ec.generate_private_key(ec.SECP256R1()),
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")]),
    )
    now = datetime.now(UTC)
    here: x509.GeneralName = x509.IPAddress(ip_address("127.0.0.1"))
    names = x509.SubjectAlternativeName([x509.DNSName(host) if host else here])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    shown, private = folder / "server.pem", folder / "server.key"
    shown.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(shown, private)
    return context, shown
