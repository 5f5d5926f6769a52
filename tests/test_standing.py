"""Block, unblock, disable and extend: what stops a card, what lifts it, and the expiry of funds."""

from datetime import timedelta
from typing import Any

import pytest

from giftgql.audit.models import AuditEvent, Event
from giftgql.ledger import service as ledger
from giftgql.permissions import Permission
from giftgql.settings import Settings
from giftgql.startup import open_store
from giftgql.store import Store
from tests import factories
from tests.client import Client, Server
from tests.conftest import MakeClient, SetClock
from tests.factories import (
    capture,
    card,
    code_of,
    done,
    funded,
    hold,
    money,
    movements,
    spend,
    stand,
    top_up,
    trans,
    transfer,
)

Card = dict[str, Any]
CHANGES = {
    "Block": Permission.BLOCK_GIFT_CARD,
    "Unblock": Permission.BLOCK_GIFT_CARD,
    "Disable": Permission.DISABLE_GIFT_CARD,
    "Extend": Permission.EXTEND_GIFT_CARD,
    "SecretUnlock": Permission.UNLOCK_SECRETS,
}


def more(change: str) -> dict[str, str]:
    return {"validFor": "P6M"} if change == "Extend" else {}


async def sweep(store: Store) -> None:
    """What the server does every minute."""
    async with store.write() as tx:
        await ledger.sweep(tx)


async def trail(store: Store, made: Card) -> list[AuditEvent]:
    async with store.read() as reading:
        return list(await reading.audit.find_by_subject(f"card:{made['id']}"))


async def shown(admin: Client, made: Card) -> tuple[str, str]:
    found = await money(admin, made["id"])
    return found["status"], found["balance"]


async def used(admin: Client, made: Card, amount: str = "-1.00") -> str | None:
    """The error of a use; None if it went well."""
    return (await trans(admin, code=code_of(made), transType="USE", amount=amount)).code


@pytest.mark.parametrize("change", CHANGES)
async def test_each_change_needs_its_permission_and_a_card(
    admin: Client, client_with: MakeClient, change: str
) -> None:
    made = await funded(admin, expiresOn="2999-01-01")
    others = await client_with(*(set(Permission) - {CHANGES[change]}))
    assert (await stand(others, change, made["id"], **more(change))).code == "PERMISSION_DENIED"
    assert await shown(admin, made) == ("ACTIVATED", "10.00")
    one = await client_with(CHANGES[change])
    assert done(await stand(one, change, made["id"], **more(change)))["id"] == made["id"]
    for unknown in ("0", "x", "-1", "999999", str(2**63)):
        answer = await stand(admin, change, unknown, **more(change))
        assert (answer.code, answer.field) == ("NOT_FOUND", "id")


@pytest.mark.parametrize("change", CHANGES)
async def test_each_change_has_a_reason_which_is_kept(
    admin: Client, store: Store, clock: SetClock, change: str
) -> None:
    made = await funded(admin, expiresOn="2027-01-01")
    if change == "Unblock":
        done(await stand(admin, "Block", made["id"]))
    before = len(await trail(store, made))
    for wrong in ("", "x" * 501, "a\x00b", "\x1b[2J"):
        answer = await stand(admin, change, made["id"], reason=wrong, **more(change))
        assert (wrong, answer.code, answer.field) == (wrong, "INVALID_INPUT", "reason")
    assert len(await trail(store, made)) == before
    clock.forward(hours=1)
    done(await stand(admin, change, made["id"], reason="found\nagain 🎁", **more(change)))
    event = (await trail(store, made))[-1]
    names = {"Block": "CARD_BLOCKED", "Unblock": "CARD_UNBLOCKED", "Disable": "CARD_DISABLED"}
    names |= {"Extend": "CARD_EXTENDED", "SecretUnlock": "SECRET_UNLOCKED"}
    assert event.event == names[change]
    assert event.facts["reason"] == "found\nagain 🎁"
    assert event.caller.startswith("client:ggc_")
    assert event.created_at == clock.now


async def test_what_changes_nothing_leaves_no_event(
    admin: Client, store: Store, clock: SetClock
) -> None:
    made = await funded(admin, expiresOn="2999-01-01")
    done(await stand(admin, "Unblock", made["id"]))
    done(await stand(admin, "Extend", made["id"], validFor="P6M"))
    assert [each.event for each in await trail(store, made)] == [Event.CARD_ADDED]
    for change in ("Block", "Disable"):
        for _ in range(3):
            assert done(await stand(admin, change, made["id"]))["id"] == made["id"]
    assert [each.event for each in await trail(store, made)] == [
        *("CARD_ADDED", "CARD_BLOCKED", "CARD_DISABLED")
    ]


async def test_nothing_is_taken_from_or_added_to_a_blocked_card_until_it_is_unblocked(
    admin: Client,
) -> None:
    made = await funded(admin)
    blocked = done(await stand(admin, "Block", made["id"]))
    assert (blocked["status"], blocked["balance"]) == ("BLOCKED", "10.00")
    for kind in ("ADD", "USE", "ADJUST", "EXTERNAL", "IMPORT"):
        amount = "-1.00" if kind == "USE" else "1.00"
        given = {"code": code_of(made), "transType": kind, "amount": amount, "reason": "because"}
        for only in (False, True):
            assert (await trans(admin, **given, authorizeOnly=only)).code == "CARD_BLOCKED"
    assert done(await stand(admin, "Unblock", made["id"]))["status"] == "ACTIVATED"
    assert await used(admin, made) is None


async def test_a_disabled_card_has_ended_for_good(admin: Client, store: Store) -> None:
    made, other = await funded(admin), await funded(admin)
    await spend(admin, made, "-4.00")
    ended = done(await stand(admin, "Disable", made["id"], reason="fraud"))
    assert (ended["status"], ended["balance"]) == ("DISABLED", "0.00")
    assert (ended["lifetimeTotal"], ended["redeemed"], ended["subtracted"]) == (
        *("10.00", "4.00"),
        "6.00",
    )
    last = (await movements(admin, giftcardId=made["id"]))[-1]
    assert (last["transType"], last["amount"], last["reason"]) == ("ADJUST", "-6.00", "fraud")
    for change in ("Block", "Unblock", "Extend"):
        answer = await stand(admin, change, made["id"], **more(change))
        assert (answer.code, answer.field) == ("CARD_DISABLED", "id")
    for kind, amount in (("USE", "-1.00"), ("ADD", "1.00")):
        answer = await trans(admin, code=code_of(made), transType=kind, amount=amount)
        assert answer.code == "CARD_DISABLED"
    assert (await transfer(admin, other["id"], made["id"])).code == "CARD_DISABLED"
    assert await shown(admin, made) == ("DISABLED", "0.00")


async def test_a_blocked_and_an_empty_card_can_be_disabled(admin: Client) -> None:
    blocked, empty = await funded(admin), await card(admin)
    done(await stand(admin, "Block", blocked["id"]))
    for made in (blocked, empty):
        done(await stand(admin, "Disable", made["id"]))
        assert await shown(admin, made) == ("DISABLED", "0.00")
    assert await movements(admin, giftcardId=empty["id"]) == []


# The expiry of funds, with and without a sweep.


@pytest.mark.parametrize("is_swept", [False, True])
async def test_expired_funds_are_gone_whether_or_not_a_sweep_has_come_by(
    admin: Client, store: Store, clock: SetClock, is_swept: bool
) -> None:
    made = await funded(admin, expiresOn="2026-11-30")
    await spend(admin, made, "-4.00")
    await sweep(store)
    assert await shown(admin, made) == ("ACTIVATED", "6.00")
    clock.forward(days=9, hours=12)
    if is_swept:
        await sweep(store)
        await sweep(store)
    assert await shown(admin, made) == ("EXPIRED", "0.00")
    assert await used(admin, made) == "CARD_EXPIRED"
    expired = await movements(admin, transType="EXPIRE")
    assert [each["amount"] for each in expired] == (["-6.00"] if is_swept else [])
    if is_swept:
        assert (expired[0]["caller"], expired[0]["balance"]) == ("server:giftgql", "0.00")
        found = await money(admin, made["id"])
        assert (found["redeemed"], found["subtracted"]) == ("4.00", "6.00")


@pytest.mark.parametrize("is_swept", [False, True])
async def test_an_extension_revives_an_expired_card_with_its_balance(
    admin: Client, store: Store, clock: SetClock, is_swept: bool
) -> None:
    made = await funded(admin, expiresOn="2026-11-30")
    await spend(admin, made, "-4.00")
    clock.forward(days=40)
    if is_swept:
        await sweep(store)
    for number in range(2):
        revived = done(await stand(admin, "Extend", made["id"], validFor=f"P{number + 1}M"))
        assert (revived["status"], revived["balance"]) == ("ACTIVATED", "6.00")
        assert (revived["redeemed"], revived["subtracted"]) == ("4.00", "0.00")
    assert await used(admin, made, "-6.00") is None
    amounts = [each["amount"] for each in await movements(admin, transType="EXPIRE")]
    assert amounts == (["-6.00", "6.00"] if is_swept else [])


async def test_funds_that_expired_twice_come_back_once_each_time(
    admin: Client, store: Store, clock: SetClock
) -> None:
    made = await funded(admin, expiresOn="2026-11-30")
    for _ in range(3):
        clock.forward(days=60)
        await sweep(store)
        assert await shown(admin, made) == ("EXPIRED", "0.00")
        done(await stand(admin, "Extend", made["id"], validFor="P1M"))
        assert await shown(admin, made) == ("ACTIVATED", "10.00")
    assert await used(admin, made, "-10.00") is None
    clock.forward(days=60)
    await sweep(store)
    assert done(await stand(admin, "Extend", made["id"], validFor="P1M"))["status"] == "REDEEMED"


async def test_what_a_hold_releases_after_expiry_expires_and_comes_back_too(
    admin: Client, store: Store, clock: SetClock
) -> None:
    made = await funded(admin, expiresOn="2026-11-21")
    one = await hold(admin, made, "-4.00", authorizeFor="P2D")
    await hold(admin, made, "-3.00", authorizeFor="P2D")
    clock.forward(days=1)
    await sweep(store)
    assert (await money(admin, made["id"]))["subtracted"] == "3.00"
    done(await capture(admin, one["id"], "2.50"))
    await sweep(store)
    assert (await money(admin, made["id"]))["subtracted"] == "4.50"
    clock.forward(days=1)
    await sweep(store)
    assert (await money(admin, made["id"]))["subtracted"] == "7.50"
    revived = done(await stand(admin, "Extend", made["id"], validFor="P1M"))
    assert (revived["balance"], revived["held"], revived["redeemed"]) == ("7.50", "0.00", "2.50")


async def test_expiry_waits_while_a_card_is_blocked(
    admin: Client, store: Store, clock: SetClock
) -> None:
    made = await funded(admin, expiresOn="2026-11-30")
    done(await stand(admin, "Block", made["id"]))
    clock.forward(days=30)
    await sweep(store)
    assert await shown(admin, made) == ("BLOCKED", "10.00")
    assert await movements(admin, transType="EXPIRE") == []
    done(await stand(admin, "Unblock", made["id"]))
    assert await shown(admin, made) == ("EXPIRED", "0.00")
    done(await stand(admin, "Extend", made["id"], validFor="P1M"))
    assert await shown(admin, made) == ("ACTIVATED", "10.00")


async def test_a_blocked_card_that_is_extended_does_not_expire_when_it_is_unblocked(
    admin: Client, store: Store, clock: SetClock
) -> None:
    made = await funded(admin, expiresOn="2026-11-30")
    done(await stand(admin, "Block", made["id"]))
    clock.forward(days=30)
    extended = done(await stand(admin, "Extend", made["id"], validFor="P1M"))
    assert (extended["status"], extended["expiresOn"]) == ("BLOCKED", "2027-01-21")
    assert done(await stand(admin, "Unblock", made["id"]))["balance"] == "10.00"
    assert await used(admin, made) is None


async def test_an_expired_and_swept_card_that_is_blocked_keeps_what_expired(
    admin: Client, store: Store, clock: SetClock
) -> None:
    made = await funded(admin, expiresOn="2026-11-30")
    clock.forward(days=30)
    await sweep(store)
    for change in ("Block", "Unblock"):
        done(await stand(admin, change, made["id"]))
        await sweep(store)
    assert await shown(admin, made) == ("EXPIRED", "0.00")
    done(await stand(admin, "Extend", made["id"], validFor="P1M"))
    assert await shown(admin, made) == ("ACTIVATED", "10.00")


# How far an extension goes.


@pytest.mark.parametrize(
    ("today", "time", "last_day"),
    [
        ("2026-11-21", "P6M", "2027-05-21"),
        ("2026-11-21", "P1Y", "2027-11-21"),
        ("2026-11-21", "P30D", "2026-12-21"),
        ("2026-11-21", "P2W", "2026-12-05"),
        ("2026-11-21", "P1Y2M3D", "2028-01-24"),
        ("2026-11-21", "P100Y", "2126-11-21"),
        ("2026-12-31", "P2M", "2027-02-28"),
        ("2027-08-31", "P6M", "2028-02-29"),
        ("2027-01-31", "P1M", "2027-02-28"),
        ("2028-02-29", "P1Y", "2029-02-28"),
    ],
)
async def test_an_extension_counts_from_its_own_day_and_month_ends_clamp(
    admin: Client, clock: SetClock, today: str, time: str, last_day: str
) -> None:
    made = await card(admin, expiresOn="2026-11-25")
    clock.now = clock.now.fromisoformat(f"{today}T12:00:00+00:00")
    assert done(await stand(admin, "Extend", made["id"], validFor=time))["expiresOn"] == last_day


async def test_an_extension_never_shortens(admin: Client, clock: SetClock) -> None:
    made = await funded(admin, expiresOn="2027-11-21")
    for given in ({"validFor": "P6M"}, {"expiresOn": "2027-11-20"}, {"expiresOn": "2026-11-21"}):
        assert done(await stand(admin, "Extend", made["id"], **given))["expiresOn"] == "2027-11-21"
    for day in ("2027-11-22", "2099-12-31"):
        assert done(await stand(admin, "Extend", made["id"], expiresOn=day))["expiresOn"] == day
    endless = await funded(admin)
    for given in ({"validFor": "P6M"}, {"expiresOn": "2099-12-31"}):
        assert done(await stand(admin, "Extend", endless["id"], **given))["expiresOn"] is None


async def test_an_extension_names_a_day_that_is_not_past_or_a_time(
    admin: Client, clock: SetClock
) -> None:
    made = await funded(admin, expiresOn="2026-11-25")
    answer = await stand(admin, "Extend", made["id"], expiresOn="2026-11-20")
    assert (answer.code, answer.field) == ("PAST_EXPIRATION", "expiresOn")
    both = {"expiresOn": "2027-01-01", "validFor": "P1M"}
    for given in ({}, both, {"expiresOn": None, "validFor": None}):
        assert (await stand(admin, "Extend", made["id"], **given)).code == "INVALID_INPUT"
    for time in ("", "P", "6M", "-P6M", "P101Y", "P0.5M", "x" * 99):
        answer = await stand(admin, "Extend", made["id"], validFor=time)
        assert (time, answer.code, answer.field) == (time, "INVALID_INPUT", "validFor")
    assert (await money(admin, made["id"]))["expiresOn"] == "2026-11-25"


@pytest.mark.parametrize("time", ["P999999999D", "P9999999999Y", "P99999999W"])
async def test_a_time_beyond_the_calendar_is_refused(admin: Client, time: str) -> None:
    made = await funded(admin, expiresOn="2999-01-01")
    assert (await stand(admin, "Extend", made["id"], validFor=time)).code == "INVALID_INPUT"
    given = {"code": code_of(made), "transType": "USE", "amount": "-1.00"}
    answer = await trans(admin, **given, authorizeOnly=True, authorizeFor=time)
    assert (answer.code, answer.field) == ("INVALID_INPUT", "authorizeFor")


async def test_the_last_day_ends_in_the_configured_time_zone(
    settings: Settings, clock: SetClock
) -> None:
    store = await open_store(settings.model_copy(update={"time_zone": "America/New_York"}))
    store.clock = clock
    credential = await factories.client(store, permissions=list(Permission))
    async with Server.over(store) as server:
        caller = server.client(credential.client_secret)
        made = await funded(caller, expiresOn="2026-11-21")
        clock.now += timedelta(hours=17) - timedelta(microseconds=1)
        assert await used(caller, made) is None
        clock.forward(microseconds=1)
        assert await used(caller, made) == "CARD_EXPIRED"
        done(await stand(caller, "Extend", made["id"], validFor="P1D"))
        assert (await money(caller, made["id"]))["expiresOn"] == "2026-11-23"
        clock.forward(days=2, microseconds=-1)
        assert (await top_up(caller, made, "1.00"))["balance"] == "10.00"
    await store.close()
