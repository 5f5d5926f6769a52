"""Money from many sides at once: over two server processes on PostgreSQL, over one on SQLite.

What counts are the rows of the ledger, not the answers; at the end of each test the books are
checked whole.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count, cycle
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest

from giftgql.audit.models import Event
from giftgql.ledger.models import HoldEnding, MovementState
from giftgql.settings import Settings
from tests import factories, servers
from tests.client import Answer, Client
from tests.factories import code_of, funded
from tests.tables import Tables

CALLERS = 50
Call = Callable[[Client], Awaitable[Answer]]
Change = Callable[..., Awaitable[Answer]]
POSTED = MovementState.POSTED
UNTHROTTLED = {"GIFTGQL_MAX_FAILURES": "100000", "GIFTGQL_MAX_UNKNOWN_CODES": "100000"}
"""One caller uses many a code that was just revoked."""

_numbers = count(1)


@dataclass(frozen=True)
class Shop:
    """Callers of every process that serves one database, and its tables."""

    callers: list[Client]
    tables: Tables

    @property
    def till(self) -> Client:
        return self.callers[0]

    async def at_once(self, *calls: Call) -> list[Answer]:
        """Make all calls together, in turns to one process and the other."""
        barrier = asyncio.Barrier(len(calls))
        callers = cycle(self.callers)

        async def one(call: Call, caller: Client) -> Answer:
            await barrier.wait()
            return await call(caller)

        return await asyncio.gather(*(one(call, next(callers)) for call in calls))


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def processes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[servers.Server]]:
    folder = tmp_path_factory.mktemp("shop")
    if request.param == "sqlite":
        with servers.serving(servers.environment(folder, **UNTHROTTLED)) as server:
            yield [server]
        return
    postgres: servers.PostgresServer = request.getfixturevalue("postgres")
    url = postgres.create()
    environment = servers.environment(folder, url, **UNTHROTTLED)
    with servers.serving(environment) as one, servers.serving(environment) as two:
        yield [one, two]
    postgres.drop(url)


@pytest.fixture
async def shop(processes: list[servers.Server]) -> AsyncIterator[Shop]:
    given = processes[0].environment
    url = given["GIFTGQL_DATABASE_URL"]
    settings = Settings(data_dir=Path(given["GIFTGQL_DATA_DIR"]), database_url=url, _env_file=None)
    limits = httpx.Limits(max_connections=2 * CALLERS, max_keepalive_connections=2 * CALLERS)
    https = [httpx.AsyncClient(base_url=each.url, limits=limits, timeout=30) for each in processes]
    key = processes[0].development_key
    async with Tables.of(settings) as tables:
        shop = Shop([Client(http, key) for http in https], tables)
        await shop.at_once(*[_connect] * CALLERS)
        yield shop
        assert await tables.findings() == []
    for http in https:
        await http.aclose()


async def _connect(caller: Client) -> Answer:
    return await caller.run("{ __typename }")


def call(change: Change, *arguments: Any, **facts: Any) -> Call:
    return lambda caller: change(caller, *arguments, **facts)


def use(card: dict[str, Any], amount: str, **facts: Any) -> Call:
    return call(factories.trans, code=code_of(card), transType="USE", amount=amount, **facts)


def outcomes(answers: list[Answer]) -> Counter[str | None]:
    return Counter(answer.code for answer in answers)


def new_key() -> str:
    return f"race {next(_numbers)}"


async def test_fifty_callers_at_once_take_what_is_there_and_no_more(shop: Shop) -> None:
    for _ in range(3):
        card = await funded(shop.till, "10.00")
        answers = await shop.at_once(*[use(card, "-1.00")] * CALLERS)
        assert outcomes(answers) == {None: 10, "INSUFFICIENT_FUNDS": CALLERS - 10}
        _, *taken = await shop.tables.movements(card["id"], POSTED)
        assert [each.amount for each in taken] == [-100] * 10
        assert sorted(each.balance for each in taken) == list(range(0, 1000, 100))
        assert len(await shop.tables.movements(card["id"], MovementState.DECLINED)) == 40
        account = await shop.tables.account(card["id"])
        assert (account.posted, account.held, account.redeemed) == (0, 0, 1000)


async def test_the_last_of_fifty_callers_takes_what_is_left(shop: Shop) -> None:
    card = await funded(shop.till, "10.10")
    answers = await shop.at_once(*[use(card, "-0.30", allowPartial=True)] * CALLERS)
    assert outcomes(answers) == {None: 34, "INSUFFICIENT_FUNDS": 16}
    _, *taken = await shop.tables.movements(card["id"], POSTED)
    assert Counter(each.amount for each in taken) == {-30: 33, -20: 1}
    assert (await shop.tables.account(card["id"])).posted == 0


async def test_fifty_callers_cannot_reserve_more_than_is_there(shop: Shop) -> None:
    card = await funded(shop.till, "10.00")
    answers = await shop.at_once(*[use(card, "-1.50", authorizeOnly=True)] * CALLERS)
    assert outcomes(answers) == {None: 6, "INSUFFICIENT_FUNDS": 44}
    assert len(await shop.tables.movements(card["id"], MovementState.HELD)) == 6
    account = await shop.tables.account(card["id"])
    assert (account.posted, account.held) == (1000, 900)


async def test_one_key_from_fifty_callers_moves_money_once(shop: Shop) -> None:
    for facts in ({}, {"authorizeOnly": True}, {"allowPartial": True}):
        card, key = await funded(shop.till, "100.00"), new_key()
        once = use(card, "-1.00", refNo=key, idempotencyKey=key, **facts)
        answers = await shop.at_once(*[once] * CALLERS)
        assert len({repr(answer["giftcardTransAdd"]) for answer in answers}) == 1
        assert sum(answer.is_replayed for answer in answers) == CALLERS - 1
        assert len(await shop.tables.by_ref_nos([key])) == 1
        assert len(await shop.tables.requests(key)) == 1
        account = await shop.tables.account(card["id"])
        assert account.posted - account.held == 9_900


async def test_one_key_from_fifty_callers_is_declined_once(shop: Shop) -> None:
    card, key = await funded(shop.till, "1.00"), new_key()
    once = use(card, "-2.00", refNo=key, idempotencyKey=key)
    answers = await shop.at_once(*[once] * CALLERS)
    assert outcomes(answers) == {"INSUFFICIENT_FUNDS": CALLERS}
    assert len({repr(answer.errors) for answer in answers}) == 1
    assert len(await shop.tables.by_ref_nos([key])) == 1


async def test_one_key_from_fifty_callers_makes_one_card(shop: Shop) -> None:
    key = new_key()
    wanted = {"physicalCode": f"NEW {key}", "idempotencyKey": key}
    answers = await shop.at_once(*[call(factories.add, **wanted)] * CALLERS)
    assert len({repr(answer["giftcardAdd"]) for answer in answers}) == 1
    assert sum(answer.is_replayed for answer in answers) == CALLERS - 1
    assert len(await shop.tables.requests(key)) == 1
    card_id = answers[0]["giftcardAdd"]["id"]
    assert await shop.tables.movements(card_id) == []


@pytest.mark.parametrize("what", ["capture", "refund", "transfer"])
async def test_one_key_from_fifty_callers_ends_or_undoes_or_transfers_once(
    shop: Shop, what: str
) -> None:
    card, other, key = await funded(shop.till), await factories.card(shop.till), new_key()
    spent = await factories.spend(shop.till, card, "-4.00")
    hold = await factories.hold(shop.till, card, "-3.00")
    calls: dict[str, tuple[Change, tuple[str, str], int]] = {
        "capture": (factories.capture, (hold["id"], "1.00"), 500),
        "refund": (factories.refund, (spent["id"], "1.00"), 700),
        "transfer": (factories.transfer, (card["id"], other["id"]), 300),
    }
    change, arguments, posted = calls[what]
    once = call(change, *arguments, idempotencyKey=key)
    answers = await shop.at_once(*[once] * CALLERS)
    assert outcomes(answers) == {None: CALLERS}
    assert len({repr(answer.body["data"]) for answer in answers}) == 1
    assert sum(answer.is_replayed for answer in answers) == CALLERS - 1
    assert len(await shop.tables.postings(card["id"])) == 3
    assert (await shop.tables.account(card["id"])).posted == posted


async def test_one_key_with_two_amounts_moves_one_of_them(shop: Shop) -> None:
    for _ in range(3):
        card, key = await funded(shop.till, "100.00"), new_key()
        calls = [use(card, amount, refNo=key, idempotencyKey=key) for amount in ("-1.00", "-2.00")]
        answers = await shop.at_once(*calls * (CALLERS // 2))
        assert outcomes(answers) == {None: 25, "IDEMPOTENCY_CONFLICT": 25}
        [moved] = await shop.tables.by_ref_nos([key])
        shown = {repr(answer["giftcardTransAdd"]) for answer in answers if answer.code is None}
        assert len(shown) == 1
        assert str(moved.id) in shown.pop()
        assert (await shop.tables.account(card["id"])).posted == 10_000 + moved.amount


async def test_one_key_for_several_cards_moves_the_money_of_one(shop: Shop) -> None:
    """No account's lock is shared here: it is the key itself that two transactions meet at."""
    cards = [await funded(shop.till, "1.00") for _ in range(4)]
    wanted = [new_key() for _ in range(25)]
    for key in wanted:
        answers = await shop.at_once(
            *(use(card, "-0.01", refNo=key, idempotencyKey=key) for card in cards)
        )
        assert outcomes(answers) == {None: 1, "IDEMPOTENCY_CONFLICT": 3}
    assert await shop.tables.made(wanted) == dict.fromkeys(wanted, 1)


async def test_keys_crosswise_over_cards_neither_deadlock_nor_move_twice(shop: Shop) -> None:
    cards = [await funded(shop.till, "10.00") for _ in range(5)]
    wanted = [new_key() for _ in range(10)]
    pairs = [(card, key) for card in cards for key in wanted]
    crossed = [pair for both in zip(pairs, reversed(pairs), strict=True) for pair in both]
    answers = await shop.at_once(
        *(use(card, "-0.01", refNo=key, idempotencyKey=key) for card, key in crossed)
    )
    # Each pair is asked for twice, and each key belongs to one of its five cards.
    assert outcomes(answers) == {None: 20, "IDEMPOTENCY_CONFLICT": 80}
    assert await shop.tables.made(wanted) == dict.fromkeys(wanted, 1)


async def test_transfers_in_both_directions_at_once_keep_all_money(shop: Shop) -> None:
    one, two = await funded(shop.till, "5.00"), await funded(shop.till, "5.00")
    there = call(factories.transfer, one["id"], two["id"], amount="0.70")
    back = call(factories.transfer, two["id"], one["id"], amount="0.40")
    answers = await shop.at_once(*[there, back] * (CALLERS // 2))
    assert set(outcomes(answers)) <= {None, "INSUFFICIENT_FUNDS"}
    accounts = [await shop.tables.account(each["id"]) for each in (one, two)]
    assert sum(account.posted for account in accounts) == 1000
    assert len(await shop.tables.postings(one["id"])) == outcomes(answers)[None] + 1


async def test_a_reversal_at_once_with_its_late_request_leaves_nothing(shop: Shop) -> None:
    """Whichever comes first: the request is undone, or its key is used up and it is refused."""
    card = await funded(shop.till, "100.00")
    for _ in range(6):
        key = new_key()
        late = use(card, "-1.00", refNo=key, idempotencyKey=key)
        reversal = call(factories.undo, key)
        answers = await shop.at_once(*[late] * 3, *[reversal] * 2, late)
        assert outcomes(answers[3:5]) == {None: 2}
        assert set(outcomes([*answers[:3], answers[5]])) <= {None, "IDEMPOTENCY_CONFLICT"}
        moved = await shop.tables.by_ref_nos([key])
        assert len(moved) <= 1
        for each in moved:
            [undone] = await shop.tables.about(str(each.id), POSTED)
            assert undone.amount == 100
        assert (await shop.tables.account(card["id"])).posted == 10_000


# A hold, a card's standing, and time


@pytest.mark.parametrize("seconds", [3600, 1])
async def test_a_hold_that_is_ended_from_all_sides_ends_once(shop: Shop, seconds: int) -> None:
    """Captured, cancelled, timed out, refunded and blocked, all at the moment its time is up."""
    rounds = (_end_from_all_sides(shop, seconds, early) for early in (0.15, 0.1, 0.05, 0.02))
    await asyncio.gather(*rounds)


async def _end_from_all_sides(shop: Shop, seconds: int, early: float) -> None:
    random, card = Random(early), await funded(shop.till, "10.00")
    hold = await factories.hold(shop.till, card, "-4.00", authorizeFor=f"PT{seconds}S")
    calls = [
        *[call(factories.capture, hold["id"], "1.50")] * 6,
        *[call(factories.cancel, hold["id"])] * 6,
        *[call(factories.refund, hold["id"], "0.40")] * 6,
        *[use(card, "-1.00")] * 6,
    ]
    random.shuffle(calls)
    calls.insert(random.randrange(12, 24), call(factories.stand, "Block", card["id"]))
    if seconds == 1:
        await asyncio.sleep(_left(hold) - early)
    await shop.at_once(*calls)
    await factories.cancel(shop.till, hold["id"])
    await _check_that_it_ended_once(shop, card, hold)


def _left(hold: dict[str, Any]) -> float:
    until = datetime.fromisoformat(hold["authorizedUntil"])
    return (until - datetime.now(UTC)).total_seconds()


async def _check_that_it_ended_once(shop: Shop, card: dict[str, Any], hold: dict[str, Any]) -> None:
    """What a card of 10.00 with a hold of 4.00 came to, before it was blocked."""
    [end] = await shop.tables.ends(hold["id"])
    captured = 150 if end.ending is HoldEnding.CAPTURED else 0
    assert (end.captured, end.released) == (captured, 400 - captured)
    is_timed_out = end.created_at >= datetime.fromisoformat(hold["authorizedUntil"])
    assert (end.ending is HoldEnding.TIMED_OUT) == is_timed_out
    postings = await shop.tables.postings(card["id"])
    of_hold = [each.amount for each in postings if each.movement_id == int(hold["id"])]
    assert of_hold == [captured] * (captured > 0)
    blocked_at = await shop.tables.when(Event.CARD_BLOCKED, card["id"])
    assert all(each.effective_at <= blocked_at for each in postings)
    undone = await shop.tables.about(hold["id"], POSTED)
    refunded = sum(each.amount for each in undone)
    assert refunded <= captured
    account = await shop.tables.account(card["id"])
    used = await shop.tables.used(card["id"])
    assert (account.held, account.posted) == (0, 1000 - captured - used + refunded)


async def test_the_money_of_a_hold_that_times_out_is_used_once(shop: Shop) -> None:
    card = await funded(shop.till, "10.00")
    hold = await factories.hold(shop.till, card, "-10.00", authorizeFor="PT1S")
    await asyncio.sleep(_left(hold) - 0.05)
    answers = await shop.at_once(*[use(card, "-1.00")] * CALLERS)
    assert set(outcomes(answers)) <= {None, "INSUFFICIENT_FUNDS"}
    await asyncio.sleep(max(0.0, _left(hold)))
    await use(card, "-1.00")(shop.till)
    [end] = await shop.tables.ends(hold["id"])
    assert (end.ending, end.released) == (HoldEnding.TIMED_OUT, 1000)
    until = datetime.fromisoformat(hold["authorizedUntil"])
    _, *taken = await shop.tables.movements(card["id"], POSTED)
    assert taken
    assert all(each.created_at >= until for each in taken)


@pytest.mark.parametrize("how", ["block", "disable", "revoke", "replace"])
async def test_a_stop_that_is_acknowledged_precedes_every_later_movement(
    shop: Shop, how: str
) -> None:
    number = next(_numbers)
    codes = {"physicalCode": f"STOP{number:04}", "externalCode": f"EXTRA{number:04}"}
    card = await funded(shop.till, "1000.00", **codes)
    stops: dict[str, tuple[Call, str]] = {
        "block": (call(factories.stand, "Block", card["id"]), "CARD_BLOCKED"),
        "disable": (call(factories.stand, "Disable", card["id"]), "CARD_DISABLED"),
        "revoke": (
            call(
                factories.edit, card["id"], revokePhysicalCode=True, externalCode=f"EXT{number:04}"
            ),
            "NOT_FOUND",
        ),
        "replace": (call(factories.edit, card["id"], physicalCode=f"NEW{number:04}"), "NOT_FOUND"),
    }
    stop, refusal = stops[how]
    stopped, after = asyncio.Event(), Counter[str | None]()
    asked = dict[str, bool]()

    async def work(caller: Client, name: str) -> None:
        for turn in range(100):
            ref_no = f"{how} {number} {name} {turn}"
            asked[ref_no] = stopped.is_set()
            answer = await use(card, "-0.01", refNo=ref_no)(caller)
            if asked[ref_no]:
                after[answer.code] += 1
                return

    callers = cycle(shop.callers)
    working = [asyncio.create_task(work(next(callers), str(n))) for n in range(20)]
    await asyncio.sleep(0.1)
    assert (await stop(shop.callers[-1])).code is None
    stopped.set()
    await asyncio.gather(*working)
    assert after == {refusal: 20}
    moved = {each.ref_no for each in await shop.tables.movements(card["id"], POSTED)}
    assert moved & {ref_no for ref_no, is_late in asked.items() if not is_late}
    assert not moved & {ref_no for ref_no, is_late in asked.items() if is_late}
