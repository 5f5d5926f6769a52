"""The audit trail: written with what is done, and never changed."""

from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from giftgql.audit import service as audit
from giftgql.audit.models import AuditEvent, Event
from giftgql.permissions import Caller, CallerKind
from giftgql.store import Store
from tests.conftest import SetClock, on_postgresql, on_sqlite

MANAGER = Caller(CallerKind.CLIENT, "ggc_manager")


async def trail(store: Store, subject: str) -> list[AuditEvent]:
    async with store.read() as reading:
        return list(await reading.audit.find_by_subject(subject))


async def test_an_event_says_what_was_done_to_what_by_whom_when_and_why(
    store: Store, clock: SetClock
) -> None:
    async with store.write(MANAGER) as tx:
        await audit.record(tx, Event.CARD_BLOCKED, "card:12", reason="reported lost")
        await audit.record(tx, Event.CARD_BLOCKED, "card:13", reason="another one")
    clock.forward(hours=1)
    async with store.write() as tx:
        await audit.record(tx, Event.CARD_UNBLOCKED, "card:12")

    blocked, unblocked = await trail(store, "card:12")
    assert (blocked.event, blocked.caller) == (Event.CARD_BLOCKED, "client:ggc_manager")
    assert blocked.facts == {"reason": "reported lost"}
    assert (unblocked.event, unblocked.caller) == (Event.CARD_UNBLOCKED, "server:giftgql")
    assert unblocked.facts == {}
    assert (blocked.created_at, unblocked.created_at) == (clock.now - timedelta(hours=1), clock.now)
    assert await trail(store, "card:1") == []


async def test_what_was_not_done_leaves_no_event(store: Store) -> None:
    async def fail() -> None:
        async with store.write(MANAGER) as tx:
            await audit.record(tx, Event.CARD_DISABLED, "card:12", reason="fraud")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert await trail(store, "card:12") == []


REPLACE = """INSERT OR REPLACE INTO audit_event (id, event, subject, caller, facts, created_at)
    SELECT id, event, subject, 'client:nobody', facts, created_at FROM audit_event"""
CHANGES = [
    "UPDATE audit_event SET caller = 'client:nobody'",
    "UPDATE audit_event SET facts = '{}'",
    "UPDATE audit_event SET created_at = '2020-01-01 00:00:00'",
    "DELETE FROM audit_event",
]


@pytest.mark.parametrize("change", CHANGES)
async def test_events_are_never_changed_nor_removed(store: Store, change: str) -> None:
    await refuse(store, change)


@on_sqlite
async def test_events_are_never_replaced(store: Store) -> None:
    await refuse(store, REPLACE)


@on_postgresql
async def test_events_are_never_cleared_away(store: Store) -> None:
    await refuse(store, "TRUNCATE audit_event")


async def refuse(store: Store, change: str) -> None:
    async with store.write(MANAGER) as tx:
        await audit.record(tx, Event.CARD_EXTENDED, "card:12", reason="goodwill")
    before = await trail(store, "card:12")
    with pytest.raises(DBAPIError, match="audit_event is append-only"):
        async with store.write() as tx:
            await (await tx.session.connection()).execute(text(change))
    assert await trail(store, "card:12") == before
