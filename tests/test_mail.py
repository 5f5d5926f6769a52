"""Mails: what is in them, what becomes of them, and that no code is anywhere else."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlmodel import SQLModel

from giftgql import work
from giftgql.addresses import Mailbox
from giftgql.jobs.service import NotDone
from giftgql.mail import letters, rendering
from giftgql.mail.letters import Envelope, Letter
from giftgql.outbox import service as outbox
from giftgql.outbox.mails import CardReplaced, CardUsed, Content
from giftgql.store import Store
from tests import factories, mailing
from tests.client import Client
from tests.conftest import SetClock, on_sqlite
from tests.leaking import leaks
from tests.stock import issue, product, remove

"""For what does not depend on the database."""

DISGUISED = "=?utf-8?b?eA0KQmNjOiB5QGV2aWwuZXhhbXBsZQ==?= =?utf-8?q?x=0D=0ABcc:_y@x?="
"""As headers are encoded: "x", a line end, "Bcc: y@evil.example"."""

HOSTILE = f"{DISGUISED} Eve\r\nBcc: eve@evil.example\r\n\r\n<b>Hi</b> \u2028X-Evil: 1\u202e"
OF_HOSTILE: Any = {
    **{"currency": "EUR", "last_four": "1234"},
    **dict.fromkeys(("recipient", "order_no", "place"), HOSTILE),
}


async def written(store: Store) -> bytes:
    """Every row of the database."""
    found = list[Any]()
    async with store.database.reading() as session:
        connection = await session.connection()
        for table in SQLModel.metadata.sorted_tables:
            found += (await connection.execute(text(f"SELECT * FROM {table.name}"))).all()
    return repr(found).encode()


def composed(content: Content, address: str = "ada@example.org") -> Letter:
    """A mail without a database."""
    known = {"shop": "Shop", "on": "2026-11-21", "expires_on": None, "code": "GC1", "qr": ""}
    rendered = rendering.render(None, content.topic, {**rendering.words(content), **known})
    sender = Mailbox("Shop", "shop", "example.com")
    sent_at = datetime(2026, 11, 21, tzinfo=UTC)
    envelope = Envelope("epoch.1", sender, address, content.recipient, sent_at)
    return letters.compose(envelope, rendered, None)


async def test_a_card_arrives_with_value_words_code_and_qr_code(
    admin: Client, store: Store, clock: SetClock, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = {"kind": "RELATIVE", "after": "P1Y"}
    card = (await issue(admin, await product(admin, expiration=wanted)))["giftcardIssue"]
    code = await mailing.code_of(store, card["id"])
    content = mailing.brought(
        recipient="Ada Jansen", sender="Bob", message="Happy <birthday>,\nAda!", product="A gift"
    )
    message_id = await mailing.put(store, card["id"], content)
    await work.do_all(store)

    [file] = store.settings.mail_folder.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_bytes().isascii()
    found = mailing.parsed(file.read_bytes())
    assert found["Message-ID"] == f"<{file.stem}@localhost>"
    assert file.stem.endswith(f".{message_id}")
    assert found["Subject"] == "Bob has sent you a gift card of 50.00 EUR"
    assert (found["From"], found["To"]) == (
        "Gift cards <gift-cards@localhost>",
        "Ada Jansen <ada@example.org>",
    )
    assert found["Auto-Submitted"] == "auto-generated"
    assert found["Date"].datetime == clock.now
    plain, html = mailing.body(found, "plain"), mailing.body(found, "html")
    for each in (code, "50.00 EUR", "Bob", "Ada Jansen", "A gift", "2027-11-21"):
        assert each in plain, each
        assert each in html, each
    assert "Happy <birthday>,\nAda!" in plain
    assert "Happy &lt;birthday&gt;,<br>Ada!" in html
    qr = mailing.picture(found)
    assert qr is not None
    assert mailing.scanned(qr.get_content()) == code
    assert f'src="cid:{qr["Content-ID"].strip("<>")}"' in html
    assert leaks(await written(store), {"code": code.encode()}) == set()
    assert leaks("".join(capsys.readouterr()).encode(), {"code": code.encode()}) == set()
    assert leaks(plain.encode(), {"code": code.encode()}) == {"code"}


@on_sqlite
async def test_a_use_is_told_without_the_code_and_a_replacement_with_the_new_one(
    store: Store, clock: SetClock
) -> None:
    card_id = await factories.digital(store)
    code = await mailing.code_of(store, card_id)
    facts: dict[str, Any] = {"currency": "KWD", "paid": 1_250, "left": 8_750, "last_four": "4F2K"}
    facts |= {"recipient": "Ada", "order_no": "R-17", "place": "Till 7"}
    await mailing.put(store, card_id, CardUsed(**facts))
    await mailing.put(store, card_id, CardReplaced(**facts))
    await work.do_all(store)
    used, replaced = mailing.sent(store)
    assert used["Subject"] == "1.250 KWD paid with your gift card"
    assert replaced["Subject"] == "The new code of your gift card, with 8.750 KWD left"
    for each in ("1.250 KWD", "8.750 KWD", "4F2K", "R-17", "Till 7", "Ada"):
        for found in (used, replaced):
            assert each in mailing.body(found, "plain"), each
            assert each in mailing.body(found, "html"), each
    assert "2026-11-21" in mailing.body(used, "plain")
    assert leaks(used.as_bytes(), {"code": code.encode()}) == set()
    assert mailing.picture(used) is None
    qr = mailing.picture(replaced)
    assert qr is not None
    assert mailing.scanned(qr.get_content()) == code
    assert code in mailing.body(replaced, "html")


@pytest.mark.parametrize(
    "content",
    [
        mailing.brought(recipient=HOSTILE, sender=HOSTILE, message=HOSTILE, product=HOSTILE),
        CardUsed(paid=1, left=2, **OF_HOSTILE),
        CardReplaced(paid=1, left=2, **OF_HOSTILE),
    ],
)
def test_nobody_breaks_out_of_a_header_or_of_the_html(content: Content) -> None:
    found = mailing.parsed(composed(content).content)
    assert set(found.keys()) == {
        *("From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted"),
        *("MIME-Version", "Content-Type"),
    }
    assert [each.addr_spec for each in found["To"].addresses] == ["ada@example.org"]
    assert "\n" not in found["Subject"]
    assert "<b>" not in mailing.body(found, "html")
    assert "\u202e" not in found["To"] + found["Subject"]


@pytest.mark.parametrize(
    "name",
    [
        "Jansen, Ada <ada@evil.example>, (x",
        'Á"da\\" ' + "Jánsén, " * 30,
        "李小龍" * 60,
        "=?utf-8?q?x=40evil=2Eexample?= <x@evil.example>",
        DISGUISED,
        "🎁 Ada",
        'a b @_<b)ba@,<?,"@a"x" ="_;xx,)_a",_x.??=)(a>é "= "@?:?( .<"é>:)=:(:", ,> _"_,< é=',
    ],
)
def test_a_name_is_shown_and_never_an_address(name: str) -> None:
    found = mailing.parsed(composed(mailing.brought(recipient=name)).content)
    [to] = found["To"].addresses
    assert to.addr_spec == "ada@example.org"
    assert to.display_name
    assert set(to.display_name) <= set(name) | {" "}
    in_utf8 = composed(mailing.brought(recipient=name), "örn@example.org").content.decode()
    [header] = [line for line in in_utf8.replace("\r\n ", " ").splitlines() if line[:3] == "To:"]
    assert header.endswith(" <örn@example.org>")
    assert header.count("@") == header.count("<") == 1
    assert "," not in header


def test_addresses_of_all_scripts_are_written_as_servers_know_them() -> None:
    letter = composed(mailing.brought(), "ada@bücher.example")
    assert letter.recipient == "ada@xn--bcher-kva.example"
    assert not letter.needs_utf8
    letter = composed(mailing.brought(recipient="Örn"), "örn@bücher.example")
    assert letter.recipient == "örn@xn--bcher-kva.example"
    assert letter.needs_utf8
    assert "Örn <örn@xn--bcher-kva.example>".encode() in letter.content
    for wrong in (
        "",
        "ada",
        "@b.example",
        "a@",
        "a b@c.example",
        "a@b\n.example",
        "a@ü\u2028.example",
        "a<b@c.example",
        f"{DISGUISED}@c.example",
    ):
        with pytest.raises(NotDone) as refused:
            composed(mailing.brought(), wrong)
        assert refused.value.is_final


@on_sqlite
async def test_a_card_that_nobody_can_use_is_not_brought(
    admin: Client, store: Store, clock: SetClock
) -> None:
    expiring = {"kind": "RELATIVE", "after": "P1D"}
    sold = await product(admin, expiration=expiring)
    expired, disabled = [(await issue(admin, sold))["giftcardIssue"]["id"] for _ in range(2)]
    removed, codeless = [await factories.digital(store) for _ in range(2)]
    due_at = clock.now + timedelta(days=3)
    expected = dict[int, tuple[str, str | None]]()
    for card_id, why in (
        (expired, "CARD_EXPIRED"),
        (disabled, "CARD_DISABLED"),
        (removed, "CARD_REMOVED"),
        (codeless, "NO_CODE"),
    ):
        expected[await mailing.put(store, card_id, due_at=due_at)] = ("CANCELLED", why)
    told = CardUsed(currency="EUR", paid=1, left=0, last_four="1234")
    expected[await mailing.put(store, disabled, told, due_at=due_at)] = ("SENT", None)
    assert (await factories.stand(admin, "Disable", disabled)).code is None
    assert (await remove(admin, removed)).code is None
    revoked = await factories.edit(admin, codeless, revokeDigitalCode=True)
    assert revoked.code is None
    clock.now = due_at
    await work.do_all(store)
    for message_id, (state, error) in expected.items():
        found = await mailing.message(store, message_id)
        assert (found.state, found.error) == (state, error)
    [only] = mailing.sent(store)
    assert mailing.picture(only) is None


@on_sqlite
async def test_the_code_that_is_sent_is_the_digital_one_else_the_printed_or_the_external_one(
    admin: Client, store: Store, clock: SetClock
) -> None:
    member_id = await factories.member(admin)
    made = await factories.card(
        admin,
        **{"physicalCode": "GC-1111", "physicalPin": "1234", "physicalExpiresOn": "2026-11-22"},
        **{"externalCode": "EX-1111", "addPersonalCode": True, "memberId": member_id},
    )
    assert await mailing.code_of(store, made["id"]) == "GC-1111"
    message_id = await mailing.put(store, made["id"])
    await work.do_all(store)
    [found] = mailing.sent(store)
    assert "GC-1111" in mailing.body(found, "plain")
    assert "1234" not in mailing.body(found, "plain")
    clock.forward(days=2)
    assert await mailing.code_of(store, made["id"]) == "EX-1111", "a dead code is of no use"
    assert (await factories.edit(admin, made["id"], revokeExternalCode=True)).code is None
    async with store.write() as tx:
        message_id = (await outbox.resend(tx, message_id)).id or 0
    await work.do_all(store)
    assert (await mailing.message(store, message_id)).error == "NO_CODE", "the personal one is not"
