"""Trial balance, liability, and the summary of a till's day."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from giftgql.errors import InvalidInput
from giftgql.ledger import service as ledger
from giftgql.permissions import Permission
from giftgql.reports import service
from giftgql.settings import Settings
from giftgql.startup import open_store
from giftgql.store import Store
from tests.bulk_books import fill
from tests.client import Answer, Client, Server
from tests.conftest import MakeClient, SetClock
from tests.factories import capture, card, client, funded, hold, refund, spend, stand, top_up, trans

LIABILITY = """query ($asOf: Date, $groupBy: LiabilityGroup! = CURRENCY, $first: Int! = 100,
                      $skip: Int! = 0) {
    giftcardLiability(asOf: $asOf, groupBy: $groupBy, first: $first, skip: $skip) {
        hasMoreResults results { currency month amount cards } } }"""
SUMMARY = """query ($from: Date!, $to: Date!, $sourceId: String, $first: Int! = 100,
                    $skip: Int! = 0) {
    giftcardTransSummary(from: $from, to: $to, sourceId: $sourceId, first: $first, skip: $skip) {
        hasMoreResults results { sourceId day transType currency count amount declined } } }"""
BALANCE = """query ($asOf: Date) { ledgerTrialBalance(asOf: $asOf) {
    currency account debits credits balance } }"""


@pytest.fixture
async def zoned(settings: Settings, clock: SetClock) -> AsyncIterator[Server]:
    """A server in Berlin, where days of 23 and of 25 hours come by."""
    berlin = Settings(**{**settings.model_dump(), "time_zone": "Europe/Berlin"}, _env_file=None)
    opened = await open_store(berlin)
    opened.clock = clock
    async with Server.over(opened) as running:
        running.__dict__["store"] = opened
        yield running
    await opened.close()


async def admin_of(server: Server) -> Client:
    store: Store = server.__dict__["store"]
    held = set(Permission) - {Permission.VIEW_UNMASKED_GIFT_CARD_CODES}
    return server.client((await client(store, permissions=held)).client_secret)


async def balances(caller: Client, as_of: str | None = None) -> dict[str, str]:
    """The balance of each account; all of them come to zero."""
    lines = (await caller.run(BALANCE, asOf=as_of))["ledgerTrialBalance"]
    cents = [int(line["balance"].replace(".", "")) for line in lines]
    assert sum(cents) == 0
    assert {line["currency"] for line in lines} <= {"EUR"}
    return {line["account"]: line["balance"] for line in lines}


async def owed(caller: Client, **arguments: Any) -> list[tuple[str | None, str, int]]:
    answer = await caller.run(LIABILITY, **arguments)
    lines = answer["giftcardLiability"]["results"]
    return [(line["month"], line["amount"], line["cards"]) for line in lines]


async def summary(caller: Client, **arguments: Any) -> list[tuple[Any, ...]]:
    answer = await caller.run(SUMMARY, **arguments)
    return [
        (
            *(line["day"], line["sourceId"], line["transType"]),
            *(line["count"], line["amount"], line["declined"]),
        )
        for line in answer["giftcardTransSummary"]["results"]
    ]


# Trial balance and liability


async def test_the_books_balance_and_say_what_is_owed(admin: Client, clock: SetClock) -> None:
    made = await funded(admin, "10.00")
    await spend(admin, made, "-2.50")
    correction = {"transType": "ADJUST", "amount": "-1.00", "reason": "miscounted"}
    await trans(admin, code=made["codes"][0]["code"], **correction)
    assert await balances(admin) == {
        "CARDS": "6.50",
        "TENDER": "-10.00",
        "REDEMPTION": "2.50",
        "ADJUSTMENT": "1.00",
    }
    lines = (await admin.run(BALANCE))["ledgerTrialBalance"]
    assert lines[0] == {
        "currency": "EUR",
        "account": "CARDS",
        "debits": "3.50",
        "credits": "10.00",
        "balance": "6.50",
    }
    assert await owed(admin) == [(None, "6.50", 1)]


async def test_books_without_a_movement_have_no_lines(admin: Client) -> None:
    await card(admin)
    assert await balances(admin) == {}
    assert await owed(admin) == []


async def test_held_money_is_owed(admin: Client, clock: SetClock) -> None:
    made = await funded(admin, "10.00")
    held = await hold(admin, made, "-4.00")
    assert await owed(admin) == [(None, "10.00", 1)]
    clock.forward(hours=1)
    await capture(admin, held["id"], "3.00")
    assert await owed(admin) == [(None, "7.00", 1)]
    assert await owed(admin, asOf="2026-11-21") == [(None, "7.00", 1)]


async def test_a_past_day_is_told_from_the_postings(admin: Client, clock: SetClock) -> None:
    made = await funded(admin, "10.00")
    clock.forward(days=2)
    await spend(admin, made, "-4.00")
    clock.forward(days=2)
    await spend(admin, made, "-5.00")
    told = {day: await owed(admin, asOf=f"2026-11-{day}") for day in (20, 21, 22, 23, 24, 25)}
    ten, six, one = ([(None, amount, 1)] for amount in ("10.00", "6.00", "1.00"))
    assert told == {20: [], 21: ten, 22: ten, 23: six, 24: six, 25: one}
    assert await balances(admin, "2026-11-23") == {
        "CARDS": "6.00",
        "TENDER": "-10.00",
        "REDEMPTION": "4.00",
    }


@pytest.mark.parametrize("is_swept", [False, True], ids=["before the sweep", "after it"])
async def test_expired_funds_are_breakage_from_the_end_of_their_last_day(
    admin: Client, clock: SetClock, store: Store, is_swept: bool
) -> None:
    made = await funded(admin, "10.00", expiresOn="2026-11-22")
    await hold(admin, made, "-4.00", authorizeFor="P20D")
    clock.forward(days=4)
    if is_swept:
        async with store.write() as tx:
            assert await ledger.sweep(tx) == 1
    expired = {"CARDS": "4.00", "TENDER": "-10.00", "BREAKAGE": "6.00"}
    assert await balances(admin) == expired
    assert await owed(admin) == [(None, "4.00", 1)]
    for day in (22, 23, 24):
        assert await balances(admin, f"2026-11-{day}") == expired
        assert await owed(admin, asOf=f"2026-11-{day}") == [(None, "4.00", 1)]
    assert await balances(admin, "2026-11-21") == {"CARDS": "10.00", "TENDER": "-10.00"}
    assert await owed(admin, asOf="2026-11-21") == [(None, "10.00", 1)]


async def test_blocked_funds_wait_with_expiring(admin: Client, clock: SetClock) -> None:
    made = await funded(admin, "10.00", expiresOn="2026-11-22")
    await stand(admin, "Block", made["id"])
    clock.forward(days=4)
    assert await balances(admin) == {"CARDS": "10.00", "TENDER": "-10.00"}
    assert await owed(admin) == [(None, "10.00", 1)]


async def test_liability_is_grouped_by_the_month_of_expiry(admin: Client, clock: SetClock) -> None:
    for expires_on in ("2026-12-31", "2027-01-01", "2027-01-31", None):
        await funded(admin, "10.00", **({"expiresOn": expires_on} if expires_on else {}))
    await card(admin, expiresOn="2027-03-01")
    assert await owed(admin, groupBy="EXPIRY_MONTH") == [
        ("2026-12", "10.00", 1),
        ("2027-01", "20.00", 2),
        (None, "10.00", 1),
    ]
    answer = await admin.run(LIABILITY, groupBy="EXPIRY_MONTH", first=1, skip=1)
    page = answer["giftcardLiability"]
    assert (page["hasMoreResults"], page["results"][0]["month"]) == (True, "2027-01")


async def test_the_month_a_card_was_made_in_is_the_time_zones(
    zoned: Server, clock: SetClock
) -> None:
    admin = await admin_of(zoned)
    for moment in ("2026-11-30T22:59:59", "2026-11-30T23:00:00", "2026-12-31T22:59:59"):
        clock.now = datetime.fromisoformat(moment).replace(tzinfo=UTC)
        await funded(admin, "10.00")
    assert await owed(admin, groupBy="ISSUE_MONTH") == [
        ("2026-11", "10.00", 1),
        ("2026-12", "20.00", 2),
    ]


async def test_a_day_ends_at_the_time_zones_midnight(zoned: Server, clock: SetClock) -> None:
    admin = await admin_of(zoned)
    for moment in ("2026-11-20T22:59:59.999999", "2026-11-20T23:00:00"):
        clock.now = datetime.fromisoformat(moment).replace(tzinfo=UTC)
        await funded(admin, "10.00")
    assert (await balances(admin, "2026-11-20"))["CARDS"] == "10.00"
    assert (await balances(admin, "2026-11-21"))["CARDS"] == "20.00"


@pytest.mark.parametrize("day", ["2026-11-22", "9999-12-31", "1969-12-31", "0001-01-01"])
async def test_a_report_is_of_a_day_that_has_been(admin: Client, clock: SetClock, day: str) -> None:
    for query in (BALANCE, LIABILITY):
        answer = await admin.run(query, asOf=day)
        assert (answer.code, answer.field) == ("INVALID_INPUT", "asOf")


async def test_large_books_are_owed_what_the_trial_balance_says(
    store: Store, admin: Client
) -> None:
    books = await fill(store, 20, 2_000)
    middle = (datetime.now(UTC) - timedelta(days=150)).date().isoformat()
    for as_of in (None, middle):
        cards = (await balances(admin, as_of))["CARDS"]
        for group in ("CURRENCY", "EXPIRY_MONTH", "ISSUE_MONTH"):
            [(_, amount, count)] = await owed(admin, asOf=as_of, groupBy=group)
            assert (amount, count) == (cards, books.cards)


# The summary of a till's day


async def test_a_tills_day_can_be_balanced(admin: Client, clock: SetClock) -> None:
    clock.now = datetime(2026, 11, 19, 8, 0, tzinfo=UTC)
    made = await funded(admin, "50.00")
    clock.forward(days=1)
    till = {"sourceId": "till 7"}
    used = await spend(admin, made, "-6.49", **till)
    await spend(admin, made, "-3.51", **till)
    await refund(admin, used["id"], "1.00", **till)
    await trans(admin, code=made["codes"][0]["code"], transType="USE", amount="-99.00", **till)
    held = await hold(admin, made, "-10.00", authorizeFor="P3D", **till)
    await top_up(admin, made, "5.00", sourceId="till 8")
    day = {"from": "2026-11-20", "to": "2026-11-20"}
    mine = [
        ("2026-11-20", "till 7", "REFUND", 1, "1.00", 0),
        ("2026-11-20", "till 7", "USE", 2, "-10.00", 1),
    ]
    assert await summary(admin, **day, **till) == mine
    assert await summary(admin, **day) == [*mine, ("2026-11-20", "till 8", "ADD", 1, "5.00", 0)]
    clock.forward(days=1)
    await capture(admin, held["id"], "9.00")
    captured = ("2026-11-21", "till 7", "USE", 1, "-9.00", 0)
    assert await summary(admin, **{"from": "2026-11-20", "to": "2026-11-21"}, **till) == [
        *mine,
        captured,
    ]
    whole = {"from": "2026-11-19", "to": "2026-11-21"}
    assert (await summary(admin, **whole))[0] == ("2026-11-19", None, "ADD", 1, "50.00", 0)
    page = (await admin.run(SUMMARY, **whole, first=2, skip=1))["giftcardTransSummary"]
    assert page["hasMoreResults"] is True
    assert [line["day"] for line in page["results"]] == ["2026-11-20", "2026-11-20"]


async def test_days_of_23_and_25_hours_are_days(zoned: Server, clock: SetClock) -> None:
    admin = await admin_of(zoned)
    moments = {
        "2026-03-28T22:59:59": "2026-03-28",
        "2026-03-28T23:00:00": "2026-03-29",
        "2026-03-29T21:59:59": "2026-03-29",
        "2026-03-29T22:00:00": "2026-03-30",
        "2026-10-24T21:59:59": "2026-10-24",
        "2026-10-24T22:00:00": "2026-10-25",
        "2026-10-25T22:59:59": "2026-10-25",
        "2026-10-25T23:00:00": "2026-10-26",
        "2026-10-26T22:59:59": "2026-10-26",
    }
    clock.now = datetime(2026, 3, 1, tzinfo=UTC)
    made = await funded(admin, "50.00")
    for moment, day in moments.items():
        clock.now = datetime.fromisoformat(moment).replace(tzinfo=UTC)
        await spend(admin, made, "-1.00", sourceId=f"{moment} is on {day}")
    told = await summary(admin, **{"from": "2026-03-02", "to": "2026-12-01"})
    assert [(day, source) for day, source, *_ in told] == [
        (day, f"{moment} is on {day}") for moment, day in moments.items()
    ]


@pytest.mark.parametrize(
    ("begin", "end", "field"),
    [
        ("2026-11-02", "2026-11-01", "to"),
        ("2025-01-01", "2026-01-02", "to"),
        ("1969-12-31", "1970-01-01", "from"),
        ("9999-01-01", "9999-12-31", "to"),
    ],
)
async def test_a_summary_is_of_a_year_at_most(
    admin: Client, begin: str, end: str, field: str
) -> None:
    answer = await admin.run(SUMMARY, **{"from": begin, "to": end})
    assert (answer.code, answer.field) == ("INVALID_INPUT", field)
    assert await summary(admin, **{"from": "2025-01-01", "to": "2026-01-01"}) == []


async def test_a_summary_of_too_many_lines_is_refused(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(store, 20, 2_000)
    today = datetime.now(UTC).date()
    days = service.Days.parsed(today - timedelta(days=365), today)
    async with store.snapshot() as reading:
        lines = len(await service.summary_lines(reading, days, None))
        one = len(await service.summary_lines(reading, days, "till 7"))
        monkeypatch.setattr(service, "MOST_LINES", lines)
        with pytest.raises(InvalidInput, match="name a source"):
            await service.summary_lines(reading, days, None)
        assert len(await service.summary_lines(reading, days, "till 7")) == one < lines


@pytest.mark.parametrize(
    ("query", "needed"),
    [
        (BALANCE, [Permission.VIEW_REPORTS]),
        (LIABILITY, [Permission.VIEW_REPORTS]),
        (SUMMARY, [Permission.VIEW_REPORTS, Permission.LIST_GIFT_CARD_TRANS]),
    ],
    ids=["trial balance", "liability", "summary"],
)
async def test_reports_are_for_whom_they_concern(
    client_with: MakeClient, query: str, needed: list[Permission]
) -> None:
    days = {"from": "2026-11-01", "to": "2026-11-01"} if query == SUMMARY else {}
    for one in needed:
        answer: Answer = await (await client_with(one)).run(query, **days)
        assert answer.code is None
    other = await client_with(*(set(Permission) - set(needed)))
    assert (await other.run(query, **days)).code == "PERMISSION_DENIED"
