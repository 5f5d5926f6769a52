"""A till on a store in this process, for tests of what goes wrong below it."""

import asyncio
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from giftgql.permissions import Permission
from giftgql.settings import Settings
from giftgql.startup import open_store
from giftgql.store import Store
from tests import factories, servers
from tests.client import Answer, Client, Server
from tests.factories import code_of
from tests.tables import Tables


@dataclass(frozen=True)
class Shop:
    """A till on a store, and what is in its tables."""

    store: Store
    till: Client
    tables: Tables

    @property
    def is_sqlite(self) -> bool:
        return self.store.settings.sqlite_file is not None

    async def use(self, card: dict[str, Any], number: str, *, is_keyed: bool = True) -> Answer:
        """Take 0.10 under a number of ours, which is the idempotency key as well."""
        given = {"code": code_of(card), "transType": "USE", "amount": "-0.10", "refNo": number}
        if is_keyed:
            given["idempotencyKey"] = number
        return await factories.trans(self.till, **given)

    async def uses(
        self, card: dict[str, Any], keys: list[str], *, is_keyed: bool = True
    ) -> Counter[str | None]:
        """Take 0.10 for each key, all at once; what came of it."""
        asked = (self.use(card, key, is_keyed=is_keyed) for key in keys)
        return Counter(answer.code for answer in await asyncio.gather(*asked))

    async def uses_together(
        self, card: dict[str, Any], keys: list[str], *, is_keyed: bool = True
    ) -> Counter[str | None]:
        """As `uses`: the first one has a transaction of its own, all others have the next."""
        async with held_up(self):
            first = await self.under_way(card, keys[0], is_keyed=is_keyed)
            others = asyncio.create_task(self.uses(card, keys[1:], is_keyed=is_keyed))
            await self.until_waiting(len(keys))
        return Counter([(await first).code]) + await others

    async def under_way(
        self, card: dict[str, Any], number: str, *, is_keyed: bool = True
    ) -> "asyncio.Task[Answer]":
        """As `use`, begun while nobody can post: its transaction has begun, and whatever comes
        after it has to wait for the next one."""
        asking = asyncio.create_task(self.use(card, number, is_keyed=is_keyed))
        await self.until_waiting(1)
        await asyncio.sleep(0)  # the ledger takes it in this turn of the loop
        return asking

    async def uses_at_last(self, card: dict[str, Any], keys: list[str]) -> Counter[str | None]:
        """As `uses`, and what is unavailable is asked for again, as a till does."""
        outcome = Counter[str | None]()
        async with asyncio.timeout(servers.PATIENCE):
            while keys:
                answers = await asyncio.gather(*(self.use(card, key) for key in keys))
                codes = dict(zip(keys, (answer.code for answer in answers), strict=True))
                keys = [key for key, code in codes.items() if code == "UNAVAILABLE"]
                outcome.update(code for code in codes.values() if code != "UNAVAILABLE")
        return outcome

    @property
    def waiting(self) -> int:
        """How many orders have come as far as the ledger and are not answered."""
        assert self.store.poster is not None
        return self.store.poster.unanswered

    async def until_waiting(self, number: int) -> None:
        """Wait until so many orders are with the ledger."""
        async with asyncio.timeout(servers.PATIENCE):
            while self.waiting < number:  # noqa: ASYNC110  the poster tells nobody
                await asyncio.sleep(0.005)

    async def made(self, keys: list[str]) -> Counter[str | None]:
        """How often each key has moved money."""
        return await self.tables.made(keys)

    async def sql(self, *statements: str) -> None:
        async with self.store.write() as tx:
            connection = await tx.session.connection()
            for statement in statements:
                await connection.execute(text(statement))


@asynccontextmanager
async def shop_with(settings: Settings, **other: Any) -> AsyncIterator[Shop]:
    """A shop on a store of these settings; the books are clean when it closes."""
    store = await open_store(settings.model_copy(update=other))
    try:
        credential = await factories.client(store, permissions=Permission)
        async with Server.over(store) as server:
            shop = Shop(store, server.client(credential.client_secret), Tables(store))
            yield shop
            assert await shop.tables.findings() == []
    finally:
        await store.close()


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[Any]]:
    """What is logged meanwhile; it is not printed, which takes seconds for each traceback."""
    with capture_logs() as seen:
        yield seen


@pytest.fixture
async def shop(settings: Settings) -> AsyncIterator[Shop]:
    async with shop_with(settings) as opened:
        yield opened


HOLD = """import fcntl, sys
file = open(sys.argv[1], "a")
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()"""


@asynccontextmanager
async def held_up(shop: Shop) -> AsyncIterator[None]:
    """Nobody can post anything for as long as the block lasts: another process writes."""
    settings = shop.store.settings
    if settings.sqlite_file is None:
        connection = await asyncpg.connect(settings.database_url)
        transaction = connection.transaction()
        await transaction.start()
        try:
            await connection.execute("LOCK TABLE posting IN ACCESS EXCLUSIVE MODE")
            yield
        finally:
            await transaction.rollback()
            await connection.close()
        return
    file = settings.sqlite_file.with_name(settings.sqlite_file.name + ".write")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLD, str(file), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    await process.stdout.readline()
    try:
        yield
    finally:
        await process.communicate(b"")


def keys(number: int) -> list[str]:
    return [f"fault {n}" for n in range(number)]


def once(wanted: list[str]) -> Counter[str | None]:
    return Counter(dict.fromkeys(wanted, 1))
