"""Many callers at once: over two server processes on PostgreSQL, over one on SQLite."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import httpx
import pytest

from giftgql import codes
from giftgql.cards import service as cards
from giftgql.cards.service import NewCard, NewCode
from giftgql.codes import CodeType
from giftgql.permissions import Permission
from giftgql.store import Store
from tests import factories, servers
from tests.client import Answer, Client, Server

ADD = """mutation ($g: GiftcardAddInput!) {
    giftcardAdd(giftcard: $g) { id createdAt codes { id codeType code } }
}"""
PAGE = """query ($since: String) {
    giftcard(first: 1000, since: $since) { until hasMoreResults results { id codes { code } } }
}"""


@dataclass(frozen=True)
class Shop:
    """Callers of every process that serves one database."""

    callers: list[Client]

    async def at_once(self, query: str, *inputs: dict[str, Any]) -> list[Answer]:
        """Send all inputs together, in turns to one process and the other."""
        callers = cycle(self.callers)
        return await asyncio.gather(*(next(callers).run(query, g=each) for each in inputs))

    async def cards(self, *having: str) -> dict[str, set[str]]:
        """The codes of each card that has one of these."""
        page = (await self.callers[0].run(PAGE))["giftcard"]
        assert not page["hasMoreResults"]
        every = {card["id"]: {code["code"] for code in card["codes"]} for card in page["results"]}
        return {card_id: found for card_id, found in every.items() if found & set(having)}


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
    environment = servers.environment(folder, postgres.create())
    with servers.serving(environment) as one, servers.serving(environment) as two:
        yield [one, two]


@pytest.fixture
async def shop(processes: list[servers.Server]) -> AsyncIterator[Shop]:
    limits = httpx.Limits(max_connections=64)
    https = [
        httpx.AsyncClient(base_url=server.url, limits=limits, timeout=30) for server in processes
    ]
    key = processes[0].development_key
    yield Shop([Client(http, key) for http in https])
    for http in https:
        await http.aclose()


def outcomes(answers: list[Answer]) -> Counter[str | None]:
    return Counter(answer.code for answer in answers)


async def test_a_code_given_to_many_cards_at_once_is_one_cards(shop: Shop) -> None:
    for number in range(5):
        code = f"SAME-{number}"
        spellings = [code, code.lower(), code.replace("-", " "), code.replace("-", "")] * 4
        answers = await shop.at_once(ADD, *({"physicalCode": each} for each in spellings))
        assert outcomes(answers) == {None: 1, "CODE_TAKEN": 15}
        assert len(await shop.cards(*spellings)) == 1


async def test_a_request_repeated_twenty_times_at_once_is_done_once(shop: Shop) -> None:
    wanted = {"physicalCode": "ONCE-0001", "physicalPin": "1234", "idempotencyKey": "till 7/42"}
    answers = await shop.at_once(ADD, *[wanted] * 20)
    assert outcomes(answers) == {None: 20}
    assert len({repr(answer["giftcardAdd"]) for answer in answers}) == 1
    assert sum(answer.is_replayed for answer in answers) == 19
    assert len(await shop.cards("ONCE-0001")) == 1


async def test_requests_that_differ_under_one_key_at_once_are_one_card(shop: Shop) -> None:
    names = [f"DIFF-{number:04}" for number in range(12)]
    wanted = ({"physicalCode": name, "idempotencyKey": "differing"} for name in names)
    answers = await shop.at_once(ADD, *wanted)
    assert outcomes(answers) == {None: 1, "IDEMPOTENCY_CONFLICT": 11}
    assert len(await shop.cards(*names)) == 1


async def test_a_card_edited_from_many_sides_has_one_live_code_of_a_type(shop: Shop) -> None:
    till = shop.callers[0]
    card = await factories.card(till, physicalCode="EDIT-FIRST", externalCode="EDIT-EXT-FIRST")
    names = [f"EDIT-{number:04}" for number in range(16)]
    edits = [{"id": card["id"], "physicalCode": name, "externalCode": f"X{name}"} for name in names]
    edit = "mutation ($g: GiftcardEditInput!) { giftcardEdit(giftcard: $g) { id } }"
    assert outcomes(await shop.at_once(edit, *edits)) == {None: 16}

    answer = await till.run(
        "query ($i: ID!) { giftcard(id: $i) { results {"
        " codes { codeType code } codeHistory { codeType code } } } }",
        i=card["id"],
    )
    found = answer["giftcard"]["results"][0]
    assert [code["codeType"] for code in found["codes"]] == ["PHYSICAL", "EXTERNAL"]
    live, ended = ({code["code"] for code in found[kind]} for kind in ("codes", "codeHistory"))
    everything = {"EDIT-FIRST", "EDIT-EXT-FIRST", *names, *(f"X{name}" for name in names)}
    assert live | ended == everything
    assert not live & ended
    for name in names:
        results = (await factories.find(till, name))["giftcard"]["results"]
        assert len(results) == (name in live)


async def test_adds_that_share_codes_crosswise_neither_deadlock_nor_share_a_code(
    shop: Shop,
) -> None:
    for number in range(6):
        physical = [f"CROSS-P{number}{each}" for each in "abcd"]
        external = [f"CROSS-E{number}{each}" for each in "abcd"]
        pairs = [(p, e) for p in physical for e in external]
        crossed = [pair for both in zip(pairs, reversed(pairs), strict=True) for pair in both]
        wanted = ({"physicalCode": p, "externalCode": e} for p, e in crossed)
        answers = await shop.at_once(ADD, *wanted)
        assert set(outcomes(answers)) == {None, "CODE_TAKEN"}
        made = await shop.cards(*physical, *external)
        assert len(made) == outcomes(answers)[None]
        held = [code for codes_held in made.values() for code in codes_held]
        assert len(held) == len(set(held)) == 2 * len(made)


async def test_two_cards_that_want_each_others_codes_are_both_refused_at_once(shop: Shop) -> None:
    """Each would end the code that the other asks for: neither may wait for the other."""
    till = shop.callers[0]
    edit = "mutation ($g: GiftcardEditInput!) { giftcardEdit(giftcard: $g) { id } }"
    for number in range(10):
        ours, theirs = f"SWAP-{number}-ours", f"SWAP-{number}-theirs"
        one = await factories.card(till, physicalCode=ours)
        two = await factories.card(till, physicalCode=theirs)
        swap = [
            {"id": one["id"], "physicalCode": theirs},
            {"id": two["id"], "physicalCode": ours},
        ]
        assert outcomes(await shop.at_once(edit, *swap)) == {"CODE_TAKEN": 2}
        assert await shop.cards(ours, theirs) == {one["id"]: {ours}, two["id"]: {theirs}}


async def test_a_synchronisation_under_load_misses_no_card(shop: Shop) -> None:
    names = {f"LOAD-{number:04}" for number in range(120)}
    adding = asyncio.create_task(shop.at_once(ADD, *({"physicalCode": n} for n in sorted(names))))
    seen: set[str] = set()
    until = ""
    readers = cycle(shop.callers)
    is_last = False
    while not is_last:
        is_last = adding.done()
        page = (await next(readers).run(PAGE, since=until))["giftcard"]
        seen |= {code["code"] for card in page["results"] for code in card["codes"]}
        until = page["until"]
    assert outcomes(await adding) == {None: 120}
    assert names <= seen


# Transactions held open by hand


async def add_card(store: Store, text: str, wrote: asyncio.Event, may_end: asyncio.Event) -> None:
    code = NewCode(CodeType.PHYSICAL, "physicalCode", codes.to_store(text, "physicalCode"))
    async with store.write() as tx:
        await cards.add(tx, NewCard([code], "EUR"))
        wrote.set()
        await may_end.wait()


async def synchronise(caller: Client, since: str) -> tuple[list[str], str]:
    page = (await caller.run(PAGE, since=since))["giftcard"]
    return [code["code"] for card in page["results"] for code in card["codes"]], page["until"]


@pytest.mark.parametrize("settings", ["postgresql"], indirect=True)
async def test_a_synchronisation_misses_no_card_whose_transaction_commits_late(
    store: Store, server: Server
) -> None:
    credential = await factories.client(store, permissions=Permission)
    caller = server.client(credential.client_secret)
    _, until = await synchronise(caller, "")
    early_wrote, late_wrote, early_may_end, now = (asyncio.Event() for _ in range(4))
    now.set()
    early = asyncio.create_task(add_card(store, "BEGUN-EARLY", early_wrote, early_may_end))
    await early_wrote.wait()
    await add_card(store, "BEGUN-LATE", late_wrote, now)

    seen, until = await synchronise(caller, until)
    assert seen == []  # the later one is committed, but an earlier one may still come
    early_may_end.set()
    await early
    seen, until = await synchronise(caller, until)
    assert seen == ["BEGUN-EARLY", "BEGUN-LATE"]
    assert await synchronise(caller, until) == ([], until)


async def test_a_synchronisation_sees_nothing_of_a_transaction_under_way_and_all_of_it_after(
    store: Store, server: Server
) -> None:
    credential = await factories.client(store, permissions=Permission)
    caller = server.client(credential.client_secret)
    wrote, may_end = asyncio.Event(), asyncio.Event()
    under_way = asyncio.create_task(add_card(store, "UNDER-WAY", wrote, may_end))
    await wrote.wait()
    seen, until = await synchronise(caller, "")
    assert seen == []
    may_end.set()
    await under_way
    assert (await synchronise(caller, until))[0] == ["UNDER-WAY"]


class GivenUp(Exception):
    pass


@pytest.mark.parametrize(("gives_up", "outcome"), [(False, "CODE_TAKEN"), (True, None)])
async def test_whether_a_code_is_taken_is_up_to_who_took_it_first(
    store: Store, server: Server, gives_up: bool, outcome: str | None
) -> None:
    credential = await factories.client(store, permissions=Permission)
    caller = server.client(credential.client_secret)
    wrote, asked = asyncio.Event(), asyncio.Event()

    async def first() -> None:
        code = NewCode(CodeType.PHYSICAL, "physicalCode", codes.to_store("CONTESTED", "code"))
        async with store.write() as tx:
            await cards.add(tx, NewCard([code], "EUR"))
            wrote.set()
            await asked.wait()
            if gives_up:
                raise GivenUp

    async def second() -> Answer:
        await wrote.wait()
        asked.set()
        return await caller.run(ADD, g={"physicalCode": "CONTESTED"})

    ended, answer = await asyncio.gather(first(), second(), return_exceptions=True)
    assert isinstance(ended, GivenUp) == gives_up
    assert isinstance(answer, Answer)
    assert answer.code == outcome
