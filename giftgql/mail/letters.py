"""A mail as it goes over the wire: headers, plain text, HTML, and the QR code as a picture."""

from dataclasses import dataclass, field
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from io import BytesIO

import idna
import segno

from giftgql.addresses import Mailbox
from giftgql.codes import CodeText
from giftgql.jobs.service import NotDone
from giftgql.mail.rendering import Rendered, one_line

LONGEST_NAME = 100

_BREAKING = ' ()<>@,:;"[]\\'
"""What may have to be quoted: without it nobody misreads where a name or an address ends."""


@dataclass(frozen=True)
class Letter:
    """A mail that is ready to be handed over. `name` is its own, the same at each try."""

    name: str
    sender: str
    recipient: str
    content: bytes = field(repr=False)

    @property
    def needs_utf8(self) -> bool:
        """Whether only a server that speaks SMTPUTF8 can carry it."""
        return not self.recipient.isascii()


@dataclass(frozen=True)
class Envelope:
    """From whom to whom and when. `name` is the mail's own, of letters, digits, `.` and `-`."""

    name: str
    sender: Mailbox
    recipient: str
    recipient_name: str | None
    sent_at: datetime

    def id_of(self, part: str) -> str:
        """The name of the mail or of a part of it, unlike any other in the world."""
        return f"{part}{self.name}@{self.sender.domain}"


def compose(envelope: Envelope, rendered: Rendered, code: CodeText | None) -> Letter:
    """Put a mail together; with a code, its picture is shown in the HTML.

    Raises NotDone for an address that is none.
    """
    recipient = _address(envelope.recipient, envelope.recipient_name)
    sender = Address(_shown(envelope.sender.name), envelope.sender.local, envelope.sender.domain)
    policy = SMTP if recipient.addr_spec.isascii() else SMTPUTF8
    message = EmailMessage(policy.clone(cte_type="7bit"))
    message.set_content(rendered.text)
    message.add_alternative(rendered.html, subtype="html")
    message["From"] = sender
    message["To"] = recipient
    message["Subject"] = _shown(rendered.subject)
    message["Date"] = envelope.sent_at
    message["Message-ID"] = f"<{envelope.id_of('')}>"
    message["Auto-Submitted"] = "auto-generated"
    if code is not None:
        html = list(message.iter_parts())[1]
        assert isinstance(html, EmailMessage)
        html.add_related(
            qr(code),
            "image",
            "png",
            cid=f"<{envelope.id_of('qr.')}>",
            disposition="inline",
            filename="gift-card.png",
        )
    content = message.as_bytes()
    if _headers(content) != message.keys():
        raise NotDone("a header with a line end", is_final=True)
    return Letter(envelope.name, sender.addr_spec, recipient.addr_spec, content)


def qr(code: CodeText) -> bytes:
    """A code as a QR code, in a PNG that a phone reads off a screen: mail programs show no SVG."""
    picture = BytesIO()
    segno.make(code.clear, error="m", micro=False).save(picture, kind="png", scale=8, border=4)
    return picture.getvalue()


def _address(text: str, name: str | None) -> Address:
    local, _, domain = text.rpartition("@")
    try:
        ascii_domain = domain if domain.isascii() else idna.encode(domain, uts46=True).decode()
        if not local or not domain or _shown(text) != text or set(local + domain) & set(_BREAKING):
            raise ValueError
        shown = _shown((name or "").translate(dict.fromkeys(map(ord, _BREAKING), " ")))
        return Address(shown[:LONGEST_NAME], local, ascii_domain)
    except ValueError:
        raise NotDone("no e-mail address", is_final=True) from None


def _shown(text: str) -> str:
    """A text as a header shows it. One that looks as if it were encoded already is taken apart:
    Python would decode it, and older ones write the line ends in it as they are."""
    return one_line(text).replace("=?", "= ?")


def _headers(content: bytes) -> list[str]:
    """The names of the headers that whoever reads a mail finds."""
    lines = content.partition(b"\r\n\r\n")[0].splitlines()
    return [
        line.partition(b":")[0].decode() for line in lines if not line.startswith((b" ", b"\t"))
    ]
