"""A database of before is brought up to date, and shows what it showed."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from giftgql import migrations
from giftgql.cards import service as cards
from giftgql.database import Database
from giftgql.ledger import service as ledger
from giftgql.reports import service as reports
from giftgql.settings import Settings
from giftgql.startup import open_store
from giftgql.store import Store
from tests import servers
from tests.test_append_only import run

ZONES = ("UTC", "Europe/Berlin", "America/New_York")
LONG_AGO = "2026-01-01 00:00:00.000000"
Empty = Callable[[str], Settings]


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Empty]:
    """Settings of an empty database, in a time zone."""
    urls = list[str]()

    def settings(zone: str) -> Settings:
        if request.param == "postgresql":
            urls.append(server().create())
        url = urls[-1] if urls else ""
        return Settings(data_dir=tmp_path, database_url=url, time_zone=zone, _env_file=None)

    def server() -> servers.PostgresServer:
        found: servers.PostgresServer = request.getfixturevalue("postgres")
        return found

    yield settings
    for url in urls:
        server().drop(url)


async def before(settings: Settings, form: str, *statements: str) -> None:
    """Bring a database to an old form and write to it as was done then."""
    database = Database.of(settings)

    def work(connection: Connection) -> None:
        migrations.upgrade(connection, settings.zone, to=form)
        for statement in statements:
            connection.execute(text(statement))

    async with database.migrating() as session:
        await (await session.connection()).run_sync(work)
    await database.close()


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Store]:
    store = await open_store(settings)
    try:
        yield store
    finally:
        await store.close()


def old_card(card_id: int, expires_on: str | None) -> str:
    """A card of before the ledger."""
    day = "NULL" if expires_on is None else f"'{expires_on}'"
    return (
        "INSERT INTO gift_card (id, currency, expires_on, created_at, modified_at, changed_in) "
        f"VALUES ({card_id}, 'EUR', {day}, '{LONG_AGO}', '{LONG_AGO}', 0)"
    )


def new_card(card_id: int, expires_on: str | None, valid_until: str | None) -> list[str]:
    """A card on the ledger, valid until a moment that is told in UTC."""
    day = "NULL" if expires_on is None else f"'{expires_on}'"
    ends = "NULL" if valid_until is None else f"'{valid_until}'"
    return [
        "INSERT INTO gift_card (id, currency, expires_on, created_at) "
        f"VALUES ({card_id}, 'EUR', {day}, '{LONG_AGO}')",
        "INSERT INTO account (id, currency, posted, held, lifetime, redeemed, blocked, closed, "
        "whole_only, open_holds, valid_until, due_at, revision, modified_at, changed_in) "
        f"VALUES ({card_id}, 'EUR', 0, 0, 0, 0, false, false, false, 0, {ends}, {ends}, 0, "
        f"'{LONG_AGO}', 0)",
    ]


def movement(number: int, amount: int, moved: int | None = None, **columns: Any) -> list[str]:
    """A movement of card 1, a USE if it is negative, with its posting if it moved something."""
    kind = columns.pop("type", "ADD" if amount > 0 else "USE")
    against = columns.pop("against", -1 if kind == "ADD" else -2)
    values = {
        **{"id": number, "account_id": 1, "type": f"'{kind}'", "state": "'POSTED'"},
        **{"amount": amount, "asked": amount, "balance": 1, "against": against},
        **{"caller": "'client:x'", "created_at": f"'{LONG_AGO}'", "changed_in": 0, **columns},
    }
    names, given = (", ".join(map(str, each)) for each in (values.keys(), values.values()))
    written = [f"INSERT INTO movement ({names}) VALUES ({given})"]
    if moved is None and values["state"] == "'POSTED'":
        moved = amount
    return written if moved is None else written + posting(number, moved, against)


def posting(number: int, moved: int, against: int) -> list[str]:
    debit, credit = (against, 1) if moved > 0 else (1, against)
    return [
        "INSERT INTO posting (movement_id, line, debit_account, credit_account, amount, currency, "
        f"effective_at) VALUES ({number}, 0, {debit}, {credit}, {abs(moved)}, 'EUR', '{LONG_AGO}')"
    ]


def ended(number: int, ending: str, captured: int, released: int) -> str:
    return (
        "INSERT INTO hold_end (hold_id, ending, captured, released, balance, caller, created_at, "
        f"changed_in) VALUES ({number}, '{ending}', {captured}, {released}, 1, 'client:x', "
        f"'{LONG_AGO}', 0)"
    )


async def last_days(store: Store, *card_ids: int) -> list[date | None]:
    async with store.read() as reading:
        found = await cards.by_ids(reading, card_ids)
        for view in found.values():
            ends = view.account.valid_until
            assert ends == reading.end_of(view.expires_on), "it is the end of that day"
    return [found[card_id].expires_on for card_id in card_ids]


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("form", ["0001", "0002"])
async def test_cards_show_the_last_day_that_they_showed(empty: Empty, form: str, zone: str) -> None:
    settings = empty(zone)
    days = ["2026-12-31", "2026-03-29", "2999-10-26", None]
    if form == "0001":
        rows = [old_card(n, day) for n, day in enumerate(days, 1)]
    else:
        ends = [None if day is None else _end_of(settings, day) for day in days]
        made = (new_card(n, *of) for n, of in enumerate(zip(days, ends, strict=True), 1))
        rows = [statement for card in made for statement in card]
    await before(settings, form, *rows)
    async with opened(settings) as store:
        shown = await last_days(store, 1, 2, 3, 4)
        assert [day and day.isoformat() for day in shown] == days
        async with store.snapshot() as reading:
            assert await reports.check(reading) == []


def _end_of(settings: Settings, day: str) -> str:
    """The moment at which the program of then let a day end, in UTC."""
    midnight = datetime.fromisoformat(day) + timedelta(days=1)
    return f"{midnight.replace(tzinfo=settings.zone).astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}"


async def test_funds_are_swept_when_the_day_ends_that_was_shown(empty: Empty) -> None:
    settings = empty("Europe/Berlin")
    ended_then = "2027-01-01 00:00:00.000000"  # as UTC has it
    await before(
        settings,
        "0002",
        *new_card(1, "2026-12-31", ended_then),
        *new_card(2, "2026-12-31", ended_then),
        *new_card(3, "2026-12-31", ended_then),
        "UPDATE account SET posted = 100, held = 40, next_hold_end = '2026-06-01 00:00:00.000000', "
        "due_at = '2026-06-01 00:00:00.000000' WHERE id = 1",
        "UPDATE account SET posted = 100 WHERE id = 2",
        "UPDATE account SET posted = 100, blocked = true, due_at = NULL WHERE id = 3",
    )
    async with opened(settings) as store, store.read() as reading:
        found = await ledger.accounts(reading, [1, 2, 3])
        ends = reading.end_of(date(2026, 12, 31))
        assert [found[n].valid_until for n in (1, 2, 3)] == [ends] * 3
        hold_ends = found[1].next_hold_end
        assert [found[n].due_at for n in (1, 2, 3)] == [hold_ends, ends, None]


async def test_uses_of_before_are_counted(empty: Empty) -> None:
    settings = empty("UTC")
    held: dict[str, Any] = {"state": "'HELD'", "hold_until": "'2999-01-01 00:00:00.000000'"}
    over: dict[str, Any] = {"state": "'HELD'", "hold_until": "'2026-01-02 00:00:00.000000'"}
    refund: dict[str, Any] = {"type": "REFUND", "against": -2}
    await before(
        settings,
        "0002",
        *new_card(1, None, None),
        *new_card(2, None, None),
        *movement(10, 1_000),
        *movement(11, -10),
        *movement(12, -10),
        *movement(13, 10, about_id=12, **refund),
        *movement(14, -10),
        *movement(15, 9, about_id=14, **refund),
        *movement(16, -10),
        *movement(17, 10, about_id=16, **refund),
        *movement(18, -10, about_id=17, **refund),
        *movement(19, -10, **held),
        *movement(20, -10, -4, **over),
        ended(20, "CAPTURED", 4, 6),
        *movement(21, -10, -4, **over),
        ended(21, "CAPTURED", 4, 6),
        *movement(22, 4, about_id=21, **refund),
        *movement(23, -10, **over),
        ended(23, "CANCELLED", 0, 10),
        *movement(24, -10, state="'DECLINED'", error="'CONFLICT'"),
        "UPDATE account SET posted = 975, held = 10, open_holds = 1, lifetime = 1000, "
        "redeemed = 25, next_hold_end = '2999-01-01 00:00:00.000000', "
        "due_at = '2999-01-01 00:00:00.000000' WHERE id = 1",
    )
    async with opened(settings) as store:
        async with store.read() as reading:
            found = await ledger.accounts(reading, [1, 2])
        assert [found[n].uses for n in (1, 2)] == [5, 0]
        async with store.snapshot() as reading:
            assert await reports.check(reading) == []


async def test_what_was_on_the_books_stays_unchangeable(empty: Empty) -> None:
    settings = empty("UTC")
    await before(settings, "0002", *new_card(1, None, None), *movement(10, 1_000))
    async with opened(settings) as store:
        for change in ("amount = 1", "price = 0"):
            with pytest.raises(DBAPIError, match="append-only"):
                await run(store, f"UPDATE movement SET {change}")
