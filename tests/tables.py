"""The ledger's rows as they are in the database, whatever was answered: read past the API."""

from collections import Counter
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from sqlmodel import col, select

from giftgql.audit.models import AuditEvent, Event
from giftgql.ledger.models import Account, HoldEnd, Movement, MovementState, MovementType, Posting
from giftgql.reports import service as reports
from giftgql.requests.models import Request
from giftgql.settings import Settings
from giftgql.startup import open_store
from giftgql.store import Store


class Tables:
    """What happened, in rows. A card is named by the id that the API shows."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @classmethod
    @asynccontextmanager
    async def of(cls, settings: Settings) -> AsyncIterator["Tables"]:
        """The tables of a database that servers have open, as the command line opens it."""
        store = await open_store(settings)
        try:
            yield cls(store)
        finally:
            await store.close()

    async def all(self, query: Any) -> list[Any]:
        async with self._store.database.reading() as session:
            return list((await session.exec(query)).all())

    async def account(self, card_id: str) -> Account:
        [found] = await self.all(select(Account).where(Account.id == int(card_id)))
        assert isinstance(found, Account)
        return found

    async def movements(self, card_id: str, state: MovementState | None = None) -> list[Movement]:
        """A card's movements in the order of their ids, all or those of one state."""
        query = select(Movement).where(Movement.account_id == int(card_id))
        if state is not None:
            query = query.where(Movement.state == state)
        return await self.all(query.order_by(col(Movement.id)))

    async def used(self, card_id: str) -> int:
        """What was taken from a card at once."""
        posted = await self.movements(card_id, MovementState.POSTED)
        return -sum(each.amount for each in posted if each.type is MovementType.USE)

    async def by_ref_nos(self, ref_nos: Collection[str]) -> list[Movement]:
        return await self.all(select(Movement).where(col(Movement.ref_no).in_(ref_nos)))

    async def made(self, ref_nos: Collection[str]) -> Counter[str | None]:
        """How often money has moved at once under each of these numbers."""
        movements = await self.by_ref_nos(ref_nos)
        return Counter(m.ref_no for m in movements if m.state is MovementState.POSTED)

    async def about(self, movement_id: str, state: MovementState) -> list[Movement]:
        """The movements that undo another one, or would have ended it."""
        query = select(Movement).where(Movement.about_id == int(movement_id))
        return await self.all(query.where(Movement.state == state))

    async def ends(self, hold_id: str) -> list[HoldEnd]:
        return await self.all(select(HoldEnd).where(HoldEnd.hold_id == int(hold_id)))

    async def postings(self, card_id: str) -> list[Posting]:
        """What entered a card's account and what left it."""
        sides = (Posting.debit_account, Posting.credit_account)
        query = select(Posting).where(
            (col(sides[0]) == int(card_id)) | (col(sides[1]) == int(card_id))
        )
        return await self.all(query.order_by(col(Posting.movement_id), col(Posting.line)))

    async def requests(self, key: str) -> list[Request]:
        """The claims of an idempotency key, by any caller."""
        return await self.all(select(Request).where(Request.key == key))

    async def when(self, event: Event, card_id: str) -> datetime:
        """When the one event of its kind happened to a card."""
        query = select(AuditEvent).where(AuditEvent.subject == f"card:{card_id}")
        [found] = await self.all(query.where(AuditEvent.event == event))
        assert isinstance(found, AuditEvent)
        return found.created_at

    async def findings(self) -> list[reports.Finding]:
        """What `giftgql verify` finds: nothing, where the books are clean."""
        async with self._store.snapshot() as reading:
            return await reports.check(reading)
