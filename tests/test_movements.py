"""giftcardTransAdd: what each type does, who may ask for it, what is refused, what is recorded."""

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
    card,
    code_of,
    done,
    funded,
    hold,
    listed,
    listed_trans,
    member,
    member_token,
    money,
    movements,
    spend,
    stand,
    top_up,
    trans,
)

TYPES = {
    "ADD": Permission.GIFT_CARD_TRANS_ADD,
    "USE": Permission.GIFT_CARD_TRANS_USE,
    "ADJUST": Permission.GIFT_CARD_TRANS_ADJUST,
    "EXTERNAL": Permission.GIFT_CARD_TRANS_EXTERNAL,
    "IMPORT": Permission.GIFT_CARD_TRANS_IMPORT,
}
BOTH_SIGNS = ("ADJUST", "EXTERNAL", "IMPORT")
USE_PHYSICAL = Permission.USE_PHYSICAL_GIFT_CARD_CODES
USE_CRYPTO = Permission.USE_CRYPTO_GIFT_CARD_CODES
FIND, LIST = Permission.FIND_GIFT_CARD_BY_CODE, Permission.LIST_GIFT_CARDS
REASON = {"reason": "counted again"}


def a_movement(made: dict[str, Any], kind: str, **facts: Any) -> dict[str, Any]:
    """A small movement of a type, of the first sign that it may have."""
    amount = "-1.00" if kind == "USE" else "1.00"
    return {"code": code_of(made), "transType": kind, "amount": amount, **REASON, **facts}


@pytest.mark.parametrize(
    ("kind", "amount", "after"),
    [
        ("ADD", "2.50", "12.50"),
        ("USE", "-2.50", "7.50"),
        ("USE", "-10.00", "0.00"),
        *((kind, "2.50", "12.50") for kind in BOTH_SIGNS),
        *((kind, "-10", "0.00") for kind in BOTH_SIGNS),
    ],
)
async def test_each_type_moves_its_amount(
    admin: Client, kind: str, amount: str, after: str
) -> None:
    made = await funded(admin, "10.00")
    given = a_movement(made, kind, amount=amount)
    moved = done(await trans(admin, **given))
    exact = amount if "." in amount else f"{amount}.00"
    assert (moved["transType"], moved["status"]) == (kind, "COMPLETED")
    assert (moved["amount"], moved["requestedAmount"], moved["balance"]) == (exact, exact, after)
    assert (moved["capturedAmount"], moved["giftcardId"]) == (exact.lstrip("-"), made["id"])
    assert (await money(admin, made["id"]))["balance"] == after


@pytest.mark.parametrize(("kind", "amount"), [("ADD", "-1.00"), ("USE", "1.00")])
async def test_the_wrong_sign_is_refused(admin: Client, kind: str, amount: str) -> None:
    made = await funded(admin)
    for partly in (False, True):
        given = a_movement(made, kind, amount=amount, allowPartial=partly)
        answer = await trans(admin, **given)
        assert (answer.code, answer.field) == ("INVALID_AMOUNT", "amount")
    assert (await money(admin, made["id"]))["balance"] == "10.00"


@pytest.mark.parametrize("kind", TYPES)
async def test_zero_is_refused(admin: Client, kind: str) -> None:
    made = await funded(admin)
    for amount in ("0", "0.00", "-0", "+0.0"):
        for only in (False, True):
            given = a_movement(made, kind, amount=amount, authorizeOnly=only, allowPartial=only)
            assert (await trans(admin, **given)).code == "INVALID_AMOUNT"
    assert (await money(admin, made["id"]))["balance"] == "10.00"


NO_AMOUNTS = [
    *("", " ", "x", "1.234", "1.000", "1e3", "0x10", "1.", ".5", "--1", "+-1", "1,00", "1 000"),
    *(" 1", "1 ", "NaN", "Infinity", "-Infinity", "１", "١", "1_000", "1.0.0", "1\n", "€1"),  # noqa: RUF001
    *("9" * 17, "9" * 400, "10000000000000.01"),
]


@pytest.mark.parametrize("sign", ["", "-"], ids=["adding", "taking"])
async def test_what_is_no_amount_is_refused(admin: Client, sign: str) -> None:
    made = await funded(admin)
    kind = "USE" if sign else "ADD"
    for amount in NO_AMOUNTS:
        answer = await trans(admin, **a_movement(made, kind, amount=f"{sign}{amount}"))
        assert (amount, answer.code, answer.field) == (amount, "INVALID_AMOUNT", "amount")
    for number in (1, 1.0, True, ["1.00"], None):
        answer = await trans(admin, **a_movement(made, kind, amount=number))
        assert (number, answer.code) == (number, "GRAPHQL_VALIDATION_FAILED")
    assert (await money(admin, made["id"]))["balance"] == "10.00"


@pytest.mark.parametrize(
    ("currency", "amount", "shown", "too_fine"),
    [
        ("EUR", "6.5", "6.50", "6.491"),
        ("JPY", "500", "500", "500.0"),
        ("KWD", "1.25", "1.250", "1.2500"),
    ],
)
async def test_an_amount_has_no_more_decimals_than_its_currency(
    admin: Client, currency: str, amount: str, shown: str, too_fine: str
) -> None:
    made = await card(admin, currency=currency)
    assert (await trans(admin, **a_movement(made, "ADD", amount=too_fine))).code == (
        "INVALID_AMOUNT"
    )
    moved = await top_up(admin, made, amount)
    assert (moved["amount"], moved["balance"], moved["currency"]) == (shown, shown, currency)
    used = await spend(admin, made, f"-{amount}")
    assert used["amount"] == f"-{shown}"
    found = await money(admin, made["id"])
    assert (found["lifetimeTotal"], found["redeemed"], found["status"]) == (
        *(shown, shown),
        "REDEEMED",
    )


async def test_no_amount_and_no_balance_exceeds_the_ceiling(admin: Client) -> None:
    made = await funded(admin, "10000000000000.00")
    for kind in ("ADD", *BOTH_SIGNS):
        answer = await trans(admin, **a_movement(made, kind, amount="0.01"))
        assert answer.code == "INVALID_AMOUNT"
    moved = await spend(admin, made, "-10000000000000.00")
    assert (moved["amount"], moved["balance"]) == ("-10000000000000.00", "0.00")


async def test_settings_may_lower_the_ceiling(settings: Settings) -> None:
    store = await open_store(settings.model_copy(update={"ceiling_minor": 1_000}))
    credential = await factories.client(store, permissions=list(Permission))
    async with Server.over(store) as server:
        caller = server.client(credential.client_secret)
        made = await card(caller)
        assert (await trans(caller, **a_movement(made, "ADD", amount="10.01"))).code == (
            "INVALID_AMOUNT"
        )
        await top_up(caller, made, "10.00")
        assert (await trans(caller, **a_movement(made, "ADD", amount="0.01"))).code == (
            "INVALID_AMOUNT"
        )
        assert (await trans(caller, **a_movement(made, "USE", amount="-10.01"))).code == (
            "INVALID_AMOUNT"
        )
        assert (await money(caller, made["id"]))["balance"] == "10.00"
    await store.close()


@pytest.mark.parametrize("kind", TYPES)
async def test_a_movement_needs_the_permission_of_its_type(
    admin: Client, client_with: MakeClient, kind: str
) -> None:
    made = await funded(admin)
    given = a_movement(made, kind)
    others = await client_with(*(set(Permission) - {TYPES[kind]}))
    for more in ({}, {"authorizeOnly": True}):
        answer = await trans(others, **given, **more)
        assert answer.code == "PERMISSION_DENIED"
        assert answer.body["data"] == {"giftcardTransAdd": None}
    assert (await money(admin, made["id"]))["balance"] == "10.00"
    mover = await client_with(TYPES[kind], USE_PHYSICAL)
    assert done(await trans(mover, **given))["transType"] == kind


@pytest.mark.parametrize("kind", ["REFUND", "TRANSFER", "EXPIRE"])
async def test_types_with_mutations_of_their_own_are_not_added(admin: Client, kind: str) -> None:
    made = await funded(admin)
    answer = await trans(admin, **a_movement(made, kind))
    assert (answer.code, answer.field) == ("INVALID_INPUT", "transType")
    assert (await money(admin, made["id"]))["balance"] == "10.00"


@pytest.mark.parametrize("role", ["till", "shop", "clerk", "manager", "app-backend"])
async def test_roles_may_move_what_is_theirs(
    admin: Client, client_with: MakeClient, role: str
) -> None:
    allowed = {
        "till": {"ADD", "USE"},
        "shop": {"USE"},
        "manager": {"ADD", "USE", "ADJUST"},
    }.get(role, set())
    made = await funded(admin)
    caller = await client_with(role=role)
    for kind in TYPES:
        answer = await trans(caller, **a_movement(made, kind))
        assert (kind, answer.code) == (kind, None if kind in allowed else "PERMISSION_DENIED")


async def test_a_member_moves_no_money(admin: Client, server: Server) -> None:
    owner = await member(admin)
    made = await funded(admin, memberId=owner)
    herself = server.client(await member_token(admin, owner))
    for kind in TYPES:
        assert (await trans(herself, **a_movement(made, kind))).code == "PERMISSION_DENIED"
    assert (await money(admin, made["id"]))["balance"] == "10.00"


CODES = [
    ("PHYSICAL", USE_PHYSICAL),
    ("EXTERNAL", Permission.USE_EXTERNAL_GIFT_CARD_CODES),
    ("PERSONAL", USE_CRYPTO),
    ("DIGITAL", USE_CRYPTO),
]


async def a_code(kind: str, store: Store, admin: Client, maker: Client) -> str:
    """A code in clear of a card with one code, funded."""
    if kind == "PHYSICAL":
        made = await card(maker)
    elif kind == "EXTERNAL":
        made = await card(maker, externalCode="EX34802")
    elif kind == "PERSONAL":
        made = await card(maker, addPersonalCode=True, memberId=await member(admin))
    else:
        card_id = await factories.digital(store)
        [made] = (await listed(maker, id=card_id))["giftcard"]["results"]
    await top_up(maker, made, "10.00")
    return code_of(made)


@pytest.mark.parametrize(("kind", "needed"), CODES)
async def test_a_movement_needs_the_permission_of_its_codes_kind(
    store: Store, admin: Client, client_with: MakeClient, kind: str, needed: Permission
) -> None:
    code = await a_code(kind, store, admin, await client_with(*Permission))
    move: dict[str, Any] = {"code": code, "transType": "USE", "amount": "-1.00"}
    mover = await client_with(Permission.GIFT_CARD_TRANS_USE, needed)
    assert done(await trans(mover, **move))["balance"] == "9.00"
    assert done(await trans(mover, **move, codeType=kind))["balance"] == "8.00"
    every = {permission for _, permission in CODES}
    blind = await client_with(*(set(Permission) - {needed, FIND}))
    assert (await trans(blind, **move)).code == "SECRET_INVALID"
    assert (await trans(blind, **move, codeType=kind)).code == "PERMISSION_DENIED"
    knowing = await client_with(*(set(Permission) - {needed}))
    assert (await trans(knowing, **move)).code == "NOT_FOUND"
    without = await client_with(*(set(Permission) - every))
    assert (await trans(without, **move)).code == "PERMISSION_DENIED"
    assert done(await trans(mover, **move))["balance"] == "7.00"


async def test_a_card_is_named_by_its_id_with_list_gift_cards(
    admin: Client, client_with: MakeClient
) -> None:
    made = await funded(admin)
    move = {"giftcardId": made["id"], "transType": "USE", "amount": "-1.00"}
    assert done(await trans(admin, **move))["balance"] == "9.00"
    lister = await client_with(LIST, Permission.GIFT_CARD_TRANS_USE)
    assert done(await trans(lister, **move))["balance"] == "8.00"
    others = await client_with(*(set(Permission) - {LIST}))
    assert (await trans(others, **move)).code == "PERMISSION_DENIED"
    for unknown in ("0", "999999", "x", "-1", str(2**70)):
        answer = await trans(admin, **{**move, "giftcardId": unknown})
        assert (answer.code, answer.field) == ("NOT_FOUND", "giftcardId")
    for more, without in (({"code": code_of(made)}, ()), ({}, ("giftcardId",))):
        given = {**move, **more}
        answer = await trans(admin, **{k: v for k, v in given.items() if k not in without})
        assert answer.code == "INVALID_INPUT"
    assert (await trans(admin, **move, codeType="PHYSICAL")).code == "INVALID_INPUT"
    assert (await money(admin, made["id"]))["balance"] == "8.00"


async def test_more_than_the_balance_is_refused_and_takes_nothing(
    admin: Client, till: Client
) -> None:
    made = await funded(admin, "25.00")
    for kind in ("USE", *BOTH_SIGNS):
        answer = await trans(admin, **a_movement(made, kind, amount="-25.01"))
        assert (answer.code, answer.field) == ("INSUFFICIENT_FUNDS", "amount")
        assert answer.errors[0]["extensions"]["available"] == "25.00"
    assert (await money(admin, made["id"]))["balance"] == "25.00"
    assert (await spend(till, made, "-25.00"))["balance"] == "0.00"


async def test_a_partial_movement_takes_what_is_there_and_says_how_much(admin: Client) -> None:
    made = await funded(admin, "10.00")
    await hold(admin, made, "-4.00")
    some = await spend(admin, made, "-1.00", allowPartial=True)
    assert (some["amount"], some["requestedAmount"], some["balance"]) == ("-1.00", "-1.00", "5.00")
    rest = await spend(admin, made, "-100.00", allowPartial=True)
    assert (rest["amount"], rest["requestedAmount"], rest["balance"]) == (
        *("-5.00", "-100.00"),
        "0.00",
    )
    answer = await trans(admin, **a_movement(made, "USE", allowPartial=True))
    assert answer.code == "INSUFFICIENT_FUNDS"
    added = await top_up(admin, made, "3.00", allowPartial=True)
    assert (added["amount"], added["balance"]) == ("3.00", "3.00")
    held = await hold(admin, made, "-100.00", allowPartial=True)
    assert (held["amount"], held["requestedAmount"], held["balance"]) == (
        *("-3.00", "-100.00"),
        "0.00",
    )
    found = await money(admin, made["id"])
    assert (found["held"], found["redeemed"]) == ("7.00", "6.00")


async def test_another_currency_is_refused_before_any_balance_is_looked_at(admin: Client) -> None:
    made = await funded(admin, "10.00")
    for currency, amount in (("USD", "-100.00"), ("USD", "0"), ("JPY", "-1"), ("KWD", "-1.0001")):
        given = a_movement(made, "USE", amount=amount, currency=currency)
        answer = await trans(admin, **given)
        assert (answer.code, answer.field) == ("CURRENCY_MISMATCH", "currency")
        assert "10.00" not in str(answer.body)
    for unknown in ("XXX", "EURO", "eur", ""):
        answer = await trans(admin, **a_movement(made, "USE", currency=unknown))
        assert (answer.code, answer.field) == ("INVALID_INPUT", "currency")
    done(await stand(admin, "Block", made["id"]))
    answer = await trans(admin, **a_movement(made, "USE", currency="USD"))
    assert answer.code == "CURRENCY_MISMATCH"
    assert len(await movements(admin, giftcardId=made["id"])) == 1
    done(await stand(admin, "Unblock", made["id"]))
    assert done(await trans(admin, **a_movement(made, "USE", currency="EUR")))["balance"] == "9.00"


async def test_a_movement_is_recorded_with_who_where_when_and_why(
    admin: Client, till: Client, clock: SetClock
) -> None:
    made = await funded(admin)
    clock.forward(hours=1)
    facts = {"sourceId": "Till 7", "refNo": "R-0001", "reason": "two\nlines"}
    moved = await spend(till, made, "-2.50", **facts)
    assert {name: moved[name] for name in facts} == facts
    assert moved["caller"].startswith("client:ggc_")
    assert moved["createdAt"].startswith("2026-11-21T13:00:00")
    assert (moved["endedAt"], moved["error"], moved["relatedId"]) == (None, None, None)
    assert await movements(admin, id=moved["id"]) == [moved]
    first, second = await movements(admin, giftcardId=made["id"])
    assert second == moved
    assert first["caller"] != moved["caller"]
    assert (first["sourceId"], first["refNo"], first["reason"]) == (None, None, None)


@pytest.mark.parametrize(("field", "longest"), [("sourceId", 64), ("refNo", 64), ("reason", 500)])
async def test_what_is_recorded_has_bounds(admin: Client, field: str, longest: int) -> None:
    made = await funded(admin)
    for wrong in ("", "x" * (longest + 1), "a\x00b", "a\x1bb", "\x85"):
        answer = await trans(admin, **{**a_movement(made, "USE"), field: wrong})
        assert (wrong, answer.code, answer.field) == (wrong, "INVALID_INPUT", field)
    for right in ("x" * longest, "é", "🎁" * longest, "DROP TABLE card; --", "{{7*7}}"):
        assert (await top_up(admin, made, "1.00", **{field: right}))[field] == right


async def test_a_correction_needs_a_reason(admin: Client) -> None:
    made = await funded(admin)
    for without in ({}, {"reason": None}):
        given = {"code": code_of(made), "transType": "ADJUST", "amount": "1.00", **without}
        answer = await trans(admin, **given)
        assert (answer.code, answer.field) == ("INVALID_INPUT", "reason")


async def test_a_repeated_number_is_no_duplicate(admin: Client) -> None:
    made = await funded(admin)
    for _ in range(3):
        await spend(admin, made, "-1.00", refNo="TRANS001", sourceId="Api-test")
    assert (await money(admin, made["id"]))["balance"] == "7.00"
    answer = await listed_trans(admin, refNo="TRANS001")
    assert len(answer["giftcardTrans"]["results"]) == 3
