"""Mails on their way: templates, SMTP servers in all moods, and processes that die."""

import asyncio
import signal
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import Envelope

from giftgql import work
from giftgql.errors import Unavailable
from giftgql.installation import service as installation
from giftgql.jobs.runner import Lane
from giftgql.jobs.service import NotDone
from giftgql.mail import service as mail
from giftgql.mail import transports
from giftgql.outbox import service as outbox
from giftgql.outbox.mails import CardUsed
from giftgql.outbox.models import OutboxMessage, OutboxState
from giftgql.settings import Settings
from giftgql.store import Store, Transaction
from tests import factories, mailing, servers
from tests.conftest import SetClock, on_sqlite
from tests.mailing import Postbox

pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")


"""For what does not depend on the database."""


async def state(store: Store, message_id: int) -> tuple[OutboxState, str | None]:
    found = await mailing.message(store, message_id)
    return found.state, found.error


async def until_sent(store: Store, message_id: int) -> None:
    while True:
        if (await state(store, message_id))[0] == "SENT":
            return
        await asyncio.sleep(0.02)


# Templates


@on_sqlite
async def test_templates_of_a_folder_go_before_ours_and_a_broken_one_stops_nobody_else(
    store: Store, clock: SetClock, tmp_path: Path
) -> None:
    folder = tmp_path / "templates"
    folder.mkdir()
    (folder / "card.subject").write_text("Für {{ recipient }}: {{ value }}\r\nBcc: x@y.example")
    (folder / "card.html").write_text("<p>{{ sender }} {{ nothing_of_this_name }}</p>")
    store.settings = Settings(mail_templates=folder, data_dir=tmp_path, _env_file=None)
    broken = await mailing.put(store, content=mailing.brought(recipient="Ada", sender="<Bob>"))
    used = CardUsed(currency="EUR", paid=1, left=2, last_four="1234")
    good = await mailing.put(store, content=used)
    await work.do_all(store)
    assert await state(store, broken) == ("WAITING", "UndefinedError")
    assert await state(store, good) == ("SENT", None)
    [only] = mailing.sent(store)
    assert only["Subject"] == "0.01 EUR paid with your gift card"
    (folder / "card.html").write_text("<p>{{ sender }} {{ code }}</p>")
    clock.forward(seconds=10)
    await work.do_all(store)
    assert await state(store, broken) == ("SENT", None)
    found = next(each for each in mailing.sent(store) if "Für" in each["Subject"])
    assert found["Subject"] == "Für Ada: 50.00 EUR Bcc: x@y.example"
    assert found["Bcc"] is None
    assert "&lt;Bob&gt;" in mailing.body(found, "html")
    assert "Dear Ada," in mailing.body(found, "plain"), "what is not in the folder is ours"


# SMTP


@on_sqlite
async def test_a_mail_is_handed_over_to_an_smtp_server(store: Store) -> None:
    postbox = Postbox()
    async with mailing.smtp_server(postbox) as port:
        mailing.by_smtp(store, f"smtp://127.0.0.1:{port}?starttls=off")
        first = await mailing.put(store, address="ada@bücher.example")
        second = await mailing.put(store, address="örn@example.org")
        await work.do_all(store)
    assert [await state(store, each) for each in (first, second)] == [("SENT", None)] * 2
    one, other = sorted(postbox.taken, key=lambda each: str(each.rcpt_tos))
    assert (one.mail_from, one.rcpt_tos) == ("shop@example.com", ["ada@xn--bcher-kva.example"])
    assert other.rcpt_tos == ["örn@example.org"]
    found = postbox.mails()[postbox.taken.index(one)]
    assert found["From"] == mailing.SHOP
    assert found["Message-ID"].endswith("@example.com>")
    assert mailing.picture(found) is not None
    assert not store.settings.mail_folder.exists()


@on_sqlite
async def test_nothing_goes_to_a_server_that_cannot_prove_who_it_is(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown, authority = mailing.certificate(tmp_path)
    believed, password = {"smtp_ca_file": authority}, "s3cr%20et"
    more: dict[str, Any]
    for scheme, tls, starttls in (("smtp", None, shown), ("smtps", shown, None)):
        postbox, more = Postbox(), {"tls": tls, "starttls": starttls}
        async with mailing.smtp_server(postbox, password="s3cr et", **more) as port:
            message_id = await mailing.put(store)
            address = f"{scheme}://shop:{{}}@127.0.0.1:{port}"
            lane = mailing.lane(store)
            mailing.by_smtp(store, address.format(password))
            await lane.do_of(mail.JOB, message_id)
            assert await state(store, message_id) == ("WAITING", "SSLCertVerificationError")
            mailing.by_smtp(store, address.format("wrong"), **believed)
            await lane.do_of(mail.JOB, message_id)
            assert await state(store, message_id) == ("WAITING", "SMTPAuthenticationError 535")
            mailing.by_smtp(store, address.format(password), **believed)
            await transports.greet(store.settings)
            assert postbox.taken == []
            await lane.do_of(mail.JOB, message_id)
            assert await state(store, message_id) == ("SENT", None)
        assert postbox.were_secret == [True]
        assert "s3cr" not in repr(store.settings) + repr(store.settings.smtp)
    assert "s3cr" not in "".join(capsys.readouterr())
    async with mailing.smtp_server(postbox) as port:
        mailing.by_smtp(store, f"smtp://127.0.0.1:{port}")
        with pytest.raises(NotDone, match="STARTTLS or AUTH is not offered"):
            await transports.greet(store.settings)


@on_sqlite
async def test_what_a_server_refuses_for_good_is_dead_and_the_rest_comes_again(
    store: Store, clock: SetClock
) -> None:
    postbox, card_id = Postbox(), await factories.digital(store)
    async with mailing.smtp_server(postbox) as port:
        mailing.by_smtp(store, f"smtp://127.0.0.1:{port}?starttls=off")
        for replies, reply, expected in (
            (postbox.of_recipients, "550 5.1.1 Unknown", ("DEAD", "SMTPRecipientRefused 550")),
            (postbox.of_contents, "554 Spam", ("DEAD", "SMTPDataError 554")),
            (postbox.of_recipients, "450 Greylisted", ("WAITING", "SMTPRecipientRefused 450")),
            (postbox.of_contents, "452 Full", ("WAITING", "SMTPDataError 452")),
            (postbox.of_recipients, "530 Log in", ("WAITING", "SMTPRecipientRefused 530")),
            (postbox.of_recipients, "554 5.7.1 Relay", ("WAITING", "SMTPRecipientRefused 554")),
            (postbox.of_recipients, "421 Too busy", ("WAITING", "SMTPRecipientRefused 421")),
        ):
            replies.append(reply)
            message_id = await mailing.put(store, card_id)
            await work.do_all(store)
            assert await state(store, message_id) == expected
            other = await mailing.put(store, card_id)
            await work.do_all(store)
            assert await state(store, other) == ("SENT", None), "one never holds up another"
        clock.forward(seconds=10)
        await work.do_all(store)
        assert await state(store, message_id) == ("SENT", None)


@on_sqlite
async def test_a_server_that_is_down_or_silent_is_waited_for(
    store: Store, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def be_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    silent = await asyncio.start_server(be_silent, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    mailing.by_smtp(store, f"smtp://127.0.0.1:{port}?starttls=off")
    monkeypatch.setattr(transports, "HAND_OVER_SECONDS", 0.1)
    message_id = await mailing.put(store)
    await work.do_all(store)
    waiting, error = await state(store, message_id)
    assert waiting == "WAITING"
    assert str(error) in ("TimeoutError", "SMTPReadTimeoutError")
    silent.close()
    await silent.wait_closed()
    clock.forward(seconds=10)
    await work.do_all(store)
    assert await state(store, message_id) == ("WAITING", "ConnectionRefusedError")
    assert (await mailing.message(store, message_id)).attempts == 2
    monkeypatch.undo()
    postbox = Postbox()
    async with mailing.smtp_server(postbox, port=port):
        clock.forward(seconds=20)
        await work.do_all(store)
    assert await state(store, message_id) == ("SENT", None)
    assert len(postbox.taken) == 1


# Once, or once more under the same name


async def test_a_killed_process_leaves_a_mail_that_is_sent_once_more_under_its_name(
    store: Store, settings: Settings
) -> None:
    """The server dies when the mail is on its way, before it can be written down."""
    postbox, has_come = Postbox(), asyncio.Event()

    class Slow(Postbox):
        async def handle_DATA(  # noqa: N802  aiosmtpd's name
            self, server: object, session: object, envelope: Envelope
        ) -> str:
            postbox.taken.append(envelope)
            has_come.set()
            await asyncio.sleep(servers.PATIENCE)
            return "250 OK"

    async with mailing.smtp_server(Slow()) as port:
        url = f"smtp://127.0.0.1:{port}?starttls=off"
        more = {"GIFTGQL_SMTP_URL": url, "GIFTGQL_MAIL_FROM": mailing.SHOP}
        environment = servers.environment(settings.data_dir, settings.database_url, **more)
        with servers.serving(environment) as server:
            message_id = await mailing.put(store)
            async with asyncio.timeout(servers.PATIENCE):
                await has_come.wait()
            await asyncio.to_thread(server.stop, signal.SIGKILL)
    assert (await state(store, message_id))[0] == "WAITING"
    async with mailing.smtp_server(postbox) as port:
        mailing.by_smtp(store, f"smtp://127.0.0.1:{port}?starttls=off")
        await work.do_all(store)
        assert len(postbox.taken) == 1, "its lease has not ended"
        store.clock = SetClock(store.now + mail.LEASE)
        await work.do_all(store)
    assert (await state(store, message_id))[0] == "SENT"
    first, second = postbox.mails()
    assert first["Message-ID"] == second["Message-ID"]
    assert mailing.body(first, "plain") == mailing.body(second, "plain")


@on_sqlite
async def test_a_repeated_mail_is_one_file_in_the_folder(
    store: Store, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    message_id = await mailing.put(store)
    first = mailing.lane(store)

    async def die(*_: object) -> None:
        raise asyncio.CancelledError  # nobody gives the lease back

    with monkeypatch.context() as dying:
        dying.setattr(mail, "_mark", die)
        dying.setattr(Lane, "_give_back", lambda *_: asyncio.sleep(0))
        with pytest.raises(asyncio.CancelledError):
            await first.do_next()
    assert len(mailing.sent(store)) == 1
    assert (await state(store, message_id))[0] == "WAITING"
    clock.forward(seconds=mail.LEASE.total_seconds())
    await work.do_all(store)
    assert len(mailing.sent(store)) == 1
    assert (await state(store, message_id))[0] == "SENT"


@on_sqlite
async def test_a_folder_that_takes_no_mail_is_waited_for(store: Store, clock: SetClock) -> None:
    message_id, folder = await mailing.put(store), store.settings.mail_folder
    async with store.read() as reading:
        in_the_way = folder / f"{await installation.epoch(reading)}.{message_id}.eml"
    in_the_way.mkdir(parents=True)
    await work.do_all(store)
    assert await state(store, message_id) == ("WAITING", "IsADirectoryError")
    assert list(folder.iterdir()) == [in_the_way], "no draft is left"
    in_the_way.rmdir()
    clock.forward(seconds=10)
    await work.do_all(store)
    assert await state(store, message_id) == ("SENT", None)


@on_sqlite
async def test_a_busy_database_makes_no_second_mail(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    postbox, real, refused = Postbox(), outbox.sent, list[int]()

    async def busy(tx: Transaction, message: OutboxMessage) -> None:
        if len(refused) < 2:
            refused.append(1)
            raise Unavailable
        await real(tx, message)

    monkeypatch.setattr(mail, "MARK_PAUSE", 0)
    monkeypatch.setattr(outbox, "sent", busy)
    async with mailing.smtp_server(postbox) as port:
        mailing.by_smtp(store, f"smtp://127.0.0.1:{port}?starttls=off")
        message_id = await mailing.put(store)
        await work.do_all(store)
    assert await state(store, message_id) == ("SENT", None)
    assert (len(postbox.taken), len(refused)) == (1, 2)


async def test_mails_do_not_wait_for_one_that_a_server_is_slow_to_take(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_taken, go_on = asyncio.Event(), asyncio.Event()

    class Slow(Postbox):
        async def handle_DATA(  # noqa: N802  aiosmtpd's name
            self, server: object, session: object, envelope: Envelope
        ) -> str:
            if "slow@example.org" in envelope.rcpt_tos:
                is_taken.set()
                await go_on.wait()
            self.taken.append(envelope)
            return "250 OK"

    postbox = Slow()
    monkeypatch.setattr("giftgql.jobs.runner.POLL_SECONDS", 0.02)
    async with mailing.smtp_server(postbox) as port:
        mailing.by_smtp(store, f"smtp://127.0.0.1:{port}?starttls=off")
        slow = await mailing.put(store, address="slow@example.org")
        going = asyncio.create_task(work.go_on(store))
        try:
            async with asyncio.timeout(servers.PATIENCE):
                await is_taken.wait()
                others = [await mailing.put(store) for _ in range(5)]
                for each in others:
                    await until_sent(store, each)
                assert (await state(store, slow))[0] == "WAITING"
                go_on.set()
                await until_sent(store, slow)
        finally:
            going.cancel()
            await asyncio.wait([going])
    assert len(postbox.taken) == 6
