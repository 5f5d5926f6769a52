"""Cards that are replaced on use, from many sides at once: one use, one successor, no cent lost."""

import asyncio
from collections import Counter
from collections.abc import Awaitable
from typing import Any

import pytest

from giftgql.store import Store
from tests import heirs
from tests.client import Answer, Client
from tests.factories import cancel, done, edit, funded, hold, refund, top_up, transfer, undo
from tests.heirs import are_clean, capture, card, heir, mails, owned, use

CALLERS = 50
KEY = {"idempotencyKey": "once"}
LOST = {"CARD_REPLACED", "CONFLICT"}


@pytest.fixture(autouse=True)
def replacing(store: Store) -> None:
    heirs.replace_on_use(store)


def codes(answers: list[Answer]) -> Counter[str | None]:
    return Counter(answer.code for answer in answers)


async def at_once(*calls: Awaitable[Answer]) -> list[Answer]:
    return list(await asyncio.gather(*calls))


async def line_of(admin: Client, made: dict[str, Any]) -> list[dict[str, Any]]:
    """A card and all that took its place, one after the other."""
    found = [await card(admin, made["id"])]
    while (later := found[-1]["replacedBy"]) is not None:
        found.append(await card(admin, later["id"]))
    return found


async def test_fifty_callers_at_once_use_a_card_once_and_one_card_takes_its_place(
    admin: Client, till: Client, store: Store
) -> None:
    made = await owned(admin, "100.00")
    calls = (use(caller, made, "-1.00") for caller in (admin, till) * (CALLERS // 2))
    assert codes(await at_once(*calls)) == {None: 1, "CARD_REPLACED": CALLERS - 1}
    assert [each["balance"] for each in await line_of(admin, made)] == ["0.00", "99.00"]
    assert len(await mails(admin)) == 1
    await are_clean(store)


async def test_one_key_from_fifty_callers_replaces_once_and_is_answered_alike(
    admin: Client, store: Store
) -> None:
    made = await owned(admin, "100.00")
    answers = await at_once(*(use(admin, made, "-1.00", **KEY) for _ in range(CALLERS)))
    assert codes(answers) == {None: CALLERS}
    assert len({repr(answer.body["data"]) for answer in answers}) == 1
    assert sum(answer.is_replayed for answer in answers) == CALLERS - 1
    assert [each["balance"] for each in await line_of(admin, made)] == ["0.00", "99.00"]
    await are_clean(store)


async def test_one_key_for_several_cards_replaces_one_of_them(admin: Client, store: Store) -> None:
    """It is the key itself at which two transactions meet."""
    cards = [await owned(admin, "10.00") for _ in range(4)]
    for number in range(3):
        key = {"idempotencyKey": f"key {number}"}
        answers = await at_once(*(use(admin, each, "-1.00", **key) for each in cards))
        assert codes(answers) == {None: 1, "IDEMPOTENCY_CONFLICT": 3}
        made = next(c for c, answer in zip(cards, answers, strict=True) if not answer.errors)
        cards[cards.index(made)] = await owned(admin, "10.00")
        assert len(await line_of(admin, made)) == 2
    assert len(await mails(admin)) == 3
    await are_clean(store)


async def test_the_last_of_many_partial_uses_takes_what_is_left_of_the_last_card(
    admin: Client, store: Store
) -> None:
    made, uses = await owned(admin, "1.00"), 0
    while made:
        answers = await at_once(*(use(admin, made, "-0.30", allowPartial=True) for _ in range(6)))
        [won] = [done(answer) for answer in answers if not answer.errors]
        lost = [answer.code for answer in answers if answer.errors]
        assert set(lost) <= {*LOST, "INSUFFICIENT_FUNDS"}
        uses += 1
        made = await heir(store, won) if won["replacedById"] else {}
    assert (uses, won["amount"], won["balance"]) == (4, "-0.10", "0.00")
    await are_clean(store)


async def test_a_hold_that_is_ended_while_the_card_is_used_from_all_sides(
    admin: Client, store: Store
) -> None:
    for _ in range(2):
        made, other = await owned(admin, "10.00"), await funded(admin, "5.00")
        held = await hold(admin, made, "-4.00")
        await at_once(
            *(capture(admin, held, "1.50") for _ in range(4)),
            *(cancel(admin, held["id"]) for _ in range(3)),
            *(use(admin, made, "-1.00") for _ in range(4)),
            *(refund(admin, held["id"], "0.40") for _ in range(2)),
            *(top_up_or_not(admin, made) for _ in range(2)),
            edit(admin, made["id"], externalCode=f"WEB {held['id']}"),
            transfer(admin, other["id"], made["id"], amount="1.00"),
        )
        line = await line_of(admin, made)
        assert len(line) == 2, "one use or capture came through, and then no other"
        assert line[0]["balance"] == line[0]["held"] == "0.00"
        assert line[0]["codes"] == []
        await are_clean(store)


async def top_up_or_not(admin: Client, made: dict[str, Any]) -> Answer:
    wanted = {"code": made["codes"][0]["code"], "transType": "ADD", "amount": "0.10"}
    return await heirs.asked(admin, "giftcardTransAdd", wanted)


async def test_refunds_and_uses_of_what_took_the_cards_place_chase_each_other(
    admin: Client, store: Store
) -> None:
    made = await owned(admin, "100.00")
    first = done(await use(admin, made, "-60.00", idempotencyKey="first"))
    newest, spent = await heir(store, first), 60
    for _ in range(4):
        answers = await at_once(
            *(refund(admin, first["id"], "5.00") for _ in range(3)),
            use(admin, newest, "-2.00"),
            use(admin, newest, "-2.00"),
        )
        *refunds, one, two = answers
        assert set(codes(refunds)) <= {None, "REFUND_EXCEEDS_CAPTURED"}
        assert codes([one, two]) == {None: 1, "CARD_REPLACED": 1}
        spent += 2 - 5 * codes(refunds)[None]
        won = next(each for each in (one, two) if not each.errors)
        newest = await heir(store, done(won))
        assert (await card(admin, newest["id"]))["balance"] == f"{100 - spent}.00"
    answers = await at_once(*(undo(admin, "first") for _ in range(4)))
    assert codes(answers) == {None: 4}
    line = await line_of(admin, made)
    assert [each["balance"] for each in line[:-1]] == ["0.00"] * (len(line) - 1)
    assert (line[-1]["balance"], line[0]["redeemed"]) == ("92.00", "0.00")
    await are_clean(store)


async def test_a_card_is_topped_up_or_replaced_first_and_nothing_is_lost(
    admin: Client, store: Store
) -> None:
    made = await owned(admin, "10.00")
    await top_up(admin, made, "1.00")
    answers = await at_once(
        *(top_up_or_not(admin, made) for _ in range(20)), use(admin, made, "-1.00")
    )
    assert set(codes(answers)) <= {None, "CARD_REPLACED"}
    added = codes(answers)[None] - 1
    assert [each["balance"] for each in await line_of(admin, made)] == [
        *("0.00", f"{10 + added / 10:.2f}")
    ]
    await are_clean(store)
