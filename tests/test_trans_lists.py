"""giftcardTrans: every filter, pages, and what each look-up needs."""

from typing import Any

import pytest

from giftgql.permissions import Permission
from tests.client import Answer, Client, Server
from tests.conftest import MakeClient, SetClock
from tests.factories import (
    TRANS,
    cancel,
    capture,
    card,
    code_of,
    done,
    edit,
    funded,
    hold,
    listed_trans,
    member,
    member_token,
    movements,
    refund,
    spend,
    stand,
    top_up,
    trans,
    transfer,
)

Card = dict[str, Any]
LIST_TRANS = Permission.LIST_GIFT_CARD_TRANS
USE_PHYSICAL = Permission.USE_PHYSICAL_GIFT_CARD_CODES


def ids(answer: Answer) -> list[str]:
    return [each["id"] for each in answer["giftcardTrans"]["results"]]


async def found(caller: Client, **arguments: Any) -> list[str]:
    return ids(await listed_trans(caller, **arguments))


async def test_transactions_are_listed_by_id_in_pages(admin: Client) -> None:
    made = await card(admin)
    every = [(await top_up(admin, made, "1.00"))["id"] for _ in range(5)]
    assert sorted(every, key=int) == every
    for first, skip, has_more in ((2, 0, True), (2, 2, True), (2, 3, False), (5, 0, False)):
        answer = await listed_trans(admin, first=first, skip=skip)
        assert ids(answer) == every[skip : skip + first]
        assert answer["giftcardTrans"]["hasMoreResults"] is has_more
        assert answer["giftcardTrans"]["until"] is None
        assert answer["giftcardTrans"]["limitedByPermission"] is False
    assert await found(admin) == every
    assert await found(admin, skip=1_000_000) == []


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
    made = await card(admin)
    for more in ({}, {"since": ""}):
        answer = await listed_trans(admin, **arguments, **more)
        assert (answer.code, answer.field) == ("INVALID_INPUT", field)
    answer = await admin.run(
        f"query ($i: ID!, ${field}: Int!) {{ giftcard(id: $i) {{ results {{ "
        f"transactions({field}: ${field}) {{ until }} }} }} }}",
        i=made["id"],
        **arguments,
    )
    assert (answer.code, answer.field) == ("INVALID_INPUT", field)


async def test_transactions_are_found_by_id(admin: Client) -> None:
    made = await funded(admin)
    used = await spend(admin, made, "-1.00")
    assert await found(admin, id=used["id"]) == [used["id"]]
    for unknown in ("0", "1", "x", "-1", str(2**63), str(2**70), "1.0", "１"):  # noqa: RUF001
        assert await found(admin, id=unknown) == []


async def test_transactions_are_found_by_card_and_by_code(admin: Client) -> None:
    made, other = await card(admin, externalCode="EX34802"), await funded(admin)
    mine = [(await top_up(admin, made, "1.00"))["id"] for _ in range(2)]
    assert await found(admin, giftcardId=made["id"]) == mine
    assert await found(admin, giftcardId="x") == []
    assert await found(admin, code="ex 34802") == mine
    assert await found(admin, code="EX34802", codeType="EXTERNAL") == mine
    assert await found(admin, code="EX34802", codeType="PHYSICAL") == []
    assert await found(admin, code="EX-none") == []
    assert await found(admin, code="EX34802", giftcardId=made["id"]) == mine
    assert await found(admin, code="EX34802", giftcardId=other["id"]) == []
    done(await edit(admin, made["id"], externalCode="EX34803"))
    assert await found(admin, code="EX34803") == mine, "also those made by another code"
    assert await found(admin, code="EX34802") == []
    answer = await listed_trans(admin, codeType="EXTERNAL")
    assert (answer.code, answer.field) == ("INVALID_INPUT", "codeType")
    answer = await listed_trans(admin, code="x")
    assert (answer.code, answer.field) == ("INVALID_INPUT", "code")


async def test_a_code_of_two_types_finds_the_transactions_of_both_cards(admin: Client) -> None:
    cards = [await card(admin, physicalCode="SAME"), await card(admin, externalCode="SAME")]
    both = []
    for made in cards:
        given = {"giftcardId": made["id"], "transType": "ADD", "amount": "1.00"}
        both.append(done(await trans(admin, **given))["id"])
    assert await found(admin, code="SAME") == both
    assert await found(admin, code="SAME", codeType="EXTERNAL") == both[1:]


async def test_transactions_are_found_by_member(admin: Client) -> None:
    anna, ben = await member(admin), await member(admin)
    cards = [await card(admin, memberId=anna) for _ in range(2)]
    hers = [(await top_up(admin, made, "1.00"))["id"] for made in cards]
    await funded(admin, memberId=ben)
    await funded(admin)
    assert await found(admin, memberId=anna) == hers
    assert await found(admin, memberId=anna, giftcardId=cards[1]["id"]) == hers[1:]
    assert await found(admin, memberId=anna.lower()) == []
    assert await found(admin, memberId="C-nobody") == []


async def one_of_each(admin: Client, made: Card) -> dict[str, list[str]]:
    """Transactions of every status and type, by either."""
    by: dict[str, list[str]] = {}

    def note(record: Card, *names: str) -> None:
        for name in names:
            by.setdefault(name, []).append(record["id"])

    note((await movements(admin, giftcardId=made["id"]))[0], "COMPLETED", "ADD")
    used = await spend(admin, made, "-1.00")
    note(used, "COMPLETED", "USE")
    note(await hold(admin, made, "-1.00", authorizeFor="P2D"), "AUTHORIZED", "USE")
    note(done(await capture(admin, (await hold(admin, made, "-1.00"))["id"])), "COMPLETED", "USE")
    note(done(await cancel(admin, (await hold(admin, made, "1.00"))["id"])), "CANCELLED", "ADD")
    note(await hold(admin, made, "-1.00", authorizeFor="PT1M"), "CANCELLED", "USE")
    note(done(await refund(admin, used["id"])), "COMPLETED", "REFUND")
    await trans(admin, code=code_of(made), transType="USE", amount="-99")
    note((await movements(admin))[-1], "DECLINED", "USE")
    for kind in ("ADJUST", "EXTERNAL", "IMPORT"):
        given = {"code": code_of(made), "transType": kind, "amount": "1.00", "reason": "r"}
        note(done(await trans(admin, **given)), "COMPLETED", kind)
    return by


async def test_transactions_are_found_by_status_and_type(admin: Client, clock: SetClock) -> None:
    made = await funded(admin, "50.00")
    by = await one_of_each(admin, made)
    clock.forward(minutes=1)  # one authorisation has timed out, and nothing has written it
    for status in ("AUTHORIZED", "COMPLETED", "CANCELLED", "DECLINED"):
        assert (status, await found(admin, status=status)) == (status, by[status])
        shown = await movements(admin, status=status)
        assert {each["status"] for each in shown} == {status}
    for kind in ("ADD", "USE", "ADJUST", "EXTERNAL", "IMPORT", "REFUND"):
        assert (kind, await found(admin, transType=kind)) == (kind, by[kind])
    for kind in ("TRANSFER", "EXPIRE"):
        assert await found(admin, transType=kind) == []
    both = [each for each in by["USE"] if each in by["COMPLETED"]]
    assert await found(admin, status="COMPLETED", transType="USE") == both
    other = await card(admin)
    moved = done(await transfer(admin, made["id"], other["id"], amount="1.00"))
    assert set(await found(admin, transType="TRANSFER")) == {moved["id"], moved["relatedId"]}


async def test_transactions_are_found_by_source_and_number(admin: Client) -> None:
    made = await funded(admin)
    places = [("Till 1", "A"), ("Till 2", "A"), ("Till 1", "B")]
    one, two, three = [
        (await spend(admin, made, "-1.00", sourceId=source, refNo=number))["id"]
        for source, number in places
    ]
    assert await found(admin, sourceId="Till 1") == [one, three]
    assert await found(admin, refNo="A") == [one, two]
    assert await found(admin, sourceId="Till 1", refNo="A") == [one]
    for nothing in ("till 1", "Till", "%", "Till _", "*"):
        assert await found(admin, sourceId=nothing) == []
        assert await found(admin, refNo=nothing) == []
    for field in ("sourceId", "refNo"):
        for wrong in ("", "x" * 65, "\x00"):
            answer = await listed_trans(admin, **{field: wrong})
            assert (answer.code, answer.field) == ("INVALID_INPUT", field)


async def test_transactions_are_found_by_time(admin: Client, clock: SetClock) -> None:
    made = await card(admin)
    every = []
    for _ in range(3):
        every.append((await top_up(admin, made, "1.00"))["id"])
        clock.forward(hours=1)
    assert await found(admin, begins="2026-11-21T13:00:00Z") == every[1:]
    assert await found(admin, ends="2026-11-21T13:00:00Z") == every[:1]
    assert await found(admin, begins="2026-11-21T14:00:00.000001Z") == []
    zoned = {"begins": "2026-11-21T14:00:00+01:00", "ends": "2026-11-21T15:00:00+01:00"}
    assert await found(admin, **zoned) == every[1:2]
    assert await found(admin, begins=zoned["ends"], ends=zoned["begins"]) == []
    for field in ("begins", "ends"):
        answer = await listed_trans(admin, **{field: "2026-11-21T14:00:00"})
        assert (answer.code, answer.field) == ("INVALID_INPUT", field)


async def test_filters_narrow_together(admin: Client, clock: SetClock) -> None:
    made, other = await funded(admin), await funded(admin)
    facts = {"sourceId": "Till 7", "refNo": "R"}
    wanted = (await spend(admin, made, "-1.00", **facts))["id"]
    await spend(admin, other, "-1.00", **facts)
    clock.forward(hours=1)
    await spend(admin, made, "-1.00", **facts)
    narrow = {"giftcardId": made["id"], "status": "COMPLETED", "transType": "USE", **facts}
    assert await found(admin, **narrow, ends="2026-11-21T13:00:00Z") == [wanted]
    assert await found(admin, **narrow, first=1, skip=0) == [wanted]


async def test_a_list_of_transactions_needs_its_permission(
    admin: Client, client_with: MakeClient
) -> None:
    made = await funded(admin, physicalCode="GC4928")
    others = await client_with(*(set(Permission) - {LIST_TRANS}))
    assert (await listed_trans(others)).code == "PERMISSION_DENIED"
    for role in ("till", "shop", "clerk", "app-backend"):
        assert (await listed_trans(await client_with(role=role))).code == "PERMISSION_DENIED"
    lister = await client_with(LIST_TRANS)
    assert len(await found(lister, giftcardId=made["id"])) == 1
    for kind in (None, "PHYSICAL", "EXTERNAL"):
        answer = await listed_trans(lister, code="GC4928", codeType=kind)
        assert answer.code == "PERMISSION_DENIED"
    unfit = await client_with(
        LIST_TRANS,
        Permission.FIND_GIFT_CARD_BY_CODE,
        Permission.USE_EXTERNAL_GIFT_CARD_CODES,
    )
    assert await found(unfit, code="GC4928") == [], "its kind does not exist for this caller"


async def test_who_may_not_find_cards_by_code_finds_no_transactions_by_it(
    admin: Client, client_with: MakeClient
) -> None:
    await funded(admin, physicalCode="GC4928")
    blind = await client_with(LIST_TRANS, USE_PHYSICAL)
    assert (await listed_trans(blind, code="GC4928")).code == "PERMISSION_DENIED"


async def test_the_card_of_a_transaction_is_shown_to_who_may_see_cards(
    admin: Client, client_with: MakeClient
) -> None:
    made = await funded(admin)
    query = "{ giftcardTrans { results { giftcardId giftcard { id balance } } } }"
    for permission, sees in (
        (Permission.LIST_GIFT_CARDS, True),
        (Permission.FIND_GIFT_CARD_BY_CODE, True),
        (Permission.VIEW_MEMBERS, False),
    ):
        caller = await client_with(LIST_TRANS, permission)
        [shown] = (await caller.run(query))["giftcardTrans"]["results"]
        assert shown["giftcardId"] == made["id"]
        assert shown["giftcard"] == ({"id": made["id"], "balance": "10.00"} if sees else None)


async def test_a_cards_transactions_have_pages_of_their_own(
    admin: Client, client_with: MakeClient
) -> None:
    made, other = await card(admin), await funded(admin)
    mine = [(await top_up(admin, made, "1.00"))["id"] for _ in range(5)]
    query = f"""query ($f: Int!, $s: Int!) {{ giftcard {{ limitedByPermission results {{ id
        transactions(first: $f, skip: $s) {{
            hasMoreResults limitedByPermission until results {{ {TRANS} }} }} }} }} }}"""
    for first, skip, has_more in ((2, 0, True), (2, 2, True), (2, 3, False), (9, 0, False)):
        page, others = (await admin.run(query, f=first, s=skip))["giftcard"]["results"]
        shown = page["transactions"]
        assert [each["id"] for each in shown["results"]] == mine[skip : skip + first]
        assert (shown["hasMoreResults"], shown["until"]) == (has_more, None)
        assert {each["giftcardId"] for each in others["transactions"]["results"]} <= {other["id"]}
    whole = (await admin.run(query, f=9, s=0))["giftcard"]["results"][0]["transactions"]["results"]
    assert whole == await movements(admin, giftcardId=made["id"])
    blind = await client_with(*(set(Permission) - {LIST_TRANS}))
    for page in (await blind.run(query, f=9, s=0))["giftcard"]["results"]:
        assert page["transactions"]["results"] == []
        assert page["transactions"]["limitedByPermission"] is True


async def test_lists_in_lists_ask_for_no_more_rows_than_the_limit(admin: Client) -> None:
    for _ in range(10):
        await card(admin)
    lists = "giftcard(first: 1000) { results { transactions(first: 1000) { until } } }"
    answers = [
        await admin.run(f"{{ {more} {lists} }}")
        for more in ("", "a: giftcardTrans(first: -2000000000) { until }")
    ]
    for answer in answers:
        codes = {error["extensions"]["code"] for error in answer.errors}
        assert "OPERATION_TOO_COMPLEX" in codes


async def test_a_member_sees_its_own_transactions_and_nobody_elses(
    admin: Client, server: Server
) -> None:
    anna, ben = await member(admin), await member(admin)
    hers, his = await funded(admin, memberId=anna), await funded(admin, memberId=ben)
    used = await spend(admin, hers, "-1.00", sourceId="Till 7", refNo="R", reason="staff only")
    done(await transfer(admin, his["id"], hers["id"], amount="2.00", reason="staff only"))
    done(await stand(admin, "Block", his["id"]))
    herself = server.client(await member_token(admin, anna))
    answer = await herself.run(
        f"{{ me {{ giftcards {{ results {{ id balance transactions {{ limitedByPermission "
        f"results {{ {TRANS} giftcard {{ id }} }} }} }} }} }} }}"
    )
    [shown] = answer["me"]["giftcards"]["results"]
    assert (shown["id"], shown["balance"]) == (hers["id"], "11.00")
    results = shown["transactions"]["results"]
    assert shown["transactions"]["limitedByPermission"] is False
    assert [each["amount"] for each in results] == ["10.00", "-1.00", "2.00"]
    assert {each["giftcardId"] for each in results} == {hers["id"]}
    assert {each["giftcard"]["id"] for each in results} == {hers["id"]}
    assert {(each["reason"], each["caller"]) for each in results} == {(None, None)}
    assert (results[1]["id"], results[1]["sourceId"]) == (used["id"], "Till 7")
    for arguments in ({}, {"memberId": anna}, {"giftcardId": hers["id"]}, {"since": ""}):
        assert (await listed_trans(herself, **arguments)).code == "PERMISSION_DENIED"
