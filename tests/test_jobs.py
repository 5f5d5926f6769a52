"""Jobs: leased by one at a time, done in pieces that commit under the lease, never lost."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from giftgql import work
from giftgql.campaigns import service as campaigns
from giftgql.cards import bulk
from giftgql.cards.bulk import Prepared
from giftgql.errors import Unavailable
from giftgql.generation import service as generation
from giftgql.jobs import runner, service
from giftgql.jobs.models import Job, JobState
from giftgql.jobs.runner import Lane, Work
from giftgql.jobs.service import Lease, LeaseLost
from giftgql.store import Store, Transaction
from tests import servers
from tests.client import Client
from tests.conftest import SetClock
from tests.stock import campaign, campaign_now

KIND = "test"


async def add(store: Store, subject: int = 0) -> None:
    async with store.write() as tx:
        await service.add(tx, KIND, subject)


async def claim(store: Store, worker: str) -> Lease | None:
    async with store.write() as tx:
        return await service.claim(tx, [KIND], worker)


async def job(store: Store, subject: int = 0, kind: str = KIND) -> Job:
    async with store.read() as reading:
        found = await service.latest(reading, kind, subject)
    assert found is not None
    return found


def lane(store: Store, step: runner.Step, **more: object) -> Lane:
    return Lane(store, {KIND: Work(step, **more)}, [KIND])  # type: ignore[arg-type]


async def test_a_job_is_leased_to_one_of_many_who_want_it(store: Store) -> None:
    for subject in range(3):
        await add(store, subject)
    leases = await asyncio.gather(*(claim(store, f"w{n}") for n in range(8)))
    taken = [each.subject_id for each in leases if each]
    assert sorted(taken) == [0, 1, 2]


async def test_of_many_who_add_a_job_at_once_there_is_one(store: Store) -> None:
    await asyncio.gather(*(add(store) for _ in range(8)))
    first = await claim(store, "a")
    assert first is not None
    assert await claim(store, "b") is None
    async with store.write() as tx:
        await service.finish(tx, first)
    assert (await job(store)).state is JobState.DONE
    assert await claim(store, "b") is None


Act = Callable[[Transaction, Lease], Awaitable[None]]


async def fail(tx: Transaction, lease: Lease) -> None:
    await service.fail(tx, lease, "error")


async def after_an_effect(store: Store, act: Act, lease: Lease) -> None:
    async with store.write() as tx:
        await service.add(tx, "of the first")
        await act(tx, lease)


async def test_a_worker_whose_lease_ran_out_cannot_commit_its_piece(
    store: Store, clock: SetClock
) -> None:
    await add(store)
    first = await claim(store, "first")
    assert first is not None
    clock.forward(seconds=9)
    assert await claim(store, "second") is None
    clock.forward(seconds=2)
    second = await claim(store, "second")
    assert second is not None
    for act in (service.hold, service.give_back, service.finish, fail):
        with pytest.raises(LeaseLost):
            await after_an_effect(store, act, first)
    async with store.read() as reading:
        assert await service.latest(reading, "of the first", 0) is None, "nothing was committed"
    async with store.write() as tx:
        await service.hold(tx, second)
    clock.forward(seconds=9)
    assert await claim(store, "third") is None, "a piece renews the lease"


async def test_a_lost_lease_makes_no_card_twice(
    admin: Client, store: Store, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await campaign(admin, count=30)
    monkeypatch.setattr(generation, "PIECE", 10)
    is_ready, go_on, real = threading.Event(), threading.Event(), bulk.prepared

    def slow(*arguments: Any) -> list[Prepared]:
        if not is_ready.is_set():
            is_ready.set()
            go_on.wait(servers.PATIENCE)
        return real(*arguments)

    monkeypatch.setattr(bulk, "prepared", slow)
    stalled = asyncio.create_task(Lane(store, work.WORKS, [campaigns.JOB]).do_next())
    await asyncio.to_thread(is_ready.wait)
    clock.forward(seconds=11)
    assert await Lane(store, work.WORKS, [campaigns.JOB]).do_next()
    go_on.set()
    assert await stalled
    now = await campaign_now(admin, made)
    assert (now["status"], now["progress"]) == ("DONE", {"done": 30, "total": 30})
    answer = await admin.run("{ giftcard(first: 1000) { results { id } } }")
    assert len(answer["giftcard"]["results"]) == 30


async def test_a_job_that_fails_is_tried_later_each_time_and_then_given_up(
    store: Store, clock: SetClock
) -> None:
    given_up = list[int]()

    async def step(store: Store, lease: Lease) -> bool:
        raise ValueError("secret")

    async def give_up(_tx: Transaction, subject: int) -> None:
        given_up.append(subject)

    await add(store, 7)
    failing, pauses = lane(store, step, give_up=give_up), list[timedelta]()
    while (at := await job(store, 7)).state is JobState.QUEUED:
        pauses.append(at.run_at - clock.now)
        clock.now = at.run_at
        assert await failing.do_next()
        assert not await failing.do_next()
    seconds = [each.total_seconds() for each in pauses]
    assert seconds == [0, 2, 4, 8, 16, 32, 64, 128]
    dead = await job(store, 7)
    assert (dead.state, dead.attempts, dead.error) == (JobState.DEAD, 8, "ValueError")
    assert (given_up, dead.worker) == ([7], None)
    await add(store, 7)
    assert (await job(store, 7)).attempts == 0, "it can be added anew"


async def test_what_cannot_be_done_is_told_each_time_and_ends_at_once_where_it_is_final(
    store: Store, clock: SetClock
) -> None:
    told = list[tuple[int, str]]()
    is_final = False

    async def step(store: Store, lease: Lease) -> bool:
        raise service.NotDone("closed" if is_final else "busy", is_final=is_final)

    async def failed(_tx: Transaction, subject: int, why: str) -> None:
        told.append((subject, why))

    async def give_up(_tx: Transaction, subject: int) -> None:
        told.append((subject, "given up"))

    await add(store, 7)
    patience = service.Patience(9, timedelta(hours=1), timedelta(hours=1))
    more = {"failed": failed, "give_up": give_up, "patience": patience}
    refused = lane(store, step, **more, lease=timedelta(minutes=1))
    assert await refused.do_next()
    assert (await job(store, 7)).run_at == clock.now + timedelta(hours=1)
    clock.forward(hours=1)
    is_final = True
    assert await refused.do_next()
    dead = await job(store, 7)
    assert (dead.state, dead.attempts, dead.error) == (JobState.DEAD, 2, "closed")
    assert told == [(7, "busy"), (7, "closed"), (7, "given up")]


async def test_whoever_sees_a_job_to_its_end_waits_where_it_fails(
    store: Store, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = list[float]()
    begun = clock.now

    async def step(store: Store, lease: Lease) -> bool:
        tried.append((store.now - begun).total_seconds())
        if len(tried) < 3:
            raise ValueError
        return False

    monkeypatch.setattr(work, "WORKS", {KIND: Work(step)})
    monkeypatch.setattr(work, "LOOK_AGAIN", 0)
    await add(store, 7)
    seeing = asyncio.create_task(work.see_done(store, KIND, 7))
    while not seeing.done():
        await asyncio.sleep(0.02)
        clock.forward(seconds=0.5)
    await seeing
    assert len(tried) == 3
    assert tried[1] >= 2
    assert tried[2] >= tried[1] + 4
    assert (await job(store, 7)).state is JobState.DONE


async def test_pieces_that_are_done_forgive_earlier_failures(store: Store, clock: SetClock) -> None:
    calls = list[int]()

    async def step(store: Store, lease: Lease) -> bool:
        calls.append(1)
        if len(calls) % 2:
            raise ValueError
        async with store.write() as tx:
            await service.hold(tx, lease)
        return len(calls) < 40

    await add(store)
    while (at := await job(store)).state is JobState.QUEUED:
        clock.now = max(clock.now, at.run_at)
        await lane(store, step).do_next()
    assert (at.state, len(calls)) == (JobState.DONE, 40)


async def test_a_job_that_comes_again_never_dies(store: Store, clock: SetClock) -> None:
    is_broken = True

    async def step(store: Store, lease: Lease) -> bool:
        if is_broken:
            raise ValueError
        return False

    await add(store)
    sweeping = lane(store, step, again_in=lambda _: 60.0)
    for _ in range(20):
        clock.forward(minutes=6)
        assert await sweeping.do_next()
    is_broken = False
    clock.forward(minutes=6)
    assert await sweeping.do_next()
    again = await job(store)
    assert (again.state, again.run_at) == (JobState.QUEUED, clock.now + timedelta(seconds=60))
    assert again.attempts == 0


async def test_a_busy_database_is_no_failure_of_the_job(
    store: Store, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "BUSY_PAUSE", 0.0)

    async def step(store: Store, lease: Lease) -> bool:
        raise Unavailable("The database is busy.")

    await add(store)
    for _ in range(10):
        assert await lane(store, step).do_next()
    left = await job(store)
    assert (left.state, left.attempts, left.worker) == (JobState.QUEUED, 0, None)


async def test_what_is_added_while_a_job_is_done_is_done_too(store: Store, clock: SetClock) -> None:
    begun = list[int]()

    async def step(store: Store, lease: Lease) -> bool:
        begun.append(1)
        if len(begun) == 1:
            await add(store)
        return False

    await add(store)
    assert await lane(store, step).do_next()
    assert (await job(store)).state is JobState.QUEUED
    clock.forward(seconds=1)
    assert await lane(store, step).do_next()
    assert ((await job(store)).state, len(begun)) == (JobState.DONE, 2)


async def test_a_cancelled_job_commits_no_further_piece(store: Store) -> None:
    pieces = list[int]()

    async def step(store: Store, lease: Lease) -> bool:
        if pieces:
            async with store.write() as tx:
                await service.cancel(tx, KIND, 0)
        async with store.write() as tx:
            await service.hold(tx, lease)
            pieces.append(1)
        return True

    await add(store)
    assert await lane(store, step).do_next()
    assert ((await job(store)).state, len(pieces)) == (JobState.CANCELLED, 1)
    await add(store)
    assert await claim(store, "next") is not None


async def test_a_worker_that_is_stopped_gives_its_job_back(store: Store) -> None:
    is_at_it = asyncio.Event()

    async def step(store: Store, lease: Lease) -> bool:
        is_at_it.set()
        await asyncio.sleep(60)
        return True

    await add(store)
    working = asyncio.create_task(lane(store, step).run())
    await is_at_it.wait()
    working.cancel()
    await asyncio.wait([working])
    assert (await job(store)).worker is None
    assert await claim(store, "next") is not None


async def test_a_long_job_leaves_others_their_turn(
    store: Store, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "TURN_SECONDS", 0.0)
    done = list[int]()

    async def step(store: Store, lease: Lease) -> bool:
        clock.forward(seconds=1)
        done.append(lease.subject_id)
        return done.count(lease.subject_id) < (3 if lease.subject_id == 1 else 1)

    for subject in (1, 2, 3):
        await add(store, subject)
    working = lane(store, step)
    while await working.do_next():
        pass
    assert done == [1, 2, 3, 1, 1]
    assert (await job(store, 1)).state is JobState.DONE


async def test_the_sweep_comes_again_by_itself(store: Store) -> None:
    pause = timedelta(seconds=store.settings.sweep_seconds)
    working = [asyncio.create_task(work.go_on(store)) for _ in range(2)]
    try:
        async with asyncio.timeout(servers.PATIENCE):
            while True:
                await asyncio.sleep(0.02)
                async with store.read() as reading:
                    found = await service.latest(reading, work.SWEEP, 0)
                if found and found.run_at - found.created_at >= pause:
                    break
    finally:
        for each in working:
            each.cancel()
        await asyncio.wait(working)
    assert found.state is JobState.QUEUED


def test_a_worker_of_its_own_is_refused_on_sqlite(tmp_path: Path) -> None:
    refused = servers.giftgql(servers.environment(tmp_path), "worker")
    assert refused.returncode == 1
    assert "SQLite" in refused.stderr
