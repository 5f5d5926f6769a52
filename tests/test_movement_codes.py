"""Through which codes money moves: ambiguous, ended, masked; and codes that end meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from giftgql.cards import service as cards
from giftgql.cards.service import CardChange, NewCode
from giftgql.codes import CodeText, CodeType
from giftgql.permissions import Permission
from giftgql.standing import service as standing
from giftgql.store import Store, Transaction
from tests.client import Answer, Client
from tests.conftest import MakeClient
from tests.factories import (
    capture,
    card,
    done,
    edit,
    funded,
    hold,
    member,
    money,
    movements,
    refund,
    spend,
    stand,
    trans,
)

Change = Callable[[Transaction], Awaitable[object]]
USE = {"transType": "USE", "amount": "-1.00"}
ADD = {"transType": "ADD", "amount": "1.00"}
MAY_USE = Permission.GIFT_CARD_TRANS_USE
FIND = Permission.FIND_GIFT_CARD_BY_CODE
USE_PHYSICAL = Permission.USE_PHYSICAL_GIFT_CARD_CODES
USE_EXTERNAL = Permission.USE_EXTERNAL_GIFT_CARD_CODES


async def balance_of(admin: Client, made: dict[str, Any]) -> str:
    return str((await money(admin, made["id"]))["balance"])


async def test_a_code_of_two_types_is_ambiguous_without_its_type(
    admin: Client, client_with: MakeClient
) -> None:
    printed = await card(admin, physicalCode="SAME")
    external = await card(admin, externalCode="SAME")
    for move in (ADD, USE):
        answer = await trans(admin, code="SAME", **move)
        assert (answer.code, answer.field) == ("AMBIGUOUS_CODE", "codeType")
    assert await movements(admin) == []
    for kind, made in (("PHYSICAL", printed), ("EXTERNAL", external)):
        moved = done(await trans(admin, code="SAME", codeType=kind, **ADD))
        assert moved["giftcardId"] == made["id"]
    for needed, made in ((USE_PHYSICAL, printed), (USE_EXTERNAL, external)):
        caller = await client_with(MAY_USE, needed)  # the other kind does not exist for it
        assert done(await trans(caller, code="SAME", **USE))["giftcardId"] == made["id"]


async def test_a_code_of_two_types_on_one_card_is_ambiguous_too(admin: Client) -> None:
    made = await card(admin, physicalCode="SAME", externalCode="SAME")
    assert (await trans(admin, code="SAME", **ADD)).code == "AMBIGUOUS_CODE"
    assert done(await trans(admin, code="SAME", codeType="EXTERNAL", **ADD))["balance"] == "1.00"
    done(await edit(admin, made["id"], revokeExternalCode=True))
    assert done(await trans(admin, code="SAME", **ADD))["balance"] == "2.00"


async def test_a_code_is_compared_without_case_spaces_and_dashes(admin: Client) -> None:
    made = await funded(admin, physicalCode="GC-49 28")
    for written in ("gc4928", "GC 49-28", "G-C-4-9-2-8"):
        done(await trans(admin, code=written, **USE))
    assert await balance_of(admin, made) == "7.00"


async def test_ended_codes_move_nothing_and_new_ones_do(admin: Client) -> None:
    made = await funded(admin, physicalCode="GC4928", physicalPin="1234")
    done(await edit(admin, made["id"], physicalCode="GC4929", externalCode="EX34802"))
    for move in (USE, ADD):
        assert (await trans(admin, code="GC4928", **move)).code == "NOT_FOUND"
    assert done(await trans(admin, code="GC4929", **USE))["balance"] == "9.00"
    done(await edit(admin, made["id"], revokePhysicalCode=True))
    for move in (USE, ADD):
        assert (await trans(admin, code="GC4929", **move)).code == "NOT_FOUND"
    assert done(await trans(admin, code="EX34802", **USE))["balance"] == "8.00"


async def test_a_masked_code_moves_nothing(admin: Client) -> None:
    made = await card(admin, addPersonalCode=True, memberId=await member(admin))
    masked = made["codes"][0]["code"]
    assert masked.startswith("*")
    assert (await trans(admin, code=masked, **ADD)).code == "NOT_FOUND"
    assert await balance_of(admin, made) == "0.00"


async def test_a_code_has_bounds(admin: Client) -> None:
    for code in ("", "x", "x" * 65, "é" * 8, "GC\n4928", "GC\x00928"):
        answer = await trans(admin, code=code, **ADD)
        assert (code, answer.code, answer.field) == (code, "INVALID_INPUT", "code")


async def during(store: Store, change: Change, request: Any) -> Answer:
    """Begin a request, and let a change be done after it has looked its card up: the change has
    taken the lock that the request then waits for."""
    async with store.write() as tx:
        await change(tx)
        waiting: asyncio.Task[Answer] = asyncio.create_task(request)
        await asyncio.sleep(0.5)
        assert not waiting.done()
    return await waiting


@pytest.mark.parametrize("move", [USE, ADD], ids=["take", "add"])
async def test_a_code_that_is_revoked_after_it_was_looked_up_moves_nothing(
    store: Store, admin: Client, move: dict[str, Any]
) -> None:
    made = await funded(admin, physicalCode="GC4928")
    change = CardChange(int(made["id"]), revoked={CodeType.PHYSICAL: "revokePhysicalCode"})

    async def revoke(tx: Transaction) -> None:
        await cards.edit(tx, change)

    request = trans(admin, code="GC4928", idempotencyKey="once", **move)
    answer = await during(store, revoke, request)
    assert answer.code == "NOT_FOUND"
    assert await balance_of(admin, made) == "10.00"
    assert len(await movements(admin)) == 1
    done(await edit(admin, made["id"], physicalCode="GC4929"))
    moved = await trans(admin, code="GC4929", idempotencyKey="once", **move)
    assert (moved.code, moved.is_replayed) == (None, False)


async def test_a_code_whose_card_gains_another_meanwhile_still_works(
    store: Store, admin: Client
) -> None:
    made = await funded(admin, physicalCode="GC4928")
    new = NewCode(CodeType.EXTERNAL, "externalCode", CodeText("EX34802"))

    async def gain(tx: Transaction) -> None:
        await cards.edit(tx, CardChange(int(made["id"]), [new]))

    request = trans(admin, code="GC4928", idempotencyKey="once", **USE)
    answer = await during(store, gain, request)
    assert done(answer)["balance"] == "9.00"
    assert (await trans(admin, code="GC4928", idempotencyKey="once", **USE)).is_replayed


@pytest.mark.parametrize("how", ["use", "add", "capture", "refund"])
async def test_what_waits_for_a_block_is_refused(store: Store, admin: Client, how: str) -> None:
    made = await funded(admin, physicalCode="GC4928")
    used, held = await spend(admin, made, "-1.00"), await hold(admin, made, "-1.00")
    requests = {
        "use": lambda: trans(admin, code="GC4928", **USE),
        "add": lambda: trans(admin, code="GC4928", **ADD),
        "capture": lambda: capture(admin, held["id"]),
        "refund": lambda: refund(admin, used["id"]),
    }

    async def block(tx: Transaction) -> None:
        await standing.block(tx, int(made["id"]), "lost")

    assert (await during(store, block, requests[how]())).code == "CARD_BLOCKED"
    found = await money(admin, made["id"])
    assert (found["balance"], found["held"]) == ("8.00", "1.00")


async def test_of_a_block_and_movements_at_once_none_comes_after_it(admin: Client) -> None:
    made = await funded(admin, physicalCode="GC4928")
    block, *moved = await asyncio.gather(
        stand(admin, "Block", made["id"]), *(trans(admin, code="GC4928", **USE) for _ in range(9))
    )
    assert block.code is None
    assert {answer.code for answer in moved} <= {None, "CARD_BLOCKED"}
    spent = sum(answer.code is None for answer in moved)
    assert await balance_of(admin, made) == f"{10 - spent}.00"
    assert (await trans(admin, code="GC4928", **USE)).code == "CARD_BLOCKED"
