"""What endpoints are told: every event once, numbered, whatever the order of commits."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest
from sqlalchemy import text

from giftgql import work
from giftgql.jobs import service as jobs
from giftgql.jobs.service import LeaseLost
from giftgql.ledger import service as ledger
from giftgql.ledger.models import MovementType
from giftgql.ledger.orders import By, Move
from giftgql.store import Store, Transaction
from giftgql.webhooks import following
from giftgql.webhooks import service as webhooks
from tests import factories, stock, webhooking
from tests.client import Client
from tests.conftest import SetClock, on_postgresql
from tests.factories import capture, card, code_of, done, funded, hold, spend, stand, top_up, trans
from tests.leaking import leaks
from tests.webhooking import Call, endpoint, receiver, require_numbered, tell

TRANSACTION = "giftcard.transaction"


@pytest.fixture(autouse=True)
def private(store: Store) -> None:
    webhooking.allow_private(store)


def told(calls: list[Call], *names: str) -> list[tuple[Any, ...]]:
    """The type of each event, and some of its data."""
    return [(call.type.partition(".")[2], *(call.data[name] for name in names)) for call in calls]


async def live(admin: Client, store: Store, clock: SetClock) -> dict[str, Any]:
    """All that can happen to a card, told as it happens; returns what was authorised."""
    await factories.member(admin, "C1", name="Ada Jansen", email="ada@example.org")
    facts = {"physicalCode": "GC49288331", "addPersonalCode": True, "memberId": "C1"}
    made = await card(admin, **facts, expiresOn="2026-12-31")
    await webhooking.run(store)
    await top_up(admin, made, "50.00", sourceId="Till 7", refNo="R1001")
    await webhooking.run(store)
    held = await hold(admin, made, "-20.00")
    await trans(admin, code=code_of(made), transType="USE", amount="-99", refNo="R2")
    await webhooking.run(store)
    done(await capture(admin, held["id"], "15.00"))
    used = await spend(admin, made, "-35.00")
    await webhooking.run(store)
    done(await factories.refund(admin, used["id"], "5.00"))
    done(await stand(admin, "Block", made["id"]))
    await webhooking.run(store)
    done(await stand(admin, "Unblock", made["id"]))
    await webhooking.run(store)
    clock.forward(days=60)
    await work.sweep(store)
    await webhooking.run(store)
    done(await stand(admin, "Disable", made["id"]))
    await webhooking.run(store)
    return held


LIFE = [
    ("created", "NOT_ACTIVATED", "0.00"),
    ("activated", "ACTIVATED", "50.00"),
    ("transaction", "COMPLETED", "50.00"),
    ("transaction", "AUTHORIZED", "30.00"),
    ("transaction", "DECLINED", "30.00"),
    ("transaction", "COMPLETED", "35.00"),
    ("transaction", "COMPLETED", "0.00"),
    ("redeemed", "REDEEMED", "0.00"),
    ("transaction", "COMPLETED", "5.00"),
    ("blocked", "BLOCKED", "5.00"),
    ("unblocked", "ACTIVATED", "5.00"),
    ("transaction", "COMPLETED", "0.00"),
    ("expired", "EXPIRED", "0.00"),
    ("disabled", "DISABLED", "0.00"),
]


async def test_a_card_is_told_of_from_its_making_to_its_end(
    admin: Client, store: Store, clock: SetClock
) -> None:
    async with receiver() as hooks:
        secret = (await endpoint(admin, hooks))["secret"]
        held = await live(admin, store, clock)
        calls = hooks.take()
    assert told(calls, "status", "balance") == LIFE
    require_numbered(calls)
    assert len({call.event["id"] for call in calls}) == len(calls)
    for call in calls:
        webhooking.require_signed(call, secret)
        assert call.headers["webhook-id"] == call.event["id"]
        assert call.data["memberId"] == "C1"
        assert len(call.body) < 32 * 1024
    made, added, declined, captured = (calls[place].data for place in (0, 2, 4, 5))
    printed, personal = made["codes"]
    assert printed == {"codeType": "PHYSICAL", "code": "************8331"}
    assert (personal["codeType"], len(personal["code"])) == ("PERSONAL", 16)
    names = ("code", "amount", "sourceId", "refNo", "currency", "ending")
    expected = [printed["code"], "50.00", "Till 7", "R1001", "EUR", None]
    assert [added[name] for name in names] == expected
    assert (declined["error"], declined["amount"]) == ("INSUFFICIENT_FUNDS", "-99.00")
    assert captured["transactionId"] == held["id"] == calls[3].data["transactionId"]
    parts = [captured[name] for name in ("ending", "amount", "releasedAmount")]
    assert parts == ["CAPTURED", "-15.00", "5.00"]
    assert calls[11].data["transType"] == "EXPIRE"
    written = b"".join(call.body for call in calls)
    for text_ in ("GC49288331", "Ada Jansen", "ada@example.org", "a reason to"):
        assert leaks(written, {"it": text_.encode()}) == set()


async def test_each_end_of_an_authorisation_is_told_once(
    admin: Client, store: Store, clock: SetClock
) -> None:
    made = await funded(admin)
    clock.forward(seconds=1)
    async with receiver() as hooks:
        await endpoint(admin, hooks)
        holds = [await hold(admin, made, "-1.00", authorizeFor="PT1M") for _ in range(3)]
        done(await factories.cancel(admin, holds[0]["id"]))
        done(await capture(admin, holds[1]["id"]))
        await webhooking.run(store)
        clock.forward(minutes=2)
        await work.sweep(store)
        await webhooking.run(store)
        first, second, third = (int(each["id"]) for each in holds)
        found = [
            (int(call.data["transactionId"]), call.data["status"], call.data["ending"])
            for call in hooks.calls
        ]
        assert found == [
            *((each, "AUTHORIZED", None) for each in (first, second, third)),
            (first, "CANCELLED", "CANCELLED"),
            (second, "COMPLETED", "CAPTURED"),
            (third, "CANCELLED", "TIMED_OUT"),
        ]
        require_numbered(hooks.calls)


async def test_the_past_is_not_told_and_old_cards_are_told_of_what_is_new(
    admin: Client, store: Store, clock: SetClock
) -> None:
    unused, used_up, blocked, unblocked, moved, edited, gone, expired = [
        await card(admin, expiresOn="2026-11-30") for _ in range(8)
    ]
    for each in (used_up, blocked, moved, edited, gone, expired):
        await top_up(admin, each, "10.00")
    for each in (unblocked, edited):
        done(await stand(admin, "Block", each["id"]))
    clock.forward(seconds=1)
    async with receiver() as hooks:
        await endpoint(admin, hooks)
        await webhooking.run(store)
        assert hooks.types == []
        clock.forward(seconds=1)
        await top_up(admin, unused, "10.00")
        await spend(admin, used_up, "-10.00")
        done(await stand(admin, "Block", blocked["id"]))
        done(await stand(admin, "Unblock", unblocked["id"]))
        await spend(admin, moved, "-1.00")
        done(await factories.edit(admin, edited["id"], note="still blocked"))
        done(await stand(admin, "Disable", gone["id"]))
        await webhooking.run(store)
        news: dict[str, list[str]] = {}
        for call in hooks.calls:
            news.setdefault(call.data["giftcardId"], []).append(call.type.partition(".")[2])
        require_numbered(hooks.take())
        assert news == {
            unused["id"]: ["activated", "transaction"],
            used_up["id"]: ["transaction", "redeemed"],
            blocked["id"]: ["blocked"],
            unblocked["id"]: ["unblocked"],
            moved["id"]: ["transaction"],
            gone["id"]: ["transaction", "disabled"],
        }
        clock.forward(days=30)
        await work.sweep(store)
        await webhooking.run(store)
        assert ("expired", expired["id"], 2) in told(hooks.calls, "giftcardId", "sequence")


async def test_while_nobody_wants_to_be_told_nothing_is_written(
    admin: Client, store: Store, clock: SetClock
) -> None:
    async def switch(on: bool) -> None:
        clock.forward(seconds=2)
        done(await webhooking.change(admin, "Edit", id=ours["id"], active=on))

    async def written() -> list[int]:
        tables = ("webhook_card", "webhook_cursor", "outbox_message", "job")
        async with store.database.reading() as session:
            connection = await session.connection()
            counts = [f"(SELECT count(*) FROM {table})" for table in tables]
            return list((await connection.execute(text(f"SELECT {', '.join(counts)}"))).one())

    made = await funded(admin)
    await webhooking.run(store)
    assert await written() == [0, 0, 0, 0]
    clock.forward(seconds=1)
    async with receiver() as hooks:
        ours = await endpoint(admin, hooks, active=False)
        await spend(admin, made, "-1.00")
        await webhooking.run(store)
        assert (await written())[::3] == [0, 0]
        for _ in range(2):  # on, off, and on again; what happened meanwhile is the past
            await switch(on=True)
            await spend(admin, made, "-1.00")
            await webhooking.run(store)
            assert told(hooks.take(), "transType") == [("transaction", "USE")]
            await switch(on=False)
            await spend(admin, made, "-1.00")
            done(await stand(admin, "Block", made["id"]))
            clock.forward(seconds=2)
            await webhooking.run(store)
            done(await stand(admin, "Unblock", made["id"]))
        before = await written()
        clock.forward(seconds=2)
        await webhooking.run(store)
        assert (hooks.types, await written()) == ([], before)
        await switch(on=True)
        await spend(admin, made, "-1.00")
        await webhooking.run(store)
        assert told(hooks.calls, "sequence") == [("transaction", 3)], "numbers go on"


async def test_an_endpoint_is_told_what_it_wants_to_know(
    admin: Client, store: Store, clock: SetClock
) -> None:
    async with receiver() as some, receiver() as all_:
        wanted = ["GIFTCARD_BLOCKED", "GIFTCARD_CREATED", "GIFTCARD_BLOCKED"]
        added = await endpoint(admin, some, events=wanted)
        assert added["events"] == ["GIFTCARD_CREATED", "GIFTCARD_BLOCKED"]
        before = await funded(admin)
        await webhooking.run(store)
        await spend(admin, before, "-1.00")  # which nobody wants to know
        await webhooking.run(store)
        assert [call.data["giftcardId"] for call in some.take()] == [before["id"]]
        await spend(admin, before, "-1.00")
        await endpoint(admin, all_)
        made = await funded(admin)
        done(await stand(admin, "Block", made["id"]))
        await webhooking.run(store)
        assert some.types == ["giftcard.created", "giftcard.blocked"]
        assert len(all_.types) == 4
        same = [call.event for call in all_.calls if call.type in some.types]
        assert [call.event for call in some.calls] == same, "the same events, by the same ids"


async def test_many_cards_and_busy_ones_are_told_batch_by_batch(
    admin: Client, store: Store, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "BATCH", 5)
    async with receiver() as hooks:
        await endpoint(admin, hooks)
        await stock.generated(store, admin, count=7, startActivated=True)
        made = await funded(admin, "100.00")
        ids = [(await spend(admin, made, "-1.00"))["id"] for _ in range(6)]
        hooks.connections = 0
        await webhooking.run(store)
        require_numbered(hooks.calls)
        assert hooks.types.count("giftcard.created") == 8
        assert hooks.types.count("giftcard.activated") == 8
        assert hooks.types.count(TRANSACTION) == 7 + 1 + 6
        used = [call.data for call in hooks.calls if call.data.get("transType") == "USE"]
        assert [each["transactionId"] for each in used] == ids
        assert hooks.connections == 1, "one connection for all"


async def add(tx: Transaction, card_id: str) -> str:
    """Add 1.00 to a card in a transaction that stays open; returns the movement's id."""
    order = Move(account_id=int(card_id), by=By("client:a till"), type=MovementType.ADD, amount=100)
    assert (await ledger.post_one(tx, order)).error is None
    return str(order.id)


@on_postgresql
async def test_transactions_that_commit_in_reverse_order_lose_no_event(
    admin: Client, store: Store
) -> None:
    first, second = await funded(admin), await funded(admin)
    async with receiver() as hooks, AsyncExitStack() as late:
        await endpoint(admin, hooks)
        slow = await late.enter_async_context(store.write())
        ids = [await add(slow, first["id"])]
        async with store.write() as quick:
            ids.append(await add(quick, second["id"]))
        await tell(store)
        assert await webhooking.rows(store) == [], "none before all earlier ones have ended"
        await late.aclose()
        await tell(store)
        rows = await webhooking.rows(store)
    assert sorted(row.facts["data"]["transactionId"] for row in rows) == sorted(ids)


async def test_many_who_tell_at_once_while_money_moves_tell_nothing_twice(
    admin: Client, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "BATCH", 4)
    made = [await funded(admin, "100.00") for _ in range(3)]

    async def spend_all(each: dict[str, Any]) -> list[str]:
        return [(await spend(admin, each, "-1.00"))["id"] for _ in range(6)]

    async def tell_on() -> None:
        for _ in range(6):
            await tell(store)

    async with receiver() as hooks:
        await endpoint(admin, hooks)
        telling = asyncio.gather(*(tell_on() for _ in range(3)))
        spent = await asyncio.gather(*map(spend_all, made))
        await telling
        await tell(store)
        rows = await webhooking.rows(store)
    found = [row.facts["data"]["transactionId"] for row in rows]
    assert sorted(found) == sorted(each for ids in spent for each in ids)
    numbers = [(row.card_id, row.facts["data"]["sequence"]) for row in rows]
    assert sorted(numbers) == [(int(each["id"]), n) for each in made for n in range(1, 7)]


async def test_what_is_told_and_that_it_is_told_are_one(
    admin: Client, store: Store, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await funded(admin)
    clock.forward(seconds=1)
    async with receiver() as hooks:
        await endpoint(admin, hooks)
        await spend(admin, made, "-1.00")

        async def die(*_: Any, **__: Any) -> None:
            raise ZeroDivisionError

        with monkeypatch.context() as broken:
            broken.setattr("giftgql.webhooks.repository.WebhookRepository.set_cursor", die)
            await tell(store)
        assert await webhooking.rows(store) == []
        async with store.write() as tx:
            lost = await jobs.claim_of(tx, webhooks.FAN_OUT, 0, "a worker that stalls")
        assert lost is not None
        clock.forward(seconds=11)
        await tell(store)
        await spend(admin, made, "-1.00")
        with pytest.raises(LeaseLost):
            await following.fan_out(store, lost)
        assert len(await webhooking.rows(store)) == 1
        await webhooking.run(store)
        assert told(hooks.calls, "sequence") == [("transaction", 1), ("transaction", 2)]


async def test_a_database_restored_elsewhere_tells_nothing_again_and_all_that_is_new(
    admin: Client, store: Store, clock: SetClock
) -> None:
    made, other = await funded(admin), await funded(admin)
    clock.forward(seconds=1)
    async with receiver() as hooks:
        await endpoint(admin, hooks)
        await spend(admin, made, "-1.00")
        await webhooking.run(store)
        assert len(hooks.take()) == 1
        clock.forward(seconds=2)
        async with store.write() as tx:  # as `installation.adopt` does
            await tx.installation.count_changes_anew()
            found = await tx.installation.get()
            assert found is not None
            found.epoch = "00000000"
        await webhooking.run(store)
        assert hooks.types == []
        clock.forward(seconds=2)
        await spend(admin, made, "-9.00")
        done(await stand(admin, "Block", other["id"]))
        clock.forward(seconds=2)
        await webhooking.run(store)
        assert told(hooks.calls, "sequence") == [
            *[("transaction", 2), ("redeemed", 3), ("blocked", 1)]
        ]
