"""What is refunded to a card that was replaced goes on to the last one that took its place."""

from typing import Any

import pytest

from giftgql.store import Store
from tests import heirs
from tests.client import Client
from tests.conftest import SetClock
from tests.factories import (
    capture,
    card,
    code_of,
    done,
    funded,
    hold,
    money,
    movements,
    refund,
    spend,
    stand,
    top_up,
    transfer,
    undo,
)
from tests.heirs import are_clean, figures, owned, replaced

Card = dict[str, Any]


@pytest.fixture(autouse=True)
def replacing(store: Store) -> None:
    heirs.replace_on_use(store)


async def chain(admin: Client, store: Store, *amounts: str) -> tuple[list[Card], list[Card]]:
    """A card of 100, and those that took its place, one after each use; and the uses."""
    found, uses = [await owned(admin)], list[Card]()
    for amount in amounts:
        trans, new = await replaced(admin, store, found[-1], amount)
        found.append(new)
        uses.append(trans)
    return found, uses


async def test_partial_refunds_go_on_to_the_last_card_and_stay_within_what_was_taken(
    admin: Client, store: Store, clock: SetClock
) -> None:
    (first, second, third), (one, two) = await chain(admin, store, "-60.00", "-15.00")
    for amount, there in (("20.00", "45.00"), ("39.99", "84.99")):
        back = done(await refund(admin, one["id"], amount, idempotencyKey=amount))
        assert (back["transType"], back["amount"], back["balance"]) == ("REFUND", amount, there)
        assert (back["giftcardId"], back["relatedId"]) == (first["id"], one["id"])
        again = await refund(admin, one["id"], amount, idempotencyKey=amount)
        assert again.is_replayed
        assert done(again) == back
    assert (await figures(admin, first["id"]))[4] == 1, "one cent of it is used"
    assert (await refund(admin, one["id"], "0.02")).code == "REFUND_EXCEEDS_CAPTURED"
    done(await refund(admin, one["id"]))
    done(await refund(admin, two["id"], "5.00"))
    assert (await refund(admin, two["id"], "10.01")).code == "REFUND_EXCEEDS_CAPTURED"
    assert await figures(admin, first["id"]) == ("0.00", "100.00", "0.00", "100.00", 0)
    assert await figures(admin, second["id"]) == ("0.00", "40.00", "10.00", "30.00", 1)
    assert await figures(admin, third["id"]) == ("90.00", "90.00", "0.00", "0.00", 0)
    assert (await movements(admin, id=one["id"]))[0]["refundedAmount"] == "60.00"
    assert [each["amount"] for each in await movements(admin, giftcardId=third["id"])] == [
        *("25.00", "20.00", "39.99", "0.01", "5.00")
    ]
    await are_clean(store)


async def test_captures_additions_and_corrections_are_undone_there_too(
    admin: Client, store: Store
) -> None:
    made = await owned(admin)
    added = (await movements(admin, giftcardId=made["id"]))[0]
    held = await hold(admin, made, "-60.00")
    taken = done(await heirs.capture(admin, held, "50.00"))
    new = str(taken["replacedById"])
    assert done(await refund(admin, held["id"], "10.00"))["balance"] == "60.00"
    for amount, code in (("60.01", "INSUFFICIENT_FUNDS"), ("60.00", None)):
        answer = await refund(admin, added["id"], amount)
        assert answer.code == code
    assert answer["giftcardTransRefund"]["balance"] == "0.00"
    assert await figures(admin, made["id"]) == ("0.00", "160.00", "40.00", "120.00", 1)
    assert await figures(admin, new) == ("0.00", "60.00", "0.00", "60.00", 0)
    await are_clean(store)


@pytest.mark.parametrize(
    ("change", "code"), [("Block", "CARD_BLOCKED"), ("Disable", "CARD_DISABLED")]
)
async def test_what_stops_the_last_card_stops_refunds_to_all_before_it(
    admin: Client, store: Store, change: str, code: str
) -> None:
    (first, second), (one,) = await chain(admin, store, "-60.00")
    done(await stand(admin, change, second["id"]))
    for answer in (await refund(admin, one["id"], "1.00"), await refund(admin, one["id"])):
        assert answer.code == code
    declined = await movements(admin, status="DECLINED")
    assert [(each["giftcardId"], each["relatedId"]) for each in declined] == [
        (first["id"], one["id"])
    ] * 2
    assert (await money(admin, first["id"]))["balance"] == "0.00"
    await are_clean(store)


async def test_an_extended_card_takes_refunds_of_those_that_it_replaced(
    admin: Client, store: Store, clock: SetClock
) -> None:
    made = await owned(admin, expiresOn="2026-11-30")
    one, new = await replaced(admin, store, made, "-60.00")
    done(await stand(admin, "Extend", new["id"], validFor="P1Y"))
    clock.forward(days=30)
    assert done(await refund(admin, one["id"], "10.00"))["balance"] == "50.00"
    clock.forward(days=400)
    assert (await refund(admin, one["id"], "10.00")).code == "CARD_EXPIRED"
    await are_clean(store)


async def test_a_reversal_gives_back_what_its_key_took_and_takes_back_what_it_added(
    admin: Client, store: Store
) -> None:
    made = await owned(admin, "50.00")
    await top_up(admin, made, "50.00", idempotencyKey="add")
    done(await heirs.use(admin, made, "-60.00", idempotencyKey="use"))
    [used] = [each for each in await movements(admin) if each["transType"] == "USE"]
    new = (await heirs.card(admin, made["id"]))["replacedBy"]["id"]
    done(await refund(admin, used["id"], "20.00", idempotencyKey="back"))
    answers = [done(await undo(admin, key)) for key in ("back", "use", "add")]
    assert [(each["transType"], each["amount"], each["balance"]) for each in answers] == [
        ("REFUND", "-20.00", "40.00"),
        ("REFUND", "60.00", "100.00"),
        ("REFUND", "-50.00", "50.00"),
    ]
    for key in ("back", "use", "add"):
        assert done(await undo(admin, key))["status"] == "COMPLETED"
    assert (await figures(admin, made["id"]))[0::4] == ("0.00", 0)
    assert (await figures(admin, new))[0] == "50.00"
    held = await hold(admin, {"codes": []} | await funded(admin), "-1.00", idempotencyKey="hold")
    assert done(await undo(admin, "hold"))["id"] == held["id"]
    await are_clean(store)


async def test_a_reversed_transfer_comes_back_from_the_card_that_took_its_place(
    admin: Client, store: Store
) -> None:
    one, two = await owned(admin, "50.00"), await owned(admin, "50.00")
    done(await transfer(admin, one["id"], two["id"], amount="20.00", idempotencyKey="move"))
    _, new_one = await replaced(admin, store, one, "-10.00")
    _, new_two = await replaced(admin, store, two, "-10.00")
    back = done(await undo(admin, "move"))
    assert (back["transType"], back["giftcardId"], back["amount"]) == (
        *("TRANSFER", new_two["id"]),
        "-20.00",
    )
    again = await undo(admin, "move")
    assert again.is_replayed
    shown = [(await money(admin, each["id"]))["balance"] for each in (new_one, new_two)]
    assert shown == ["40.00", "40.00"]
    await are_clean(store)


async def test_a_refund_of_a_card_that_was_replaced_meanwhile_looks_again(
    admin: Client, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was read which card has the money, and then that card was used."""
    (_, second), (one,) = await chain(admin, store, "-60.00")
    poster, calls = store.poster, 0
    assert poster is not None
    post = poster.post

    async def late(asked: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 1:
            done(await heirs.use(admin, second, "-15.00"))
        return await post(asked)

    monkeypatch.setattr(poster, "post", late)
    back = done(await refund(admin, one["id"], "10.00"))
    assert (calls, back["balance"]) == (2, "35.00")
    await are_clean(store)


async def test_cards_of_the_balance_strategy_are_refunded_as_ever(
    admin: Client, store: Store
) -> None:
    made = await funded(admin, "100.00")  # nobody is known to send a new code to
    used = await spend(admin, made, "-60.00")
    back = done(await refund(admin, used["id"], "10.00"))
    assert (back["giftcardId"], back["balance"]) == (made["id"], "50.00")
    assert code_of(made) == code_of(await card_again(admin, made))
    other = await card(admin)
    assert (await capture(admin, back["id"])).code == "ALREADY_CAPTURED"
    assert (await money(admin, other["id"]))["balance"] == "0.00"
    await are_clean(store)


async def card_again(admin: Client, made: Card) -> Card:
    return await heirs.card(admin, made["id"])
