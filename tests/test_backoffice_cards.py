"""The page of a card: what it shows to whom, and what is done from it, once."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from giftgql import schema, work
from giftgql.backoffice.actions import Task
from giftgql.backoffice.campaigns import ACTIONS as CAMPAIGNS
from giftgql.backoffice.card_page import ACTIONS
from giftgql.backoffice.order_actions import ACTIONS as ORDERS
from giftgql.backoffice.webhooks import ACTIONS as WEBHOOKS
from giftgql.permissions import Permission
from giftgql.store import Store
from tests import factories, mailing
from tests.backoffice import Page, Visitor, visitor
from tests.client import Client, Server

MakeVisitor = Callable[..., Awaitable[Visitor]]
P = Permission


@pytest.fixture
def visitor_with(server: Server, store: Store) -> MakeVisitor:
    async def make(*permissions: Permission, role: str | None = None) -> Visitor:
        return await visitor(server, store, *permissions, role=role)

    return make


def balance(page: Page) -> str:
    found = re.search(r"Available ([\S]+)", page.text)
    assert found, page.text
    return found[1]


def test_each_action_needs_what_its_mutation_needs() -> None:
    sdl = schema.build().as_str()
    every = (ACTIONS, CAMPAIGNS, ORDERS, WEBHOOKS)
    tasks: list[Task[Any, Any]] = [task for each in every for task in each.values()]
    for action in tasks:
        field = re.search(
            rf"^  {action.mutation}\(.*?@requires\(anyOf: \[(.*?)\]\)", sdl, re.M | re.S
        )
        assert field, action.mutation
        needed = re.findall(r'"(\w+)"', field[1])
        assert {each.value for each in action.requires} <= set(needed), action.name


async def test_money_is_moved_once_by_each_form_and_the_page_says_so(
    visitor_with: MakeVisitor, admin: Client
) -> None:
    card = await factories.card(admin, physicalCode="GIFT-0001")
    manager = await visitor_with(role="manager")
    path = f"/office/cards/{card['id']}"
    empty = await manager.open(path)
    assert "The first funds that are added activate the card." in empty.text
    form = empty.form("/add")
    clicks = (manager.send(form, amount="50", refNo="R-1") for _ in range(3))
    for funded in await asyncio.gather(*clicks):
        assert "Added to the card: €50.00. €50.00 is available now." in funded.text
    twice = await manager.send(form, amount="50", refNo="R-1")
    assert balance(twice) == "€50.00", "the same form, sent again"
    other = await manager.send(empty.form("/add"), amount="60", refNo="R-1")
    assert other.status == 422
    assert "This idempotency key was used for another request" in other.text
    page = await manager.send(funded.form("/redeem"), amount="12.50", refNo="R-2")
    assert balance(page) == "€37.50"
    assert {"Anna", "back-office", "R-2"} <= set(page.text.split())
    declined = await manager.send(page.form("/redeem"), amount="40")
    assert declined.status == 422
    assert "More was asked than is available: 40.00 of 37.50. Take no more than is" in declined.text
    again = declined.form("/redeem")
    assert again.fields["amount"] == "40"
    assert again.fields["key"] != page.form("/redeem").fields["key"]
    page = await manager.send(again, amount="7.50")
    assert balance(page) == "€30.00"
    page = await manager.send(page.form("/adjust"), amount="5", direction="take", reason="Broken")
    assert balance(page) == "€25.00"
    assert "Broken" in page.text
    page = await manager.send(page.form("/refund"), reason="Wrong way")
    assert balance(page) == "€30.00"
    manager.languages = "de"
    german = await manager.open(path)
    assert "30,00 €" in german.text
    assert (await manager.send(german.form("/redeem"), amount="1.50")).status == 422
    assert balance(await manager.send(german.form("/redeem"), amount="1,50")) == "28,50"


async def test_a_card_that_needs_its_cvv_is_asked_for_it(
    visitor_with: MakeVisitor, admin: Client
) -> None:
    card = await factories.funded(admin, "20", physicalCode="GIFT-0001", physicalCvv="471")
    manager = await visitor_with(role="manager")
    page = await manager.open(f"/office/cards/{card['id']}")
    assert "cvv" not in page.form("/redeem").names
    page = await manager.send(page.form("/redeem"), amount="5")
    assert "Ask the holder for the CVV on the card." in page.text
    wrong = await manager.send(page.form("/redeem"), cvv="999")
    assert (wrong.status, balance(wrong)) == (422, "€20.00")
    assert 'value="999"' not in wrong.html
    page = await manager.send(wrong.form("/redeem"), cvv="471")
    assert balance(page) == "€15.00"


async def test_authorisations_are_captured_and_released(
    visitor_with: MakeVisitor, admin: Client
) -> None:
    card = await factories.funded(admin, "20")
    for amount in ("-5", "-6"):
        await factories.hold(admin, card, amount)
    manager = await visitor_with(role="manager")
    page = await manager.open(f"/office/cards/{card['id']}")
    assert balance(page) == "€9.00"
    assert "held by authorisations: €11.00" in page.text
    page = await manager.send(page.form("/capture"), amount="2")
    assert balance(page) == "€12.00"
    page = await manager.send(page.form("/release"))
    assert balance(page) == "€18.00"
    assert "Open authorisations" not in page.text


async def test_a_card_is_stopped_let_go_extended_and_ended(
    visitor_with: MakeVisitor, admin: Client
) -> None:
    card = await factories.funded(admin, "20", expiresOn="2099-01-31")
    staff = await visitor_with(P.DISABLE_GIFT_CARD, role="manager")
    page = await staff.open(f"/office/cards/{card['id']}")
    page = await staff.send(page.form("/block"), reason="Lost\r\nin the tram")
    assert "nothing can be taken or added" in page.text
    assert not page.offers("/block")
    refused = await staff.send(page.form("/redeem"), amount="1")
    assert "The card is blocked. Unblock it first" in refused.text
    page = await staff.send(page.form("/unblock"), reason="Found")
    page = await staff.send(page.form("/extend"), expiresOn="2099-12-31", reason="Kind")
    assert "Dec 31, 2099" in page.text
    past = await staff.send(page.form("/extend"), expiresOn="1999-12-31", reason="Unkind")
    assert "New last day lies in the past. Choose today or a later day." in past.text
    page = await staff.send(page.form("/unlock"), reason="Forgotten")
    assert "Wrong tries of PIN and CVV are forgotten." in page.text
    unsure = await staff.send(page.form("/disable"), reason="Stolen")
    assert (unsure.status, balance(unsure)) == (422, "€20.00")
    page = await staff.send(page.form("/disable"), reason="Stolen", confirmed="yes")
    assert balance(page) == "€0.00"
    assert not page.offers("/redeem")


async def test_a_lost_code_is_ended_and_a_new_one_issued(
    visitor_with: MakeVisitor, admin: Client
) -> None:
    owner = await factories.member(admin, name="Bea")
    card = await factories.card(
        admin, physicalCode="GIFT-0001", addPersonalCode=True, memberId=owner
    )
    personal = next(each["code"] for each in card["codes"] if each["codeType"] == "PERSONAL")
    manager = await visitor_with(P.EDIT_GIFT_CARD, role="manager")
    page = await manager.open(f"/office/cards/{card['id']}")
    assert "GIFT-0001" in page.text, "whoever may use printed codes sees them"
    assert personal in page.text, "it is masked for the administrator as well"
    assert "Bea" in page.text
    page = await manager.send(
        page.form("/printed-code"), physicalCode="GIFT-0002", physicalPin="4711", confirmed="yes"
    )
    assert "GIFT-0002" in page.text
    assert "GIFT-0001" not in page.text
    assert "************0001" in page.text
    taken = await manager.send(
        page.form("/printed-code"), physicalCode="GIFT-0001", physicalPin="99", confirmed="yes"
    )
    assert taken.status == 422
    assert 'value="99"' not in taken.html
    page = await manager.send(page.form("/personal-code"), confirmed="yes")
    assert personal not in page.text.partition("Ended codes")[0]
    assert page.text.count("************") == 3
    page = await manager.send(page.form("/revoke"), confirmed="yes")
    assert "GIFT-0002" not in page.text
    clerk = await visitor_with(role="manager")
    assert not (await clerk.open(f"/office/cards/{card['id']}")).offers("-code")
    stolen = page.form("/personal-code")
    token = (await clerk.open("/office")).form("/find").fields["formToken"]
    sent = {**stolen.fields, "formToken": token, "confirmed": "yes"}
    assert (await clerk.post(stolen.action, sent)).status == 403


async def test_a_mail_is_sent_again_once_by_each_form(
    visitor_with: MakeVisitor, store: Store
) -> None:
    card_id = await factories.digital(store)
    await mailing.put(store, card_id)
    staff = await visitor_with(P.LIST_GIFT_CARDS, P.MANAGE_OUTBOX)
    page = await staff.open(f"/office/cards/{card_id}")
    assert "ada@example.org" in page.text
    page = await staff.send(page.form("/retry"))
    await work.do_all(store)
    page = await staff.open(f"/office/cards/{card_id}")
    again = page.form("/resend")
    for _ in range(2):
        page = await staff.send(again)
        assert "on its way once more" in page.text
    assert page.text.count("ada@example.org") == 2
    code = await mailing.code_of(store, card_id)
    assert code not in page.html
    everything = await visitor_with(*Permission)
    page = await everything.open(f"/office/cards/{card_id}")
    assert code in page.text, "with ViewUnmaskedGiftCardCodes"
    clerk = await visitor_with(role="clerk")
    page = await clerk.send((await clerk.open("/office")).form("/find"), code=code.lower())
    assert page.status == 200
    assert f"************{code[-4:]}" in page.text
    assert code not in page.html


async def test_the_history_is_read_page_by_page_with_where_it_led_to(
    visitor_with: MakeVisitor, admin: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("giftgql.backoffice.card_page.HISTORY", 2)
    card = await factories.funded(admin, "20")
    for _ in range(3):
        await factories.spend(admin, card, "-1", sourceId="till-<7>", reason="<b>")
    manager = await visitor_with(role="manager")
    page = await manager.open(f"/office/cards/{card['id']}")
    earlier = re.search(r'href="(/office/cards/\d+\?before=\d+)#history"', page.html)
    assert earlier
    assert "till-<7>" in page.text
    assert "Funds added" not in page.text
    assert "Funds added" in (await manager.open(earlier[1])).text
    assert (await manager.open("/office/cards/9999")).status == 404
    assert "There is no such page." in (await manager.open("/office/nowhere")).text


async def test_a_till_uses_the_card_whose_code_it_has(
    visitor_with: MakeVisitor, admin: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    card = await factories.card(admin, physicalCode="GIFT-0001")
    till = await visitor_with(role="till")
    page = await till.send((await till.open("/office")).form("/find"), code="gift-0001")
    assert "needs the right ListGiftCardTrans" in page.text
    page = await till.send(page.form("/add"), amount="20")
    assert (page.status, balance(page)) == (200, "€20.00")
    sent = {**page.form("/redeem").fields, "amount": "5"}
    for _ in range(2):
        page = await till.post(f"/office/cards/{card['id']}/redeem", sent)
        assert balance(page) == "€15.00"
    assert not page.offers("/block")
    sent = {**page.form("/redeem").fields, "amount": "5", "reason": "Theirs"}
    for action in sorted(ACTIONS.keys() - {"redeem", "add", "refund", "capture", "release"}):
        answer = await till.post(f"/office/cards/{card['id']}/{action}", sent)
        assert answer.status == 403, action
        assert balance(answer) == "€15.00"
    assert (await till.post(f"/office/cards/{card['id']}/steal", sent)).status == 404
    assert "GIFT-" not in capsys.readouterr().out.upper()
