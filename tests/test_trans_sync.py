"""giftcardTrans with since and until: each transaction once, an authorisation again at its end."""

from contextlib import AsyncExitStack
from typing import Any

import pytest

from giftgql.ledger import service as ledger
from giftgql.ledger.models import MovementType
from giftgql.ledger.orders import By, Capture, Move
from giftgql.ledger.service import Asked
from giftgql.store import Store, Transaction
from tests.client import Client
from tests.conftest import SetClock, on_postgresql
from tests.factories import (
    cancel,
    capture,
    card,
    code_of,
    done,
    funded,
    hold,
    listed,
    listed_trans,
    member,
    money,
    movements,
    refund,
    spend,
    stand,
    top_up,
    trans,
    transfer,
)

Card = dict[str, Any]


class Copy:
    """A copy of the list, kept in step."""

    def __init__(self, caller: Client, **arguments: Any) -> None:
        self.caller = caller
        self.arguments = arguments
        self.until = ""
        self.rows: dict[str, Card] = {}

    async def news(self, first: int = 100) -> list[Card]:
        """What has come since the last call, page by page."""
        news, has_more = list[Card](), True
        while has_more:
            answer = await listed_trans(
                self.caller, since=self.until, first=first, **self.arguments
            )
            page = answer["giftcardTrans"]
            news += page["results"]
            self.until, has_more = page["until"], page["hasMoreResults"]
            assert self.until
        self.rows |= {row["id"]: row for row in news}
        return news

    async def ids(self, first: int = 100) -> list[str]:
        return [row["id"] for row in await self.news(first)]


@pytest.fixture
async def copy(admin: Client) -> Copy:
    return Copy(admin)


async def sweep(store: Store) -> None:
    async with store.write() as tx:
        await ledger.sweep(tx)


@pytest.mark.parametrize("first", [1, 2, 100])
async def test_a_synchronisation_shows_each_transaction_once(
    admin: Client, copy: Copy, first: int
) -> None:
    made = await card(admin)
    every = [(await top_up(admin, made, "1.00"))["id"] for _ in range(5)]
    assert await copy.ids(first) == every
    until = copy.until
    assert await copy.ids(first) == []
    assert copy.until == until
    new = (await spend(admin, made, "-1.00"))["id"]
    assert await copy.ids(first) == [new]
    copy.until = until
    assert await copy.ids(first) == [new], "a token may be used again"


async def test_a_synchronisation_of_nothing_can_go_on(admin: Client, copy: Copy) -> None:
    assert await copy.ids() == []
    made = await funded(admin)
    assert len(await copy.ids()) == 1
    assert await copy.ids() == []
    await spend(admin, made, "-1.00")
    assert len(await copy.ids()) == 1


@pytest.mark.parametrize("first", [1, 3])
async def test_an_authorisation_comes_again_when_it_has_ended(
    admin: Client, copy: Copy, store: Store, clock: SetClock, first: int
) -> None:
    made = await funded(admin)
    holds = [await hold(admin, made, "-1.00", authorizeFor="PT1M") for _ in range(3)]
    one, two, three = (each["id"] for each in holds)
    assert (await copy.ids(first))[1:] == [one, two, three]
    done(await capture(admin, two, "0.40"))
    assert [(row["id"], row["status"]) for row in await copy.news(first)] == [(two, "COMPLETED")]
    done(await cancel(admin, three))
    assert [(row["id"], row["status"]) for row in await copy.news(first)] == [(three, "CANCELLED")]
    clock.forward(minutes=1)
    await sweep(store)
    assert [(row["id"], row["status"]) for row in await copy.news(first)] == [(one, "CANCELLED")]
    assert await copy.ids(first) == []
    [ended] = await movements(admin, id=one)
    assert copy.rows[one] == ended
    assert (ended["releasedAmount"], ended["caller"]) == ("1.00", holds[0]["caller"])


async def test_an_authorisation_that_ends_between_two_pages_is_not_missed(
    admin: Client, copy: Copy
) -> None:
    made = await funded(admin)
    held = await hold(admin, made, "-1.00")
    await spend(admin, made, "-1.00")
    first = (await listed_trans(admin, since="", first=2))["giftcardTrans"]
    assert first["hasMoreResults"]
    done(await capture(admin, held["id"]))
    copy.until = first["until"]
    news = await copy.news(1)
    assert [row["status"] for row in news] == ["COMPLETED", "COMPLETED"]
    assert news[1]["id"] == held["id"]


async def test_whoever_uses_ended_money_writes_the_end_of_its_hold(
    admin: Client, copy: Copy, clock: SetClock
) -> None:
    made = await funded(admin)
    held = await hold(admin, made, "-10.00", authorizeFor="PT1M")
    await copy.news()
    clock.forward(minutes=1)
    used = await spend(admin, made, "-10.00")
    assert set(await copy.ids()) == {held["id"], used["id"]}


async def test_declines_refunds_transfers_and_expiries_are_shown(
    admin: Client, copy: Copy, store: Store, clock: SetClock
) -> None:
    made, other = await funded(admin, expiresOn="2026-11-30"), await card(admin)
    used = await spend(admin, made, "-4.00")
    await copy.news()
    await trans(admin, code=code_of(made), transType="USE", amount="-99")
    assert [row["status"] for row in await copy.news()] == ["DECLINED"]
    done(await refund(admin, used["id"], "1.00"))
    assert [row["transType"] for row in await copy.news()][-1] == "REFUND"
    done(await transfer(admin, made["id"], other["id"], amount="1.00"))
    assert [row["amount"] for row in await copy.news(1)] in (["-1.00", "1.00"], ["1.00", "-1.00"])
    clock.forward(days=30)
    await sweep(store)
    assert [row["transType"] for row in await copy.news()] == ["EXPIRE"]
    done(await stand(admin, "Extend", made["id"], validFor="P1M"))
    assert [row["amount"] for row in await copy.news()] == ["6.00"]
    done(await stand(admin, "Disable", made["id"]))
    assert [row["transType"] for row in await copy.news()] == ["ADJUST"]


async def test_replays_and_refusals_are_not_shown_again(admin: Client, copy: Copy) -> None:
    made = await funded(admin)
    await spend(admin, made, "-1.00", idempotencyKey="once")
    await copy.news()
    await spend(admin, made, "-1.00", idempotencyKey="once")
    await trans(admin, code="GC-none", transType="USE", amount="-1.00")
    assert await copy.ids() == []


async def test_a_synchronisation_keeps_to_its_filter(admin: Client) -> None:
    anna = await member(admin)
    hers, other = await card(admin, memberId=anna), await card(admin)
    copy = Copy(admin, memberId=anna, transType="ADD", sourceId="Till 7")
    for made in (hers, other):
        await top_up(admin, made, "1.00", sourceId="Till 7")
        await top_up(admin, made, "2.00")
        await spend(admin, made, "-1.00", sourceId="Till 7")
    assert [(row["giftcardId"], row["amount"]) for row in await copy.news(1)] == [
        (hers["id"], "1.00")
    ]
    await top_up(admin, other, "1.00", sourceId="Till 7")
    assert await copy.ids() == []
    await top_up(admin, hers, "3.00", sourceId="Till 7")
    assert [row["amount"] for row in await copy.news()] == ["3.00"]


async def test_a_card_whose_balance_changed_has_been_modified(admin: Client) -> None:
    made, other = await funded(admin), await funded(admin)
    held = await hold(admin, made, "-1.00")

    async def modified(since: str) -> tuple[list[str], str]:
        page = (await listed(admin, since=since))["giftcard"]
        return [each["id"] for each in page["results"]], page["until"]

    _, until = await modified("")
    for change in (
        lambda: top_up(admin, made, "1.00"),
        lambda: spend(admin, made, "-1.00"),
        lambda: hold(admin, made, "-1.00"),
        lambda: capture(admin, held["id"]),
        lambda: stand(admin, "Block", made["id"]),
        lambda: stand(admin, "Unblock", made["id"]),
        lambda: stand(admin, "Disable", made["id"]),
    ):
        await change()
        shown, until = await modified(until)
        assert shown == [made["id"]]
    await money(admin, other["id"])
    assert await modified(until) == ([], until)


async def test_a_token_of_another_list_is_refused(admin: Client, copy: Copy) -> None:
    await funded(admin)
    await copy.news()
    of_cards = (await listed(admin, since=""))["giftcard"]["until"]
    for token in (of_cards, "x", "null", copy.until[:-4], copy.until + "AAAA", "🎁", "\x00"):
        answer = await listed_trans(admin, since=token)
        assert (token, answer.code, answer.field) == (token, "INVALID_INPUT", "since")
    answer = await listed(admin, since=copy.until)
    assert (answer.code, answer.field) == ("INVALID_INPUT", "since")


async def add(tx: Transaction, made: Card) -> str:
    """Add 1.00 to a card in a transaction that stays open; returns the movement's id."""
    by = By("client:a till")
    order = Move(account_id=int(made["id"]), by=by, type=MovementType.ADD, amount=100)
    assert (await ledger.post_one(tx, order)).error is None
    return str(order.id)


@on_postgresql
async def test_two_transactions_that_commit_in_reverse_order_lose_no_row(
    store: Store, admin: Client, copy: Copy
) -> None:
    cards = [await funded(admin) for _ in range(3)]
    held = await hold(admin, cards[2], "-1.00")
    await copy.news()
    async with AsyncExitStack() as late:
        slow = await late.enter_async_context(store.write())
        ids = [await add(slow, cards[0])]
        hold_id = int(held["id"])
        end = Capture(account_id=int(cards[2]["id"]), by=By("client:a till"), movement_id=hold_id)
        await ledger.post(slow, [Asked(end)])
        async with store.write() as quick:
            ids.append(await add(quick, cards[1]))
        ids.append((await top_up(admin, cards[1], "1.00"))["id"])
        assert await copy.ids(1) == [], "none of a transaction before all smaller ones have ended"
        assert len(await movements(admin)) == 6, "without since all that is committed is shown"
    news = await copy.ids(1)
    assert sorted(news) == sorted([*ids, held["id"]])
    assert copy.rows[held["id"]]["status"] == "COMPLETED"
    assert await copy.ids() == []


async def test_a_transaction_that_fails_holds_nothing_back(
    store: Store, admin: Client, copy: Copy
) -> None:
    made = await funded(admin)
    await copy.news()

    async def fail() -> None:
        async with store.write() as tx:
            await add(tx, made)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert await copy.ids() == []
    used = await spend(admin, made, "-10.00")
    assert await copy.ids() == [used["id"]]
    assert (await money(admin, made["id"]))["balance"] == "0.00"
