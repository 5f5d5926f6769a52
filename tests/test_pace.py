"""How fast long work goes: measured over what was done of late, known to the API and to people."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from giftgql import work
from giftgql.campaigns import service as campaigns
from giftgql.imports import service as imports
from giftgql.jobs import service as jobs
from giftgql.jobs.pace import BREAK, RECENT, Pace
from giftgql.store import Store
from tests import importing
from tests.client import Client
from tests.conftest import RunCommand, SetClock
from tests.stock import campaign

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
PROGRESS = "status progress { done total perMinute expectedEnd }"


def steady(pace: Pace, at: datetime, units: int, seconds: int) -> tuple[Pace, datetime]:
    """So many units done in each of these seconds."""
    for _ in range(seconds):
        at += timedelta(seconds=1)
        pace = pace.after(units, at)
    return pace, at


def test_a_rate_is_known_after_a_moment_and_follows_what_is_done_of_late() -> None:
    assert Pace().per_second(NOON) is None
    begun = Pace().after(1_000, NOON)
    assert begun.per_second(NOON) is None, "nobody knows how long the first piece took"
    pace, at = steady(begun, NOON, 100, 5)
    assert pace.per_second(at) == pytest.approx(100)
    assert pace.end(1_000, at) == at + timedelta(seconds=10)
    slower, at = steady(pace, at, 10, int(RECENT) * 4)
    assert slower.per_second(at) == pytest.approx(10, rel=0.1)


def test_a_break_is_no_work_and_what_stands_still_has_no_rate() -> None:
    pace, at = steady(Pace().after(0, NOON), NOON, 100, 5)
    later = at + BREAK + timedelta(seconds=1)
    assert pace.per_second(later) is None
    assert pace.end(1_000, later) is None
    again, at = steady(pace.after(100, later), later, 100, 1)
    assert again.per_second(at) == pytest.approx(100)
    back = again.after(100, NOON)
    assert back.per_second(NOON) == pytest.approx(100), "a clock that was set back harms nothing"


def test_an_end_beyond_a_year_is_not_foreseen() -> None:
    pace, at = steady(Pace().after(0, NOON), NOON, 1, 5)
    assert pace.end(10**10, at) is None
    idle, at = steady(Pace().after(0, NOON), NOON, 0, 5)
    assert idle.end(10, at) is None


async def progress(admin: Client, campaign_id: str) -> dict[str, object]:
    query = f"query ($id: ID!) {{ giftcardCampaign(id: $id) {{ results {{ {PROGRESS} }} }} }}"
    [found] = (await admin.run(query, id=campaign_id))["giftcardCampaign"]["results"]
    return dict(found)


async def test_the_api_tells_rate_and_end_of_a_campaign_and_not_while_it_is_paused(
    admin: Client, store: Store, clock: SetClock
) -> None:
    made = await campaign(admin, count=100)
    unknown = {"done": 0, "total": 100, "perMinute": None, "expectedEnd": None}
    assert await progress(admin, made["id"]) == {"status": "IN_PROGRESS", "progress": unknown}
    async with store.write() as tx:
        lease = await jobs.claim(tx, [campaigns.JOB], "w")
    assert lease is not None
    for _ in range(3):
        async with store.write() as tx:
            await jobs.measure(tx, lease, 10)
            await campaigns.count(tx, await campaigns.held(tx, int(made["id"])), 10)
        clock.forward(seconds=2)
    known = (await progress(admin, made["id"]))["progress"]
    end = (clock.now + timedelta(seconds=14)).isoformat().replace("+00:00", "Z")
    assert isinstance(known, dict)
    assert known["perMinute"] == 300
    assert str(known["expectedEnd"])[:19] == end[:19]
    async with store.write() as tx:
        await campaigns.pause(tx, int(made["id"]))
    paused = (await progress(admin, made["id"]))["progress"]
    assert isinstance(paused, dict)
    assert (paused["perMinute"], paused["expectedEnd"]) == (None, None)


async def test_pieces_of_campaigns_and_imports_are_measured(admin: Client, store: Store) -> None:
    await campaign(admin, count=7)
    await work.do_all(store)
    await importing.pools(store, "Box,box,EUR,50.00,true,false,NONE")
    async with store.read() as reading:
        for kind in (campaigns.JOB, imports.JOB):
            job = await jobs.latest(reading, kind, 1)
            assert job is not None
            assert job.paced_at is not None, kind


async def test_an_export_shows_on_a_terminal_how_far_it_is(
    admin: Client,
    store: Store,
    command: RunCommand,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    await campaign(admin, count=7)
    await work.do_all(store)
    monkeypatch.setenv("FORCE_COLOR", "1")
    code, said = await asyncio.to_thread(
        command, "export", "campaign", "1", "--out", str(tmp_path / "codes.csv")
    )
    assert (code, "7/7" in said, "rows, " in said) == (0, True, True)
    assert len((tmp_path / "codes.csv").read_text().splitlines()) == 8
