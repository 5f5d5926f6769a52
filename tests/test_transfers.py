"""giftcardTransfer: all or a part of what is available, to another card of the same currency."""

import asyncio
from typing import Any

import pytest

from giftgql.permissions import Permission
from tests.client import Client
from tests.conftest import MakeClient, SetClock
from tests.factories import (
    capture,
    card,
    done,
    edit,
    funded,
    hold,
    money,
    movements,
    spend,
    stand,
    transfer,
)

Card = dict[str, Any]


async def balances(admin: Client, *cards: Card) -> list[str]:
    return [(await money(admin, each["id"]))["balance"] for each in cards]


async def test_a_transfer_takes_all_that_is_available_and_is_one_movement_on_each_card(
    admin: Client,
) -> None:
    made, other = await funded(admin, "10.00"), await funded(admin, "1.00")
    facts = {"sourceId": "Desk 1", "refNo": "7", "reason": "a lost card"}
    there = done(await transfer(admin, made["id"], other["id"], **facts))
    assert (there["transType"], there["status"]) == ("TRANSFER", "COMPLETED")
    assert (there["amount"], there["balance"]) == ("-10.00", "0.00")
    assert there["giftcardId"] == made["id"]
    assert {name: there[name] for name in facts} == facts
    [here] = await movements(admin, id=there["relatedId"])
    assert (here["transType"], here["amount"], here["balance"]) == ("TRANSFER", "10.00", "11.00")
    assert (here["giftcardId"], here["relatedId"]) == (other["id"], there["id"])
    assert {name: here[name] for name in facts} == facts
    assert await movements(admin, transType="TRANSFER", giftcardId=made["id"]) == [there]
    lost, found = await money(admin, made["id"]), await money(admin, other["id"])
    assert (lost["status"], lost["redeemed"], lost["subtracted"]) == ("REDEEMED", "0.00", "10.00")
    assert (found["status"], found["lifetimeTotal"]) == ("ACTIVATED", "11.00")


async def test_a_part_is_transferred_and_what_is_held_stays(admin: Client) -> None:
    made, other = await funded(admin, "10.00"), await card(admin)
    held = await hold(admin, made, "-4.00")
    done(await transfer(admin, made["id"], other["id"], amount="2.50"))
    assert await balances(admin, made, other) == ["3.50", "2.50"]
    assert (await money(admin, other["id"]))["status"] == "ACTIVATED"
    answer = await transfer(admin, made["id"], other["id"], amount="3.51")
    assert (answer.code, answer.field) == ("INSUFFICIENT_FUNDS", "amount")
    done(await transfer(admin, made["id"], other["id"]))
    assert await balances(admin, made, other) == ["0.00", "6.00"]
    assert (await transfer(admin, made["id"], other["id"])).code == "INSUFFICIENT_FUNDS"
    assert done(await capture(admin, held["id"]))["balance"] == "0.00"


async def test_the_amount_of_a_transfer_is_positive(admin: Client) -> None:
    made, other = await funded(admin, "10.00"), await funded(admin, "10.00")
    for amount in ("0", "0.00", "-1.00", "1.001", "x", "", "10000000000000.01"):
        answer = await transfer(admin, made["id"], other["id"], amount=amount)
        assert (amount, answer.code, answer.field) == (amount, "INVALID_AMOUNT", "amount")
    assert await balances(admin, made, other) == ["10.00", "10.00"]


async def test_a_transfer_alone_takes_from_a_blocked_card(admin: Client) -> None:
    lost, other = await funded(admin, "10.00"), await card(admin)
    done(await stand(admin, "Block", lost["id"]))
    done(await transfer(admin, lost["id"], other["id"]))
    assert await balances(admin, lost, other) == ["0.00", "10.00"]
    assert (await money(admin, lost["id"]))["status"] == "BLOCKED"
    answer = await transfer(admin, other["id"], lost["id"])
    assert (answer.code, answer.field) == ("CARD_BLOCKED", "toId")
    assert await balances(admin, lost, other) == ["0.00", "10.00"]


async def test_a_blocked_card_does_not_expire_before_its_funds_are_transferred(
    admin: Client, clock: SetClock
) -> None:
    lost, other = await funded(admin, "10.00", expiresOn="2026-11-30"), await card(admin)
    done(await stand(admin, "Block", lost["id"]))
    clock.forward(days=30)
    done(await transfer(admin, lost["id"], other["id"]))
    assert await balances(admin, lost, other) == ["0.00", "10.00"]


@pytest.mark.parametrize(
    ("state", "error"), [("Disable", "CARD_DISABLED"), ("expired", "CARD_EXPIRED")]
)
async def test_no_funds_go_from_or_to_a_card_that_has_ended(
    admin: Client, clock: SetClock, state: str, error: str
) -> None:
    made, other = await funded(admin, "10.00", expiresOn="2026-11-30"), await funded(admin)
    if state == "expired":
        clock.forward(days=30)
    else:
        done(await stand(admin, state, made["id"]))
    answer = await transfer(admin, made["id"], other["id"])
    assert answer.code == error
    answer = await transfer(admin, other["id"], made["id"], amount="1.00")
    assert (answer.code, answer.field) == (error, "toId")
    assert await balances(admin, other) == ["10.00"]
    declined = await movements(admin, status="DECLINED", transType="TRANSFER")
    assert [(each["error"], each["giftcardId"]) for each in declined] == [(error, made["id"])] * 2


async def test_nothing_is_transferred_from_a_card_that_never_had_funds(admin: Client) -> None:
    made, other = await card(admin), await funded(admin)
    for amount in (None, "1.00"):
        answer = await transfer(admin, made["id"], other["id"], amount=amount)
        assert answer.code == "CARD_NOT_ACTIVATED"
    assert await balances(admin, made, other) == ["0.00", "10.00"]


async def test_a_transfer_keeps_to_one_currency(admin: Client) -> None:
    made, other = await funded(admin, "10.00"), await card(admin, currency="USD")
    for amount in (None, "1.00", "99.00", "0"):
        answer = await transfer(admin, made["id"], other["id"], amount=amount)
        assert answer.code == "CURRENCY_MISMATCH"
    assert await balances(admin, made, other) == ["10.00", "0.00"]
    assert await movements(admin, transType="TRANSFER") == []


async def test_a_transfer_is_between_two_cards_that_are_there(admin: Client) -> None:
    made = await funded(admin, "10.00")
    answer = await transfer(admin, made["id"], made["id"])
    assert (answer.code, answer.field) == ("INVALID_INPUT", "toId")
    for unknown in ("0", "999999", "x"):
        answer = await transfer(admin, unknown, made["id"])
        assert (answer.code, answer.field) == ("NOT_FOUND", "id")
        answer = await transfer(admin, made["id"], unknown)
        assert (answer.code, answer.field) == ("NOT_FOUND", "toId")
    assert await balances(admin, made) == ["10.00"]


async def test_no_transfer_takes_a_balance_beyond_the_ceiling(admin: Client) -> None:
    made, full = await funded(admin, "10.00"), await funded(admin, "9999999999995.00")
    answer = await transfer(admin, made["id"], full["id"])
    assert (answer.code, answer.field) == ("INVALID_AMOUNT", "toId")
    assert await balances(admin, made, full) == ["10.00", "9999999999995.00"]
    done(await transfer(admin, made["id"], full["id"], amount="5.00"))
    assert await balances(admin, made, full) == ["5.00", "10000000000000.00"]


async def test_a_transfer_needs_its_permission(admin: Client, client_with: MakeClient) -> None:
    made, other = await funded(admin, "10.00"), await card(admin)
    others = await client_with(*(set(Permission) - {Permission.GIFT_CARD_TRANSFER}))
    assert (await transfer(others, made["id"], other["id"])).code == "PERMISSION_DENIED"
    for role in ("till", "shop", "clerk"):
        caller = await client_with(role=role)
        assert (await transfer(caller, made["id"], other["id"])).code == "PERMISSION_DENIED"
    manager = await client_with(role="manager")
    done(await transfer(manager, made["id"], other["id"]))
    assert await balances(admin, made, other) == ["0.00", "10.00"]


async def test_transferred_funds_are_spent_through_the_other_cards_code(admin: Client) -> None:
    lost, other = await funded(admin, "10.00"), await card(admin)
    done(await edit(admin, lost["id"], externalCode="EX34802", revokePhysicalCode=True))
    done(await transfer(admin, lost["id"], other["id"]))
    assert (await spend(admin, other, "-10.00"))["balance"] == "0.00"


async def test_transfers_in_a_circle_at_once_keep_all_money(admin: Client) -> None:
    cards = [await funded(admin, "10.00") for _ in range(3)]
    pairs = [(one, two) for one in cards for two in cards if one is not two] * 4
    answers = await asyncio.gather(
        *(transfer(admin, one["id"], two["id"], amount="3.00") for one, two in pairs)
    )
    assert {answer.code for answer in answers} <= {None, "INSUFFICIENT_FUNDS"}
    found = [each.partition(".")[0] for each in await balances(admin, *cards)]
    assert sum(map(int, found)) == 30
