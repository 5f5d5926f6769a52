"""Transactions: what a service is handed, and where they begin and end.

`Store.write` gives a Transaction, committed at the end of its block; `Store.read` a Reading. Both
carry who is asking, the time, and a repository for each feature. Nothing but the database is
used inside a write block.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property
from typing import Any, TypeVar

from sqlmodel.ext.asyncio.session import AsyncSession

from giftgql.cards.repository import CardRepository
from giftgql.clients.repository import ClientRepository
from giftgql.database import Database
from giftgql.installation.repository import InstallationRepository
from giftgql.members.repository import MemberRepository
from giftgql.permissions import THE_SERVER, Caller
from giftgql.requests.repository import RequestRepository
from giftgql.settings import Settings
from giftgql.together import Together
from giftgql.vault import Vault

Clock = Callable[[], datetime]
Key = TypeVar("Key")
Value = TypeVar("Value")


@dataclass(eq=False)
class Reading:
    """A reading of the database by a caller; `now` is one instant for all of it."""

    caller: Caller
    now: datetime
    settings: Settings
    vault: Vault
    session: AsyncSession
    store: "Store"

    async def together(self, batch: "Batch[Key, Value]", key: Key) -> Value:
        """The value of `key`, read in one statement with what other requests ask of `batch`."""
        return await self.store.together(batch, key)

    @property
    def today(self) -> date:
        """The day it is in the time zone in which expiries end."""
        return self.now.astimezone(self.settings.zone).date()

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
    def cards(self) -> CardRepository:
        return CardRepository(self.session)


@dataclass(eq=False)
class Transaction(Reading):
    """A change of the database by a caller: all of it happens, or nothing."""

    cluster: str = ""

    async def read_clock(self) -> None:
        """Take `now` anew, after waiting for a lock: what is decided under it happens now."""
        self.now = await self.store.now(self.session)


Batch = Callable[[Reading, Sequence[Key]], Awaitable[Sequence[Value]]]


class Store:
    """A database with its keys and settings. Tests set `clock`; else the database's own counts."""

    def __init__(self, database: Database, vault: Vault, settings: Settings) -> None:
        self.database = database
        self.vault = vault
        self.settings = settings
        self.clock: Clock | None = None
        self._together: dict[Any, Together[Any, Any]] = {}

    async def now(self, session: AsyncSession) -> datetime:
        return self.clock() if self.clock else await self.database.now(session)

    @asynccontextmanager
    async def read(self, caller: Caller = THE_SERVER) -> AsyncIterator[Reading]:
        now = self.clock() if self.clock else datetime.now(UTC)
        async with self.database.reading() as session:
            yield Reading(caller, now, self.settings, self.vault, session, self)

    async def together(self, batch: "Batch[Key, Value]", key: Key) -> Value:
        if batch not in self._together:

            async def read_all(keys: Sequence[Key]) -> Sequence[Value]:
                async with self.read() as reading:
                    return await batch(reading, keys)

            self._together[batch] = Together(read_all)
        value: Value = await self._together[batch].get(key)
        return value

    @asynccontextmanager
    async def write(self, caller: Caller = THE_SERVER) -> AsyncIterator[Transaction]:
        async with self.database.writing() as session:
            now = await self.now(session)
            yield Transaction(caller, now, self.settings, self.vault, session, self)

    async def close(self) -> None:
        self.vault.close()
        await self.database.close()
