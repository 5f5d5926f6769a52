"""Wrong PINs: counted, delayed, locked for a while and for their callers, never for the card."""

import asyncio
from typing import Any

import pytest

from giftgql.permissions import Channel, Permission
from giftgql.store import Store
from tests.client import Client, Server
from tests.conftest import MakeClient, SetClock
from tests.factories import (
    balance,
    card,
    done,
    edit,
    funded,
    member,
    member_token,
    money,
    movements,
    stand,
    trans,
)

CODE, PIN = "GC49288330", "1234"
USE = {"code": CODE, "transType": "USE", "amount": "-0.01"}
QUARTER = 15 * 60
BLIND = (
    Permission.GIFT_CARD_TRANS_USE,
    Permission.CHECK_GIFT_CARD_BALANCE,
    Permission.USE_PHYSICAL_GIFT_CARD_CODES,
)


@pytest.fixture
async def made(admin: Client, clock: SetClock) -> dict[str, Any]:
    return await funded(admin, physicalCode=CODE, physicalPin=PIN)


@pytest.fixture
async def shop(client_with: MakeClient) -> Client:
    """Online; may know which codes there are."""
    return await client_with(role="shop", channel=Channel.ONLINE)


async def use(caller: Client, pin: str | None = PIN, code: str = CODE) -> tuple[str | None, Any]:
    """The error, and how long to wait."""
    answer = await trans(caller, **{**USE, "code": code}, pin=pin)
    facts = answer.errors[0]["extensions"] if answer.errors else {}
    return answer.code, facts.get("retryAfter")


async def lock(caller: Client, clock: SetClock) -> None:
    """Fail five times, with the waits in between."""
    for seconds in (0, 0, 0, 1, 4):
        clock.forward(seconds=seconds)
        assert await use(caller, "4321") == ("SECRET_INVALID", None)


async def test_wrong_tries_are_followed_by_longer_waits_and_then_a_lock(
    shop: Client, made: dict[str, Any], clock: SetClock
) -> None:
    for _ in range(2):
        assert await use(shop, "4321") == ("SECRET_INVALID", None)
    for seconds in (1, 4, QUARTER, 2 * QUARTER):
        assert await use(shop, "4321") == ("SECRET_INVALID", None)
        for pin in ("4321", PIN):  # right or wrong, it is not looked at
            assert await use(shop, pin) == ("SECRET_LOCKED", seconds)
        clock.forward(seconds=seconds, microseconds=-1)
        assert await use(shop) == ("SECRET_LOCKED", 1)
        clock.forward(microseconds=1)
    assert await use(shop) == (None, None)
    assert await use(shop, "4321") == ("SECRET_INVALID", None)
    assert await use(shop) == (None, None)


async def test_a_right_pin_forgets_the_wrong_ones_before_it(
    shop: Client, made: dict[str, Any], clock: SetClock
) -> None:
    for _ in range(4):
        for _ in range(2):
            assert await use(shop, "4321") == ("SECRET_INVALID", None)
        assert await use(shop) == (None, None)
        clock.forward(hours=3)


async def test_a_locked_secret_is_released_by_time(
    shop: Client, made: dict[str, Any], clock: SetClock
) -> None:
    await lock(shop, clock)
    assert await use(shop) == ("SECRET_LOCKED", QUARTER)
    clock.forward(minutes=15)
    assert await use(shop) == (None, None)


async def test_a_locked_secret_is_released_by_staff(
    admin: Client, shop: Client, made: dict[str, Any], clock: SetClock
) -> None:
    await lock(shop, clock)
    assert (await stand(shop, "SecretUnlock", made["id"])).code == "PERMISSION_DENIED"
    other = await card(admin)
    done(await stand(admin, "SecretUnlock", other["id"]))
    assert await use(shop) == ("SECRET_LOCKED", QUARTER)
    unlocked = done(await stand(admin, "SecretUnlock", made["id"], reason="called, was known"))
    assert (unlocked["id"], unlocked["status"]) == (made["id"], "ACTIVATED")
    assert await use(shop) == (None, None)


async def test_use_in_a_store_goes_on_while_online_is_locked(
    admin: Client, till: Client, client_with: MakeClient, made: dict[str, Any], clock: SetClock
) -> None:
    thieves = [await client_with(role="shop", channel=Channel.ONLINE) for _ in range(10)]
    for thief in thieves:
        assert await use(thief, "4321") == ("SECRET_INVALID", None)
    late = await client_with(role="shop", channel=Channel.ONLINE)
    assert await use(late) == ("SECRET_LOCKED", 24 * 3_600)
    assert await use(till, None) == (None, None)
    assert await use(till) == (None, None)
    assert (await money(admin, made["id"]))["status"] == "ACTIVATED"
    done(await stand(admin, "SecretUnlock", made["id"]))
    assert await use(late) == (None, None)


async def test_one_tills_wrong_tries_lock_neither_the_card_nor_another_till(
    till: Client, client_with: MakeClient, made: dict[str, Any], clock: SetClock
) -> None:
    await lock(till, clock)
    assert await use(till) == ("SECRET_LOCKED", QUARTER)
    assert await use(till, None) == (None, None), "no PIN is needed in a store"
    assert await use(await client_with(role="till")) == (None, None)


async def test_money_is_added_and_other_codes_are_used_while_a_secret_is_locked(
    admin: Client, shop: Client, made: dict[str, Any], clock: SetClock
) -> None:
    done(await edit(admin, made["id"], externalCode="EX34802"))
    await lock(shop, clock)
    done(await trans(admin, code=CODE, transType="ADD", amount="1.00"))
    assert await use(shop, None, "EX34802") == (None, None)
    other = await funded(admin, physicalPin=PIN)
    assert await use(shop, PIN, other["codes"][0]["code"]) == (None, None)


async def test_tries_count_however_the_code_is_written(
    shop: Client, made: dict[str, Any], clock: SetClock
) -> None:
    for seconds, code in enumerate(("GC49288330", "gc 4928 8330", "G-C-4-9-2-8-8-3-3-0")):
        clock.forward(seconds=seconds)
        assert await use(shop, "4321", code) == ("SECRET_INVALID", None)
    assert (await use(shop, "4321", "gc49288330"))[0] == "SECRET_LOCKED"


async def test_a_missing_pin_is_no_try_for_who_may_know(shop: Client, made: dict[str, Any]) -> None:
    for _ in range(30):
        assert await use(shop, None) == ("PIN_REQUIRED", None)
    assert await use(shop) == (None, None)


async def test_a_caller_fails_twenty_times_at_once_on_whatever_codes(
    client_with: MakeClient, made: dict[str, Any], clock: SetClock
) -> None:
    blind = await client_with(*BLIND, channel=Channel.ONLINE)
    for number in range(20):
        assert await use(blind, None, f"GC-none-{number}") == ("SECRET_INVALID", None)
    for code in ("GC-none-20", CODE):
        assert await use(blind, PIN, code) == ("RATE_LIMITED", 20)
    assert await use(await client_with(*BLIND, channel=Channel.ONLINE)) == (None, None)
    clock.forward(seconds=20)
    assert await use(blind) == (None, None)


async def test_a_lock_tells_who_may_not_know_nothing(
    client_with: MakeClient, made: dict[str, Any], clock: SetClock
) -> None:
    blind = await client_with(*BLIND, channel=Channel.ONLINE)
    for code in (CODE, "GC-none-1"):
        for _ in range(5):
            assert await use(blind, None, code) == ("SECRET_INVALID", None)
            clock.forward(seconds=4)
        for _ in range(3):
            assert await use(blind, PIN, code) == ("SECRET_INVALID", None)
    clock.forward(minutes=15)
    assert await use(blind) == (None, None)


async def test_refusals_of_secrets_move_and_record_nothing(
    admin: Client, shop: Client, made: dict[str, Any], clock: SetClock
) -> None:
    await lock(shop, clock)
    await use(shop)
    assert (await money(admin, made["id"]))["balance"] == "10.00"
    assert len(await movements(admin)) == 1


async def test_wrong_pins_sent_at_once_are_counted_one_by_one(
    client_with: MakeClient, made: dict[str, Any], clock: SetClock
) -> None:
    shop = await client_with(role="shop", channel=Channel.ONLINE)
    outcomes = await asyncio.gather(*(use(shop, f"{pin:04}") for pin in range(2_000, 2_030)))
    assert {code for code, _ in outcomes} == {"SECRET_INVALID", "SECRET_LOCKED"}
    assert [code for code, _ in outcomes].count("SECRET_INVALID") == 3


async def test_right_pins_sent_at_once_are_all_right(
    admin: Client, shop: Client, made: dict[str, Any]
) -> None:
    outcomes = await asyncio.gather(*(use(shop) for _ in range(10)))
    assert {code for code, _ in outcomes} == {None}
    assert (await money(admin, made["id"]))["balance"] == "9.90"


# The safe check of a balance, for a card's holder.


async def test_a_holder_sees_balance_currency_status_and_last_day(
    admin: Client, shop: Client, clock: SetClock
) -> None:
    await funded(admin, physicalCode=CODE, physicalPin=PIN, expiresOn="2026-12-31", currency="USD")
    assert done(await balance(shop, CODE, pin=PIN)) == {
        "balance": "10.00",
        "currency": "USD",
        "status": "ACTIVATED",
        "expiresOn": "2026-12-31",
    }
    clock.forward(days=60)
    expired = done(await balance(shop, CODE, pin=PIN))
    assert (expired["balance"], expired["status"]) == ("0.00", "EXPIRED")


@pytest.mark.parametrize("channel", list(Channel))
async def test_a_balance_needs_the_pin_on_every_channel_where_the_code_has_one(
    admin: Client, client_with: MakeClient, made: dict[str, Any], channel: Channel
) -> None:
    caller = await client_with(*(set(Permission)), channel=channel)
    for pin in (None, "4321"):
        assert (await balance(caller, CODE, pin=pin)).code == "SECRET_INVALID"
    assert done(await balance(caller, CODE, pin=PIN))["balance"] == "10.00"
    await funded(admin, physicalCode="GC-plain")
    await funded(admin, externalCode="EX34802")
    error = (await balance(caller, "GC-plain")).code
    assert error == ("SECRET_INVALID" if channel is Channel.ONLINE else None)
    assert done(await balance(caller, "EX34802", codeType="EXTERNAL"))["balance"] == "10.00"


async def test_a_balance_check_counts_tries_together_with_payments(
    shop: Client, made: dict[str, Any], clock: SetClock
) -> None:
    for _ in range(2):
        assert (await balance(shop, CODE, pin="4321")).code == "SECRET_INVALID"
    assert await use(shop, "4321") == ("SECRET_INVALID", None)
    assert await use(shop) == ("SECRET_LOCKED", 1)
    answer = await balance(shop, CODE, pin=PIN)
    assert (answer.code, answer.errors[0]["extensions"].get("retryAfter")) == (
        "SECRET_INVALID",
        None,
    )
    clock.forward(seconds=1)
    assert (await balance(shop, CODE, pin=PIN)).code is None


async def test_a_balance_check_needs_its_permission_and_that_of_the_kind(
    admin: Client, client_with: MakeClient, server: Server, made: dict[str, Any]
) -> None:
    others = await client_with(*(set(Permission) - {Permission.CHECK_GIFT_CARD_BALANCE}))
    assert (await balance(others, CODE, pin=PIN)).code == "PERMISSION_DENIED"
    unfit = await client_with(
        Permission.CHECK_GIFT_CARD_BALANCE, Permission.USE_EXTERNAL_GIFT_CARD_CODES
    )
    assert (await balance(unfit, CODE, pin=PIN)).code == "SECRET_INVALID"
    answer = await balance(unfit, CODE, codeType="PHYSICAL", pin=PIN)
    assert answer.code == "PERMISSION_DENIED"
    holder = server.client(await member_token(admin, await member(admin)))
    assert (await balance(holder, CODE, pin=PIN)).code == "PERMISSION_DENIED"
    assert done(await balance(await client_with(role="clerk"), CODE, pin=PIN))


async def test_an_ended_code_has_no_balance(
    admin: Client, shop: Client, store: Store, clock: SetClock
) -> None:
    made = await funded(admin, physicalCode=CODE, physicalPin=PIN, physicalExpiresOn="2026-11-21")
    clock.forward(days=1)
    answer = await balance(shop, CODE, pin=PIN)
    assert (answer.code, answer.field) == ("CODE_EXPIRED", "code")
    assert (await balance(shop, CODE, pin="4321")).code == "SECRET_INVALID"
    done(await edit(admin, made["id"], physicalCode="GC-other"))
    assert (await balance(shop, CODE, pin=PIN)).code == "SECRET_INVALID"
