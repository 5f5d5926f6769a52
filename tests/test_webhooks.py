"""Endpoints of webhooks: who may manage them, and what is known of their secrets."""

import asyncio
from base64 import b64decode
from typing import Any

import pytest
from sqlalchemy import text
from sqlmodel import col, select

from giftgql import work
from giftgql.audit.models import AuditEvent
from giftgql.outbox import service as outbox
from giftgql.permissions import Permission
from giftgql.settings import Settings
from giftgql.startup import RESEAL, rotate_keys
from giftgql.store import Store
from giftgql.vault import Vault
from giftgql.webhooks import calls, delivery
from giftgql.webhooks import service as webhooks
from giftgql.webhooks.models import WebhookSecret
from tests import mailing, webhooking
from tests.client import Client
from tests.conftest import MakeClient, SetClock
from tests.factories import card, done
from tests.leaking import leaks
from tests.test_mail import written
from tests.webhooking import change, endpoint, listed, receiver, require_signed, sent

PLACE = "http://127.0.0.1:9/"


@pytest.fixture(autouse=True)
def private(store: Store) -> None:
    webhooking.allow_private(store)


async def test_endpoints_are_added_edited_listed_and_removed(
    admin: Client, store: Store, clock: SetClock
) -> None:
    added = await endpoint(admin, PLACE, description="The shop", events=["GIFTCARD_CREATED"])
    assert added["secret"].startswith("whsec_")
    assert len(b64decode(added["secret"].removeprefix("whsec_"))) == 32
    page = (await listed(admin, since=""))["webhook"]
    assert page["results"] == [{**added, "secret": None}]
    clock.forward(seconds=1)
    other = PLACE + "other"
    edited = done(await change(admin, "Edit", id=added["id"], url=other, events=None))
    assert edited == {
        **{**added, "secret": None, "url": other, "events": []},
        "modifiedAt": clock.now.isoformat(),
    }
    emptied = done(await change(admin, "Edit", id=added["id"], description=None, active=False))
    assert (emptied["description"], emptied["active"], emptied["url"]) == (None, False, other)
    second = await endpoint(admin, PLACE)
    for arguments, expected in (
        ({}, [added, second]),
        ({"id": second["id"]}, [second]),
        ({"active": False}, [added]),
        ({"id": "x"}, []),
    ):
        found = (await listed(admin, **arguments))["webhook"]["results"]
        assert [each["id"] for each in found] == [each["id"] for each in expected]
    removed = done(await change(admin, "Remove", id=added["id"]))
    assert (removed["removed"], removed["active"]) == (True, False)
    assert (await listed(admin, id=added["id"]))["webhook"]["results"] == []
    synced = (await listed(admin, since=page["until"]))["webhook"]["results"]
    assert [(each["id"], each["removed"]) for each in synced] == [
        (second["id"], False),
        (added["id"], True),
    ]
    for verb in ("Edit", "Remove", "Test"):
        for gone in (added["id"], "999", "x"):
            answer = await change(admin, verb, id=gone)
            assert (answer.code, answer.field) == ("NOT_FOUND", "id")
    async with store.database.reading() as session:
        is_ours = col(AuditEvent.subject).like("webhook:%")
        events = (await session.exec(select(AuditEvent).where(is_ours))).all()
    assert [each.event for each in events] == [
        *("WEBHOOK_ADDED", "WEBHOOK_EDITED", "WEBHOOK_EDITED", "WEBHOOK_ADDED", "WEBHOOK_REMOVED")
    ]
    assert events[1].facts == {"url": other, "events": [], "rotated": False}


async def test_what_is_wrong_is_refused_and_changes_nothing(
    admin: Client, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    added = await endpoint(admin, PLACE)
    for facts, field in (
        ({"url": "https://169.254.169.254/latest"}, "url"),
        ({"url": "http://8.8.8.8/"}, "url"),
        ({"url": "gopher://127.0.0.1/"}, "url"),
        ({"url": PLACE, "description": ""}, "description"),
        ({"url": PLACE, "description": "x" * 256}, "description"),
        ({"url": PLACE, "description": "\x00"}, "description"),
    ):
        for verb, more in (("Add", {}), ("Edit", {"id": added["id"]})):
            answer = await change(admin, verb, **facts, **more)
            assert (answer.code, answer.field) == ("INVALID_INPUT", field)
    store.settings = store.settings.model_copy(update={"webhooks_allow_private": False})
    for url in (PLACE, "https://127.0.0.1/", "https://[::1]/"):
        assert (await change(admin, "Add", url=url)).code == "INVALID_INPUT"
    assert (await listed(admin))["webhook"]["results"] == [{**added, "secret": None}]
    webhooking.allow_private(store)
    monkeypatch.setattr(webhooks, "MOST_ENDPOINTS", 1)
    assert (await change(admin, "Add", url=PLACE)).code == "CONFLICT"


async def test_only_who_may_manages_endpoints(client_with: MakeClient, admin: Client) -> None:
    ours = await endpoint(admin, PLACE)
    manager = await client_with(Permission.MANAGE_WEBHOOKS)
    others = await client_with(*(set(Permission) - {Permission.MANAGE_WEBHOOKS}))
    assert len((await listed(manager))["webhook"]["results"]) == 1
    assert done(await change(manager, "Test", id=ours["id"]))["topic"] == "test"
    assert (await listed(others)).code == "PERMISSION_DENIED"
    for verb, facts in (("Add", {"url": PLACE}), *((v, {}) for v in ("Edit", "Remove", "Test"))):
        given = facts or {"id": ours["id"]}
        assert (await change(others, verb, **given)).code == "PERMISSION_DENIED"


async def test_a_replaced_secret_signs_along_for_a_day_and_none_is_ever_told_again(
    admin: Client, store: Store, clock: SetClock, capsys: pytest.CaptureFixture[str]
) -> None:
    async def tested() -> Any:
        done(await change(admin, "Test", id=ours["id"]))
        await webhooking.deliver(store)
        [call] = hooks.take()
        return call

    async with receiver() as hooks:
        ours = await endpoint(admin, hooks)
        first = ours["secret"]
        require_signed(await tested(), first)
        second = done(await change(admin, "Edit", id=ours["id"], rotateSecret=True))["secret"]
        require_signed(await tested(), second, first)
        third = done(await change(admin, "Edit", id=ours["id"], rotateSecret=True))["secret"]
        require_signed(await tested(), third, second)
        clock.forward(hours=24)
        call = await tested()
        require_signed(call, third)
        assert call.event["data"] == {"endpointId": ours["id"]}
        assert call.headers["content-type"] == "application/json"
        assert call.headers["user-agent"].startswith("giftgql/")
        await work.sweep(store)
    async with store.database.reading() as session:
        [kept] = (await session.exec(select(WebhookSecret))).all()
    async with store.read() as reading:
        shown = repr([kept, await reading.webhooks.get(1), webhooks.Shown(None, third)])  # type: ignore[arg-type]
    secrets = {
        f"{place}, {form}": each
        for place, secret in enumerate((first, second, third))
        for form, each in (
            ("text", secret.encode()),
            ("bytes", b64decode(secret.removeprefix("whsec_"))),
        )
    }
    found = leaks(await written(store) + shown.encode(), secrets)
    assert found == set()
    assert leaks("".join(capsys.readouterr()).encode(), secrets) == set()
    assert len({first, second, third}) == 3


async def test_secrets_are_sealed_anew_when_the_keys_are_rotated(
    admin: Client, store: Store, settings: Settings
) -> None:
    async with receiver() as hooks:
        ours = await endpoint(admin, hooks)
        done(await change(admin, "Edit", id=ours["id"], rotateSecret=True))
        await card(admin)
        before = Vault.open(settings.keyring_file).ring.primary
        await rotate_keys(store)
        await work.see_done(store, RESEAL)
        async with store.database.reading() as session:
            kids = {each.cipher_key for each in (await session.exec(select(WebhookSecret))).all()}
            codes = await (await session.connection()).execute(text("SELECT cipher_key FROM code"))
            assert kids == {row[0] for row in codes} == {store.vault.ring.primary} != {before}
        done(await change(admin, "Test", id=ours["id"]))
        await webhooking.deliver(store)
        [call] = hooks.calls
        assert len(call.headers["webhook-signature"].split()) == 2


async def test_what_was_told_is_kept_for_a_month(
    admin: Client, store: Store, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "LINE_BATCH", 2)
    async with receiver() as hooks:
        ours = await endpoint(admin, hooks)
        mail = await mailing.put(store)
        for _ in range(5):
            done(await change(admin, "Test", id=ours["id"]))
        await webhooking.deliver(store)
        clock.forward(days=29)
        done(await change(admin, "Test", id=ours["id"]))
        await work.sweep(store)
        assert len(await sent(admin)) == 6
        clock.forward(days=1)
        await work.sweep(store)
        assert [each["state"] for each in await sent(admin)] == ["WAITING"]
    assert (await mailing.message(store, mail)).id == mail


async def test_mails_that_are_called_off_take_no_webhook_with_them(
    admin: Client, store: Store
) -> None:
    async with receiver() as hooks:
        await endpoint(admin, hooks)
        made = await card(admin)
        await webhooking.tell(store)
        await mailing.put(store, made["id"])
        async with store.write() as tx:
            assert await outbox.cancel_waiting(tx, card_id=int(made["id"])) == 1
        await webhooking.deliver(store)
        assert hooks.types == ["giftcard.created"]


async def test_two_servers_deliver_each_message_once(
    admin: Client, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lanes of two processes, which take turns."""
    monkeypatch.setattr(delivery, "PIECE", 2)
    async with receiver() as hooks:
        ours = [await endpoint(admin, hooks) for _ in range(2)]
        for each in ours * 5:
            done(await change(admin, "Test", id=each["id"]))
        await asyncio.gather(*(webhooking.deliver(store) for _ in range(3)))
        names = [call.event["id"] for call in hooks.calls]
        assert (len(names), len(set(names))) == (10, 10)
        assert {each["state"] for each in await sent(admin)} == {"SENT"}
    to_write = 2 * Settings(_env_file=None).lock_seconds
    longest = delivery.PIECE_SECONDS + calls.CALL_SECONDS + to_write
    assert longest < delivery.LEASE.total_seconds(), "no other may begin meanwhile"
