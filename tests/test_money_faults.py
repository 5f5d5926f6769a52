"""Whatever fails under a movement of money: it is made once, or refused and not made."""

import asyncio
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text

from giftgql.errors import Unavailable
from giftgql.outages import translated
from giftgql.settings import Settings
from tests.client import Answer
from tests.conftest import on_postgresql, on_sqlite
from tests.factories import funded
from tests.fault_shop import Shop, held_up, keys, logs, once, shop, shop_with
from tests.servers import PATIENCE

__all__ = ["logs", "shop"]


# Transactions that the database ends


FAULT = """CREATE FUNCTION fault() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF nextval('faults') <= {times}
    THEN RAISE EXCEPTION 'injected' USING ERRCODE = '{state}'; END IF; RETURN NULL; END $$"""
AT_ONCE = "CREATE TRIGGER fault AFTER INSERT ON posting FOR EACH STATEMENT"
AT_COMMIT = (
    "CREATE CONSTRAINT TRIGGER fault AFTER INSERT ON posting DEFERRABLE INITIALLY DEFERRED "
    "FOR EACH ROW"
)


async def inject(shop: Shop, state: str, times: int, when: str = AT_ONCE) -> None:
    """Let so many of the next transactions that post fail with a state."""
    await shop.sql(
        "CREATE SEQUENCE faults",
        FAULT.format(state=state, times=times),
        f"{when} EXECUTE FUNCTION fault()",
    )


@on_postgresql
@pytest.mark.parametrize("state", ["40001", "40P01", "55P03", "57P01"])
@pytest.mark.parametrize("when", [AT_ONCE, AT_COMMIT], ids=["at once", "at commit"])
async def test_a_transaction_that_passing_trouble_ends_is_run_again(
    shop: Shop, state: str, when: str
) -> None:
    card, wanted = await funded(shop.till), keys(10)
    await inject(shop, state, 2, when)
    assert await shop.uses(card, wanted) == {None: 10}
    assert await shop.made(wanted) == once(wanted)
    assert (await shop.tables.account(card["id"])).posted == 900


@on_postgresql
@pytest.mark.parametrize("when", [AT_ONCE, AT_COMMIT], ids=["at once", "at commit"])
async def test_trouble_that_does_not_pass_is_unavailable_and_moves_nothing(
    shop: Shop, when: str
) -> None:
    card, wanted = await funded(shop.till), keys(10)
    await inject(shop, "40001", 1000, when)
    assert await shop.uses(card, wanted) == {"UNAVAILABLE": 10}
    assert await shop.made(wanted) == Counter()
    assert not await shop.tables.requests(wanted[0])
    await shop.sql("DROP TRIGGER fault ON posting")
    assert await shop.uses(card, wanted) == {None: 10}
    assert await shop.made(wanted) == once(wanted)


CLAIM = """INSERT INTO request (caller, key, mutation, fingerprint, created_at)
    SELECT caller, 'fault 0', mutation, 'another', created_at FROM request LIMIT 1"""


@on_postgresql
async def test_the_victim_of_a_deadlock_is_run_again(shop: Shop, logs: list[Any]) -> None:
    """We hold the account and want the key; somebody holds the key and wants the account."""
    card = await funded(shop.till, idempotencyKey="a claim to copy")
    foreign = await asyncpg.connect(shop.store.settings.database_url)
    await foreign.execute("SET deadlock_timeout = '20s'")  # let it be ours that is found out
    transaction = foreign.transaction()
    await transaction.start()
    await foreign.execute(CLAIM)
    ours = asyncio.create_task(shop.use(card, "fault 0"))
    await asyncio.sleep(0.3)
    await foreign.execute("SELECT id FROM account WHERE id = $1 FOR UPDATE", int(card["id"]))
    await transaction.rollback()
    await foreign.close()
    assert (await ours).code is None
    assert any("deadlock" in repr(entry.get("exc_info")) for entry in logs)
    assert await shop.made(["fault 0"]) == {"fault 0": 1}


# Accounts and databases that others hold


@asynccontextmanager
async def locked(shop: Shop, *cards: dict[str, Any]) -> AsyncIterator[None]:
    """The accounts of these cards, locked by somebody else for as long as the block lasts."""
    connection = await asyncpg.connect(shop.store.settings.database_url)
    try:
        async with connection.transaction():
            ids = [int(card["id"]) for card in cards]
            await connection.fetch("SELECT id FROM account WHERE id = ANY($1) FOR UPDATE", ids)
            yield
    finally:
        await connection.close()


@on_postgresql
async def test_a_lock_on_one_account_does_not_hold_up_movements_on_others(shop: Shop) -> None:
    card, *others = [await funded(shop.till) for _ in range(11)]
    wanted = keys(40)
    async with locked(shop, card):
        waiting = asyncio.create_task(shop.uses(card, wanted))
        await shop.until_waiting(40)
        async with asyncio.timeout(20):  # a lock is waited for for 30 s
            asked = (shop.use(each, f"other {each['id']}") for each in others)
            answers = await asyncio.gather(*asked)
        assert {answer.code for answer in answers} == {None}
        assert not waiting.done()
    assert await waiting == {None: 40}
    assert await shop.made(wanted) == once(wanted)


@on_postgresql
async def test_a_movement_waits_for_its_own_accounts_lock_only(shop: Shop) -> None:
    """One that found its account locked for a moment is not behind those that wait for long."""
    card, other = [await funded(shop.till) for _ in range(2)]
    waiting = list[asyncio.Task[Answer]]()
    async with locked(shop, card):
        for number in range(20):
            waiting.append(asyncio.create_task(shop.use(card, f"waiting {number}")))
            await asyncio.sleep(0.03)
        async with locked(shop, other):
            briefly = asyncio.create_task(shop.use(other, "briefly"))
            await asyncio.sleep(0.2)
        async with asyncio.timeout(20):  # a lock is waited for for 30 s
            assert (await briefly).code is None
        assert not any(each.done() for each in waiting)
    assert {answer.code for answer in await asyncio.gather(*waiting)} == {None}


@on_postgresql
async def test_many_locked_accounts_hold_up_nobody_for_much_longer_than_one(
    settings: Settings,
) -> None:
    """As when a process freezes in a batch, and its callers repeat themselves at another one."""
    async with shop_with(settings, lock_seconds=1) as shop:
        cards = [await funded(shop.till) for _ in range(30)]
        wanted = keys(30)
        async with locked(shop, *cards), asyncio.timeout(15):  # one by one it would be 30 s
            asked = (shop.use(card, key) for card, key in zip(cards, wanted, strict=True))
            answers = await asyncio.gather(*asked)
        assert {answer.code for answer in answers} == {"UNAVAILABLE"}
        assert await shop.made(wanted) == Counter()


async def test_a_database_that_is_busy_for_a_while_is_waited_for(shop: Shop) -> None:
    card, wanted = await funded(shop.till), keys(30)
    async with held_up(shop):
        waiting = asyncio.create_task(shop.uses(card, wanted))
        await shop.until_waiting(30)
        assert not waiting.done()
        assert await shop.made(wanted) == Counter()
    assert await waiting == {None: 30}
    assert await shop.made(wanted) == once(wanted)


async def test_who_waits_for_too_long_is_refused_and_nothing_of_it_is_made(
    settings: Settings,
) -> None:
    async with shop_with(settings, lock_seconds=1) as shop:
        card, wanted = await funded(shop.till), keys(30)
        async with held_up(shop):
            assert await shop.uses(card, wanted) == {"UNAVAILABLE": 30}
        await asyncio.sleep(0.3)
        assert await shop.made(wanted) == Counter()
        assert await shop.uses_at_last(card, wanted) == {None: 30}
        assert await shop.made(wanted) == once(wanted)


async def test_more_than_may_wait_are_refused_at_once(settings: Settings) -> None:
    async with shop_with(settings, max_waiting_movements=100) as shop:
        card, wanted = await funded(shop.till, "100.00"), keys(151)
        async with held_up(shop):
            waiting = [await shop.under_way(card, wanted[0])]
            waiting += [asyncio.create_task(shop.use(card, key)) for key in wanted[1:]]
            async with asyncio.timeout(PATIENCE):
                while shop.waiting + sum(task.done() for task in waiting) < 151:  # noqa: ASYNC110
                    await asyncio.sleep(0.005)
            refused = [task.result() for task in waiting if task.done()]
            assert {answer.code for answer in refused} == {"UNAVAILABLE"}
            assert refused[0].errors[0]["extensions"]["retryAfter"] > 0
            assert len(refused) == 50
        answers = await asyncio.gather(*waiting)
        taken = [key for key, answer in zip(wanted, answers, strict=True) if answer.code is None]
        assert len(taken) == 101
        assert await shop.made(wanted) == once(taken)


@on_sqlite
async def test_a_program_that_writes_without_our_lock_is_waited_for(shop: Shop) -> None:
    card, wanted = await funded(shop.till), keys(10)
    hold = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None); "
        "c.execute('BEGIN IMMEDIATE'); print('held', flush=True); sys.stdin.read()"
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", hold, str(shop.store.settings.sqlite_file)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    await process.stdout.readline()
    waiting = asyncio.create_task(shop.uses(card, wanted))
    await shop.until_waiting(10)
    assert not waiting.done()
    await process.communicate(b"")
    assert await waiting == {None: 10}
    assert await shop.made(wanted) == once(wanted)


async def limit_pages(shop: Shop, more: int) -> None:
    """Let the database grow by so many pages."""
    async with shop.store.write() as tx:
        connection = await tx.session.connection()
        pages = (await connection.execute(text("PRAGMA page_count"))).scalar_one()
        await connection.execute(text(f"PRAGMA max_page_count = {pages + more}"))


@on_sqlite
async def test_a_full_disk_is_unavailable_and_moves_nothing(shop: Shop) -> None:
    card, wanted = await funded(shop.till, "100.00"), keys(300)
    await limit_pages(shop, 8)
    outcome = Counter[str | None]()
    for at in range(0, 300, 10):
        outcome += await shop.uses(card, wanted[at : at + 10])
    assert outcome.keys() == {None, "UNAVAILABLE"}
    assert (await shop.made(wanted)).total() == outcome[None]
    refused = [
        answer.errors[0]["message"]
        for number in range(100)  # where ten at once have no room, one by one may have some
        if (answer := await shop.use(card, f"more {number}")).errors
    ]
    assert refused
    assert all(said.startswith("There is no room left on the disk.") for said in refused)
    await limit_pages(shop, 1_000)
    assert await shop.uses(card, wanted) == {None: 300}
    assert await shop.made(wanted) == once(wanted)


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (asyncpg.DiskFullError("no space"), "There is no room left on the disk."),
        (asyncpg.TooManyConnectionsError("sorry"), "The database is busy."),
    ],
)
async def test_what_is_full_is_told_from_what_is_busy(error: Exception, why: str) -> None:
    with pytest.raises(Unavailable, match=why):
        async with translated():
            raise error


# One order that nothing can be done about


async def poison(shop: Shop) -> None:
    """Let the database refuse whatever has the number "fault 7"."""
    if shop.is_sqlite:
        await shop.sql(
            "CREATE TRIGGER poison BEFORE INSERT ON movement WHEN NEW.ref_no = 'fault 7' "
            "BEGIN SELECT RAISE(ABORT, 'poison'); END"
        )
        return
    await shop.sql(
        "CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'poison'; END $$",
        "CREATE TRIGGER poison BEFORE INSERT ON movement FOR EACH ROW "
        "WHEN (NEW.ref_no = 'fault 7') EXECUTE FUNCTION poison()",
    )


async def test_one_poisonous_order_spoils_no_other_of_its_batch(
    shop: Shop, logs: list[Any]
) -> None:
    card, wanted = await funded(shop.till), keys(40)
    await poison(shop)
    assert await shop.uses_together(card, wanted) == {None: 39, "INTERNAL": 1}
    assert any(entry.get("size") == 39 for entry in logs)
    assert await shop.made(wanted) == once([key for key in wanted if key != "fault 7"])
    await shop.sql("DROP TRIGGER poison" + ("" if shop.is_sqlite else " ON movement"))
    assert await shop.uses(card, wanted) == {None: 40}
    assert await shop.made(wanted) == once(wanted)
