"""The pages of the back office: who may open them, how they are answered, cards that are found."""

from collections.abc import Awaitable, Callable

import pytest

from giftgql.backoffice.forms import Form
from giftgql.backoffice.locales import DEFAULT, Wording, preferred
from giftgql.backoffice.pages import Problem
from giftgql.errors import InvalidAmount, Unavailable
from giftgql.money import Money
from giftgql.permissions import Permission
from giftgql.settings import Settings
from giftgql.store import Store
from tests import factories
from tests.backoffice import Visitor, visitor
from tests.client import Client, Server

MakeVisitor = Callable[..., Awaitable[Visitor]]


@pytest.fixture
def visitor_with(server: Server, store: Store) -> MakeVisitor:
    async def make(*permissions: Permission, role: str | None = None) -> Visitor:
        return await visitor(server, store, *permissions, role=role)

    return make


async def test_pages_are_for_people_with_the_right_and_have_a_strict_policy(
    visitor_with: MakeVisitor, server: Server, store: Store
) -> None:
    nobody = await visitor_with()
    home = await nobody.open("/office")
    assert "You have no right that opens a page here." in home.text
    assert (await nobody.open("/office/cards")).status == 403
    policy = home.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert home.headers["cache-control"] == "no-store"
    clerk = await visitor_with(role="clerk")
    assert "Look a card up" in (await clerk.open("/office")).text
    listing = await clerk.open("/office/cards?status=ACTIVATED")
    assert not listing.offers("/office/cards"), "a clerk finds cards by their codes only"
    assert (await clerk.open("/office/cards/1")).status == 403
    clerk.browser.cookies.clear()
    assert (await clerk.open("/office/cards?last=1")).location == (
        "/sign-in?next=%2Foffice%2Fcards%3Flast%3D1"
    )
    swapped = await clerk.browser.get("/office/cards", **{"HX-Request": "true"})
    assert swapped.headers["hx-redirect"] == "/sign-in?next=%2Foffice%2Fcards"


async def test_a_fault_is_a_page_that_tells_nothing_of_it(
    visitor_with: MakeVisitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = await visitor_with(role="manager")
    monkeypatch.setattr("giftgql.backoffice.cards.cards.page", lambda *_, **__: 1 / 0)
    page = await manager.open("/office/cards")
    assert page.status == 500
    assert f"Tell whoever runs it this number: {page.headers['x-request-id']}" in page.text
    assert "division" not in page.html


async def test_what_no_page_of_ours_sends_is_refused(visitor_with: MakeVisitor) -> None:
    clerk = await visitor_with(role="clerk")
    form = (await clerk.open("/office/cards")).form("/find")
    sent = {**form.fields, "code": "GC000001"}
    assert (await clerk.post(form.action, {**sent, "formToken": "0" * 64})).status == 403
    foreign = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
    assert (await clerk.post(form.action, sent, headers=foreign)).status == 403
    assert (await clerk.post(form.action, sent)).status == 404


async def test_a_card_is_found_by_code_and_by_id_and_the_code_is_in_no_address(
    visitor_with: MakeVisitor, admin: Client
) -> None:
    card = await factories.card(admin, physicalCode="GIFT-000 111-222")
    manager, clerk = await visitor_with(role="manager"), await visitor_with(role="clerk")
    find = (await manager.open("/office/cards")).form("/find")
    for typed in ("gift000111222", card["id"], f" {card['id']} "):
        answer = await manager.post(find.action, {**find.fields, "code": typed})
        assert (answer.status, answer.location) == (303, f"/office/cards/{card['id']}")
    find = (await clerk.open("/office")).form("/find")
    page = await clerk.send(find, code="gift 000 111 222")
    assert page.status == 200
    assert f"Card {card['id']}" in page.text
    missing = await clerk.send(find, code=card["id"])
    assert missing.status == 422, "an id is too short for a code"
    missing = await clerk.send(find, code="GIFT-000-111-223")
    assert missing.status == 404
    assert "Check each character" in missing.text


async def test_a_code_of_two_types_is_found_twice(visitor_with: MakeVisitor, admin: Client) -> None:
    both = [
        await factories.card(admin, physicalCode="SAME-CODE"),
        await factories.card(admin, externalCode="SAME-CODE"),
    ]
    rights = (Permission.USE_PHYSICAL_GIFT_CARD_CODES, Permission.USE_EXTERNAL_GIFT_CARD_CODES)
    finder = await visitor_with(Permission.FIND_GIFT_CARD_BY_CODE, *rights)
    page = await finder.send((await finder.open("/office")).form("/find"), code="same-code")
    choices = [form for form in page.forms if form.fields.get("codeType")]
    assert [form.fields["codeType"] for form in choices] == ["PHYSICAL", "EXTERNAL"]
    assert f"Card {both[1]['id']}" in (await finder.send(choices[1])).text
    lists = await visitor_with(
        Permission.FIND_GIFT_CARD_BY_CODE, Permission.LIST_GIFT_CARDS, *rights
    )
    page = await lists.send((await lists.open("/office")).form("/find"), code="same-code")
    assert [f"/office/cards/{card['id']}" in page.html for card in both] == [True, True]


async def test_cards_are_listed_by_status_member_and_end_of_code(
    visitor_with: MakeVisitor, admin: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("giftgql.backoffice.cards.ROWS", 2)
    manager = await visitor_with(role="manager")
    assert "There are no cards yet." in (await manager.open("/office/cards")).text
    owner = await factories.member(admin)
    cards = [await factories.card(admin, physicalCode=f"CODE-000{n}") for n in range(3)]
    cards.append(await factories.card(admin, memberId=owner, physicalCode="CODE-00'9"))

    async def shown(asked: str) -> list[str]:
        page = await manager.open(f"/office/cards?{asked}")
        return [each["id"] for each in cards if f'/office/cards/{each["id"]}"' in page.html]

    ids = [card["id"] for card in cards]
    assert await shown("") == ids[:2]
    page = await manager.open("/office/cards")
    further = page.html.partition('href="/office/cards?')[2].partition('"')[0]
    assert await shown(further.replace("&amp;", "&")) == ids[2:]
    assert await shown(f"member={owner}") == ids[3:]
    assert await shown("last=0002&status=NOT_ACTIVATED") == ids[2:3]
    assert await shown("status=BLOCKED") == []
    refused = await manager.open("/office/cards?status=LOST&member=%22%3E%3Cb%3E")
    assert refused.status == 422
    assert "The status is none that a card can have." in refused.text


def test_a_refused_form_gets_a_new_key_unless_it_may_have_been_done() -> None:
    form = Form({"key": "office-1"})
    assert Problem(Unavailable(), form).key == "office-1"
    declined = Problem(InvalidAmount("is odd"), form)
    assert declined.key != "office-1"
    assert declined.key != declined.key, "each one that is rendered has its own"
    assert declined.sentence({"amount": "The amount"}) == "The amount is odd."
    assert "office-1" not in repr(declined)


def test_amounts_are_written_and_read_in_the_persons_locale() -> None:
    assert str(preferred("xx, de-CH;q=0.8, fr;q=0.9")) == "fr"
    assert str(preferred("de-CH-1996,en")) == "de_CH"
    for unknown in ("", "*", "../../etc", "q=1;;,", "x" * 9_000, "en-" * 500, "de;q=0"):
        assert preferred(unknown) == DEFAULT
    german, english = (
        Wording(preferred(each), Settings(_env_file=None)) for each in ("de-DE", "en-GB")
    )
    assert german.money(Money(123_456_789, "EUR")) == "1.234.567,89\u00a0€"
    assert english.money(Money(-1_250, "GBP")) == "-£12.50"
    assert english.money(Money(1_250, "KWD"), signed=True).endswith("1.250")
    assert english.money(Money(500, "JPY")) == "JP¥500"
    assert english.money(Money(50, "LBP")).endswith("0.50"), "no part of an amount is hidden"
    assert german.amount(" 12,5 ") == "12.5"
    assert english.amount("1234567890123456") == "1234567890123456"
    for typed in ("", "1.250", "-5", "+5", "1,2,3", ",5", "5,", "1e3", "٣", "1\u00a0000"):
        with pytest.raises(InvalidAmount):
            german.amount(typed)
    assert german.example("KWD") == "12,000"
