"""Seals: whatever is done to the audit trail and the journal of money behind the server's back is
found."""

import asyncio
import json
import re

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from giftgql import work
from giftgql.audit import service as audit
from giftgql.audit.models import Event
from giftgql.jobs import service as jobs
from giftgql.jobs.runner import Lane
from giftgql.seals import service as seals
from giftgql.seals.models import Seal
from giftgql.seals.service import Verdict
from giftgql.settings import Settings
from giftgql.startup import open_store, rotate_keys
from giftgql.store import Store
from tests.bulk_books import PATTERN, fill
from tests.conftest import RunCommand, on_postgresql
from tests.damages import damage, damaged, disarm

EVENTS = 10


@pytest.fixture(autouse=True)
def small_seals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seals, "EVENTS", 4)
    monkeypatch.setattr(seals, "MOVEMENTS", 3)
    monkeypatch.setattr(seals, "PAUSES", (0.0, 0.02))


async def happen(store: Store, many: int = 1) -> None:
    async with store.write() as tx:
        for each in range(many):
            await audit.record(tx, Event.CARD_BLOCKED, f"card:{each}", reason="Grüße \n \u2028")


async def sealed(store: Store, many: int = EVENTS) -> Seal:
    """A trail of three seals, of 4, 4 and 2 events; the last seal."""
    await happen(store, many)
    return await seal(store)


async def seal(store: Store) -> Seal:
    now = await seals.settled(store)
    assert now is not None
    async with store.write() as tx:
        while await seals.seal_next(tx, now):
            pass
        last = await tx.seals.last()
    assert last is not None
    return last


async def verdict(store: Store, *kept: str) -> Verdict:
    async with store.snapshot() as reading:
        return await seals.verify(reading, seals.anchors(kept))


SWAPPED = (
    "UPDATE audit_event SET id = -1 WHERE id = 2",
    "UPDATE audit_event SET id = 2 WHERE id = 3",
    "UPDATE audit_event SET id = 3 WHERE id = -1",
)
COPIED = """INSERT INTO audit_event (id, event, subject, caller, facts, created_at)
    SELECT {id}, event, subject, caller, facts, created_at FROM audit_event WHERE id = 1"""
DAMAGES: dict[str, tuple[tuple[str, ...], str]] = {
    **{
        f"{column} of one edited": (
            (f"UPDATE audit_event SET {column} = {value} WHERE id = 6",),
            r"One of the events 5 to 8 \(seal 2\) was changed",
        )
        for column, value in (
            ("event", "'CARD_UNBLOCKED'"),
            ("subject", "'card:77'"),
            ("caller", "'client:nobody'"),
            ("facts", "'{}'"),
            ("created_at", "'2020-01-01 00:00:00.000000'"),
            ("address", "'192.0.2.7'"),
            ("request_id", "'x'"),
            ("source_id", "'x'"),
        )
    },
    "one deleted": (("DELETE FROM audit_event WHERE id = 6",), "Of the events 5 to 8 .* 1 are mis"),
    "the first deleted": (("DELETE FROM audit_event WHERE id = 1",), "Of the events 1 to 4 "),
    "two swapped": (SWAPPED, "One of the events 1 to 4 .* was changed or put elsewhere"),
    "one moved to another seal": (
        (
            "UPDATE audit_event SET id = 0 WHERE id = 9",
            "UPDATE audit_event SET id = 9 WHERE id = 3",
        ),
        "Of the events 1 to 4 .* are missing",
    ),
    "a seal deleted": (("DELETE FROM audit_seal WHERE number = 2",), "Seal 2 is missing"),
    "seals deleted": (("DELETE FROM audit_seal WHERE number < 3",), "Seals 1 to 2 are missing"),
    "a seal edited": (
        ("UPDATE audit_seal SET last_id = 9 WHERE number = 2",),
        "Among the events 5 to 9 .* not sealed",
    ),
    "a seal copied": (
        (
            "UPDATE audit_seal SET digest = (SELECT digest FROM audit_seal WHERE number = 1)"
            " WHERE number = 2",
        ),
        "One of the events 5 to 8 .* or the seal was",
    ),
    "the tail cut": (("DELETE FROM audit_event WHERE id > 9",), "Of the events 9 to 10 .* 1 are"),
    "a whole seal's tail cut": (("DELETE FROM audit_event WHERE id > 8",), "Of the events 9 to 10"),
}


async def test_each_damage_is_found(store: Store) -> None:
    kept = seals.shown(await sealed(store))
    assert (await verdict(store, kept)).wrong == []
    await disarm(store)
    for name, (statements, expected) in DAMAGES.items():
        async with damaged(store, *statements) as tx:
            found = (await seals.verify(tx, {})).wrong
        assert found, name
        assert re.search(expected, found[0]), (name, found)
    assert (await verdict(store, kept)).wrong == []


MONEY: dict[str, tuple[str, str]] = {
    **{
        f"{column} of a movement": (
            f"UPDATE movement SET {column} = {value} WHERE id = (SELECT min(id) FROM movement)",
            r"One of the movements .* of seal 1, or a posting, was changed",
        )
        for column, value in (
            ("amount", "amount + 1"),
            ("caller", "'client:nobody'"),
            ("reason", "'none'"),
            ("source_id", "'Till 1'"),
            ("created_at", "'2020-01-01 00:00:00.000000'"),
        )
    },
    "a posting": ("UPDATE posting SET amount = amount + 1", "or a posting, was changed"),
    "a posting deleted": (
        "DELETE FROM posting WHERE movement_id = (SELECT max(movement_id) FROM posting)",
        "or a posting, was changed",
    ),
    "an end of a hold": ("UPDATE hold_end SET caller = 'x'", "or a posting, was changed"),
    "an end deleted": ("DELETE FROM hold_end", r"ends of holds of seal \d \d+ are missing"),
    "a movement deleted": (
        "DELETE FROM movement WHERE id = (SELECT min(id) FROM movement)",
        "of seal 1 1 are missing",
    ),
    "the tail cut": (
        "DELETE FROM movement WHERE id = (SELECT max(id) FROM movement)",
        "are missing",
    ),
    "one moved to another seal": (
        "UPDATE movement SET changed_in = (SELECT max(changed_in) FROM movement)"
        " WHERE id = (SELECT min(id) FROM movement)",
        "of seal 1 1 are missing",
    ),
    "a seal's count": (
        "UPDATE audit_seal SET movements = movements + 1 WHERE number = 1",
        "One of the events .* or the seal was",
    ),
}


async def test_what_was_done_to_the_journal_of_money_is_found(store: Store) -> None:
    for _ in range(2):
        await fill(store, 2, 2 * len(PATTERN))
    assert (await seal(store)).number == 2, "of the movements of a transaction each"
    clean = await verdict(store)
    assert (clean.wrong, clean.unsealed) == ([], 0)
    assert clean.movements > 6
    await disarm(store)
    for name, (statement, expected) in MONEY.items():
        async with damaged(store, statement) as tx:
            found = (await seals.verify(tx, {})).wrong
        assert re.search(expected, " ".join(found)), (name, found)
    assert (await verdict(store)).wrong == []


async def test_movements_that_were_numbered_anew_are_sealed_anew(store: Store) -> None:
    """As happens where the data was restored into another PostgreSQL cluster."""
    await fill(store, 2, 2 * len(PATTERN))
    before = await seal(store)
    async with store.write() as tx:
        await tx.installation.count_changes_anew()
        installation = await tx.installation.get()
        assert installation is not None
        installation.epoch = "restored"
    found = await verdict(store)
    assert (found.wrong, found.unread, found.unsealed > 0) == ([], before.number, True)
    assert (await seal(store)).number > before.number
    found = await verdict(store)
    assert (found.wrong, found.unread, found.unsealed) == ([], before.number, 0)
    await damage(store, "UPDATE movement SET reason = 'none'")
    assert "of the movements" in (await verdict(store)).wrong[0]


@pytest.mark.parametrize("is_sealed_anew", [False, True])
async def test_movements_that_were_changed_in_a_backup_are_found_after_a_restore(
    store: Store, is_sealed_anew: bool
) -> None:
    """Their numbers are what they were: also for whoever would make a restore of it."""
    for _ in range(2):
        await fill(store, 2, 2 * len(PATTERN))
    await seal(store)
    first = "UPDATE movement SET reason = 'none' WHERE id = (SELECT min(id) FROM movement)"
    await damage(store, first, "UPDATE installation SET epoch = 'restored'")
    if is_sealed_anew:
        await seal(store)
    [wrong] = (await verdict(store)).wrong
    assert "of seal 1, or a posting, was changed" in wrong


async def test_an_event_that_was_put_among_sealed_ones_is_found(store: Store) -> None:
    """An id in between is free where a transaction was rolled back."""
    await happen(store, 2)
    await damage(store, "UPDATE audit_event SET id = 7 WHERE id = 2")
    await seal(store)
    assert (await verdict(store)).wrong == []
    await damage(store, COPIED.format(id=5))
    [wrong] = (await verdict(store)).wrong
    assert "are some that were not sealed" in wrong


async def test_what_was_put_before_all_that_is_sealed_is_found(store: Store) -> None:
    await fill(store, 2, 2 * len(PATTERN))
    await happen(store)
    await damage(store, COPIED.format(id=-7), "UPDATE hold_end SET changed_in = -1")
    await seal(store)
    [wrong] = (await verdict(store)).wrong
    assert re.fullmatch(r"\d+ rows have numbers that are never given out: added\.", wrong)


async def test_a_tail_that_was_cut_with_its_seals_is_found_by_a_seal_kept_elsewhere(
    store: Store,
) -> None:
    kept = seals.shown(await sealed(store))
    cut = ("DELETE FROM audit_event WHERE id > 8", "DELETE FROM audit_seal WHERE number > 2")
    await damage(store, *cut)
    assert (await verdict(store)).wrong == []
    assert (await verdict(store, kept)).wrong == [
        "Seal 3, which was kept, is not there: the trail was cut."
    ]
    await happen(store, 2)
    await seal(store)
    found = await verdict(store, kept)
    assert found.wrong == ["Seal 3 is not the one that was kept."]


async def test_a_seal_of_another_past_does_not_fit_what_came_after_it(store: Store) -> None:
    """Such as a backup has, made with the right keys."""
    await sealed(store)
    await disarm(store)
    async with damaged(store, "UPDATE audit_event SET caller = 'client:other' WHERE id = 1") as tx:
        first, *_ = await tx.seals.page(0)
        events = await tx.seals.events(0, first.last_id, at_most=EVENTS)
        first.digest = seals._digest(tx.vault, None, first, events)
        await tx.session.flush()
        [wrong] = (await seals.verify(tx, {})).wrong
    assert wrong.startswith("One of the events 5 to 8 (seal 2) was changed")


async def test_a_seal_made_without_the_keys_is_found(store: Store, settings: Settings) -> None:
    """Somebody edits an event and seals the trail anew, with keys of their own."""
    await sealed(store)
    await rotate_keys(store)
    await happen(store)
    await seal(store)
    assert (await verdict(store)).wrong == []
    await damage(store, "UPDATE audit_seal SET key_id = 2 WHERE number = 2")
    assert [each[:3] for each in (await verdict(store)).wrong] == ["One"]
    await damage(store, "UPDATE audit_seal SET key_id = 9 WHERE number = 2")
    [wrong] = (await verdict(store)).wrong
    assert "Key 9 is not in the key file" in wrong


async def test_what_may_still_come_before_an_event_keeps_it_from_being_sealed(
    store: Store,
) -> None:
    """On PostgreSQL ids are given out before they are committed; SQLite has one writer."""
    if store.settings.sqlite_file is not None:
        await happen(store)
        now = await seals.settled(store)
        assert now is not None
        assert now.last_id == 1
        return
    may_commit, has_written = asyncio.Event(), asyncio.Event()

    async def late() -> None:
        async with store.write() as tx:
            await audit.record(tx, Event.CARD_BLOCKED, "card:1")
            has_written.set()
            await may_commit.wait()

    writing = asyncio.create_task(late())
    await has_written.wait()
    await happen(store)
    assert await seals.settled(store) is None
    may_commit.set()
    await writing
    assert (await seal(store)).last_id == 2
    found = await verdict(store)
    assert (found.events, found.seals, found.unsealed, found.wrong) == (2, 1, 0, [])


async def test_the_worker_seals_what_has_happened_since(store: Store) -> None:
    async with store.write() as tx:
        await jobs.add(tx, work.SEAL)
    await happen(store, EVENTS)
    await work.do_all(store)
    found = await verdict(store)
    assert (found.events, found.seals, found.unsealed) == (EVENTS, 3, 0)
    await happen(store)
    await work.do_all(store)
    assert (await verdict(store)).unsealed == 1, "its time has not come"


@on_postgresql
async def test_a_transaction_that_keeps_everything_from_being_sealed_is_told_of(
    store: Store,
) -> None:
    async with store.write() as tx:
        await jobs.add(tx, work.SEAL)
    await happen(store)
    async with store.write():
        assert await Lane(store, work.WORKS, [work.SEAL]).do_next()
    async with store.read() as reading:
        job = await jobs.latest(reading, work.SEAL, 0)
    assert job is not None
    assert job.error == "a transaction of some time ago has not ended"
    assert await Lane(store, work.WORKS, [work.SEAL]).do_of(work.SEAL, 0)
    assert (await verdict(store)).unsealed == 0


@pytest.mark.parametrize(
    "change", ["UPDATE audit_seal SET events = events + 1", "DELETE FROM audit_seal"]
)
async def test_seals_are_never_changed_nor_removed(store: Store, change: str) -> None:
    await sealed(store)
    with pytest.raises(DBAPIError, match="audit_seal is append-only"):
        async with store.write() as tx:
            await (await tx.session.connection()).execute(text(change))


def test_the_command_says_what_is_wrong_and_prints_the_last_seal(
    command: RunCommand, settings: Settings
) -> None:
    async def on_it(*statements: str) -> str:
        store = await open_store(settings)
        try:
            if statements:
                await damage(store, *statements)
                return ""
            return seals.shown(await sealed(store))
        finally:
            await store.close()

    nothing = "0 events, 0 movements and ends of holds, 0 seals, 0 rows not sealed yet.\n"
    assert command("audit", "verify") == (0, nothing)
    kept = asyncio.run(on_it())
    code, said = command("audit", "verify", "--anchor", kept)
    assert code == 0
    assert said.splitlines()[-1] == f"The last seal, to be kept elsewhere: {kept}"
    asyncio.run(on_it("DELETE FROM audit_event WHERE id = 2"))
    code, said = command("audit", "verify", "--json")
    assert code == 1
    shown = json.loads(said)
    assert (shown["events"], shown["seals"], shown["seal"]) == (9, 3, kept)
    assert shown["wrong"] == ["Of the events 1 to 4 (seal 1) 1 are missing."]
    code, said = command("audit", "verify", "--anchor", "3:abc")
    assert code == 1
    assert "anchor is no seal such as" in said


async def test_what_a_later_version_writes_is_sealed_by_servers_of_this_one(store: Store) -> None:
    await happen(store)
    async with store.write() as tx:
        later = COPIED.format(id=2).replace("SELECT 2, event", "SELECT 2, 'CARD_PAINTED'")
        await (await tx.session.connection()).execute(text(later))
    await seal(store)
    found = await verdict(store)
    assert (found.events, found.unsealed, found.wrong) == (2, 0, [])
