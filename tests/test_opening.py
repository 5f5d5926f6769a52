"""Accounts that are opened in bulk, with their first movements: all that is written, or nothing."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from giftgql.cards.models import GiftCard
from giftgql.errors import ErrorCode
from giftgql.ledger import service
from giftgql.ledger.models import Account, MovementType
from giftgql.ledger.orders import By, Funds, Move, Opening, movement_ids
from giftgql.reports import service as reports
from giftgql.rows import Write
from giftgql.store import Store, Transaction
from tests.client import Client
from tests.conftest import SetClock
from tests.factories import card, listed, movements

IMPORT, ADD = MovementType.IMPORT, MovementType.ADD
BY = By("server:import", None, "shop 1", None, "cards.csv")
MANY = 1_000


def opening(account_id: int, *moves: Move, blocked: bool = False, **facts: Any) -> Opening:
    return Opening(Funds(account_id, "EUR", **facts), moves, blocked)


def move(account_id: int, amount: int, kind: MovementType = IMPORT, **facts: Any) -> Move:
    return Move(account_id=account_id, by=BY, type=kind, amount=amount, **facts)


def cards(tx: Transaction, openings: Sequence[Opening]) -> Write:
    """The cards of these accounts."""
    rows = [(each.funds.id, each.funds.currency, tx.now) for each in openings]
    return Write(GiftCard, ("id", "currency", "created_at"), rows)


async def account(store: Store, account_id: int) -> Account:
    async with store.read() as reading:
        return (await service.accounts(reading, [account_id]))[account_id]


async def is_clean(store: Store) -> bool:
    async with store.snapshot() as reading:
        return await reports.check(reading) == []


async def test_a_thousand_accounts_are_opened_with_what_they_begin_with(store: Store) -> None:
    openings = [opening(n, move(n, n), opens_with=n) for n in range(1, MANY + 1)]
    async with store.write() as tx:
        outcomes = await service.open_many(tx, openings, cards(tx, openings))
    assert [[each.error for each in of] for of in outcomes] == [[None]] * MANY
    opened = await account(store, MANY)
    assert (opened.posted, opened.lifetime, opened.opens_with) == (MANY, MANY, MANY)
    assert await is_clean(store)


async def test_an_account_is_written_as_if_it_were_opened_alone(
    store: Store, clock: SetClock
) -> None:
    ends = datetime(2027, 11, 22, tzinfo=UTC)
    facts: dict[str, Any] = {"valid_from": clock.now, "valid_until": ends, "validity": "P1Y"}
    facts |= {"opens_with": 500, "most_uses": 3, "whole_only": True}
    many = opening(2, **facts)
    async with store.write() as tx:
        await service.open_account(tx, 1, "EUR", **facts)
        await service.open_many(tx, [many])
    one, other = await account(store, 1), await account(store, 2)
    assert one.changed_in == other.changed_in
    assert one.model_dump(exclude={"id"}) == other.model_dump(exclude={"id"})
    assert asdict(many.funds).items() <= other.model_dump().items()


async def test_of_a_declined_opening_nothing_is_written(store: Store, admin: Client) -> None:
    openings = [
        opening(1, move(1, 500)),
        opening(2, move(2, 500), move(2, 1, ADD), opens_with=501),
        opening(3),
    ]
    async with store.write() as tx:
        outcomes = await service.open_many(tx, openings, cards(tx, openings))
    assert [[each.error for each in of] for of in outcomes] == [
        [None],
        [ErrorCode.INVALID_AMOUNT, ErrorCode.INVALID_AMOUNT],
        [],
    ]
    assert (await listed(admin))["giftcard"]["results"] == []
    assert await movements(admin) == []


async def test_of_several_openings_the_good_ones_are_written(store: Store, admin: Client) -> None:
    openings = [opening(1, move(1, 500)), opening(2, move(2, -1)), opening(3, move(3, 1))]
    async with store.write() as tx:
        found = service.opened(tx, openings)
        assert [each.error for each in found] == [None, ErrorCode.CARD_NOT_ACTIVATED, None]
        good = [each for each in found if each.error is None]
        await service.open_these(tx, good, cards(tx, [openings[0], openings[2]]))
    assert [each["giftcardId"] for each in await movements(admin)] == ["1", "3"]
    assert await is_clean(store)


async def test_an_account_can_be_opened_with_funds_and_blocked(
    store: Store, clock: SetClock
) -> None:
    ends = clock.now + timedelta(days=1)
    openings = [
        opening(1, move(1, 500), blocked=True, valid_until=ends),
        opening(2, move(2, 500), valid_until=ends),
    ]
    async with store.write() as tx:
        await service.open_many(tx, openings, cards(tx, openings))
    stopped, going = await account(store, 1), await account(store, 2)
    assert (stopped.posted, stopped.blocked, stopped.due_at) == (500, True, None)
    assert (going.posted, going.blocked, going.due_at) == (500, False, ends)


async def test_validity_begins_with_the_funds_that_an_account_is_opened_with(
    store: Store, clock: SetClock
) -> None:
    clock.now = datetime(2026, 8, 31, 23, 59, tzinfo=UTC)
    openings = [opening(1, move(1, 500), validity="P6M"), opening(2, validity="P6M")]
    async with store.write() as tx:
        await service.open_many(tx, openings, cards(tx, openings))
    ends = datetime(2027, 3, 1, tzinfo=UTC)
    assert [(await account(store, n)).valid_until for n in (1, 2)] == [ends, None]
    assert [(await account(store, n)).due_at for n in (1, 2)] == [ends, None]


async def test_opened_cards_come_in_the_next_synchronisation(store: Store, admin: Client) -> None:
    await card(admin)
    until = (await listed(admin, since=""))["giftcard"]["until"]
    openings = [opening(n, move(n, 500)) for n in (7, 8)]
    async with store.write() as tx:
        await service.open_many(tx, openings, cards(tx, openings))
    page = (await listed(admin, since=until))["giftcard"]
    assert [each["id"] for each in page["results"]] == ["7", "8"]
    assert [each["balance"] for each in page["results"]] == ["5.00", "5.00"]


async def test_an_account_is_not_opened_twice(store: Store) -> None:
    async with store.write() as tx:
        await service.open_many(tx, [opening(1, move(1, 500))])
    with pytest.raises(Exception, match=r"(?i)unique"):
        async with store.write() as tx:
            await service.open_many(tx, [opening(2), opening(1, move(1, 500))])
    async with store.read() as reading:
        assert set(await service.accounts(reading, [1, 2])) == {1}


async def test_no_more_than_a_thousand_are_opened_at_once(store: Store) -> None:
    async with store.write() as tx:
        with pytest.raises(AssertionError):
            await service.open_many(tx, [opening(n) for n in range(1, MANY + 2)])


def test_ids_that_are_made_together_are_all_different() -> None:
    made = movement_ids(100_000)
    assert len(set(made)) == 100_000
    assert max(made) < 2**63
