"""PIN and CVV on payment: who needs them, what wrong ones answer, and how tries are limited."""

from typing import Any

import argon2
import pytest

from giftgql.cards import service as cards
from giftgql.cards.service import NewCard, NewCode
from giftgql.codes import CodeText, CodeType
from giftgql.permissions import Channel, Permission
from giftgql.store import Store
from tests.client import Answer, Client
from tests.conftest import MakeClient, SetClock
from tests.factories import (
    balance,
    card,
    code_of,
    done,
    edit,
    funded,
    member,
    money,
    trans,
)

USE = {"transType": "USE", "amount": "-1.00"}
ADD = {"transType": "ADD", "amount": "1.00"}
PHYSICAL = CodeType.PHYSICAL
PAYS = (
    Permission.GIFT_CARD_TRANS_USE,
    Permission.GIFT_CARD_TRANS_ADD,
    Permission.CHECK_GIFT_CARD_BALANCE,
    Permission.USE_PHYSICAL_GIFT_CARD_CODES,
    Permission.USE_EXTERNAL_GIFT_CARD_CODES,
)


@pytest.fixture
async def shop(client_with: MakeClient) -> Client:
    """Online; may know which codes there are."""
    return await client_with(role="shop", channel=Channel.ONLINE)


@pytest.fixture
async def blind(client_with: MakeClient) -> Client:
    """Online; may not know which codes there are."""
    return await client_with(*PAYS, channel=Channel.ONLINE)


async def with_cvv(store: Store, admin: Client, code: str, pin: str | None = None) -> str:
    """A card of 10 as pools import them, with the CVV 123; returns its id."""
    text, vault = CodeText(code), store.vault
    new = NewCode(
        PHYSICAL,
        "Number",
        text,
        pin_verifier=await vault.hash_pin(PHYSICAL, text, pin) if pin else None,
        cvv_verifier=vault.hash_cvv(PHYSICAL, text, "123"),
    )
    async with store.write() as tx:
        view = await cards.add(tx, NewCard([new], currency="EUR"))
    done(await trans(admin, code=code, transType="ADD", amount="10.00"))
    return str(view.account.id)


# Who needs them.


async def test_a_printed_code_is_used_online_only_with_its_pin(admin: Client, shop: Client) -> None:
    made = await funded(admin, physicalCode="GC4928", physicalPin="1234")
    answer = await trans(shop, code="GC4928", **USE)
    assert (answer.code, answer.field) == ("PIN_REQUIRED", "pin")
    answer = await trans(shop, code="GC4928", pin="4321", **USE)
    assert (answer.code, answer.field) == ("SECRET_INVALID", None)
    assert (await money(admin, made["id"]))["balance"] == "10.00"
    assert done(await trans(shop, code="gc-4928", pin="1234", **USE))["balance"] == "9.00"


async def test_a_printed_code_without_pin_is_not_used_online(admin: Client, shop: Client) -> None:
    made = await funded(admin)
    for pin, error in ((None, "PIN_REQUIRED"), ("1234", "SECRET_INVALID")):
        assert (await trans(shop, code=code_of(made), pin=pin, **USE)).code == error
    assert (await money(admin, made["id"]))["balance"] == "10.00"


async def test_a_pin_belongs_to_its_code(admin: Client, shop: Client) -> None:
    made = await funded(admin, physicalCode="GC4928", physicalPin="1234")
    done(await edit(admin, made["id"], physicalCode="GC4929"))
    assert (await trans(shop, code="GC4929", pin="1234", **USE)).code == "SECRET_INVALID"
    done(await edit(admin, made["id"], physicalCode="GC4930", physicalPin="5678"))
    assert (await trans(shop, code="GC4930", pin="1234", **USE)).code == "SECRET_INVALID"
    assert done(await trans(shop, code="GC4930", pin="5678", **USE))["balance"] == "9.00"


async def test_in_a_store_no_pin_is_needed_but_one_that_is_sent_must_match(
    admin: Client, till: Client
) -> None:
    made = await funded(admin, physicalCode="GC4928", physicalPin="0123")
    plain = await funded(admin)
    assert done(await trans(till, code="GC4928", **USE))["balance"] == "9.00"
    assert (await trans(till, code="GC4928", pin="0124", **USE)).code == "SECRET_INVALID"
    assert (await trans(till, code="GC4928", pin="1230", **USE)).code == "SECRET_INVALID"
    assert done(await trans(till, code="GC4928", pin="0123", **USE))["balance"] == "8.00"
    assert (await trans(till, code=code_of(plain), pin="0123", **USE)).code == "SECRET_INVALID"
    assert (await money(admin, made["id"]))["balance"] == "8.00"


async def test_codes_that_are_not_printed_need_no_pin(
    admin: Client, client_with: MakeClient
) -> None:
    every = await client_with(*Permission, channel=Channel.ONLINE)
    owner = await member(admin)
    for facts in ({"externalCode": "EX34802"}, {"addPersonalCode": True, "memberId": owner}):
        made = await card(every, **facts)
        done(await trans(every, code=code_of(made), **ADD))
        assert done(await trans(every, code=code_of(made), **USE))["balance"] == "0.00"


@pytest.mark.parametrize("channel", list(Channel))
async def test_adding_funds_needs_no_pin_and_taking_does(
    admin: Client, client_with: MakeClient, channel: Channel
) -> None:
    caller = await client_with(*(set(Permission) - {Permission.LIST_GIFT_CARDS}), channel=channel)
    for facts in ({"physicalPin": "1234"}, {}):
        made = await card(admin, **facts)
        move = {"code": code_of(made), "reason": "because"}
        for kind in ("ADD", "ADJUST", "EXTERNAL", "IMPORT"):
            done(await trans(caller, **move, transType=kind, amount="1.00"))
        for kind in ("USE", "ADJUST", "EXTERNAL", "IMPORT"):
            answer = await trans(caller, **move, transType=kind, amount="-1.00")
            assert answer.code == ("PIN_REQUIRED" if channel is Channel.ONLINE else None)


async def test_a_secret_has_bounds(admin: Client, till: Client) -> None:
    made = await funded(admin, physicalPin="1234")
    pins = ("", "123", "1" * 13, "12a4", "１２３４", " 1234", "1234\n")  # noqa: RUF001
    cvvs = ("", "12", "1" * 9, "12a", "-12")
    for name, values in {"pin": pins, "cvv": cvvs}.items():
        for value in values:
            answer = await trans(till, code=code_of(made), **USE, **{name: value})
            assert (value, answer.code, answer.field) == (value, "INVALID_INPUT", name)
            assert value == "" or value not in str(answer.body)


@pytest.mark.parametrize("channel", list(Channel))
async def test_a_code_with_a_cvv_needs_it_on_every_payment(
    store: Store, admin: Client, client_with: MakeClient, channel: Channel
) -> None:
    pin = {"pin": "1234"} if channel is Channel.ONLINE else {}
    await with_cvv(store, admin, "GC4928", "1234")
    caller = await client_with(*(set(Permission) - {Permission.LIST_GIFT_CARDS}), channel=channel)
    answer = await trans(caller, code="GC4928", **pin, **USE)
    assert (answer.code, answer.field) == ("CVV_REQUIRED", "cvv")
    assert (await trans(caller, code="GC4928", cvv="124", **pin, **USE)).code == "SECRET_INVALID"
    for _ in range(2):
        done(await trans(caller, code="GC4928", cvv="123", **pin, **USE))
    if pin:
        assert (await trans(caller, code="GC4928", cvv="123", **USE)).code == "PIN_REQUIRED"
        bad = {"pin": "1235", "cvv": "123"}
        assert (await trans(caller, code="GC4928", **bad, **USE)).code == "SECRET_INVALID"
    done(await trans(caller, code="GC4928", **ADD))


async def test_a_cvv_that_a_code_does_not_have_matches_nothing(admin: Client, till: Client) -> None:
    made = await funded(admin)
    assert (await trans(till, code=code_of(made), cvv="123", **USE)).code == "SECRET_INVALID"


@pytest.mark.parametrize("way", ["id", "another code"])
async def test_a_card_with_a_cvv_needs_it_however_it_is_reached(
    store: Store, admin: Client, way: str
) -> None:
    card_id = await with_cvv(store, admin, "GC4928")
    if way == "another code":
        done(await edit(admin, card_id, externalCode="EX34802"))
    named = {"giftcardId": card_id} if way == "id" else {"code": "EX34802"}
    assert (await trans(admin, **named, **USE)).code == "CVV_REQUIRED"
    assert (await trans(admin, **named, **USE, cvv="124")).code == "SECRET_INVALID"
    done(await trans(admin, **named, **USE, cvv="123"))


# What wrong ones answer.


async def test_who_may_know_is_told_what_is_wrong(admin: Client, shop: Client) -> None:
    await funded(admin, physicalCode="GC4928", physicalPin="1234")
    for facts, error, field in (
        ({"code": "GC0000"}, "NOT_FOUND", "code"),
        ({"code": "GC0000", "pin": "1234"}, "NOT_FOUND", "code"),
        ({"code": "GC4928"}, "PIN_REQUIRED", "pin"),
        ({"code": "GC4928", "pin": "4321"}, "SECRET_INVALID", None),
    ):
        answer = await trans(shop, **facts, **USE)
        assert (answer.code, answer.field) == (error, field)


@pytest.mark.parametrize("asked", ["trans", "balance"])
async def test_who_may_not_know_is_always_told_the_same(
    store: Store, admin: Client, blind: Client, clock: SetClock, asked: str
) -> None:
    await funded(admin, physicalCode="GC4928", physicalPin="1234")
    await with_cvv(store, admin, "GC5555", "1234")
    await funded(admin, physicalCode="GC1111")

    async def answer_to(**facts: str) -> Answer:
        clock.forward(minutes=1)
        if asked == "balance":
            return await balance(blind, **facts)
        return await trans(blind, **facts, **USE)

    answers = [
        await answer_to(code=code, **facts)
        for facts in ({}, {"pin": "4321"}, {"pin": "1234", "cvv": "321"})
        for code in ("GC4928", "GC5555", "GC1111", "GC0000")
    ]
    answers.append(await answer_to(code="GC5555", pin="1234"))
    answers.append(await answer_to(code="GC5555", cvv="123"))
    for _ in range(5):
        answers.append(await answer_to(code="GC4928", pin="4321"))
    answers.append(await answer_to(code="GC4928", pin="1234"))  # right, but locked
    assert {answer.code for answer in answers} == {"SECRET_INVALID"}
    for answer in answers:
        del answer.errors[0]["path"]
        assert answer.errors == answers[0].errors
    clock.forward(days=1)
    assert (await answer_to(code="GC4928", pin="1234")).code is None


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The runs of argon2 that secrets were checked with: what a check takes its time for."""
    seen = list[str]()
    verify = argon2.PasswordHasher.verify

    def counted(self: argon2.PasswordHasher, verifier: str, secret: bytes) -> Any:
        seen.append(verifier)
        return verify(self, verifier, secret)

    monkeypatch.setattr(argon2.PasswordHasher, "verify", counted)
    return seen


@pytest.mark.parametrize("channel", list(Channel))
@pytest.mark.parametrize("asked", [trans, balance])
async def test_a_refusal_takes_equally_long_whether_or_not_the_code_exists(
    store: Store,
    admin: Client,
    client_with: MakeClient,
    clock: SetClock,
    runs: list[str],
    channel: Channel,
    asked: Any,
) -> None:
    """Whatever is wrong, argon2 runs once for each secret that was sent."""
    await card(admin, physicalCode="GC-pinned", physicalPin="1234")
    await card(admin, physicalCode="GC-plain")
    await card(admin, externalCode="GC-external")
    await with_cvv(store, admin, "GC-cvv", "1234")
    blind = await client_with(*PAYS, channel=channel)
    for sent in ({}, {"pin": "4321"}, {"cvv": "321"}, {"pin": "4321", "cvv": "321"}):
        for code in ("GC-none", "GC-pinned", "GC-plain", "GC-external", "GC-cvv"):
            clock.forward(hours=25)
            runs.clear()
            more = USE if asked is trans else {}
            answer = await asked(blind, code=code, **sent, **more)
            if answer.code == "SECRET_INVALID":
                assert len(runs) == len(sent), (code, sent)
