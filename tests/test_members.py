"""Members: the retailer's customers, under the retailer's own ids."""

from typing import Any

import pytest

from giftgql.permissions import Permission
from tests.client import Answer, Client
from tests.conftest import MakeClient, SetClock
from tests.factories import card, edit, member

MEMBER = "id name email phone metadata createdAt modifiedAt"
NOT_IDS = ["", "x" * 65, "Cä", "C\n1", "C\x00", "🎁", "C\u00a01"]
ADDRESSES = [
    "a@b",
    "anna.o'hara+gift@shop.example",
    "ünï@exämple.org",
    "x@" + "y" * 252,
]
NOT_ADDRESSES = [
    "",
    "a",
    "@",
    "a@",
    "@b",
    "a@b@c",
    "a b@c",
    "a@b c",
    "a@b,c@d",
    "a@b;c@d",
    "Anna <a@b>",
    '"a"@b',
    "a@b\r\nBcc: c@d",
    "a@b\nc",
    "a@b\x00",
    "a@b\x85",
    "x@" + "y" * 253,
]


async def added(caller: Client, **facts: Any) -> Answer:
    return await caller.run(
        f"mutation ($m: MemberAddInput!) {{ memberAdd(member: $m) {{ {MEMBER} }} }}", m=facts
    )


async def edited(caller: Client, **facts: Any) -> Answer:
    return await caller.run(
        f"mutation ($m: MemberEditInput!) {{ memberEdit(member: $m) {{ {MEMBER} }} }}", m=facts
    )


async def members(caller: Client, **arguments: Any) -> Answer:
    return await caller.run(
        "query ($id: ID, $email: String, $first: Int! = 100, $skip: Int! = 0, $since: String) "
        "{ member(id: $id, email: $email, first: $first, skip: $skip, since: $since) "
        f"{{ hasMoreResults limitedByPermission until results {{ {MEMBER} }} }} }}",
        **arguments,
    )


def ids(answer: Answer) -> list[str]:
    return [each["id"] for each in answer["member"]["results"]]


async def test_a_member_is_added_under_the_retailers_id(admin: Client, clock: SetClock) -> None:
    facts = {
        "id": "C000000212",
        "name": "Änne 🎁",
        "email": "a@b.example",
        "phone": "+49 30 1",
        "metadata": {"tier": "gold"},
    }
    made = (await added(admin, **facts))["memberAdd"]
    now = "2026-11-21T12:00:00+00:00"
    assert made == {**facts, "createdAt": now, "modifiedAt": now}
    found = (await members(admin, id="C000000212"))["member"]
    assert found["results"] == [made]
    assert (found["hasMoreResults"], found["limitedByPermission"]) == (False, False)


async def test_an_id_is_given_once(admin: Client) -> None:
    first = (await added(admin, id="C1", name="Anna"))["memberAdd"]
    answer = await added(admin, id="C1", name="Ben")
    assert (answer.code, answer.field) == ("CONFLICT", "id")
    assert answer.body["data"] == {"memberAdd": None}
    assert (await members(admin))["member"]["results"] == [first]
    assert (await added(admin, id="c1")).code is None


async def test_an_id_has_1_to_64_printable_ascii_characters(admin: Client) -> None:
    for bad in NOT_IDS:
        for answer in (
            await added(admin, id=bad),
            await edited(admin, id=bad),
            await members(admin, id=bad),
        ):
            assert (bad, answer.code, answer.field) == (bad, "INVALID_INPUT", "id")
    for good in ("1", "x" * 64, "shop/7 #12'\"%_"):
        assert (await added(admin, id=good))["memberAdd"]["id"] == good
        assert ids(await members(admin, id=good)) == [good]


async def test_a_member_who_is_not_there_is_not_found(admin: Client) -> None:
    await member(admin, "C1")
    answer = await edited(admin, id="C2", name="Anna")
    assert (answer.code, answer.field) == ("MEMBER_NOT_FOUND", "id")
    answer = await admin.run('mutation { memberTokenAdd(member: {id: "C2"}) { token } }')
    assert (answer.code, answer.field) == ("MEMBER_NOT_FOUND", "id")
    assert ids(await members(admin, id="C2")) == ids(await members(admin, email="a@b")) == []


async def test_what_is_left_out_stays_and_null_empties(admin: Client, clock: SetClock) -> None:
    facts = {"name": "Anna", "email": "a@b", "phone": "1", "metadata": {"a": 1}}
    await member(admin, "C1", **facts)
    clock.forward(hours=1)
    for name, value in facts.items():
        after = (await edited(admin, id="C1", **{name: None}))["memberEdit"]
        assert {fact: after[fact] for fact in facts} == {**facts, name: None}
        assert after["createdAt"] < after["modifiedAt"]
        assert (await edited(admin, id="C1", **{name: value}))["memberEdit"] == {
            **after,
            name: value,
        }
    assert (await edited(admin, id="C1"))["memberEdit"]["email"] == "a@b"


@pytest.mark.parametrize("mutate", [added, edited])
async def test_facts_have_bounds(admin: Client, mutate: Any) -> None:
    await member(admin, "C1", name="Anna")
    for name, longest in (("name", 200), ("phone", 32)):
        for bad in ("", "x" * (longest + 1), "a\nb", "a\x00", "\x7f"):
            answer = await mutate(admin, id="C1", **{name: bad})
            assert (bad, answer.code, answer.field) == (bad, "INVALID_INPUT", name)
    for metadata in ({"a": 2**53}, {"a": "x" * 4_089}, {"a": [[[[[1]]]]]}, {"a": "\x00"}):
        answer = await mutate(admin, id="C1", metadata=metadata)
        assert (answer.code, answer.field) == ("INVALID_INPUT", "metadata")
    assert (await mutate(admin, id="C1", metadata=["a"])).code == "GRAPHQL_VALIDATION_FAILED"
    assert (await members(admin, id="C1"))["member"]["results"][0]["name"] == "Anna"


async def test_an_address_can_stand_in_a_mail_header(admin: Client) -> None:
    for bad in NOT_ADDRESSES:
        for answer in (
            await added(admin, id="C1", email=bad),
            await members(admin, email=bad),
        ):
            assert (bad, answer.code, answer.field) == (bad, "INVALID_INPUT", "email")
    for number, good in enumerate(ADDRESSES):
        assert (await added(admin, id=f"M{number}", email=good))["memberAdd"]["email"] == good
        assert ids(await members(admin, email=good)) == [f"M{number}"]


async def test_an_address_has_no_line_end_of_any_alphabet(admin: Client) -> None:
    for end in ("\u2028", "\u2029", "\x1c", "\x85"):
        answer = await added(admin, id="C1", email=f"a@b{end}Bcc:c")
        assert (answer.code, answer.field) == ("INVALID_INPUT", "email")


async def test_several_members_may_share_an_address(admin: Client) -> None:
    for number in (2, 1):
        await member(admin, f"C{number}", email="family@shop.example")
    assert ids(await members(admin, email="family@shop.example")) == ["C1", "C2"]
    answer = await members(admin, email="family@shop.example", first=1)
    assert (ids(answer), answer["member"]["hasMoreResults"]) == (["C1"], True)
    assert ids(await members(admin, email="family@shop.example", id="C2")) == ["C2"]


async def test_members_are_listed_by_id_in_pages(admin: Client) -> None:
    for member_id in ("C3", "C1", "C2"):
        await member(admin, member_id)
    answer = await members(admin, first=2)
    assert (ids(answer), answer["member"]["hasMoreResults"]) == (["C1", "C2"], True)
    answer = await members(admin, first=2, skip=2)
    assert (ids(answer), answer["member"]["hasMoreResults"]) == (["C3"], False)
    for arguments, field in (({"first": 0}, "first"), ({"first": 1001}, "first")):
        answer = await members(admin, **arguments)
        assert (answer.code, answer.field) == ("INVALID_INPUT", field)
    answer = await members(admin, skip=-1)
    assert (answer.code, answer.field) == ("INVALID_INPUT", "skip")


async def test_a_synchronisation_shows_edited_members_again(admin: Client, clock: SetClock) -> None:
    for member_id in ("C3", "C1", "C2"):
        await member(admin, member_id)
    answer = await members(admin, since="", first=2)
    assert (ids(answer), answer["member"]["hasMoreResults"]) == (["C3", "C1"], True)
    answer = await members(admin, since=answer["member"]["until"])
    assert ids(answer) == ["C2"]
    until = answer["member"]["until"]
    answer = await members(admin, since=until)
    assert (ids(answer), answer["member"]["until"]) == ([], until)
    clock.forward(seconds=1)
    await edited(admin, id="C3", name="Anna")
    await edited(admin, id="C1", phone=None)
    assert ids(await members(admin, since=until)) == ["C3", "C1"]
    await edited(admin, id="C3", email="bad")
    assert ids(await members(admin, since=until)) == ["C3", "C1"]


async def test_a_synchronisation_of_no_members_can_go_on(admin: Client) -> None:
    until = (await members(admin, since=""))["member"]["until"]
    answer = await members(admin, since=until)
    assert (ids(answer), answer["member"]["until"]) == ([], until)
    await member(admin, "C1")
    assert ids(await members(admin, since=until)) == ["C1"]


async def test_a_token_that_is_none_is_refused(admin: Client) -> None:
    await member(admin, "C1")
    until = (await members(admin, since=""))["member"]["until"]
    for token in ("x", "W10=", until[:-4], until + "AAAA", "é", "null"):
        answer = await members(admin, since=token)
        assert (token, answer.code, answer.field) == (token, "INVALID_INPUT", "since")


async def test_members_need_their_permissions(client_with: MakeClient, admin: Client) -> None:
    await member(admin, "C1", name="Anna")
    token = 'mutation { memberTokenAdd(member: {id: "C1"}) { token } }'
    for needed, ask in (
        (Permission.VIEW_MEMBERS, lambda caller: members(caller, id="C1")),
        (Permission.MANAGE_MEMBERS, lambda caller: added(caller, id="C2")),
        (Permission.MANAGE_MEMBERS, lambda caller: edited(caller, id="C1", name="Ben")),
        (Permission.ISSUE_MEMBER_TOKENS, lambda caller: caller.run(token)),
        ("a member's token", lambda caller: caller.run("{ me { id } }")),
    ):
        others = await client_with(*(set(Permission) - {needed}))
        answer = await ask(others)
        assert answer.code == "PERMISSION_DENIED"
        assert answer.errors[0]["extensions"]["permission"] == str(needed)
        assert list(answer.body["data"].values()) == [None]
    found = (await members(admin))["member"]["results"]
    assert [(each["id"], each["name"]) for each in found] == [("C1", "Anna")]


async def test_a_card_shows_its_owner_as_the_member_is_now(admin: Client) -> None:
    await member(admin, "C1", name="Anna")
    made = await card(admin, memberId="C1")
    answer = await admin.run(
        """mutation ($id: ID!) {
            one: giftcardEdit(giftcard: {id: $id, note: "1"}) { member { name } }
            two: memberEdit(member: {id: "C1", name: "Ben"}) { name }
            three: giftcardEdit(giftcard: {id: $id, note: "3"}) { member { name } }
        }""",
        id=made["id"],
    )
    assert answer["one"]["member"]["name"] == "Anna"
    assert answer["three"]["member"]["name"] == "Ben"


async def test_cards_of_a_member_need_their_own_permission(
    client_with: MakeClient, admin: Client
) -> None:
    await member(admin, "C1")
    made = await card(admin, memberId="C1")
    query = '{ member(id: "C1") { results { giftcards { limitedByPermission results { id } } } } }'
    cards = (await admin.run(query))["member"]["results"][0]["giftcards"]
    assert cards == {"limitedByPermission": False, "results": [{"id": made["id"]}]}
    viewer = await client_with(Permission.VIEW_MEMBERS)
    cards = (await viewer.run(query))["member"]["results"][0]["giftcards"]
    assert cards == {"limitedByPermission": True, "results": []}
    assert (await edit(admin, made["id"], memberId="C1")).code is None
