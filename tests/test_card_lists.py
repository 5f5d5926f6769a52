"""giftcard as a list: pages, filters, synchronisation, and what each look-up needs."""

from typing import Any

import pytest

from giftgql.permissions import Permission
from giftgql.store import Store
from tests.client import Answer, Client
from tests.conftest import MakeClient, SetClock
from tests.factories import card, edit, find, listed, member

LIST, FIND = Permission.LIST_GIFT_CARDS, Permission.FIND_GIFT_CARD_BY_CODE
USE_PHYSICAL = Permission.USE_PHYSICAL_GIFT_CARD_CODES
USE_EXTERNAL = Permission.USE_EXTERNAL_GIFT_CARD_CODES
USE_CRYPTO = Permission.USE_CRYPTO_GIFT_CARD_CODES


def ids(answer: Answer) -> list[str]:
    return [each["id"] for each in answer["giftcard"]["results"]]


async def several(caller: Client, number: int) -> list[str]:
    return [(await card(caller))["id"] for _ in range(number)]


async def synchronised(caller: Client, since: str, **arguments: Any) -> tuple[list[str], str]:
    answer = await listed(caller, since=since, **arguments)
    return ids(answer), answer["giftcard"]["until"]


async def test_cards_are_listed_by_id_in_pages(admin: Client) -> None:
    made = await several(admin, 5)
    for first, skip, has_more in ((2, 0, True), (2, 2, True), (2, 3, False), (5, 0, False)):
        answer = await listed(admin, first=first, skip=skip)
        assert ids(answer) == made[skip : skip + first]
        assert answer["giftcard"]["hasMoreResults"] is has_more
        assert answer["giftcard"]["until"] is None
    answer = await listed(admin)
    assert (ids(answer), answer["giftcard"]["hasMoreResults"]) == (made, False)


async def test_a_page_beyond_the_end_is_empty(admin: Client) -> None:
    for _ in range(2):
        for arguments in ({"skip": 5}, {"skip": 1_000_000, "first": 1_000}):
            answer = (await listed(admin, **arguments))["giftcard"]
            assert answer["results"] == []
            assert (answer["hasMoreResults"], answer["limitedByPermission"]) == (False, False)
        await several(admin, 2)


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"first": 0}, "first"),
        ({"first": -1}, "first"),
        ({"first": 1_001}, "first"),
        ({"skip": -1}, "skip"),
        ({"skip": 1_000_001}, "skip"),
    ],
)
async def test_a_page_has_bounds(admin: Client, arguments: dict[str, int], field: str) -> None:
    answer = await listed(admin, **arguments)
    assert (answer.code, answer.field) == ("INVALID_INPUT", field)
    answer = await listed(admin, since="", **arguments)
    assert (answer.code, answer.field) == ("INVALID_INPUT", field)
    declared, given = f"${field}: Int!", f"{field}: ${field}"
    answer = await admin.run(
        f'query ({declared}) {{ giftcard(code: "GC4928", {given}) {{ hasMoreResults }} }}',
        **arguments,
    )
    assert (answer.code, answer.field) == ("INVALID_INPUT", field)


async def test_a_look_up_by_code_has_pages_too(admin: Client) -> None:
    made = [await card(admin, physicalCode="SAME"), await card(admin, externalCode="SAME")]
    for skip, has_more in ((0, True), (1, False), (2, False)):
        answer = await admin.run(
            'query ($s: Int!) { giftcard(code: "SAME", first: 1, skip: $s) '
            "{ hasMoreResults until results { id } } }",
            s=skip,
        )
        assert ids(answer) == [each["id"] for each in made[skip : skip + 1]]
        assert answer["giftcard"]["hasMoreResults"] is has_more


async def test_cards_are_listed_by_member(admin: Client) -> None:
    anna, ben = await member(admin), await member(admin)
    hers = [(await card(admin, memberId=anna))["id"] for _ in range(3)]
    his = [(await card(admin, memberId=ben))["id"]]
    await several(admin, 2)
    assert ids(await listed(admin, memberId=anna)) == hers
    assert ids(await listed(admin, memberId=ben)) == his
    assert ids(await listed(admin, memberId=anna.lower())) == []
    assert ids(await listed(admin, memberId="C-nobody")) == []
    answer = await listed(admin, memberId=anna, first=2, skip=1)
    assert (ids(answer), answer["giftcard"]["hasMoreResults"]) == (hers[1:], False)
    assert ids(await listed(admin, memberId=anna, id=hers[1])) == [hers[1]]
    assert ids(await listed(admin, memberId=anna, id=his[0])) == []


async def test_cards_are_listed_by_the_end_of_a_live_code(admin: Client) -> None:
    printed = await card(admin, physicalCode="GC-49-28-83-30")
    external = await card(admin, externalCode="ex-348330")
    short = await card(admin, physicalCode="ab12")
    owner = await member(admin)
    personal = await card(admin, addPersonalCode=True, memberId=owner)
    assert ids(await listed(admin, lastFour="8330")) == [printed["id"], external["id"]]
    assert ids(await listed(admin, lastFour="330")) == []
    assert ids(await listed(admin, lastFour="AB12")) == []
    assert ids(await listed(admin, lastFour="12")) == [short["id"]]
    shown = personal["codes"][0]["code"][-4:]
    assert personal["id"] in ids(await listed(admin, lastFour=shown.lower()))
    await edit(admin, printed["id"], revokePhysicalCode=True)
    assert ids(await listed(admin, lastFour="8330")) == [external["id"]]
    for text in ("", "12345", "\n\n\n\n"):
        answer = await listed(admin, lastFour=text)
        assert (answer.code, answer.field) == ("INVALID_INPUT", "lastFour")


async def test_the_end_of_a_code_that_a_caller_may_not_use_finds_nothing(
    admin: Client, client_with: MakeClient
) -> None:
    """Kinds a caller may not use do not exist for it: it cannot try ends of codes either."""
    owner = await member(admin)
    made = await card(admin, addPersonalCode=True, memberId=owner)
    end = made["codes"][0]["code"][-4:]
    blind = await client_with(LIST, USE_PHYSICAL)
    assert ids(await listed(blind)) == [made["id"]]
    assert ids(await listed(blind, lastFour=end)) == []


async def test_cards_are_listed_by_expiry(admin: Client, clock: SetClock) -> None:
    days = ("2026-11-21", "2026-11-22", "2026-12-31", None)
    made = {day: (await card(admin, expiresOn=day))["id"] for day in days}
    every = list(made.values())
    assert ids(await listed(admin, expiresBefore="2026-11-21")) == []
    assert ids(await listed(admin, expiresBefore="2026-11-22")) == every[:1]
    assert ids(await listed(admin, expiresBefore="2027-01-01")) == every[:3]
    assert ids(await listed(admin, expiresBefore="9999-12-31")) == every[:3]
    assert ids(await listed(admin, expiresBefore="0001-01-01")) == []


async def test_cards_are_listed_by_the_status_they_have_today(
    admin: Client, clock: SetClock
) -> None:
    dying = (await card(admin, expiresOn="2026-11-21"))["id"]
    lasting = [(await card(admin, expiresOn="2999-01-01"))["id"], (await card(admin))["id"]]
    assert ids(await listed(admin, status="EXPIRED")) == []
    assert ids(await listed(admin, status="NOT_ACTIVATED")) == [dying, *lasting]
    clock.forward(hours=12)
    assert ids(await listed(admin, status="EXPIRED")) == [dying]
    assert ids(await listed(admin, status="NOT_ACTIVATED")) == lasting
    assert (await listed(admin, id=dying))["giftcard"]["results"][0]["status"] == "EXPIRED"
    for status in ("DISABLED", "BLOCKED", "REDEEMED", "ACTIVATED"):
        assert ids(await listed(admin, status=status)) == []


async def test_a_code_goes_with_no_filter(admin: Client) -> None:
    for more in (
        'id: "1"',
        'memberId: "C1"',
        "status: EXPIRED",
        'lastFour: "1234"',
        'expiresBefore: "2026-01-01"',
        'since: ""',
    ):
        answer = await admin.run(f'{{ giftcard(code: "GC4928", {more}) {{ until }} }}')
        assert (more, answer.code, answer.field) == (more, "INVALID_INPUT", "code")
    answer = await admin.run("{ giftcard(codeType: PHYSICAL) { until } }")
    assert (answer.code, answer.field) == ("INVALID_INPUT", "codeType")


async def test_each_kind_of_look_up_needs_its_own_permissions(
    client_with: MakeClient, admin: Client
) -> None:
    made = await card(admin, physicalCode="GC4928")
    finder = await client_with(FIND, USE_PHYSICAL)
    lister = await client_with(LIST)
    useless = await client_with(FIND)
    neither = await client_with(*(set(Permission) - {FIND, LIST}))
    assert ids(await find(finder, "GC4928")) == ids(await find(finder, "GC4928", "PHYSICAL"))
    assert ids(await find(finder, "GC4928")) == [made["id"]]
    assert ids(await listed(lister, id=made["id"])) == ids(await listed(lister)) == [made["id"]]

    async def needed(caller: Client, by_code: bool, kind: str | None = None) -> str | None:
        answer = await (find(caller, "GC4928", kind) if by_code else listed(caller, id="1"))
        assert answer.code == "PERMISSION_DENIED"
        assert answer.body["data"] == {"giftcard": None}
        return str(answer.errors[0]["extensions"]["permission"])

    assert await needed(finder, False) == "ListGiftCards"
    assert await needed(lister, True) == "FindGiftCardByCode"
    assert await needed(useless, True, "PHYSICAL") == "UsePhysicalGiftCardCodes"
    assert await needed(finder, True, "EXTERNAL") == "UseExternalGiftCardCodes"
    assert await needed(finder, True, "PERSONAL") == "UseCryptoGiftCardCodes"
    assert await needed(finder, True, "DIGITAL") == "UseCryptoGiftCardCodes"
    assert (await find(useless, "GC4928")).code == "PERMISSION_DENIED"
    for by_code in (True, False):
        assert "FindGiftCardByCode" in str(await needed(neither, by_code))


async def test_kinds_a_caller_may_not_use_do_not_exist_for_it(
    client_with: MakeClient, admin: Client
) -> None:
    printed = await card(admin, physicalCode="SAME")
    external = await card(admin, externalCode="SAME")
    for permissions, made in (([USE_PHYSICAL], printed), ([USE_EXTERNAL], external)):
        caller = await client_with(FIND, *permissions)
        answer = await find(caller, "SAME")
        assert ids(answer) == [made["id"]]
        assert answer["giftcard"]["limitedByPermission"] is False
    crypto = await find(await client_with(FIND, USE_CRYPTO), "SAME")
    assert ids(crypto) == []
    assert crypto["giftcard"]["limitedByPermission"] is False


async def test_a_synchronisation_shows_each_card_once_and_edited_ones_again(
    admin: Client, clock: SetClock
) -> None:
    made = await several(admin, 5)
    shown, until = [], ""
    for _ in range(3):
        page, until = await synchronised(admin, until, first=2)
        shown += page
    assert shown == made
    assert await synchronised(admin, until) == ([], until)
    clock.forward(seconds=1)
    await edit(admin, made[3], note="edited")
    await edit(admin, made[0], externalCode="EX34802")
    new = (await card(admin))["id"]
    page, later = await synchronised(admin, until)
    assert page == [made[3], made[0], new]
    assert await synchronised(admin, until) == (page, later)
    assert await synchronised(admin, later) == ([], later)


async def test_an_edit_of_codes_alone_shows_again_whatever_the_clock_says(
    admin: Client, clock: SetClock
) -> None:
    made = await card(admin)
    _, until = await synchronised(admin, "")
    await edit(admin, made["id"], revokePhysicalCode=True)  # at the very instant it was made
    assert (await synchronised(admin, until))[0] == [made["id"]]
    clock.forward(days=-1)
    _, until = await synchronised(admin, "")
    await edit(admin, made["id"], physicalCode="GC4928")
    assert (await synchronised(admin, until))[0] == [made["id"]]


async def test_a_synchronisation_of_nothing_can_go_on(admin: Client) -> None:
    page, until = await synchronised(admin, "")
    assert page == []
    assert until
    assert await synchronised(admin, until) == ([], until)
    made = await several(admin, 1)
    assert (await synchronised(admin, until))[0] == made


async def test_refused_and_repeated_requests_do_not_show_again(
    admin: Client, clock: SetClock
) -> None:
    made = await card(admin, physicalCode="GC4928", idempotencyKey="once")
    _, until = await synchronised(admin, "")
    clock.forward(seconds=1)
    again = await card(admin, physicalCode="GC4928", idempotencyKey="once")
    assert again["id"] == made["id"]
    assert (await edit(admin, made["id"], externalCode="bad\n")).code == "INVALID_INPUT"
    assert (await edit(admin, made["id"], physicalCode="gc4928")).code == "CODE_TAKEN"
    assert await synchronised(admin, until) == ([], until)


async def test_a_synchronisation_keeps_to_its_filter(admin: Client) -> None:
    owner = await member(admin)
    hers = (await card(admin, memberId=owner))["id"]
    other = (await card(admin))["id"]
    page, until = await synchronised(admin, "", memberId=owner)
    assert page == [hers]
    await edit(admin, other, memberId=owner)
    assert (await synchronised(admin, until, memberId=owner))[0] == [other]


async def test_a_token_that_is_none_is_refused(admin: Client, store: Store) -> None:
    await several(admin, 1)
    _, until = await synchronised(admin, "")
    for token in ("x", "null", "W10=", "AAAA", until[:-4], until + "AAAA", "é", "\x00", "{}", "🎁"):
        answer = await listed(admin, since=token)
        assert (token, answer.code, answer.field) == (token, "INVALID_INPUT", "since")


async def test_a_token_of_another_epoch_is_refused(admin: Client, store: Store) -> None:
    await several(admin, 1)
    _, until = await synchronised(admin, "")
    async with store.write() as tx:  # what happens when the data is restored into another cluster
        installation = await tx.installation.get()
        assert installation is not None
        installation.epoch = "restored"
    answer = await listed(admin, since=until)
    assert (answer.code, answer.field) == ("INVALID_INPUT", "since")
    assert len((await synchronised(admin, ""))[0]) == 1


async def test_a_token_of_another_list_is_refused(admin: Client) -> None:
    await several(admin, 1)
    await member(admin)
    _, of_cards = await synchronised(admin, "")
    answer = await admin.run('{ member(since: "") { until } }')
    of_members = answer["member"]["until"]
    answer = await listed(admin, since=of_members)
    assert (answer.code, answer.field) == ("INVALID_INPUT", "since")
    answer = await admin.run("query ($s: String) { member(since: $s) { until } }", s=of_cards)
    assert (answer.code, answer.field) == ("INVALID_INPUT", "since")
