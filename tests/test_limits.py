"""Lists have an end: cards within cards, rows of a request, statements of a page."""

from pathlib import Path

import structlog
from graphql import parse

from giftgql import guard
from giftgql.permissions import Permission
from giftgql.settings import Settings
from giftgql.store import Store
from tests.client import Client, Server
from tests.conftest import MakeClient, statements
from tests.factories import card, edit, member, member_token

OWNED = "results { id member { id giftcards { results { id } } } }"


async def test_lists_of_cards_do_not_stand_within_each_other(admin: Client, server: Server) -> None:
    owner = await member(admin)
    made = await card(admin, memberId=owner)
    app = server.client(await member_token(admin, owner))
    for caller, document in (
        (app, f"{{ me {{ giftcards {{ {OWNED} }} }} }}"),
        (admin, f"{{ giftcard {{ {OWNED} }} }}"),
        (admin, f"{{ giftcard {{ ...F }} }} fragment F on GiftCardResults {{ {OWNED} }}"),
        (
            admin,
            f'mutation {{ giftcardEdit(giftcard: {{id: "{made["id"]}"}}) '
            "{ member { giftcards { results { id } } } } }",
        ),
    ):
        assert (await caller.run(document)).code == "OPERATION_TOO_COMPLEX"
    found = await admin.run("{ member { results { giftcards { results { id member { id } } } } } }")
    cards = found["member"]["results"][0]["giftcards"]["results"]
    assert cards == [{"id": made["id"], "member": {"id": owner}}]


def test_a_field_that_is_only_named_like_a_card_is_no_level(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, _env_file=None)
    document = "mutation { giftcardTransAdd { giftcardId giftcard { giftcardId } } }"
    measure = guard.measured(parse(document), settings.document_limits)
    assert measure.root_fields == ("giftcardTransAdd",)


async def test_the_rows_of_all_lists_of_a_request_have_a_limit(admin: Client, store: Store) -> None:
    lists = [f"a{n}: giftcard(first: 1000) {{ until }}" for n in range(10)]
    assert store.settings.max_rows == 10_000
    assert (await admin.run(f"{{ {' '.join(lists)} }}")).errors == []
    await member(admin)
    more = " ".join([*lists[:9], "member(first: 1000) { results { giftcards { until } } }"])
    assert (await admin.run(f"{{ {more} }}")).code == "OPERATION_TOO_COMPLEX"


async def test_the_cards_of_many_members_come_in_as_many_statements_as_those_of_one(
    admin: Client, store: Store
) -> None:
    owners = [await member(admin) for _ in range(4)]
    made = {
        owner: [(await card(admin, memberId=owner))["id"] for _ in range(3)] for owner in owners
    }
    cards = "giftcards(first: 2, skip: 1) { hasMoreResults results { id } }"
    with statements(store) as seen:
        answer = await admin.run(f"{{ member {{ results {{ id {cards} }} }} }}")
    shown = {
        each["id"]: [one["id"] for one in each["giftcards"]["results"]]
        for each in answer["member"]["results"]
    }
    assert shown == {owner: ids[1:] for owner, ids in made.items()}
    assert len([each for each in seen if "gift_card" in each]) == 1
    assert len([each for each in seen if "FROM code" in each]) == 1


async def test_a_page_of_a_members_cards_says_whether_more_follow(admin: Client) -> None:
    owner = await member(admin)
    for _ in range(3):
        await card(admin, memberId=owner)
    for first, more in ((2, True), (3, False)):
        answer = await admin.run(
            f"{{ member {{ results {{ giftcards(first: {first}) {{ hasMoreResults }} }} }} }}"
        )
        assert answer["member"]["results"] == [{"giftcards": {"hasMoreResults": more}}]


async def test_history_is_found_through_fragments(client_with: MakeClient) -> None:
    office = await client_with(Permission.EDIT_GIFT_CARD, role="manager")
    made = await card(office, physicalCode="GC0001")
    await edit(office, made["id"], physicalCode="GC0002")
    answer = await office.run(
        "{ giftcard { results { ...C ... on GiftCard { id } } } } "
        "fragment C on GiftCard { ...H } fragment H on GiftCard { codeHistory { code } }"
    )
    assert answer["giftcard"]["results"] == [
        {"codeHistory": [{"code": "GC0001"}], "id": made["id"]}
    ]


async def test_lists_that_are_not_for_the_caller_count_as_well(
    client_with: MakeClient, admin: Client
) -> None:
    for _ in range(35):
        await member(admin)
    clerk = await client_with(role="clerk")
    lists = " ".join(f"a{n}: giftcards(first: 1) {{ limitedByPermission }}" for n in range(29))
    few = await clerk.run(f"{{ member(first: 20) {{ results {{ {lists} }} }} }}")
    assert few["member"]["results"][19]["a28"] == {"limitedByPermission": True}
    many = await clerk.run(f"{{ member(first: 35) {{ results {{ {lists} }} }} }}")
    assert {error["extensions"]["code"] for error in many.errors} == {"OPERATION_TOO_COMPLEX"}


async def test_metadata_is_asked_for_a_few_times_only(admin: Client) -> None:
    for times, code in ((5, None), (6, "OPERATION_TOO_COMPLEX")):
        names = " ".join(f"a{n}: metadata" for n in range(times))
        assert (await admin.run(f"{{ member {{ results {{ {names} }} }} }}")).code == code


async def test_a_clients_mistake_is_no_fault_in_the_log(admin: Client) -> None:
    with structlog.testing.capture_logs() as lines:
        for first in ("9" * 5_000, "1e999", "x", "null"):
            answer = await admin.run(f"{{ giftcard(first: {first}) {{ until }} }}")
            assert answer.code == "GRAPHQL_VALIDATION_FAILED"
    assert [line for line in lines if line["log_level"] in ("error", "critical")] == []
