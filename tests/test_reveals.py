"""Codes that are else masked, shown in clear: in the audit trail first, and of so many cards."""

import asyncio
from typing import Any

import pytest

from giftgql.audit import service as audit
from giftgql.audit.criteria import Criteria
from giftgql.audit.models import Event
from giftgql.permissions import Permission
from giftgql.store import Store
from tests import factories
from tests.backoffice import visitor
from tests.client import Answer, Client, Server
from tests.conftest import MakeClient, SetClock, statements
from tests.signing_in import person

P = Permission
ALL = "results { id codes { codeType code isMasked qrCode } codeHistory { code } }"


async def cards(admin: Client, many: int) -> list[str]:
    """Cards with a printed and a personal code; their ids."""
    member = await factories.member(admin)
    return [
        str(
            (
                await factories.card(
                    admin, physicalCode=f"P-{n:04}", addPersonalCode=True, memberId=member
                )
            )["id"]
        )
        for n in range(many)
    ]


async def reveals(store: Store) -> list[tuple[str, str]]:
    """The caller and the card of each."""
    async with store.read() as reading:
        page = await audit.page(reading, Criteria(event=Event.CODE_REVEALED), first=1_000)
    return [(each.caller.partition(":")[0], each.subject) for each in page.rows]


def personal(answer: Answer) -> list[bool]:
    """Whether each personal code is in clear."""
    found = [
        code
        for card in answer["giftcard"]["results"]
        for code in card["codes"]
        if code["codeType"] == "PERSONAL"
    ]
    for code in found:
        assert code["isMasked"] is code["code"].startswith("************")
    return [not code["isMasked"] for code in found]


async def staff(server: Server, store: Store) -> Client:
    """Somebody who may see codes in clear."""
    somebody = await person(store, P.VIEW_UNMASKED_GIFT_CARD_CODES, role="manager")
    return server.client(somebody.key)


def limit(store: Store, **settings: int) -> None:
    store.settings = store.settings.model_copy(update=settings)


async def test_a_reveal_is_recorded_once_for_a_request_and_a_card(
    server: Server, store: Store, admin: Client
) -> None:
    one, two = await cards(admin, 2)
    anna = await staff(server, store)
    both = f'a: giftcard {{ {ALL} }} b: giftcard(id: "{one}") {{ {ALL} }}'
    answer = await anna.run(f"{{ {both} }}")
    assert [len(answer[name]["results"]) for name in "ab"] == [2, 1]
    assert await reveals(store) == [("staff", f"card:{one}"), ("staff", f"card:{two}")]
    await anna.run(f'{{ giftcard(id: "{one}") {{ {ALL} }} }}')
    assert len(await reveals(store)) == 3
    blocked = 'mutation ($id: ID!) { giftcardBlock(giftcard: {id: $id, reason: "so"}) {'
    assert (await anna.run(f"{blocked} codes {{ code }} }} }}", id=two))["giftcardBlock"]
    assert (await reveals(store))[3:] == [("staff", f"card:{two}")]


async def test_what_reveals_nothing_is_no_reveal(
    server: Server, store: Store, admin: Client, client_with: MakeClient
) -> None:
    await cards(admin, 1)
    anna = await staff(server, store)
    for query in (
        "{ giftcard { results { id balance codes { codeType expiresOn } } } }",
        "{ giftcard { results { id } } }",
    ):
        assert (await anna.run(query))["giftcard"]["results"]
    masked = await admin.run(f"{{ giftcard {{ {ALL} }} }}")
    assert personal(masked) == [False]
    assert await made_in_clear(admin, client_with)
    assert await reveals(store) == []


async def made_in_clear(admin: Client, client_with: MakeClient) -> str:
    """A personal code, as the answer to its creation shows it."""
    caller = await client_with(P.VIEW_UNMASKED_GIFT_CARD_CODES, P.CREATE_GIFT_CARD)
    member = await factories.member(admin)
    [code] = (await factories.card(caller, addPersonalCode=True, memberId=member))["codes"]
    assert not code["isMasked"]
    return str(code["code"])


async def test_who_types_a_code_sees_what_was_typed_with_one_statement(
    server: Server, store: Store, admin: Client, client_with: MakeClient
) -> None:
    code = await made_in_clear(admin, client_with)
    anna = await staff(server, store)
    asked = "results { codes { code isMasked } }"
    query = f"query ($c: String!) {{ giftcard(code: $c, codeType: PERSONAL) {{ {asked} }} }}"
    await anna.run(query, c=code)
    with statements(store) as seen:
        answer = await anna.run(query, c=code)
    assert answer["giftcard"]["results"] == [{"codes": [{"code": code, "isMasked": False}]}]
    assert len(seen) == 1
    assert await reveals(store) == []


async def test_beyond_the_limit_codes_are_masked_and_a_card_seen_again_is_nothing_new(
    server: Server, store: Store, admin: Client, clock: SetClock
) -> None:
    limit(store, reveals_per_hour=2, reveals_per_day=3)
    first, _, third, fourth = await cards(admin, 4)
    anna = await staff(server, store)
    everything = f"{{ giftcard {{ {ALL} }} }}"
    assert personal(await anna.run(everything)) == [True, True, False, False]
    assert personal(await anna.run(everything)) == [True, True, False, False]
    one = f'{{ giftcard(id: "%s") {{ {ALL} }} }}'
    assert personal(await anna.run(one % third)) == [False]
    clock.forward(hours=1, seconds=1)
    assert personal(await anna.run(one % third)) == [True]
    assert personal(await anna.run(one % fourth)) == [False], "three a day"
    assert personal(await anna.run(one % first)) == [True], "known already"
    clock.forward(hours=25)
    assert personal(await anna.run(one % fourth)) == [True]
    other = await staff(server, store)
    assert personal(await other.run(one % first)) == [True], "each has a limit of one's own"


async def test_clients_have_a_limit_of_their_own(
    store: Store, admin: Client, client_with: MakeClient
) -> None:
    limit(store, reveals_per_hour=0, client_reveals_per_hour=1)
    await cards(admin, 2)
    mailer = await client_with(
        P.VIEW_UNMASKED_GIFT_CARD_CODES, P.LIST_GIFT_CARDS, P.USE_CRYPTO_GIFT_CARD_CODES
    )
    assert personal(await mailer.run(f"{{ giftcard {{ {ALL} }} }}")) == [True, False]


async def test_requests_at_the_same_time_reveal_no_more_than_one_after_the_other(
    server: Server, store: Store, admin: Client
) -> None:
    limit(store, reveals_per_hour=3)
    ids = await cards(admin, 8)
    anna = await staff(server, store)

    async def see(card_id: str) -> Any:
        return personal(await anna.run(f'{{ giftcard(id: "{card_id}") {{ {ALL} }} }}'))

    seen = await asyncio.gather(*(see(each) for each in ids))
    assert sum(each == [True] for each in seen) == 3
    assert len(await reveals(store)) == 3


async def test_a_member_sees_its_own_codes_as_often_as_it_likes(
    server: Server, store: Store, admin: Client
) -> None:
    limit(store, reveals_per_hour=0, reveals_per_day=0)
    member = await factories.member(admin)
    await factories.card(admin, addPersonalCode=True, memberId=member)
    own = server.client(await factories.member_token(admin, member))
    mine = await own.run("{ me { giftcards { results { codes { isMasked qrCode } } } } }")
    [code] = mine["me"]["giftcards"]["results"][0]["codes"]
    assert (code["isMasked"], bool(code["qrCode"])) == (False, True)
    assert await reveals(store) == []


async def test_the_back_office_records_what_its_page_shows(
    server: Server, store: Store, admin: Client
) -> None:
    limit(store, reveals_per_hour=1)
    one, two = await cards(admin, 2)
    boss = await visitor(server, store, P.VIEW_UNMASKED_GIFT_CARD_CODES, role="manager")
    assert ", hidden" not in (await boss.open(f"/office/cards/{one}")).text
    assert "personal, hidden" in (await boss.open(f"/office/cards/{two}")).text
    assert await reveals(store) == [("staff", f"card:{one}")]


@pytest.mark.parametrize("may_see", [True, False])
async def test_an_export_is_an_event_of_its_own_and_no_reveal(
    store: Store, admin: Client, client_with: MakeClient, may_see: bool
) -> None:
    limit(store, client_reveals_per_hour=0)
    await cards(admin, 1)
    more = (P.VIEW_UNMASKED_GIFT_CARD_CODES,) if may_see else ()
    caller = await client_with(P.EXPORT_GIFT_CARD_CODES, *more, role="manager")
    answer = await caller.http.get(
        "/exports/cards.csv", headers={"Authorization": f"Bearer {caller.token}"}
    )
    assert ("************" in answer.text) is not may_see
    assert await reveals(store) == []
