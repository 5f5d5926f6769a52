"""Authorise, capture, cancel, and authorisations that nobody ends."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from giftgql.permissions import Permission
from giftgql.settings import Settings
from giftgql.startup import open_store
from giftgql.store import Store
from tests import factories
from tests.client import Client, Server
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
)

MINUTE = {"authorizeFor": "PT1M"}
MOVES_MONEY = {each for each in Permission if each.value.startswith("GiftCardTrans")}


async def shown(admin: Client, made: dict[str, Any]) -> tuple[str, str]:
    found = await money(admin, made["id"])
    return found["balance"], found["held"]


@pytest.mark.parametrize(
    ("amount", "authorised", "captured"),
    [("-1.00", ("9.00", "1.00"), "9.00"), ("1.00", ("10.00", "0.00"), "11.00")],
    ids=["removing", "adding"],
)
@pytest.mark.parametrize("end", ["capture", "cancel", "time out"])
async def test_an_authorisation_of_1_on_a_card_of_10(
    till: Client,
    admin: Client,
    clock: SetClock,
    amount: str,
    authorised: tuple[str, str],
    captured: str,
    end: str,
) -> None:
    made = await funded(till, "10.00")
    held = await hold(till, made, amount, **MINUTE)
    assert (held["status"], held["amount"], held["balance"]) == (
        *("AUTHORIZED", amount),
        authorised[0],
    )
    assert (held["capturedAmount"], held["releasedAmount"]) == ("0.00", "0.00")
    assert held["authorizedUntil"].startswith("2026-11-21T12:01:00")
    assert await shown(admin, made) == authorised
    if end == "time out":
        clock.forward(minutes=1)
        assert await shown(admin, made) == ("10.00", "0.00")
        return
    ended = done(await (capture if end == "capture" else cancel)(till, held["id"]))
    after = captured if end == "capture" else "10.00"
    assert ended["id"] == held["id"]
    assert ended["status"] == ("COMPLETED" if end == "capture" else "CANCELLED")
    assert (ended["amount"], ended["balance"]) == (amount, after)
    one, none = ("1.00", "0.00") if end == "capture" else ("0.00", "1.00")
    assert (ended["capturedAmount"], ended["releasedAmount"]) == (one, none)
    assert ended["endedAt"].startswith("2026-11-21T12:00:00")
    assert await shown(admin, made) == (after, "0.00")
    assert await movements(admin, id=held["id"]) == [ended]


@pytest.mark.parametrize(("sign", "after"), [("-", "7.50"), ("", "12.50")])
async def test_a_part_is_captured_and_the_rest_released(
    admin: Client, sign: str, after: str
) -> None:
    made = await funded(admin, "10.00")
    held = await hold(admin, made, f"{sign}4.00")
    ended = done(await capture(admin, held["id"], "2.50"))
    assert (ended["amount"], ended["requestedAmount"]) == (f"{sign}2.50", f"{sign}4.00")
    assert (ended["capturedAmount"], ended["releasedAmount"]) == ("2.50", "1.50")
    assert await shown(admin, made) == (after, "0.00")


@pytest.mark.parametrize("sign", ["-", ""])
async def test_no_more_is_captured_than_is_held_and_amounts_are_positive(
    admin: Client, sign: str
) -> None:
    made = await funded(admin, "10.00")
    held = await hold(admin, made, f"{sign}4.00")
    before = await shown(admin, made)
    for amount in ("4.01", "-4.00", "-0.01", "0", "0.00", "1.001", "x", "10000000000000.01"):
        answer = await capture(admin, held["id"], amount)
        assert (amount, answer.code, answer.field) == (amount, "INVALID_AMOUNT", "amount")
    assert await shown(admin, made) == before
    assert done(await capture(admin, held["id"], "4.00"))["releasedAmount"] == "0.00"


async def test_captured_and_cancelled_are_final(admin: Client) -> None:
    made = await funded(admin, "10.00")
    one, two = await hold(admin, made, "-1.00"), await hold(admin, made, "-2.00")
    done(await capture(admin, one["id"], "0.40"))
    done(await cancel(admin, two["id"]))
    for held, error in ((one, "ALREADY_CAPTURED"), (two, "ALREADY_CANCELLED")):
        for end in (capture, cancel):
            answer = await end(admin, held["id"])
            assert (answer.code, answer.field) == (error, "id")
    assert await shown(admin, made) == ("9.60", "0.00")


async def test_what_was_no_authorisation_cannot_be_captured_or_cancelled(admin: Client) -> None:
    made = await funded(admin, "10.00")
    used = await spend(admin, made, "-1.00")
    back = done(await refund(admin, used["id"], "0.50"))
    for each in (used, back):
        for end in (capture, cancel):
            assert (await end(admin, each["id"])).code == "ALREADY_CAPTURED"
    for unknown in ("0", "x", "-1", "999999", str(2**63), made["id"]):
        for end in (capture, cancel, refund):
            answer = await end(admin, unknown)
            assert (answer.code, answer.field) == ("TRANSACTION_NOT_FOUND", "id")
    assert await shown(admin, made) == ("9.50", "0.00")


async def test_many_authorisations_stand_on_one_card(admin: Client, clock: SetClock) -> None:
    made = await funded(admin, "10.00")
    holds = [await hold(admin, made, "-1.00", authorizeFor=f"PT{n + 1}M") for n in range(9)]
    await hold(admin, made, "5.00")
    assert await shown(admin, made) == ("1.00", "9.00")
    answer = await trans(
        admin, code=code_of(made), transType="USE", amount="-1.01", authorizeOnly=True
    )
    assert answer.code == "INSUFFICIENT_FUNDS"
    done(await capture(admin, holds[4]["id"]))
    done(await cancel(admin, holds[8]["id"]))
    assert await shown(admin, made) == ("2.00", "7.00")
    for minutes in (1, 2, 3, 4):
        clock.forward(minutes=1)
        assert await shown(admin, made) == (f"{2 + minutes}.00", f"{7 - minutes}.00")
    clock.forward(minutes=1)
    assert await shown(admin, made) == ("6.00", "3.00"), "the fifth was captured"
    assert done(await capture(admin, holds[7]["id"]))["balance"] == "6.00"


async def test_money_of_an_ended_authorisation_is_used_without_any_background_job(
    admin: Client, clock: SetClock
) -> None:
    made = await funded(admin, "10.00")
    held = await hold(admin, made, "-10.00", **MINUTE)
    use = {"code": code_of(made), "transType": "USE", "amount": "-10.00"}
    assert (await trans(admin, **use)).code == "INSUFFICIENT_FUNDS"
    clock.forward(seconds=59.999999)
    assert (await trans(admin, **use)).code == "INSUFFICIENT_FUNDS"
    clock.forward(microseconds=1)
    assert [each["status"] for each in await movements(admin, id=held["id"])] == ["CANCELLED"]
    assert done(await trans(admin, **use))["balance"] == "0.00"
    [ended] = await movements(admin, id=held["id"])
    assert (ended["status"], ended["releasedAmount"]) == ("CANCELLED", "10.00")
    assert await shown(admin, made) == ("0.00", "0.00")


async def test_an_authorisation_whose_time_is_up_cannot_be_captured(
    admin: Client, clock: SetClock
) -> None:
    made = await funded(admin, "10.00")
    for amount in ("-1.00", "1.00"):
        held = await hold(admin, made, amount, **MINUTE)
        clock.forward(minutes=1)
        assert (await capture(admin, held["id"])).code == "AUTHORIZATION_EXPIRED"
        assert (await cancel(admin, held["id"])).code == "ALREADY_CANCELLED"
        assert (await refund(admin, held["id"])).code == "REFUND_EXCEEDS_CAPTURED"
    assert await shown(admin, made) == ("10.00", "0.00")


async def test_what_timed_out_shows_what_it_released(admin: Client, clock: SetClock) -> None:
    made = await funded(admin, "10.00")
    held = await hold(admin, made, "-3.00", **MINUTE)
    clock.forward(minutes=1)
    [ended] = await movements(admin, id=held["id"])
    assert (ended["status"], ended["capturedAmount"]) == ("CANCELLED", "0.00")
    assert ended["releasedAmount"] == "3.00"


async def test_an_authorisation_times_out_while_the_server_is_stopped(
    settings: Settings, clock: SetClock, store: Store, server: Server
) -> None:
    credential = await factories.client(store, permissions=list(Permission))
    caller = server.client(credential.client_secret)
    made = await funded(caller, "10.00")
    held = await hold(caller, made, "-10.00", **MINUTE)
    clock.forward(minutes=2)
    restarted = await open_store(settings)
    restarted.clock = clock
    async with Server.over(restarted) as later:
        caller = later.client(credential.client_secret)
        assert await shown(caller, made) == ("10.00", "0.00")
        assert (await capture(caller, held["id"])).code == "AUTHORIZATION_EXPIRED"
        assert (await spend(caller, made, "-10.00"))["balance"] == "0.00"
    await restarted.close()


@pytest.mark.parametrize(
    "time", ["PT1S", "PT90S", "PT15M", "PT24H", "P1D", "P1DT12H", "P4W", "P30D", "PT720H"]
)
async def test_an_authorisation_holds_for_the_time_asked(
    admin: Client, clock: SetClock, time: str
) -> None:
    made = await funded(admin, "10.00")
    held = await hold(admin, made, "-1.00", authorizeFor=time)
    seconds = {
        **{"PT1S": 1, "PT90S": 90, "PT15M": 900, "PT24H": 86_400, "P1D": 86_400},
        **{"P1DT12H": 129_600, "P4W": 28 * 86_400, "P30D": 30 * 86_400, "PT720H": 30 * 86_400},
    }[time]
    clock.forward(seconds=seconds, microseconds=-1)
    assert await shown(admin, made) == ("9.00", "1.00")
    clock.forward(microseconds=1)
    assert await shown(admin, made) == ("10.00", "0.00")
    assert (await movements(admin, id=held["id"]))[0]["status"] == "CANCELLED"


NO_TIMES = [
    *("", "1", "60", "PT", "P", "PT0S", "-PT5M", "P30DT1S", "P31D", "PT721H"),
    *("P1M", "P1Y", "P0M", "5 minutes", "PT5", "P1DT", "PT5M\n", "PT1e3S", "x" * 99),
]


async def test_the_time_of_an_authorisation_has_bounds(admin: Client) -> None:
    made = await funded(admin, "10.00")
    given = {"code": code_of(made), "transType": "USE", "amount": "-1.00"}
    for time in NO_TIMES:
        answer = await trans(admin, **given, authorizeOnly=True, authorizeFor=time)
        assert (time, answer.code, answer.field) == (time, "INVALID_INPUT", "authorizeFor")
    for only in ({}, {"authorizeOnly": False}):
        answer = await trans(admin, **given, **only, authorizeFor="PT5M")
        assert (answer.code, answer.field) == ("INVALID_INPUT", "authorizeFor")
    assert await shown(admin, made) == ("10.00", "0.00")


async def test_settings_give_the_default_and_the_longest_time(
    settings: Settings, clock: SetClock
) -> None:
    other = settings.model_copy(update={"authorize_seconds": 600, "max_authorize_days": 2})
    store = await open_store(other)
    store.clock = clock
    credential = await factories.client(store, permissions=list(Permission))
    async with Server.over(store) as server:
        caller = server.client(credential.client_secret)
        made = await funded(caller, "10.00")
        for more, until in (({}, "21T12:10"), ({"authorizeFor": "P2D"}, "23T12:00")):
            held = await hold(caller, made, "-1.00", **more)
            assert held["authorizedUntil"].startswith(f"2026-11-{until}:00")
        given = {"code": code_of(made), "transType": "USE", "amount": "-1.00"}
        answer = await trans(caller, **given, authorizeOnly=True, authorizeFor="P2DT1S")
        assert answer.code == "INVALID_INPUT"
    await store.close()


async def test_only_who_authorised_or_lists_transactions_may_end_it(
    admin: Client, till: Client, client_with: MakeClient
) -> None:
    made = await funded(admin, "10.00")
    other, manager = await client_with(role="till"), await client_with(role="manager")
    for end in (capture, cancel):
        held = await hold(till, made, "-1.00")
        answer = await end(other, held["id"])
        assert (answer.code, answer.field) == ("TRANSACTION_NOT_FOUND", "id")
        assert done(await end(manager, held["id"]))["id"] == held["id"]
        held = await hold(till, made, "-1.00")
        done(await end(till, held["id"]))
    assert await shown(admin, made) == ("8.00", "0.00")
    nobody = await client_with(*(set(Permission) - MOVES_MONEY))
    held = await hold(till, made, "-1.00")
    for end in (capture, cancel):
        assert (await end(nobody, held["id"])).code == "PERMISSION_DENIED"


async def test_an_authorisation_on_a_card_blocked_since_is_not_captured_but_cancelled(
    admin: Client,
) -> None:
    made = await funded(admin, "10.00")
    for amount in ("-1.00", "1.00"):
        held = await hold(admin, made, amount)
        done(await stand(admin, "Block", made["id"]))
        assert (await capture(admin, held["id"])).code == "CARD_BLOCKED"
        assert done(await cancel(admin, held["id"]))["status"] == "CANCELLED"
        done(await stand(admin, "Unblock", made["id"]))
    held = await hold(admin, made, "-1.00")
    done(await stand(admin, "Block", made["id"]))
    assert (await capture(admin, held["id"])).code == "CARD_BLOCKED"
    done(await stand(admin, "Unblock", made["id"]))
    assert done(await capture(admin, held["id"]))["balance"] == "9.00"


async def test_an_authorisation_outlives_the_expiry_of_the_card(
    admin: Client, clock: SetClock
) -> None:
    made = await funded(admin, "10.00", expiresOn="2026-11-21")
    one = await hold(admin, made, "-4.00", authorizeFor="P2D")
    two = await hold(admin, made, "-2.00", authorizeFor="P2D")
    clock.forward(hours=12)
    assert await shown(admin, made) == ("0.00", "6.00")
    ended = done(await capture(admin, one["id"], "3.00"))
    assert (ended["capturedAmount"], ended["releasedAmount"]) == ("3.00", "1.00")
    assert ended["balance"] == "0.00", "what is released after expiry is not there again"
    assert done(await cancel(admin, two["id"]))["balance"] == "0.00"
    found = await money(admin, made["id"])
    assert (found["status"], found["redeemed"], found["balance"]) == ("EXPIRED", "3.00", "0.00")


async def test_an_authorisation_outlives_the_end_of_its_code(
    admin: Client, clock: SetClock
) -> None:
    made = await funded(admin, "10.00", physicalExpiresOn="2026-11-21")
    holds = [await hold(admin, made, "-1.00", authorizeFor="P2D") for _ in range(3)]
    done(await edit(admin, made["id"], physicalCode="GC-other"))
    assert done(await capture(admin, holds[0]["id"]))["balance"] == "7.00"
    done(await edit(admin, made["id"], externalCode="EX34802", revokePhysicalCode=True))
    assert done(await capture(admin, holds[1]["id"]))["balance"] == "7.00"
    clock.forward(days=1)
    assert done(await capture(admin, holds[2]["id"]))["balance"] == "7.00"


async def test_disabling_a_card_cancels_its_authorisations(admin: Client) -> None:
    made = await funded(admin, "10.00")
    holds = [await hold(admin, made, amount) for amount in ("-4.00", "-1.00", "2.00")]
    done(await stand(admin, "Disable", made["id"]))
    assert await shown(admin, made) == ("0.00", "0.00")
    for held in holds:
        [ended] = await movements(admin, id=held["id"])
        assert (ended["status"], ended["releasedAmount"]) == (
            *("CANCELLED",),
            held["amount"].lstrip("-"),
        )
        assert (await capture(admin, held["id"])).code == "ALREADY_CANCELLED"
    found = await money(admin, made["id"])
    assert (found["redeemed"], found["subtracted"]) == ("0.00", "10.00")


async def test_of_many_who_end_one_authorisation_at_once_one_does(admin: Client) -> None:
    made = await funded(admin, "10.00")
    for _ in range(3):
        before = (await money(admin, made["id"]))["balance"]
        held = await hold(admin, made, "-1.00")
        answers = await asyncio.gather(
            *(end(admin, held["id"]) for end in (capture, cancel) * 5),
        )
        won = [answer for answer in answers if answer.code is None]
        assert len(won) == 1
        after = done(won[0])["balance"]
        assert (await shown(admin, made)) == (after, "0.00")
        assert Decimal(before) - Decimal(after) in (0, 1)
    assert len({each["id"] for each in await movements(admin, status="AUTHORIZED")}) == 0


async def test_an_added_amount_is_not_there_before_it_is_captured(admin: Client) -> None:
    made = await card(admin)
    held = await hold(admin, made, "5.00")
    answer = await trans(admin, code=code_of(made), transType="USE", amount="-1.00")
    assert answer.code == "CARD_NOT_ACTIVATED"
    done(await capture(admin, held["id"], "3.00"))
    assert (await spend(admin, made, "-3.00"))["balance"] == "0.00"
    assert (await top_up(admin, made, "1.00"))["balance"] == "1.00"
