"""How endpoints are told: order, patience, who is never called, and what is never followed."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpcore2
import pytest

from giftgql import network, work
from giftgql.jobs import service as jobs
from giftgql.jobs.runner import Lane
from giftgql.outbox import service as outbox
from giftgql.store import Store
from giftgql.webhooks import calls
from giftgql.webhooks import service as webhooks
from tests import servers, webhooking
from tests.client import Client
from tests.conftest import SetClock, on_sqlite
from tests.factories import card, done
from tests.mailing import certificate
from tests.webhooking import Receiver, endpoint, receiver, redo, sent

DAY = 86_400


"""The network is the same whatever the database is."""


@pytest.fixture(autouse=True)
def private(store: Store) -> None:
    webhooking.allow_private(store)


async def try_out(caller: Client, ours: dict[str, Any], many: int) -> list[dict[str, Any]]:
    """Test an endpoint so often; returns the messages."""
    return [done(await webhooking.change(caller, "Test", id=ours["id"])) for _ in range(many)]


async def shown(caller: Client, message: dict[str, Any]) -> tuple[Any, ...]:
    found = next(each for each in await sent(caller) if each["id"] == message["id"])
    return found["state"], found["attempts"], found["error"]


async def test_an_endpoint_that_is_down_rests_and_is_told_in_order_and_another_is_told_at_once(
    admin: Client, store: Store, clock: SetClock
) -> None:
    async with receiver() as down, receiver() as up:
        down.always = 503
        dead, live = await endpoint(admin, down), await endpoint(admin, up)
        made = [await card(admin) for _ in range(3)]
        await webhooking.run(store)
        assert len(up.take()) == 3
        assert len(down.calls) == 1, "the first alone was tried"
        pauses = list[float]()
        for _ in range(3):
            async with store.read() as reading:
                job = await jobs.latest(reading, webhooks.DELIVERY, int(dead["id"]))
            assert job is not None
            pauses.append((job.run_at - clock.now).total_seconds())
            await card(admin)  # what is new does not wake it
            await webhooking.run(store)
            assert len(up.take()) == 1
            clock.now = job.run_at
            await webhooking.run(store)
        assert pauses == [10, 20, 40]
        assert jobs.FOR_EVER.pause(99) == timedelta(minutes=30)
        assert [call.body for call in down.calls] == [down.calls[0].body] * 4
        assert len({call.headers["webhook-id"] for call in down.calls}) == 1
        first = (await sent(admin, e=dead["id"]))[0]
        assert (first["state"], first["attempts"], first["error"]) == ("WAITING", 4, "HTTP 503")
        down.always, down.calls = None, []
        done(await webhooking.change(admin, "Edit", id=dead["id"], description="It is back"))
        await webhooking.run(store)
        ids = [call.data["giftcardId"] for call in down.calls]
        assert ids == sorted(ids, key=int)
        assert set(ids) >= {each["id"] for each in made}
        assert len(ids) == 6
        assert {each["state"] for each in await sent(admin)} == {"SENT"}
        assert live["id"] != dead["id"]


@on_sqlite
async def test_a_message_that_is_refused_is_put_off_and_holds_up_no_other(
    admin: Client, store: Store, clock: SetClock
) -> None:
    async with receiver() as hooks:
        ours = await endpoint(admin, hooks)
        hooks.replies = [400, 302, 204]
        bad, moved, good = await try_out(admin, ours, 3)
        await webhooking.deliver(store)
        assert await shown(admin, bad) == ("WAITING", 1, "HTTP 400")
        assert await shown(admin, moved) == ("WAITING", 1, "HTTP 302")
        assert await shown(admin, good) == ("SENT", 0, None)
        assert [call.path for call in hooks.take()] == ["/hooks?a=b"] * 3
        hooks.replies = [400]
        clock.forward(seconds=10)
        await webhooking.deliver(store)
        assert (await shown(admin, moved))[0] == "SENT"
        assert (await shown(admin, bad))[1] == 2
        hooks.always, tries, at = 400, 2, clock.now
        while (await shown(admin, bad))[0] == "WAITING":
            async with store.read() as reading:
                [message] = await outbox.line(reading, int(ours["id"]), at_most=9)
            clock.now = message.due_at
            await webhooking.deliver(store)
            tries += 1
        assert await shown(admin, bad) == ("DEAD", tries, "HTTP 400")
        assert (clock.now - at).total_seconds() >= DAY
        assert tries == 17
        hooks.always = None
        assert (await redo(admin, "Resend", bad)).code == "CONFLICT"
        done(await redo(admin, "Retry", bad))
        hooks.calls.clear()
        await webhooking.deliver(store)
        assert (await shown(admin, bad))[0] == "SENT"
        done(await redo(admin, "Resend", bad))
        await webhooking.deliver(store)
        first, again = hooks.calls
        assert first.body == again.body, "who gets an event again can tell"
        assert first.headers["webhook-id"] == again.headers["webhook-id"]


async def test_what_waits_for_a_day_for_an_endpoint_that_is_down_is_dead(
    admin: Client, store: Store, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "LINE_BATCH", 2)
    async with receiver() as hooks:
        ours = await endpoint(admin, hooks)
        hooks.always = 500
        old = await try_out(admin, ours, 5)
        clock.forward(seconds=DAY - 60)
        young = await try_out(admin, ours, 1)
        clock.forward(seconds=60)
        await webhooking.deliver(store)
        states = [await shown(admin, each) for each in old]
        assert states == [("DEAD", 1, "HTTP 500"), *[("DEAD", 0, None)] * 4]
        assert await shown(admin, young[0]) == ("WAITING", 0, None)
        for each in old[:2]:
            done(await redo(admin, "Retry", each))
        hooks.always = None
        await webhooking.deliver(store)
        assert [(await shown(admin, each))[0] for each in (*old[:3], *young)] == [
            *("SENT", "SENT", "DEAD", "SENT")
        ]


async def test_an_endpoint_that_is_gone_or_removed_is_told_nothing_more(
    admin: Client, store: Store, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "LINE_BATCH", 2)
    async with receiver() as hooks, receiver() as removed:
        gone, ours = await endpoint(admin, hooks), await endpoint(admin, removed)
        hooks.replies = [204, 410]
        messages = await try_out(admin, gone, 6)
        done(await webhooking.change(admin, "Remove", id=ours["id"]))
        await webhooking.deliver(store)
        assert len(hooks.calls) == 2
        states = [await shown(admin, each) for each in messages]
        off = ("CANCELLED", 0, "The endpoint is off")
        assert states == [("SENT", 0, None), ("DEAD", 1, "HTTP 410"), off, off, off, off]
        [found] = (await webhooking.listed(admin, id=gone["id"]))["webhook"]["results"]
        assert found["active"] is False
        answer = await webhooking.change(admin, "Test", id=gone["id"])
        assert (answer.code, answer.field) == ("CONFLICT", "id")
        done(await redo(admin, "Resend", messages[0]))
        await webhooking.deliver(store)
        assert (await sent(admin, e=gone["id"]))[-1]["state"] == "CANCELLED"
        waiting = await try_out(admin, await endpoint(admin, removed), 3)
        done(await webhooking.change(admin, "Remove", id=waiting[0]["endpointId"]))
        await webhooking.deliver(store)
        assert {(await shown(admin, each))[0] for each in waiting} == {"CANCELLED"}
        assert removed.calls == []


async def hang() -> bytes:
    await asyncio.sleep(2 * servers.PATIENCE)
    return b""


async def endless() -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n" + b"x" * 1_000_000


@on_sqlite
async def test_whoever_is_slow_talkative_or_speaks_no_http_does_no_harm(
    admin: Client, store: Store, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    async with receiver() as hooks:
        ours = await endpoint(admin, hooks)
        for reply, expected in (
            (hang, "No answer within 0.3 s"),
            (b"", "No HTTP answer"),
            (b"SSH-2.0-OpenSSH_9.2p1 Debian\r\n\r\n", "No HTTP answer"),
            (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 200_000, "No HTTP answer"),
            (b"HTTP/1.1 101 X\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n", "No HTTP answer"),
            (b"HTTP/1.1 429 X\r\ncontent-length: 0\r\n\r\n", "HTTP 429"),
            (endless, None),
            (chunked, None),
        ):
            longest = 0.3 if reply is hang else servers.PATIENCE
            monkeypatch.setattr(calls, "CALL_SECONDS", longest)
            hooks.replies = [reply]
            [message] = await try_out(admin, ours, 1)
            await webhooking.deliver(store)
            state, _, error = await shown(admin, message)
            assert (state, error) == ("SENT" if expected is None else "WAITING", expected)
            clock.forward(days=1)
            await webhooking.deliver(store)
    [message] = await try_out(admin, ours, 1)
    await webhooking.deliver(store)
    assert (await shown(admin, message))[2] in ("No connection", "The connection broke")


@on_sqlite
async def test_many_dead_endpoints_hold_up_no_live_one(
    admin: Client, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In real time: those that hang are waited for in lanes of their own."""
    monkeypatch.setattr(calls, "CALL_SECONDS", 2 * servers.PATIENCE)
    async with receiver() as dead, receiver() as live:
        dead.always = hang
        hanging = [await endpoint(admin, dead) for _ in range(3)]
        ours = await endpoint(admin, live)
        for each in hanging:
            await try_out(admin, each, 1)
        await asyncio.gather(*(try_out(admin, ours, 1) for _ in range(20)))

        async def states() -> set[str]:
            return {each["state"] for each in await sent(admin, e=ours["id"])}

        working = asyncio.create_task(work.go_on(store))
        try:
            async with asyncio.timeout(servers.PATIENCE):
                while len(dead.calls) < 3 or await states() != {"SENT"}:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
        finally:
            working.cancel()
            await asyncio.wait([working])
    assert len(live.calls) == 20


@on_sqlite
async def test_what_was_sent_until_it_was_stopped_is_not_sent_again(
    admin: Client, store: Store
) -> None:
    async with receiver() as hooks:
        ours = await endpoint(admin, hooks)
        messages = await try_out(admin, ours, 3)
        hooks.replies = [204, hang]
        lane = Lane(store, work.WORKS, [webhooks.DELIVERY])
        working = asyncio.create_task(lane.do_next())
        while len(hooks.calls) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        working.cancel()
        await asyncio.wait([working])
        assert [(await shown(admin, each))[0] for each in messages] == [
            *("SENT", "WAITING", "WAITING")
        ]
        hooks.take()
        assert await lane.do_next()
        assert [call.event["id"] for call in hooks.calls] == [
            each["facts"]["id"] for each in messages[1:]
        ]


@on_sqlite
async def test_a_name_that_changes_its_address_after_the_check_is_checked_again(
    admin: Client, store: Store, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The resolver answers what an attacker likes, and differently each time."""
    store.settings = store.settings.model_copy(update={"webhooks_allow_private": False})
    answers, asked, connected = [["8.8.8.8"]], list[str](), list[str]()

    async def resolve(host: str, port: int) -> list[str]:
        asked.append(f"{host}:{port}")
        return answers.pop(0)

    async def connect(_: Any, host: str, port: int, *__: Any) -> Any:
        connected.append(f"{host}:{port}")
        raise httpcore2.ConnectError

    monkeypatch.setattr(calls, "resolve", resolve)
    monkeypatch.setattr(httpcore2.AnyIOBackend, "connect_tcp", connect)
    async with receiver(host="rebind.example", scheme="https") as hooks:
        ours = await endpoint(admin, hooks)
        [message] = await try_out(admin, ours, 1)
        for found, at, why in (
            (["127.0.0.1"], 0, "The URL names a private address"),
            (["8.8.8.8", "10.0.0.1"], 0, "The URL names a private address"),
            (["169.254.169.254"], 0, "The URL names an address that nobody may be called at"),
            ([], 0, "The URL names a host that has no address"),
            (["8.8.8.8", "2a00::1"], 2, "No connection"),
        ):
            answers[:], connected[:] = [found], []
            clock.forward(hours=1)
            await webhooking.deliver(store)
            assert (await shown(admin, message))[2].startswith(why)
            assert connected == [f"{each}:{hooks.port}" for each in found[:at]]
        assert set(asked) == {f"rebind.example:{hooks.port}"}, "each was asked for once"
        assert len(asked) == 6
        assert hooks.connections == 0


@on_sqlite
async def test_the_certificate_is_of_the_name_whatever_the_address(
    admin: Client, store: Store, clock: SetClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    async def result(hooks: Receiver) -> tuple[Any, ...]:
        network.tls.cache_clear()
        [message] = await try_out(admin, await endpoint(admin, hooks), 1)
        await webhooking.deliver(store)
        return await shown(admin, message)

    monkeypatch.setattr(calls, "resolve", resolve)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    tls, shown_to = certificate(tmp_path, "hooks.example")
    try:
        async with receiver(tls, host="hooks.example") as hooks:
            assert "certificate is not trusted" in (await result(hooks))[2]
            assert hooks.calls == []
            monkeypatch.setenv("SSL_CERT_FILE", str(shown_to))
            assert (await result(hooks))[0] == "SENT"
            assert hooks.calls[0].headers["host"] == f"hooks.example:{hooks.port}"
            hooks.host = "other.example"
            assert "certificate is not trusted" in (await result(hooks))[2]
            assert len(hooks.calls) == 1
    finally:
        network.tls.cache_clear()
