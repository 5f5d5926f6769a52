"""Transactions: what a service is handed, and where they begin and end.

`Store.write` gives a Transaction, committed at the end of its block; `Store.read` a Reading. Both
carry who is asking, the time, and a repository for each feature. Nothing but the database is
used inside a write block.
"""

import math
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from typing import Any, Protocol, TypeVar

from sqlmodel.ext.asyncio.session import AsyncSession

from giftgql.audit.repository import AuditRepository
from giftgql.campaigns.repository import CampaignRepository
from giftgql.cards.repository import CardRepository
from giftgql.clients.repository import ClientRepository
from giftgql.database import Database
from giftgql.durations import day_after
from giftgql.imports.repository import ImportRepository
from giftgql.installation.repository import InstallationRepository
from giftgql.issuing.repository import PublicationRepository
from giftgql.jobs.repository import JobRepository
from giftgql.ledger.repository import LedgerRepository
from giftgql.members.repository import MemberRepository
from giftgql.movements.repository import MovementRepository
from giftgql.orders.repository import OrderRepository
from giftgql.outages import translated
from giftgql.outbox.repository import OutboxRepository
from giftgql.permissions import THE_SERVER, Caller
from giftgql.pools.repository import PoolRepository
from giftgql.products.repository import ProductRepository
from giftgql.reports.repository import ReportRepository
from giftgql.requests.repository import RequestRepository
from giftgql.rows import Clock
from giftgql.seals.repository import SealRepository
from giftgql.settings import Settings
from giftgql.staff.repository import StaffRepository
from giftgql.succession.repository import SuccessionRepository
from giftgql.together import Together
from giftgql.tries.gates import Gates
from giftgql.tries.repository import TriesRepository
from giftgql.turns import Turns
from giftgql.vault import Vault
from giftgql.webhooks.repository import WebhookRepository

Key = TypeVar("Key")
Value = TypeVar("Value")


class Reading:
    """A reading of the database by a caller; `now` is one instant for all of it."""

    def __init__(
        self, store: "Store", caller: Caller, now: datetime, session: AsyncSession | None = None
    ) -> None:
        self.store = store
        self.caller = caller
        self.now = now
        self._session = session

    @property
    def session(self) -> AsyncSession:
        if self._session is None:
            self._session = self.store.database.read_session()
        return self._session

    @property
    def settings(self) -> Settings:
        return self.store.settings

    @property
    def vault(self) -> Vault:
        return self.store.vault

    async def together(self, batch: "Batch[Key, Value]", key: Key) -> Value:
        """The value of `key`, read in one statement with what other requests ask of `batch`."""
        return await self.store.together(batch, key)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.__aexit__(None, None, None)

    @property
    def today(self) -> date:
        """The day it is in the time zone in which expiries end."""
        return self.now.astimezone(self.settings.zone).date()

    def start_of(self, day: date) -> datetime:
        """The first moment of a day in that time zone."""
        return datetime.combine(day, time(), self.settings.zone)

    def end_of(self, day: date | None) -> datetime | None:
        """The moment after the last of a day in that time zone; of the last day that there is,
        which other systems write for «never», a moment of it that every time zone has."""
        if day is None:
            return None
        if day == date.max:
            return self.start_of(day) + timedelta(hours=11)
        return self.start_of(day + timedelta(days=1))

    def end_after(self, begins: datetime, period: str) -> datetime:
        """The moment after the last day of a period, `P6M`, that begins at a moment."""
        first = begins.astimezone(self.settings.zone).date()
        return self.start_of(day_after(first, period) + timedelta(days=1))

    def last_day(self, until: datetime | None) -> date | None:
        """The day in that time zone that ends at a moment, or during which that comes."""
        if until is None:
            return None
        return (until - timedelta(microseconds=1)).astimezone(self.settings.zone).date()

    @cached_property
    def installation(self) -> InstallationRepository:
        return InstallationRepository(self.session)

    @cached_property
    def requests(self) -> RequestRepository:
        return RequestRepository(self.session)

    @cached_property
    def clients(self) -> ClientRepository:
        return ClientRepository(self.session)

    @cached_property
    def members(self) -> MemberRepository:
        return MemberRepository(self.session)

    @cached_property
    def audit(self) -> AuditRepository:
        return AuditRepository(self.session)

    @cached_property
    def tries(self) -> TriesRepository:
        return TriesRepository(self.session)

    @cached_property
    def staff(self) -> StaffRepository:
        return StaffRepository(self.session)

    @cached_property
    def jobs(self) -> JobRepository:
        return JobRepository(self.session)

    @cached_property
    def ledger(self) -> LedgerRepository:
        return LedgerRepository(self.session)

    @cached_property
    def seals(self) -> SealRepository:
        return SealRepository(self.session)

    @cached_property
    def products(self) -> ProductRepository:
        return ProductRepository(self.session)

    @cached_property
    def pools(self) -> PoolRepository:
        return PoolRepository(self.session)

    @cached_property
    def campaigns(self) -> CampaignRepository:
        return CampaignRepository(self.session)

    @cached_property
    def cards(self) -> CardRepository:
        return CardRepository(self.session)

    @cached_property
    def outbox(self) -> OutboxRepository:
        return OutboxRepository(self.session)

    @cached_property
    def successions(self) -> SuccessionRepository:
        return SuccessionRepository(self.session)

    @cached_property
    def movements(self) -> MovementRepository:
        return MovementRepository(self.session)

    @cached_property
    def publications(self) -> PublicationRepository:
        return PublicationRepository(self.session)

    @cached_property
    def webhooks(self) -> WebhookRepository:
        return WebhookRepository(self.session)

    @cached_property
    def orders(self) -> OrderRepository:
        return OrderRepository(self.session)

    @cached_property
    def imports(self) -> ImportRepository:
        return ImportRepository(self.session)

    @cached_property
    def reports(self) -> ReportRepository:
        return ReportRepository(self.session)


class Transaction(Reading):
    """A change of the database by a caller: all of it happens, or nothing."""

    number = 0
    """By which the database knows whether this transaction was committed."""

    async def read_clock(self, just_read: Clock | None = None) -> None:
        """Take `now` anew, after waiting for a lock: what is decided under it happens now."""
        now, self.number = just_read or await self.store.database.clock(self.session)
        self.store.ahead = now - datetime.now(UTC)
        self.now = self.store.clock() if self.store.clock else now

    async def cluster(self) -> str:
        """What changes when the data is restored elsewhere and transaction numbers start anew."""
        return await self.store.database.cluster(self.session)


Batch = Callable[[Reading, Sequence[Key]], Awaitable[Sequence[Value]]]


class Poster(Protocol):
    """What posts movements of money, together with those of others; `startup` puts it here."""

    unanswered: int

    async def post(self, asked: Any) -> Any: ...

    async def close(self) -> None: ...


class Store:
    """A database with its keys and settings. Tests set `clock`; else the database's own counts."""

    def __init__(self, database: Database, vault: Vault, settings: Settings) -> None:
        self.database = database
        self.vault = vault
        self.settings = settings
        self.clock: Callable[[], datetime] | None = None
        self.poster: Poster | None = None
        self.turns = Turns()
        self.ahead = timedelta()
        self.gates = Gates(settings.max_failures, lambda: self.database_now)
        self._together: dict[Any, Together[Any, Any]] = {}

    @property
    def now(self) -> datetime:
        """This machine's clock, for what is only shown. What is decided goes by the database's."""
        return self.clock() if self.clock else datetime.now(UTC)

    @property
    def database_now(self) -> datetime:
        """The database's clock, as far as its last answer tells."""
        return self.clock() if self.clock else datetime.now(UTC) + self.ahead

    @asynccontextmanager
    async def read(self, caller: Caller = THE_SERVER) -> AsyncIterator[Reading]:
        reading = Reading(self, caller, self.now)
        async with translated():
            try:
                yield reading
            finally:
                await reading.close()

    @asynccontextmanager
    async def snapshot(
        self, caller: Caller = THE_SERVER, *, at_most: float = math.inf
    ) -> AsyncIterator[Reading]:
        """A reading of one state of the database, for reports; it has a time limit of its own,
        unless it is `at_most` so many seconds."""
        seconds = min(self.settings.report_seconds, at_most)
        async with self.database.snapshot(seconds) as session:
            yield Reading(self, caller, self.now, session)

    async def together(self, batch: "Batch[Key, Value]", key: Key) -> Value:
        if batch not in self._together:

            async def read_all(keys: Sequence[Key]) -> Sequence[Value]:
                async with self.read() as reading:
                    return await batch(reading, keys)

            self._together[batch] = Together(read_all)
        value: Value = await self._together[batch].get(key)
        return value

    @asynccontextmanager
    async def write(
        self, caller: Caller = THE_SERVER, *, reads_clock: bool = True
    ) -> AsyncIterator[Transaction]:
        """A transaction. With `reads_clock=False` its `now` is not the database's before
        `read_clock`, which saves a statement where locks are waited for anyway."""
        async with self.database.writing() as session:
            tx = Transaction(self, caller, self.now, session)
            if reads_clock:
                await tx.read_clock()
            yield tx

    async def close(self) -> None:
        if self.poster is not None:
            await self.poster.close()
        self.vault.close()
        await self.database.close()
