"""How mails leave: over SMTP, or into a folder of the data folder, where each is a file."""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import cache
from pathlib import Path
from tempfile import mkstemp

from aiosmtplib import (
    SMTP,
    SMTPDataError,
    SMTPException,
    SMTPNotSupported,
    SMTPRecipientRefused,
    SMTPRecipientsRefused,
    SMTPResponseException,
)

from giftgql.jobs.service import NotDone
from giftgql.mail.letters import Letter
from giftgql.settings import Settings

HAND_OVER_SECONDS = 60.0
"""Longest time that handing one mail over may take: servers look into mails before they answer."""

GOODBYE_SECONDS = 2.0

_OUR_FAULT = (530, 535, 538)
"""Replies for want of a login or of TLS, whatever they are to."""


async def hand_over(settings: Settings, letter: Letter) -> None:
    """Send a mail, or write it into the folder, where it replaces an earlier try.

    Raises NotDone, final where the server refuses the recipient or the content for good.
    """
    if settings.smtp is None:
        await asyncio.to_thread(_write, settings.mail_folder, letter)
        return
    options = ["SMTPUTF8"] if letter.needs_utf8 else []
    async with _connected(settings) as server:
        await server.sendmail(
            letter.sender, [letter.recipient], letter.content, mail_options=options
        )


async def greet(settings: Settings) -> None:
    """Connect to the SMTP server, log in, and leave. Raises NotDone."""
    async with _connected(settings) as server:
        await server.noop()


@asynccontextmanager
async def _connected(settings: Settings) -> AsyncIterator[SMTP]:
    """A connection for a limited time. What goes wrong after all is done does not matter."""
    where = settings.smtp
    assert where is not None
    try:
        server = SMTP(
            hostname=where.host,
            port=where.port,
            username=where.user,
            password=where.password,
            local_hostname=settings.sender.domain,
            use_tls=where.is_tls,
            start_tls=where.starts_tls,
            tls_context=_tls(settings.smtp_ca_file),
            timeout=HAND_OVER_SECONDS,
        )
        try:
            async with asyncio.timeout(HAND_OVER_SECONDS):
                await server.connect()
                yield server
            with suppress(SMTPException):
                await server.quit(timeout=GOODBYE_SECONDS)
        finally:
            server.close()
    except (SMTPException, OSError, TimeoutError) as error:
        raise _not_done(error) from error


def _not_done(error: Exception) -> NotDone:
    """What became of a mail, without the server's words: they may repeat ours."""
    if isinstance(error, SMTPRecipientsRefused):
        error = error.recipients[0]
    if type(error) is SMTPException:
        return NotDone("STARTTLS or AUTH is not offered")
    cause = error.__cause__
    what = type(cause if isinstance(cause, OSError) else error).__name__
    if isinstance(error, SMTPNotSupported):
        return NotDone(what, is_final=True)
    if isinstance(error, SMTPResponseException):
        is_of_mail = isinstance(error, SMTPRecipientRefused | SMTPDataError)
        is_ours = error.code in _OUR_FAULT or error.message.startswith("5.7.")
        is_final = is_of_mail and error.code >= 500 and not is_ours
        return NotDone(f"{what} {error.code}", is_final=is_final)
    return NotDone(what)


@cache
def _tls(authorities: Path | None) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=authorities)


def _write(folder: Path, letter: Letter) -> None:
    """In one step: whoever looks finds a whole mail, and after a crash there is one or none."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, draft = mkstemp(prefix=".", dir=folder)
    try:
        with open(handle, "wb") as file:
            file.write(letter.content)
            file.flush()
            os.fsync(file.fileno())
        Path(draft).replace(folder / f"{letter.name}.eml")
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
