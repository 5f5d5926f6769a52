"""Wrong tries: counted before the secret is looked at, one by one, and forgotten in time."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from itertools import cycle

import pytest
from sqlalchemy import text
from sqlmodel import select

from giftgql.errors import Refusal, SecretLocked
from giftgql.permissions import Caller, CallerKind, Channel
from giftgql.startup import open_store
from giftgql.store import Store
from giftgql.tries import service as tries
from giftgql.tries.models import Tries
from giftgql.tries.service import Reserved
from tests.conftest import SetClock

CODE, OTHER = b"fingerprint of a code", b"fingerprint of another code"
MINUTE, HOUR = 60, 3_600


def caller(name: str, channel: Channel = Channel.IN_STORE) -> Caller:
    return Caller(CallerKind.CLIENT, name, channel=channel)


TILL, SHOP = caller("till"), caller("shop", Channel.ONLINE)


async def guess(store: Store, who: Caller = TILL, code: bytes = CODE) -> Reserved:
    """A try that stays wrong if it is not given back. Raises the refusal."""
    async with store.write(who) as tx:
        return await tries.reserve(tx, code)


async def refusal(store: Store, who: Caller = TILL, code: bytes = CODE) -> Refusal | None:
    try:
        await guess(store, who, code)
    except SecretLocked as refused:
        return refused
    return None


async def wait_of(store: Store, who: Caller = TILL, code: bytes = CODE) -> int:
    """The seconds to wait that a locked secret answers with."""
    refused = await refusal(store, who, code)
    assert isinstance(refused, SecretLocked)
    return int(str(refused.facts["retryAfter"]))


async def succeed(store: Store, who: Caller = TILL, code: bytes = CODE) -> None:
    reserved = await guess(store, who, code)
    async with store.write(who) as tx:
        await tries.give_back(tx, reserved)


async def rows(store: Store) -> list[dict[str, object]]:
    async with store.read() as reading:
        found = (await reading.session.exec(select(Tries))).all()
        return sorted((row.model_dump() for row in found), key=repr)


async def test_each_wrong_try_on_a_code_is_followed_by_a_longer_wait(
    store: Store, clock: SetClock
) -> None:
    for _ in range(3):
        await guess(store)
    waits = [1, 4, 15 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 4 * HOUR, 8 * HOUR, 16 * HOUR]
    for seconds in waits:
        assert await wait_of(store) == seconds
        clock.forward(seconds=seconds)
        clock.forward(microseconds=-1)
        assert await wait_of(store) == 1
        clock.forward(microseconds=1)
        await guess(store)
    assert await wait_of(store) == 24 * HOUR


async def test_five_wrong_tries_lock_the_secret_for_one_caller_only(
    store: Store, clock: SetClock
) -> None:
    await fail_until_locked(store, clock, TILL)
    assert await refusal(store, caller("till 2")) is None
    assert await refusal(store, TILL, OTHER) is None
    assert await wait_of(store) == 15 * MINUTE


async def fail_until_locked(store: Store, clock: SetClock, who: Caller) -> None:
    for seconds in (0, 0, 0, 1, 4):
        clock.forward(seconds=seconds)
        await guess(store, who)


async def test_failures_on_a_code_are_forgotten_after_a_day_without_one(
    store: Store, clock: SetClock
) -> None:
    await fail_until_locked(store, clock, TILL)
    clock.forward(hours=23)
    await guess(store)
    assert await wait_of(store) == 30 * MINUTE
    clock.forward(hours=24)
    for _ in range(3):
        await guess(store)
    assert await wait_of(store) == 1


async def test_a_refused_try_counts_for_nothing(store: Store, clock: SetClock) -> None:
    await fail_until_locked(store, clock, SHOP)
    before = await rows(store)
    assert len(before) == 2
    for _ in range(5):
        assert await wait_of(store, SHOP) == 15 * MINUTE
    assert await rows(store) == before


async def test_a_refusal_that_is_caught_within_its_transaction_changes_nothing(
    store: Store, clock: SetClock
) -> None:
    await fail_until_locked(store, clock, TILL)
    before = await rows(store)
    async with store.write(TILL) as tx:
        with pytest.raises(SecretLocked):
            await tries.reserve(tx, CODE)
    assert await rows(store) == before


async def test_a_right_try_forgets_what_its_caller_failed_on_the_code(
    store: Store, clock: SetClock
) -> None:
    for _ in range(3):
        for _ in range(2):
            await guess(store)
        await succeed(store)
        clock.forward(minutes=2)
    await guess(store)
    await guess(store)
    assert await refusal(store) is None


async def test_right_tries_are_never_limited(store: Store, clock: SetClock) -> None:
    for number in range(60):
        await succeed(store, SHOP, b"code %d" % (number % 3))


async def test_ten_failures_of_whatever_callers_close_a_code_online_for_a_day(
    store: Store, clock: SetClock
) -> None:
    for number in range(10):
        await guess(store, caller(f"shop {number}", Channel.ONLINE))
        clock.forward(minutes=30)
    late = caller("shop 11", Channel.ONLINE)
    assert await wait_of(store, late) == 24 * HOUR - 30 * MINUTE
    assert await refusal(store, TILL) is None, "the card at hand goes on"
    assert await refusal(store, late, OTHER) is None

    clock.forward(hours=23, minutes=30, microseconds=-1)
    assert await wait_of(store, late) == 1
    clock.forward(microseconds=1)
    for number in range(10):
        await guess(store, caller(f"shop {number}", Channel.ONLINE))
    assert await wait_of(store, late) == 24 * HOUR


async def test_failures_in_a_store_do_not_close_a_code_online(
    store: Store, clock: SetClock
) -> None:
    for number in range(12):
        await guess(store, caller(f"till {number}"))
    assert await refusal(store, SHOP) is None


async def test_a_right_try_online_takes_back_itself_alone(store: Store, clock: SetClock) -> None:
    for number in range(9):
        await guess(store, caller(f"shop {number}", Channel.ONLINE))
    owner = caller("owner", Channel.ONLINE)
    await succeed(store, owner)
    await succeed(store, owner)
    await guess(store, owner)
    assert await wait_of(store, caller("shop 11", Channel.ONLINE)) == 24 * HOUR


async def test_right_tries_do_not_keep_old_failures_online_alive(
    store: Store, clock: SetClock
) -> None:
    for number in range(9):
        await guess(store, caller(f"shop {number}", Channel.ONLINE))
    owner = caller("owner", Channel.ONLINE)
    for _ in range(5):
        clock.forward(hours=5)
        await succeed(store, owner)
    for number in range(9):
        await guess(store, caller(f"shop {number}", Channel.ONLINE))
    assert await refusal(store, owner) is None


async def test_staff_unlock_a_code_for_everybody(store: Store, clock: SetClock) -> None:
    for number in range(10):
        await guess(store, caller(f"shop {number}", Channel.ONLINE))
    await fail_until_locked(store, clock, TILL)
    await fail_until_locked(store, clock, caller("till 2"))
    await fail_until_locked(store, clock, caller("till 3"))
    async with store.write() as tx:
        await tries.unlock(tx, [CODE, OTHER])
    for who in (TILL, caller("till 2"), caller("till 3"), SHOP):
        for _ in range(3):
            assert await refusal(store, who) is None
    async with store.write() as tx:
        await tries.unlock(tx, [])


async def test_unlocking_one_code_leaves_another_locked(store: Store, clock: SetClock) -> None:
    await fail_until_locked(store, clock, TILL)
    async with store.write() as tx:
        await tries.unlock(tx, [OTHER])
    assert await wait_of(store) == 15 * MINUTE


@pytest.mark.parametrize("who", [TILL, SHOP], ids=["in store", "online"])
async def test_two_hundred_guesses_at_once_are_counted_one_by_one(
    store: Store, who: Caller
) -> None:
    """Through two stores, as two processes have them. The clock is the database's own."""
    other = await open_store(store.settings)
    stores = cycle([store, other])
    try:
        refused = await asyncio.gather(*(refusal(next(stores), who) for _ in range(200)))
    finally:
        await other.close()
    evaluated = refused.count(None)
    assert 3 <= evaluated <= 5
    [own] = [row for row in await rows(store) if row["scope"] == who.name]
    assert own["failures"] == evaluated


async def test_guesses_at_once_by_many_callers_close_a_code_online_at_ten(store: Store) -> None:
    shops = [caller(f"shop {number}", Channel.ONLINE) for number in range(40)]
    other = await open_store(store.settings)
    stores = cycle([store, other])
    try:
        refused = await asyncio.gather(*(refusal(next(stores), shop) for shop in shops))
    finally:
        await other.close()
    assert refused.count(None) == 10


@pytest.mark.parametrize("who", [TILL, SHOP], ids=["in store", "online"])
async def test_a_try_that_was_never_looked_at_leaves_all_as_it_was(
    store: Store, clock: SetClock, who: Caller
) -> None:
    for _ in range(3):
        await guess(store, who)
    clock.forward(minutes=1)

    async def counted() -> list[tuple[object, object]]:
        return [(row["failures"], row["failed_at"]) for row in await rows(store)]

    before = await counted()
    for _ in range(5):
        reserved = await guess(store, who)
        async with store.write(who) as tx:
            await tries.take_back(tx, reserved)
        clock.forward(minutes=1)
    assert await counted() == before
    await guess(store, who)
    assert await wait_of(store, who) == 4


async def test_tries_given_back_at_once_leave_no_failure(store: Store) -> None:
    shops = [caller(f"shop {number}", Channel.ONLINE) for number in range(8)]

    async def many(shop: Caller) -> None:
        for number in range(5):
            await succeed(store, shop, b"code of %d" % ((number + int(shop.id[-1])) % 5))

    await asyncio.gather(*(many(shop) for shop in shops))
    assert {row["failures"] for row in await rows(store)} == {0}


async def test_what_failed_before_a_restart_still_counts(store: Store, clock: SetClock) -> None:
    await fail_until_locked(store, clock, TILL)
    restarted = await open_store(store.settings)
    restarted.clock = clock
    assert await wait_of(restarted) == 15 * MINUTE
    await restarted.close()


async def test_no_code_and_no_callers_name_is_a_subject(store: Store) -> None:
    reserved = await guess(store, SHOP, b"GC49288330")
    assert "GC49288330" not in repr(reserved)
    for row in await rows(store):
        assert b"GC49288330" not in bytes(row["subject"])  # type: ignore[call-overload]
        assert len(bytes(row["subject"])) == 32  # type: ignore[call-overload]
    assert {row["scope"] for row in await rows(store)} == {"ONLINE", SHOP.name}


BY_NESTED_LOOPS = ("hashjoin", "hashagg", "mergejoin", "material", "memoize", "sort")


@pytest.mark.parametrize("switched_off", [(), BY_NESTED_LOOPS], ids=["as planned", "nested loops"])
async def test_old_rows_are_removed_a_few_at_a_time(
    store: Store, clock: SetClock, switched_off: Sequence[str]
) -> None:
    """However PostgreSQL plans it, which depends on what it knows of the table."""
    for number in range(4):
        await guess(store, TILL, b"code %d" % number)
    clock.forward(days=2)
    await guess(store, TILL, b"young")
    clock.forward(seconds=(tries.KEPT - timedelta(days=2)).total_seconds() + 1)
    removed = []
    for _ in range(3):
        async with store.write() as tx:
            if store.settings.database_url:
                connection = await tx.session.connection()
                for way in switched_off:
                    await connection.execute(text(f"SET LOCAL enable_{way} = off"))
            removed.append(await tries.forget_old(tx, at_most=3))
    assert removed == [3, 1, 0]
    assert [row["scope"] for row in await rows(store)] == [TILL.name]
