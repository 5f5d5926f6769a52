"""Money from many sides at once: over two server processes on PostgreSQL, over one on SQLite.

What counts are the rows of the ledger, not the answers; at the end of each test the books are
checked whole.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from itertools import count, cycle
from pathlib import Path
from typing import Any

import httpx
import pytest

from giftgql.ledger.models import MovementState
from giftgql.settings import Settings
from tests import factories, servers
from tests.client import Answer, Client
from tests.factories import code_of, funded
from tests.tables import Tables

CALLERS = 50
Call = Callable[[Client], Awaitable[Answer]]
POSTED = MovementState.POSTED
_numbers = count(1)


@dataclass(frozen=True)
class Shop:
    """Callers of every process that serves one database, and its tables."""

    callers: list[Client]
    tables: Tables
    url: str

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
        with servers.serving(servers.environment(folder)) as server:
            yield [server]
        return
    postgres: servers.PostgresServer = request.getfixturevalue("postgres")
    url = postgres.create()
    environment = servers.environment(folder, url)
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
        shop = Shop([Client(http, key) for http in https], tables, url)
        await shop.at_once(*[_connect] * CALLERS)
        yield shop
        assert await tables.findings() == []
    for http in https:
        await http.aclose()


async def _connect(caller: Client) -> Answer:
    return await caller.run("{ __typename }")


def call(change: Callable[..., Awaitable[Answer]], *arguments: Any, **facts: Any) -> Call:
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
    calls = {
        "capture": (factories.capture, (hold["id"], "1.00"), 500),
        "refund": (factories.refund, (spent["id"], "1.00"), 700),
        "transfer": (factories.transfer, (card["id"], other["id"]), 0),
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


async def test_one_key_for_fifty_cards_moves_the_money_of_one(shop: Shop) -> None:
    """No account's lock is shared here: it is the key itself that two transactions meet at."""
    cards = [await funded(shop.till, "1.00") for _ in range(CALLERS)]
    for _ in range(3):
        key = new_key()
        answers = await shop.at_once(
            *(use(card, "-0.01", refNo=key, idempotencyKey=key) for card in cards)
        )
        assert outcomes(answers) == {None: 1, "IDEMPOTENCY_CONFLICT": CALLERS - 1}
        assert len(await shop.tables.by_ref_nos([key])) == 1


async def test_keys_crosswise_over_cards_neither_deadlock_nor_move_twice(shop: Shop) -> None:
    cards = [await funded(shop.till, "10.00") for _ in range(10)]
    keys = [new_key() for _ in range(10)]
    pairs = [(card, key) for card in cards for key in keys]
    crossed = [pair for both in zip(pairs, reversed(pairs), strict=True) for pair in both]
    answers = await shop.at_once(
        *(use(card, "-0.01", refNo=key, idempotencyKey=key) for card, key in crossed)
    )
    # Each pair is asked for twice, and each key belongs to one of its ten cards.
    assert outcomes(answers) == {None: 20, "IDEMPOTENCY_CONFLICT": 180}
    assert Counter(each.ref_no for each in await shop.tables.by_ref_nos(keys)) == dict.fromkeys(
        keys, 1
    )


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
    seen = Counter[str | None]()
    for _ in range(6):
        key = new_key()
        late = use(card, "-1.00", refNo=key, idempotencyKey=key)
        reversal = call(factories.undo, key)
        answers = await shop.at_once(*[late] * 3, *[reversal] * 2, late)
        assert outcomes([*answers[3:5]]) == {None: 2}
        assert set(outcomes([*answers[:3], answers[5]])) <= {None, "IDEMPOTENCY_CONFLICT"}
        seen[answers[0].code] += 1
        moved = await shop.tables.by_ref_nos([key])
        assert len(moved) <= 1
        for each in moved:
            [undone] = await shop.tables.about(str(each.id), POSTED)
            assert undone.amount == 100
        assert (await shop.tables.account(card["id"])).posted == 10_000
