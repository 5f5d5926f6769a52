"""When cards can be used, for how long, with what and how often: what stands on their accounts."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from giftgql.ledger import service
from giftgql.ledger.orders import Funds, Opening
from giftgql.permissions import Permission
from giftgql.settings import Settings
from giftgql.startup import open_store
from giftgql.store import Store
from tests import factories
from tests.client import Answer, Client, Server
from tests.conftest import SetClock
from tests.factories import cancel, capture, done, listed, refund, stand, trans
from tests.test_opening import cards, is_clean

FACTS = """id status balance held redeemedCount redemptionLimit faceValue validFrom expiresOn"""


async def card(store: Store, card_id: int = 1, **facts: Any) -> str:
    """A card whose account has these facts; returns its id."""
    openings = [Opening(Funds(card_id, "EUR", **facts))]
    async with store.write() as tx:
        await service.open_many(tx, openings, cards(tx, openings))
    return str(card_id)


async def shown(caller: Client, card_id: str) -> dict[str, Any]:
    query = f"query ($id: ID!) {{ giftcard(id: $id) {{ results {{ {FACTS} }} }} }}"
    [found] = (await caller.run(query, id=card_id))["giftcard"]["results"]
    return dict(found)


async def move(caller: Client, card_id: str, kind: str, amount: str, **facts: Any) -> Answer:
    return await trans(caller, giftcardId=card_id, transType=kind, amount=amount, **facts)


async def add(caller: Client, card_id: str, amount: str, **facts: Any) -> dict[str, Any]:
    return done(await move(caller, card_id, "ADD", amount, **facts))


async def use(caller: Client, card_id: str, amount: str = "-1.00", **facts: Any) -> Answer:
    return await move(caller, card_id, "USE", amount, **facts)


async def test_a_card_shows_what_stands_on_its_account(
    store: Store, admin: Client, clock: SetClock
) -> None:
    begins = datetime(2026, 12, 1, 9, tzinfo=UTC)
    made = await card(store, valid_from=begins, opens_with=2_500, most_uses=3, validity="P1Y")
    assert await shown(admin, made) == {
        **{"id": made, "status": "NOT_ACTIVATED", "balance": "0.00", "held": "0.00"},
        **{"redeemedCount": 0, "redemptionLimit": 3, "faceValue": "25.00"},
        **{"validFrom": "2026-12-01T09:00:00+00:00", "expiresOn": None},
    }
    plain = await shown(admin, await card(store, 2))
    nothing = ("redemptionLimit", "faceValue", "validFrom", "expiresOn")
    assert [plain[name] for name in nothing] == [None] * 4


async def test_a_card_is_not_used_before_it_is_valid(
    store: Store, admin: Client, clock: SetClock
) -> None:
    made = await card(store, valid_from=clock.now + timedelta(hours=1))
    await add(admin, made, "10.00")
    for facts in ({}, {"authorizeOnly": True}, {"idempotencyKey": "k"}, {"idempotencyKey": "k"}):
        answer = await use(admin, made, **facts)
        assert (answer.code, answer.field) == ("CARD_NOT_YET_VALID", None)
        assert answer.errors[0]["message"] == "The card is not valid yet."
    assert done(await move(admin, made, "ADJUST", "-1.00", reason="damaged"))["balance"] == "9.00"
    clock.forward(hours=1)
    assert done(await use(admin, made))["balance"] == "8.00"
    assert (await use(admin, made, idempotencyKey="k")).code == "CARD_NOT_YET_VALID"
    assert await is_clean(store)


@pytest.mark.parametrize(
    ("now", "period", "last_day"),
    [
        (datetime(2026, 8, 31, 12, tzinfo=UTC), "P6M", "2027-02-28"),
        (datetime(2027, 8, 31, 12, tzinfo=UTC), "P6M", "2028-02-29"),
        (datetime(2028, 2, 29, 12, tzinfo=UTC), "P1Y", "2029-02-28"),
        (datetime(2026, 8, 31, 23, 59, 59, tzinfo=UTC), "P1M", "2026-09-30"),
        (datetime(2026, 8, 31, tzinfo=UTC), "P30D", "2026-09-30"),
        (datetime(2026, 8, 31, tzinfo=UTC), "P2W", "2026-09-14"),
    ],
)
async def test_validity_begins_with_the_first_funds_and_ends_with_a_day(
    store: Store, admin: Client, clock: SetClock, now: datetime, period: str, last_day: str
) -> None:
    clock.now = now
    made = await card(store, validity=period)
    clock.forward(seconds=-1)
    assert (await shown(admin, made))["expiresOn"] is None
    clock.forward(seconds=1)
    await add(admin, made, "10.00")
    assert (await shown(admin, made))["expiresOn"] == last_day
    clock.now = datetime.fromisoformat(f"{last_day}T23:59:59+00:00")
    assert done(await use(admin, made))["balance"] == "9.00"
    clock.forward(seconds=1)
    assert (await use(admin, made)).code == "CARD_EXPIRED"
    async with store.write() as tx:
        assert await service.sweep(tx) == 1
    assert await is_clean(store)


async def test_validity_begins_on_the_day_that_it_is_in_the_time_zone(
    settings: Settings, clock: SetClock
) -> None:
    store = await open_store(settings.model_copy(update={"time_zone": "Pacific/Auckland"}))
    store.clock = clock
    credential = await factories.client(store, permissions=list(Permission))
    async with Server.over(store) as server:
        caller = server.client(credential.client_secret)
        clock.now = datetime(2026, 11, 21, 12, tzinfo=UTC)  # 01:00 on the 22nd
        made, other = await card(store, 1, validity="P1D"), await card(store, 2, validity="P2D")
        for each in (made, other):
            await add(caller, each, "10.00")
        assert (await shown(caller, made))["expiresOn"] == "2026-11-23"
        found = [
            [
                each["id"]
                for each in (await listed(caller, expiresBefore=day))["giftcard"]["results"]
            ]
            for day in ("2026-11-23", "2026-11-24", "2026-11-25", "0001-01-01", "9999-12-31")
        ]
        assert found == [[], [made], [made, other], [], [made, other]]
        clock.now = datetime(2026, 11, 23, 11, tzinfo=UTC) - timedelta(microseconds=1)
        assert done(await use(caller, made))["balance"] == "9.00"
        clock.forward(microseconds=1)
        assert (await use(caller, made)).code == "CARD_EXPIRED"
    await store.close()


async def test_a_captured_addition_begins_the_validity_too(
    store: Store, admin: Client, clock: SetClock
) -> None:
    made = await card(store, validity="P1D", opens_with=1_000)
    held = await add(admin, made, "10.00", authorizeOnly=True)
    assert (await shown(admin, made))["expiresOn"] is None
    clock.forward(hours=13)
    assert (await capture(admin, held["id"], "9.99")).code == "INVALID_AMOUNT"
    done(await capture(admin, held["id"]))
    assert (await shown(admin, made))["expiresOn"] == "2026-11-23"


async def test_a_card_is_extended_from_the_end_that_its_funds_gave_it(
    store: Store, admin: Client, clock: SetClock
) -> None:
    made = await card(store, validity="P1D")
    done(await stand(admin, "Extend", made, validFor="P1Y"))
    assert (await shown(admin, made))["expiresOn"] is None
    await add(admin, made, "10.00")
    done(await stand(admin, "Extend", made, validFor="P1Y"))
    assert (await shown(admin, made))["expiresOn"] == "2027-11-21"


async def test_the_first_funds_are_the_face_value(store: Store, admin: Client) -> None:
    made = await card(store, opens_with=2_500)
    for facts in ({}, {"authorizeOnly": True}):
        answer = await move(admin, made, "ADD", "24.99", **facts)
        assert (answer.code, answer.field) == ("INVALID_AMOUNT", "amount")
    assert (await shown(admin, made))["status"] == "NOT_ACTIVATED"
    assert (await add(admin, made, "25.00"))["balance"] == "25.00"
    assert (await add(admin, made, "0.01"))["balance"] == "25.01"
    assert await is_clean(store)


async def test_a_card_is_used_as_often_as_it_may_be(store: Store, admin: Client) -> None:
    made = await card(store, most_uses=2)
    await add(admin, made, "10.00")
    first = done(await use(admin, made))
    held = done(await use(admin, made, authorizeOnly=True))
    assert (await shown(admin, made))["redeemedCount"] == 2
    answer = await use(admin, made)
    assert (answer.code, answer.field) == ("REDEMPTION_LIMIT_REACHED", None)
    assert answer.errors[0]["message"] == "The card has been redeemed as often as it may be."
    done(await cancel(admin, held["id"]))
    assert (await shown(admin, made))["redeemedCount"] == 1
    done(await refund(admin, first["id"], "0.50"))
    assert (await shown(admin, made))["redeemedCount"] == 1
    done(await refund(admin, first["id"], "0.50"))
    assert (await shown(admin, made))["redeemedCount"] == 0
    for _ in range(2):
        done(await use(admin, made))
    assert (await use(admin, made)).code == "REDEMPTION_LIMIT_REACHED"
    assert await is_clean(store)


async def test_a_use_whose_time_is_up_is_not_counted_whether_or_not_it_was_swept(
    store: Store, admin: Client, clock: SetClock
) -> None:
    made = await card(store, most_uses=1)
    await add(admin, made, "10.00")
    done(await use(admin, made, authorizeOnly=True, authorizeFor="PT1M"))
    clock.forward(minutes=1)
    assert (await shown(admin, made))["redeemedCount"] == 0
    done(await use(admin, made))
    assert (await shown(admin, made))["redeemedCount"] == 1
    assert await is_clean(store)


async def test_a_refund_that_is_undone_counts_its_use_again(store: Store, admin: Client) -> None:
    made = await card(store, most_uses=1)
    await add(admin, made, "10.00")
    used = done(await use(admin, made))
    done(await refund(admin, used["id"], idempotencyKey="r"))
    done(await use(admin, made))
    done(await factories.undo(admin, "r"))
    found = await shown(admin, made)
    assert (found["redeemedCount"], found["balance"]) == (2, "8.00")
    assert (await use(admin, made)).code == "REDEMPTION_LIMIT_REACHED"
    assert await is_clean(store)
