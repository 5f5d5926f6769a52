import asyncio
from datetime import timedelta

from giftgql.cards import mentions
from giftgql.cards import service as cards
from giftgql.cards.models import CardStatus
from giftgql.cards.views import CardView
from giftgql.codes import CodeText
from giftgql.errors import Unavailable
from giftgql.installation import service as installation
from giftgql.jobs import service as jobs
from giftgql.jobs.service import Lease, NotDone
from giftgql.mail import letters, rendering, transports
from giftgql.mail.letters import Envelope, Letter
from giftgql.outbox import service as outbox
from giftgql.outbox.mails import Content, content
from giftgql.outbox.models import OutboxMessage, OutboxState
from giftgql.store import Reading, Store

JOB = outbox.MAIL
"""The kind of the job that sends a mail."""

LEASE = timedelta(seconds=1.5 * transports.HAND_OVER_SECONDS)

MARKS, MARK_PAUSE = 5, 1.0
"""How often it is tried to write down that a mail was sent, as it would be sent once more if it
were not written; and the seconds in between."""


async def send(store: Store, lease: Lease) -> bool:
    """Send a mail that waits and mark it as sent, or drop it where it has no point any more.

    Raises NotDone.
    """
    async with store.read() as reading:
        message = await outbox.get(reading, lease.subject_id)
        if message.state is not OutboxState.WAITING:
            return False
        assert message.card_id is not None
        about = content(message.topic, message.facts)
        card = await cards.view(reading, message.card_id)
        code = await mentions.code_to_send(reading, message.card_id) if about.brings_code else None
        envelope = await _envelope(reading, message, about)
        on = str(reading.last_day(message.created_at))
    why = _why_pointless(card, code) if about.brings_code else None
    if why is None:
        letter = await asyncio.to_thread(_letter, store, envelope, about, card, code, on)
        await transports.hand_over(store.settings, letter)
    await _mark(store, lease, why)
    return False


def _why_pointless(card: CardView, code: CodeText | None) -> str | None:
    """Why a card is not to be brought to anybody any more; None where it is."""
    if card.card.removed_at is not None:
        return "CARD_REMOVED"
    if card.status is CardStatus.BLOCKED:
        raise NotDone("CARD_BLOCKED")  # it may be unblocked
    if card.status in (CardStatus.DISABLED, CardStatus.EXPIRED):
        return f"CARD_{card.status}"
    return "NO_CODE" if code is None else None


async def _envelope(reading: Reading, message: OutboxMessage, about: Content) -> Envelope:
    return Envelope(
        name=f"{await installation.epoch(reading)}.{message.id}",
        sender=reading.settings.sender,
        recipient=message.address or "",
        recipient_name=about.recipient,
        sent_at=reading.now,
    )


def _letter(
    store: Store, envelope: Envelope, about: Content, card: CardView, code: CodeText | None, on: str
) -> Letter:
    known = {
        **rendering.words(about),
        "shop": envelope.sender.name or envelope.sender.domain,
        "on": on,
        "expires_on": None if card.expires_on is None else str(card.expires_on),
        "code": None if code is None else code.clear,
        "qr": None if code is None else f"cid:{envelope.id_of('qr.')}",
    }
    rendered = rendering.render(store.settings.mail_templates, about.topic, known)
    return letters.compose(envelope, rendered, code)


async def _mark(store: Store, lease: Lease, why: str | None) -> None:
    for left in reversed(range(MARKS)):
        try:
            async with store.write() as tx:
                message = await outbox.held(tx, lease.subject_id)
                await jobs.hold(tx, lease)
                if why is None:
                    await outbox.sent(tx, message)
                else:
                    await outbox.drop(tx, message, why)
        except Unavailable:
            if left == 0:
                raise
            await asyncio.sleep(MARK_PAUSE)
        else:
            return
