"""Who fails too often is refused for a while, whatever is then presented; who is right never is."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import cycle
from typing import Any

import pytest
import structlog
from sqlmodel import select

from giftgql import pins
from giftgql.codes import CodeText
from giftgql.errors import RateLimited, SecretLocked, Unavailable
from giftgql.permissions import Caller, CallerKind, Channel, Permission
from giftgql.startup import open_store
from giftgql.store import Store
from giftgql.tries import failures, gates
from giftgql.tries import service as tries
from giftgql.tries.models import LookedUp, Tries
from giftgql.tries.rates import HOUR
from tests.client import Client
from tests.conftest import MakeClient, RunCommand, SetClock, statements
from tests.factories import balance, find, funded, listed_trans, trans

CODE, PIN, UNKNOWN = "GC49288330", "1234", "GC-none-{}"
SHOP = Caller(CallerKind.CLIENT, "ggc_shop")
TODAY = datetime(2026, 11, 27, tzinfo=UTC)


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Argon2 that takes no time: here it is only counted."""
    monkeypatch.setattr(pins, "MEMORY_KIB", 8)
    monkeypatch.setattr(pins, "ROUNDS", 1)


@pytest.fixture
async def made(admin: Client) -> dict[str, Any]:
    return await funded(admin, physicalCode=CODE, physicalPin=PIN, amount="1000")


@pytest.fixture
async def shop(client_with: MakeClient) -> Client:
    return await client_with(
        Permission.LIST_GIFT_CARD_TRANS,
        Permission.GIFT_CARD_TRANS_ADD,
        role="shop",
        channel=Channel.ONLINE,
    )


def use(caller: Client, code: str = CODE, pin: str | None = PIN, **facts: Any) -> Any:
    return trans(caller, code=code, pin=pin, transType="USE", amount="-0.01", **facts)


async def order(caller: Client, code: str, pin: str = PIN, **facts: Any) -> Any:
    lines = [{"name": "Shoes", "unitPrice": "0.01"}]
    given = {"lines": lines, "giftcards": [{"code": code, "pin": pin}], **facts}
    return await caller.run("mutation ($o: OrderAddInput!) { orderAdd(order: $o) { id } }", o=given)


WAYS: dict[str, Callable[[Client, str], Any]] = {
    "giftcard": find,
    "giftcardTrans": lambda caller, code: listed_trans(caller, code=code),
    "giftcardBalance": lambda caller, code: balance(caller, code, pin=PIN),
    "ADD": lambda caller, code: trans(caller, code=code, transType="ADD", amount="1"),
    "USE": use,
    "orderAdd": order,
}


async def fail(caller: Client, times: int, first: int = 0) -> None:
    for number in range(first, first + times):
        assert (await use(caller, UNKNOWN.format(number))).code == "NOT_FOUND"


def refused_for(answer: Any) -> int | None:
    """The seconds to wait, if the caller is refused."""
    facts = answer.errors[0]["extensions"] if answer.errors else {}
    return facts["retryAfter"] if facts.get("code") == "RATE_LIMITED" else None


@pytest.mark.parametrize("way", WAYS)
async def test_failures_count_by_whichever_way_and_then_all_is_refused_by_every_way(
    shop: Client, client_with: MakeClient, made: dict[str, Any], clock: SetClock, way: str
) -> None:
    for number in range(20):
        answer = await WAYS[way](shop, UNKNOWN.format(number))
        assert refused_for(answer) is None
    for each in WAYS.values():
        for code in (CODE, UNKNOWN.format(20)):
            assert refused_for(await each(shop, code)) == 20
    other = await client_with(role="shop", channel=Channel.ONLINE)
    assert (await use(other)).code is None
    clock.forward(seconds=20)
    assert (await use(shop)).code is None
    assert refused_for(await WAYS[way](shop, UNKNOWN.format(21))) is None
    assert refused_for(await use(shop)) == 20


async def test_wrong_pins_count_as_much_as_unknown_codes(
    admin: Client, shop: Client, clock: SetClock
) -> None:
    for number in range(20):
        await funded(admin, physicalCode=f"GC-known-{number}", physicalPin=PIN)
    for number in range(20):
        assert (await use(shop, f"GC-known-{number}", "4321")).code == "SECRET_INVALID"
    assert refused_for(await use(shop, "GC-known-0")) == 20


async def test_what_is_refused_counts_for_nothing(shop: Client, clock: SetClock) -> None:
    await fail(shop, 20)
    for number in range(50):
        assert refused_for(await use(shop, UNKNOWN.format(number))) == 20
    clock.forward(seconds=20)
    await fail(shop, 1)


async def test_right_pins_in_a_rush_are_all_right(
    admin: Client, shop: Client, client_with: MakeClient
) -> None:
    codes = [f"GC-rush-{number}" for number in range(20)]
    for code in codes:
        await funded(admin, physicalCode=code, physicalPin=PIN)
    till = await client_with(role="till")
    at_once = [use(shop, code) for code in codes * 5]
    at_once += [use(till, code, None) for code in codes * 4] + [find(till, code) for code in codes]
    answers = await asyncio.gather(*at_once)
    assert {answer.code for answer in answers} == {None}


async def test_guesses_at_once_find_out_no_more_than_one_by_one(
    admin: Client, shop: Client, store: Store
) -> None:
    """The right ones come last: by then nothing is answered any more."""
    for number in range(3):
        await funded(admin, physicalCode=f"GC-right-{number}", physicalPin=PIN)
    wrong = [UNKNOWN.format(number) for number in range(150)]
    right = [f"GC-right-{number}" for number in range(3)]
    answers = await asyncio.gather(*(find(shop, code) for code in [*wrong, *right]))
    told = [refused_for(answer) is None for answer in answers]
    assert 20 <= sum(told) <= 21, "one more may have become free meanwhile"
    assert not any(told[-3:])


async def test_guesses_by_several_processes_are_counted_together(store: Store) -> None:
    other = await open_store(store.settings)
    stores = cycle([store, other])

    async def guess(number: int) -> bool:
        code = CodeText(UNKNOWN.format(number))

        async def read() -> None:
            return None

        try:
            await failures.look_up(next(stores), SHOP, code, read)
        except RateLimited:
            return False
        return True

    try:
        told = await asyncio.gather(*(guess(number) for number in range(200)))
        assert 20 <= sum(told) <= 21
        await asyncio.sleep(gates.KNOWN_SECONDS)
        assert not any([await guess(number) for number in range(200, 204)])
    finally:
        await other.close()


async def test_a_block_holds_in_other_processes_and_after_a_restart(
    store: Store, clock: SetClock
) -> None:
    code = CodeText(CODE)
    other = await open_store(store.settings)
    other.clock = clock

    async def right() -> str:
        return "a card"

    try:
        assert await failures.look_up(other, SHOP, code, right) == "a card"
        for _ in range(20):
            await failures.fail(store, SHOP, code, source=None, is_unknown=False)
        await asyncio.sleep(gates.KNOWN_SECONDS)
        for each in (store, other):
            with pytest.raises(RateLimited):
                await failures.look_up(each, SHOP, code, right)
    finally:
        await other.close()
    restarted = await open_store(store.settings)
    restarted.clock = clock
    try:
        with pytest.raises(RateLimited):
            await failures.look_up(restarted, SHOP, code, right)
        clock.forward(seconds=20)
        assert await failures.look_up(restarted, SHOP, code, right) == "a card"
    finally:
        await restarted.close()


async def test_a_till_that_fails_is_refused_alone(
    shop: Client, made: dict[str, Any], store: Store, clock: SetClock
) -> None:
    for number in range(5):
        answer = await use(shop, UNKNOWN.format(number), sourceId="Till 7")
        assert answer.code == "NOT_FOUND"
    for code in (CODE, UNKNOWN.format(5)):
        assert refused_for(await use(shop, code, sourceId="Till 7")) == 144
        assert refused_for(await order(shop, code, sourceId="Till 7")) == 144
    assert (await use(shop, sourceId="Till 8")).code is None
    assert (await use(shop)).code is None
    clock.forward(seconds=144)
    assert (await use(shop, sourceId="Till 7")).code is None
    async with store.read() as reading:
        rows = (await reading.session.exec(select(Tries))).all()
    assert not any("Till" in row.scope or b"Till" in row.subject for row in rows)


async def test_a_member_may_fail_five_times_at_once_and_ten_in_a_day(
    store: Store, clock: SetClock
) -> None:
    holder, failed = Caller(CallerKind.MEMBER, "M1"), 0
    for _ in range(48):
        for _ in range(6):
            try:
                await failures.fail(store, holder, CodeText(CODE), source=None, is_unknown=True)
            except RateLimited:
                break
            failed += 1
        clock.forward(minutes=29, seconds=59)
    assert failed == 9


async def test_a_check_that_could_not_be_made_is_no_try(store: Store, clock: SetClock) -> None:
    async def busy() -> bool:
        raise Unavailable

    for _ in range(30):
        with pytest.raises(Unavailable):
            await failures.check(store, SHOP, CodeText(CODE), busy)
    async with store.read() as reading:
        rows = (await reading.session.exec(select(Tries))).all()
    assert {row.failures for row in rows} == {0}
    for _ in range(3):
        async with store.write(SHOP) as tx:
            await tries.reserve(tx, CODE.encode())
    async with store.write(SHOP) as tx:
        with pytest.raises(SecretLocked):
            await tries.reserve(tx, CODE.encode())


async def test_a_client_that_names_too_many_unknown_codes_is_suspended_for_a_day(
    shop: Client, made: dict[str, Any], clock: SetClock
) -> None:
    with structlog.testing.capture_logs() as lines:
        for number in range(50):
            await fail(shop, 1, first=number)
            clock.forward(seconds=20)
        await fail(shop, 10, first=20)
        assert (await use(shop)).code is None
        assert not [each for each in lines if each["event"] == "client suspended"]
        await fail(shop, 1, first=50)
    [line] = [each for each in lines if each["event"] == "client suspended"]
    assert (line["unknown"], line["failed"], line["looked_up"]) == (51, 61, 62)
    for code in (CODE, UNKNOWN.format(51)):
        assert refused_for(await use(shop, code)) == 24 * 3_600
    clock.forward(hours=24)
    assert (await use(shop)).code is None


async def test_a_client_that_fails_more_than_a_fifth_of_its_look_ups_is_suspended(
    shop: Client, made: dict[str, Any], clock: SetClock
) -> None:
    for _ in range(80):
        assert (await find(shop, CODE))["giftcard"]["results"]
    for _ in range(20):
        await fail(shop, 1)
        clock.forward(seconds=20)
    assert (await find(shop, CODE))["giftcard"]["results"]
    await fail(shop, 1)
    assert refused_for(await find(shop, CODE)) == 24 * 3_600


async def test_staff_see_and_lift_a_suspension(
    shop: Client, made: dict[str, Any], store: Store, command: RunCommand
) -> None:
    store.settings = store.settings.model_copy(update={"max_unknown_codes": 2})
    async with store.read() as reading:
        [client_id] = [c.public_id for c in await reading.clients.page() if c.roles == ["shop"]]
    limits = ("client", "limits", client_id)
    assert f"{client_id} is free;" in (await asyncio.to_thread(command, *limits))[1]
    await fail(shop, 3)
    for number in range(2):
        assert refused_for(await use(shop, sourceId=f"Till {number}"))
    _, said = await asyncio.to_thread(command, *limits)
    assert f"{client_id} is suspended until " in said
    assert "3 look-ups, 3 failed, 3 unknown codes" in said
    assert f"{client_id} is free;" in (await asyncio.to_thread(command, *limits, "--lift"))[1]
    await asyncio.sleep(gates.KNOWN_SECONDS)
    assert (await use(shop)).code is None
    assert (await asyncio.to_thread(command, "client", "limits", "ggc_nobody"))[0] == 1


async def test_what_was_looked_up_is_forgotten_with_the_failures(
    store: Store, clock: SetClock
) -> None:
    await failures.fail(store, SHOP, CodeText(CODE), source="Till 7", is_unknown=True)
    clock.forward(seconds=(tries.KEPT + 2 * HOUR).total_seconds())
    async with store.write() as tx:
        assert await tries.forget_old(tx) == 5
    async with store.read() as reading:
        for model in (Tries, LookedUp):
            assert (await reading.session.exec(select(model))).all() == []


async def test_what_is_right_costs_no_statement_more(
    shop: Client, client_with: MakeClient, made: dict[str, Any], store: Store, monkeypatch: Any
) -> None:
    """A caller's limits are read at the same time as the first code, then not for a while."""
    monkeypatch.setattr(gates, "KNOWN_SECONDS", 60)
    till = await client_with(role="till")
    for way in (find, lambda caller, code: use(caller, code, None)):
        with statements(store) as first:
            assert (await way(till, CODE)).code is None
        with statements(store) as second:
            assert (await way(till, CODE)).code is None
        assert not [each for each in second if "tries" in each]
    assert [each for each in first if "tries" in each] == []


async def test_each_wrong_answer_takes_one_check_of_a_pin(
    admin: Client, client_with: MakeClient, store: Store, clock: SetClock, monkeypatch: Any
) -> None:
    """Counted, since time would tell: whether the code is unknown, has no PIN or another one, or
    is of a type that is not the caller's."""
    await funded(admin, physicalCode=CODE, physicalPin=PIN)
    await funded(admin, physicalCode="GC-plain")
    await funded(admin, externalCode="EX34802")
    blind = await client_with(
        Permission.GIFT_CARD_TRANS_USE,
        Permission.CHECK_GIFT_CARD_BALANCE,
        Permission.CREATE_ORDER,
        Permission.USE_PHYSICAL_GIFT_CARD_CODES,
        channel=Channel.ONLINE,
    )
    checks, matches = list[object](), store.vault._pins.matches

    async def counted(*given: Any) -> bool:
        checks.append(given)
        return await matches(*given)

    monkeypatch.setattr(store.vault._pins, "matches", counted)
    for way in (use, lambda c, code, pin: balance(c, code, pin=pin), order):
        for code in (CODE, "GC-plain", "EX34802", "GC-none"):
            clock.forward(minutes=20)
            before = len(checks)
            answer = await way(blind, code, "4321")
            assert answer.code == "SECRET_INVALID"
            assert len(checks) == before + 1, (way, code)
