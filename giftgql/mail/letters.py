"""A mail as it goes over the wire: headers, plain text, HTML, and the QR code as a picture."""

from dataclasses import dataclass, field
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from io import BytesIO

import idna
import segno

from giftgql.codes import CodeText
from giftgql.jobs.service import NotDone
from giftgql.mail.rendering import Rendered, one_line
from giftgql.settings import Mailbox

LONGEST_NAME = 100

_BREAKS_NAMES = str.maketrans(dict.fromkeys('()<>@,:;"[]\\', " "))
"""What would have to be quoted in a name; without it no program can misread where one ends."""


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
    sender = Address(envelope.sender.name, envelope.sender.local, envelope.sender.domain)
    policy = SMTP if recipient.addr_spec.isascii() else SMTPUTF8
    message = EmailMessage(policy.clone(cte_type="7bit"))
    message.set_content(rendered.text)
    message.add_alternative(rendered.html, subtype="html")
    message["From"] = sender
    message["To"] = recipient
    message["Subject"] = rendered.subject
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
    return Letter(envelope.name, sender.addr_spec, recipient.addr_spec, message.as_bytes())


def qr(code: CodeText) -> bytes:
    """A code as a QR code, in a PNG that a phone reads off a screen: mail programs show no SVG."""
    picture = BytesIO()
    segno.make(code.clear, error="m", micro=False).save(picture, kind="png", scale=8, border=4)
    return picture.getvalue()


def _address(text: str, name: str | None) -> Address:
    local, _, domain = text.rpartition("@")
    try:
        ascii_domain = domain if domain.isascii() else idna.encode(domain, uts46=True).decode()
        if not local or not domain or not text.isprintable() or " " in text:
            raise ValueError
        shown = one_line((name or "").translate(_BREAKS_NAMES))[:LONGEST_NAME]
        return Address(shown, local, ascii_domain)
    except ValueError:
        raise NotDone("no e-mail address", is_final=True) from None
