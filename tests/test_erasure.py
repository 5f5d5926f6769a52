"""Members erased: no word of them is left in the database, and the books are as they were."""

import asyncio
import sqlite3
from contextlib import closing
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import inspect, text

from giftgql import work
from giftgql.audit import service as audit
from giftgql.audit.models import Event
from giftgql.permissions import Permission
from giftgql.reports import service as reports
from giftgql.store import Store, Transaction
from tests import factories, ordering, stock
from tests.client import Answer, Client, Server
from tests.conftest import on_postgresql
from tests.factories import done
from tests.stock import change

WORDS = (
    *("Adelheid", "Zweitname", "adelheid@canary.example", "+49-555-0199", "loves-tulips"),
    *("note-says-hippo", "card-meta-lynx", "note-edited-okapi", "customer-name-ibis"),
    *("customer@canary.example", "sender-name-quail", "message-of-heron", "issued-note-tapir"),
)
"""What is said of a member, here and there: nothing else in the database has any of these."""

FRIEND = {"name": "recipient-name-newt", "email": "recipient@canary.example"}
"""For whom the member buys a card, which is not the member's any more."""

CARDS = "results { id balance note metadata memberId codes { codeType } }"


async def erase(caller: Client, member_id: str = "C1") -> Answer:
    return await change(caller, "memberErase", "member", "id name email erasedAt", id=member_id)


async def live(admin: Client, store: Store) -> dict[str, Any]:
    """A member with cards, orders and mails, each said in words; the answer to one request."""
    names = iter(WORDS)
    name, second, mail, phone, likes = (next(names) for _ in range(5))
    facts = {"name": name, "email": "old@other.example", "phone": phone, "metadata": {"x": likes}}
    await change(admin, "memberAdd", "member", "id", id="C1", **facts)
    done(await change(admin, "memberEdit", "member", "id", id="C1", name=second, email=mail))
    note, meta, edited = (next(names) for _ in range(3))
    said = {"note": note, "metadata": {"x": meta}, "idempotencyKey": "k1"}
    card = await factories.card(
        admin, physicalCode="P-0001", addPersonalCode=True, memberId="C1", **said
    )
    await factories.edit(admin, card["id"], note=edited, idempotencyKey="k2")
    await factories.top_up(admin, card, "30.00")
    product = await stock.product(admin)
    customer, address, sender, message, issued = names
    placed = await ordering.placed(
        admin,
        ordering.gift(product, recipient=FRIEND, sender=sender, message=message),
        payments=[ordering.cash("50.00")],
        memberId="C1",
        customer={"name": customer, "email": address},
        idempotencyKey="k3",
    )
    assert placed["status"] == "PAID"
    issue = {"memberId": "C1", "note": issued, "idempotencyKey": "k4"}
    done(await stock.issue(admin, product, **issue))
    await work.do_all(store)
    return card


async def everything(store: Store) -> str:
    """All that stands in the database: of SQLite the files as they are, with what is still in its
    log written back; of PostgreSQL the rows."""
    if (file := store.settings.sqlite_file) is not None:
        with closing(sqlite3.connect(file)) as ours:
            ours.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        files = [each for each in file.parent.glob(f"{file.name}*") if each.is_file()]
        return "\n".join(each.read_bytes().decode("latin-1") for each in files)
    found = []
    async with store.read() as reading:
        connection = await reading.session.connection()
        tables = await connection.run_sync(lambda sync: inspect(sync).get_table_names())
        for table in tables:
            rows = await connection.execute(text(f'SELECT t::text FROM "{table}" t'))
            found += [str(row) for (row,) in rows.all()]
    return "\n".join(found)


async def test_no_word_of_a_member_is_left_anywhere_and_the_books_are_as_they_were(
    server: Server, store: Store, admin: Client, later: list[float]
) -> None:
    card = await live(admin, store)
    token = server.client(await factories.member_token(admin, "C1"))
    before = (await admin.run(f'{{ giftcard(memberId: "C1") {{ {CARDS} }} }}'))["giftcard"]
    synced = (await admin.run('{ member(since: "") { until } }'))["member"]["until"]
    erased = done(await erase(admin))
    assert (erased["id"], erased["name"], erased["email"]) == ("C1", None, None)
    later[0] += 3
    assert (await token.run("{ me { id } }")).code == "UNAUTHENTICATED"
    after = (await admin.run(f'{{ giftcard(memberId: "C1") {{ {CARDS} }} }}'))["giftcard"]
    for was, now in zip(before["results"], after["results"], strict=True):
        assert now == {**was, "note": None, "metadata": None}
    async with store.snapshot() as reading:
        assert await reports.check(reading) == []
    since = f'{{ member(since: "{synced}") {{ results {{ id name erasedAt }} }} }}'
    [shown] = (await admin.run(since))["member"]["results"]
    assert (shown["id"], shown["name"]) == ("C1", None)
    assert shown["erasedAt"] == erased["erasedAt"]
    again = await factories.add(
        admin,
        **{"physicalCode": "P-0001", "addPersonalCode": True, "memberId": "C1"},
        **{"note": WORDS[5], "metadata": {"x": WORDS[6]}, "idempotencyKey": "k1"},
    )
    assert again.is_replayed
    assert done(again)["note"] is None
    assert done(again)["id"] == card["id"]
    left = await everything(store)
    assert "C1" in left
    assert [word for word in WORDS if word in left] == []
    if store.settings.sqlite_file is None:
        assert left.count(FRIEND["email"]) == 1, "who has the card that was bought still gets mail"


async def test_the_search_finds_what_is_there(store: Store, admin: Client) -> None:
    await live(admin, store)
    left = await everything(store)
    missing = {word for word in WORDS if word not in left}
    assert missing <= {WORDS[0], WORDS[5]}, "which were written over"


async def test_who_was_erased_is_named_by_nothing_new_and_erased_once(
    store: Store, admin: Client, clock: Any
) -> None:
    await live(admin, store)
    first = done(await erase(admin))
    clock.forward(hours=1)
    assert done(await erase(admin)) == first
    events = await admin.run('{ auditEvent(subject: "member:C1") { results { event facts } } }')
    [erased] = [
        each["facts"]
        for each in events["auditEvent"]["results"]
        if each["event"] == Event.MEMBER_ERASED
    ]
    assert erased == {"cards": 2, "orders": 1}
    product = await stock.product(admin)
    for answer in (
        await factories.add(admin, physicalCode="P-0009", memberId="C1"),
        await stock.issue(admin, product, memberId="C1"),
        await ordering.place(admin, ordering.goods("1"), memberId="C1"),
        await change(admin, "memberEdit", "member", "id", id="C1", name="Ada"),
        await change(admin, "memberTokenAdd", "member", "token", id="C1"),
    ):
        assert answer.code == "MEMBER_NOT_FOUND", answer
    assert (await change(admin, "memberAdd", "member", "id", id="C1")).code == "CONFLICT"
    assert (await erase(admin, "C9")).code == "MEMBER_NOT_FOUND"
    [sent] = (await admin.run("{ outbox(state: SENT) { results { id address } } }"))["outbox"][
        "results"
    ]
    assert sent["address"] is None
    resent = await change(admin, "outboxResend", "outbox", "id", id=sent["id"])
    assert resent.code == "CONFLICT"


async def test_what_somebody_else_waits_for_is_not_lost(store: Store, admin: Client) -> None:
    await change(admin, "memberAdd", "member", "id", id="C1", email="me@canary.example")
    pending = await ordering.placed(admin, ordering.goods("5"), memberId="C1")
    refused = await erase(admin)
    assert refused.code == "CONFLICT"
    assert f"order {pending['id']} is pending" in refused.errors[0]["message"]
    done(await ordering.cancel(admin, pending))
    product = await stock.product(admin)
    later_on = {"deliverOn": str(store.now.date() + timedelta(days=60))}
    paid = {"payments": [ordering.cash("50.00")], "memberId": "C1"}
    to_me = ordering.gift(product, recipient={"email": "me@canary.example"}, **later_on)
    await ordering.placed(admin, to_me, **paid)
    to_bo = ordering.gift(product, recipient={"email": "bo@canary.example"}, **later_on)
    gift = await ordering.placed(admin, to_bo, **paid)
    refused = await erase(admin)
    assert refused.code == "CONFLICT"
    assert "to somebody else, is still to be sent" in refused.errors[0]["message"]
    done(await ordering.refund(admin, gift))
    assert done(await erase(admin))["erasedAt"]
    answer = await admin.run("{ outbox { results { state address } } }")
    found = [(each["state"], each["address"]) for each in answer["outbox"]["results"]]
    assert found == [("CANCELLED", None)] * 2


async def test_only_who_manages_members_may_erase_one(
    client_with: Any, admin: Client, store: Store
) -> None:
    await change(admin, "memberAdd", "member", "id", id="C1")
    nobody = await client_with(*(frozenset(Permission) - {Permission.MANAGE_MEMBERS}))
    assert (await erase(nobody)).code == "PERMISSION_DENIED"


@pytest.mark.parametrize("first", [Event.CARD_ADDED, Event.MEMBER_ERASED])
async def test_who_is_named_while_being_erased_is_erased_with_that_or_not_there(
    store: Store, admin: Client, monkeypatch: pytest.MonkeyPatch, first: Event
) -> None:
    """Else a note would stay for ever: who is erased already is not erased again."""
    record, halted, go_on = audit.record, asyncio.Event(), asyncio.Event()

    async def halting(tx: Transaction, event: Event, subject: str, **facts: Any) -> None:
        if event is first:
            halted.set()
            await go_on.wait()
        await record(tx, event, subject, **facts)

    monkeypatch.setattr(audit, "record", halting)
    await change(admin, "memberAdd", "member", "id", id="C1")
    ways = [factories.add(admin, physicalCode="P-1111", memberId="C1", note="hippo"), erase(admin)]
    before, after = ways if first is Event.CARD_ADDED else reversed(ways)
    tasks = [asyncio.create_task(before)]
    await halted.wait()
    tasks.append(asyncio.create_task(after))
    await asyncio.sleep(0.2)
    go_on.set()
    await asyncio.gather(*tasks)
    found = await admin.run('{ giftcard(memberId: "C1") { results { note } } }')
    notes = [each["note"] for each in found["giftcard"]["results"]]
    assert notes == ([None] if first is Event.CARD_ADDED else [])


async def test_whom_somebody_else_bought_a_card_for_in_the_same_order_still_gets_mail(
    store: Store, admin: Client
) -> None:
    await change(admin, "memberAdd", "member", "id", id="C1", email="me@canary.example")
    product = await stock.product(admin)
    lines = (
        ordering.gift(product, memberId="C1"),
        ordering.gift(product, recipient={"email": "bo@canary.example"}),
    )
    await ordering.placed(admin, *lines, payments=[ordering.cash("100.00")])
    await work.do_all(store)
    done(await erase(admin))
    answer = await admin.run("{ outbox { results { address } } }")
    found = {each["address"] for each in answer["outbox"]["results"]}
    assert found == {None, "bo@canary.example"}


@on_postgresql
async def test_what_servers_of_the_version_before_answered_is_erased_as_well(
    store: Store, admin: Client
) -> None:
    """They go on for a while over a database that was migrated, and name no card."""
    await live(admin, store)
    async with store.write() as tx:
        connection = await tx.session.connection()
        await connection.execute(text("UPDATE request SET card_id = NULL"))
        await connection.execute(text("UPDATE request SET outcome = outcome"))
    done(await erase(admin))
    left = await everything(store)
    assert [word for word in WORDS if word in left] == []
