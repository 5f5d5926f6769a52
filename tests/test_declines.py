"""What the rules of money decline is recorded and counts for nothing; and what stops a card."""

from typing import Any

import pytest

from giftgql.permissions import Channel, Permission
from tests.client import Client
from tests.conftest import MakeClient, SetClock
from tests.factories import (
    cancel,
    capture,
    card,
    code_of,
    done,
    edit,
    funded,
    hold,
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


async def a_card(admin: Client, clock: SetClock, state: str) -> Card:
    """A card of 10, or what has become of it."""
    if state == "NOT_ACTIVATED":
        return await card(admin)
    made = await funded(admin, "10.00", expiresOn="2026-12-31")
    if state == "REDEEMED":
        await spend(admin, made, "-10.00")
    elif state == "EXPIRED":
        clock.forward(days=41)
    elif state != "ACTIVATED":
        done(await stand(admin, state, made["id"]))
    return made


DECLINES = [
    ("ACTIVATED", "USE", "-10.01", "INSUFFICIENT_FUNDS"),
    ("ACTIVATED", "USE", "0", "INVALID_AMOUNT"),
    ("ACTIVATED", "USE", "1.00", "INVALID_AMOUNT"),
    ("ACTIVATED", "ADD", "-1.00", "INVALID_AMOUNT"),
    ("NOT_ACTIVATED", "USE", "-1.00", "CARD_NOT_ACTIVATED"),
    ("NOT_ACTIVATED", "IMPORT", "-1.00", "CARD_NOT_ACTIVATED"),
    ("REDEEMED", "USE", "-0.01", "INSUFFICIENT_FUNDS"),
    *(
        (state, kind, amount, error)
        for state, error in (
            ("Block", "CARD_BLOCKED"),
            ("Disable", "CARD_DISABLED"),
            ("EXPIRED", "CARD_EXPIRED"),
        )
        for kind, amount in (("USE", "-1.00"), ("ADD", "1.00"), ("ADJUST", "-1.00"))
    ),
]


@pytest.mark.parametrize(("state", "kind", "amount", "error"), DECLINES)
async def test_what_is_declined_is_recorded_with_its_error_and_moves_nothing(
    admin: Client, clock: SetClock, state: str, kind: str, amount: str, error: str
) -> None:
    made = await a_card(admin, clock, state)
    before, recorded = await money(admin, made["id"]), await movements(admin)
    for only in (False, True):
        facts = {"sourceId": "Till 7", "refNo": "R-1", "reason": "because", "authorizeOnly": only}
        answer = await trans(admin, code=code_of(made), transType=kind, amount=amount, **facts)
        assert answer.code == error
        assert answer.body["data"] == {"giftcardTransAdd": None}
        [declined] = (await movements(admin))[len(recorded) :]
        recorded.append(declined)
        assert answer.errors[0]["extensions"]["transactionId"] == declined["id"]
        exact = amount if "." in amount else f"{amount}.00"
        assert (declined["status"], declined["error"]) == ("DECLINED", error)
        assert (declined["transType"], declined["amount"]) == (kind, exact)
        assert (declined["balance"], declined["capturedAmount"]) == (before["balance"], "0.00")
        assert (declined["sourceId"], declined["refNo"]) == ("Till 7", "R-1")
        assert (declined["reason"], declined["authorizedUntil"]) == ("because", None)
    assert await money(admin, made["id"]) == before
    assert await movements(admin, status="DECLINED", giftcardId=made["id"]) == recorded[-2:]


async def test_a_declined_end_of_an_authorisation_is_recorded_too(admin: Client) -> None:
    made = await funded(admin, "10.00")
    held = await hold(admin, made, "-4.00")
    answer = await capture(admin, held["id"], "4.01")
    assert (answer.code, answer.field) == ("INVALID_AMOUNT", "amount")
    [declined] = await movements(admin, status="DECLINED")
    assert (declined["error"], declined["relatedId"]) == ("INVALID_AMOUNT", held["id"])
    assert (declined["transType"], declined["amount"]) == ("USE", "-4.01")
    assert done(await capture(admin, held["id"]))["balance"] == "6.00"
    assert (await cancel(admin, held["id"])).code == "ALREADY_CAPTURED"
    assert (await refund(admin, held["id"], "4.01")).code == "REFUND_EXCEEDS_CAPTURED"
    errors = [each["error"] for each in await movements(admin, status="DECLINED")]
    assert errors == ["INVALID_AMOUNT", "ALREADY_CAPTURED", "REFUND_EXCEEDS_CAPTURED"]
    assert (await money(admin, made["id"]))["balance"] == "6.00"


async def test_what_is_declined_cannot_be_captured_cancelled_or_refunded(admin: Client) -> None:
    made = await funded(admin)
    await trans(admin, code=code_of(made), transType="USE", amount="-11", authorizeOnly=True)
    [declined] = await movements(admin, status="DECLINED")
    for end in (capture, cancel, refund):
        answer = await end(admin, declined["id"])
        assert answer.code is not None
        assert answer.code not in ("INTERNAL", "UNAVAILABLE")
    assert (await money(admin, made["id"]))["balance"] == "10.00"


async def test_refusals_before_the_rules_of_money_are_not_recorded(
    admin: Client, client_with: MakeClient
) -> None:
    made = await funded(admin, physicalCode="GC4928", physicalPin="1234")
    move: Card = {"code": "GC4928", "transType": "USE", "amount": "-1.00"}
    shop = await client_with(role="shop", channel=Channel.ONLINE)
    blind = await client_with(Permission.GIFT_CARD_TRANS_USE)
    for caller, facts, error in (
        (admin, {"currency": "USD"}, "CURRENCY_MISMATCH"),
        (admin, {"refNo": ""}, "INVALID_INPUT"),
        (admin, {"code": "GC4929"}, "NOT_FOUND"),
        (admin, {"pin": "4321"}, "SECRET_INVALID"),
        (shop, {}, "PIN_REQUIRED"),
        (shop, {"transType": "ADD", "amount": "1.00"}, "PERMISSION_DENIED"),
        (blind, {}, "PERMISSION_DENIED"),
    ):
        assert (await trans(caller, **{**move, **facts})).code == error
    assert len(await movements(admin)) == 1
    assert (await money(admin, made["id"]))["balance"] == "10.00"


async def test_the_first_funds_activate_a_card_and_spending_all_redeems_it(admin: Client) -> None:
    made = await card(admin)

    async def shown() -> tuple[str, ...]:
        found = await money(admin, made["id"])
        return tuple(found[name] for name in ("status", "lifetimeTotal", "redeemed", "subtracted"))

    assert await shown() == ("NOT_ACTIVATED", "0.00", "0.00", "0.00")
    added = await hold(admin, made, "5.00")
    assert (await shown())[0] == "NOT_ACTIVATED"
    done(await capture(admin, added["id"]))
    assert await shown() == ("ACTIVATED", "5.00", "0.00", "0.00")
    await spend(admin, made, "-5.00")
    assert await shown() == ("REDEEMED", "5.00", "5.00", "0.00")
    await top_up(admin, made, "2.00")
    assert await shown() == ("ACTIVATED", "7.00", "5.00", "0.00")
    held = await hold(admin, made, "-2.00")
    assert (await shown())[0] == "ACTIVATED"  # it is reserved, not spent
    done(await cancel(admin, held["id"]))
    adjust = {"code": code_of(made), "transType": "ADJUST", "reason": "a till's mistake"}
    done(await trans(admin, **adjust, amount="-2.00"))
    assert await shown() == ("REDEEMED", "7.00", "5.00", "2.00")


@pytest.mark.parametrize("kind", ["ADJUST", "EXTERNAL", "IMPORT"])
async def test_funds_of_any_type_activate_a_card(admin: Client, kind: str) -> None:
    made = await card(admin)
    facts = {"code": code_of(made), "transType": kind, "amount": "5.00", "reason": "because"}
    done(await trans(admin, **facts))
    found = await money(admin, made["id"])
    assert (found["status"], found["lifetimeTotal"]) == ("ACTIVATED", "5.00")


async def test_of_several_states_the_first_is_shown_and_refused_with(
    admin: Client, clock: SetClock
) -> None:
    made = await funded(admin, expiresOn="2026-11-30")

    async def shown() -> tuple[str, str | None]:
        answer = await trans(admin, code=code_of(made), transType="USE", amount="-99.00")
        return (await money(admin, made["id"]))["status"], answer.code

    assert await shown() == ("ACTIVATED", "INSUFFICIENT_FUNDS")
    clock.forward(days=30)
    assert await shown() == ("EXPIRED", "CARD_EXPIRED")
    done(await stand(admin, "Block", made["id"]))
    assert await shown() == ("BLOCKED", "CARD_BLOCKED")
    other = await funded(admin)
    done(await stand(admin, "Disable", made["id"]))
    assert await shown() == ("DISABLED", "CARD_DISABLED")
    answer = await transfer(admin, made["id"], other["id"])
    assert answer.code == "CARD_DISABLED"


async def test_a_card_can_be_used_until_the_end_of_its_last_day(
    admin: Client, clock: SetClock
) -> None:
    made = await funded(admin, expiresOn="2026-11-21")
    clock.forward(hours=11, minutes=59, seconds=59.999999)
    await spend(admin, made, "-1.00")
    clock.forward(microseconds=1)
    answer = await trans(admin, code=code_of(made), transType="USE", amount="-1.00")
    assert answer.code == "CARD_EXPIRED"
    found = await money(admin, made["id"])
    assert (found["status"], found["balance"]) == ("EXPIRED", "0.00")


async def test_the_end_of_a_code_is_not_the_end_of_the_funds(
    admin: Client, clock: SetClock
) -> None:
    made = await funded(admin, physicalCode="GC4928", physicalExpiresOn="2026-11-21")
    done(await edit(admin, made["id"], externalCode="EX34802"))
    use: Card = {"transType": "USE", "amount": "-1.00"}
    clock.forward(hours=11, minutes=59, seconds=59)
    assert done(await trans(admin, code="GC4928", **use))["balance"] == "9.00"
    clock.forward(seconds=1)
    for kind, amount in (("USE", "-1.00"), ("ADD", "1.00")):
        answer = await trans(admin, code="GC4928", transType=kind, amount=amount)
        assert (answer.code, answer.field) == ("CODE_EXPIRED", "code")
    assert [each["error"] for each in await movements(admin, status="DECLINED")] == [
        "CODE_EXPIRED"
    ] * 2
    assert done(await trans(admin, code="EX34802", **use))["balance"] == "8.00"
