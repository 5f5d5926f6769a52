"""Who sees which code, and how: section 2 of the behaviour reference, line by line."""

from typing import Any

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    build_schema,
    get_named_type,
)

from giftgql import schema
from giftgql.permissions import Permission
from giftgql.store import Store
from tests.client import Client, Server
from tests.conftest import MakeClient
from tests.factories import add, card, digital, edit, find, listed, member, member_token

PHYSICAL = Permission.USE_PHYSICAL_GIFT_CARD_CODES
EXTERNAL = Permission.USE_EXTERNAL_GIFT_CARD_CODES
CRYPTO = Permission.USE_CRYPTO_GIFT_CARD_CODES
UNMASKED = Permission.VIEW_UNMASKED_GIFT_CARD_CODES
LIST, FIND = Permission.LIST_GIFT_CARDS, Permission.FIND_GIFT_CARD_BY_CODE
CREATE, EDIT = Permission.CREATE_GIFT_CARD, Permission.EDIT_GIFT_CARD

KINDS = ("PHYSICAL", "PERSONAL", "EXTERNAL", "DIGITAL")
CLEAR, MASKED, HIDDEN = "clear", "masked", "hidden"

FOUND_LATER: list[tuple[tuple[Permission, ...], tuple[str, str, str, str]]] = [
    ((), (HIDDEN, HIDDEN, HIDDEN, HIDDEN)),
    ((UNMASKED,), (HIDDEN, HIDDEN, HIDDEN, HIDDEN)),
    ((PHYSICAL,), (CLEAR, HIDDEN, HIDDEN, HIDDEN)),
    ((PHYSICAL, UNMASKED), (CLEAR, HIDDEN, HIDDEN, HIDDEN)),
    ((EXTERNAL,), (HIDDEN, HIDDEN, CLEAR, HIDDEN)),
    ((CRYPTO,), (HIDDEN, MASKED, HIDDEN, MASKED)),
    ((CRYPTO, UNMASKED), (HIDDEN, CLEAR, HIDDEN, CLEAR)),
    ((PHYSICAL, EXTERNAL, CRYPTO), (CLEAR, MASKED, CLEAR, MASKED)),
    ((PHYSICAL, EXTERNAL, CRYPTO, UNMASKED), (CLEAR, CLEAR, CLEAR, CLEAR)),
]
"""Rights of a caller, and how it sees each of KINDS on a card that it finds."""

OTHERS = tuple(set(Permission) - {PHYSICAL, EXTERNAL, CRYPTO, UNMASKED, LIST, FIND, CREATE, EDIT})
"""Rights that show nobody any code."""


def names(value: object) -> str:
    return "+".join(value) if isinstance(value, tuple) else str(value)


def seen(codes: list[dict[str, Any]], true: dict[str, str]) -> tuple[str, ...]:
    """How each of the kinds is seen, of those whose true text is given."""
    by_kind = {code["codeType"]: code for code in codes}
    sights = []
    for kind, text in true.items():
        if (code := by_kind.get(kind)) is None:
            sights.append(HIDDEN)
        elif code["isMasked"]:
            assert code["code"] == "*" * 12 + text[-4:]
            sights.append(MASKED)
        else:
            assert code["code"] == text
            sights.append(CLEAR)
    return tuple(sights)


@pytest.fixture
async def full(client_with: MakeClient) -> Client:
    """Sees everything."""
    return await client_with(*Permission)


async def card_of_all_kinds(full: Client, store: Store, owner: str | None = None) -> str:
    card_id = await digital(store, owner)
    owner = owner or await member(full)
    facts = {"physicalCode": "GC-4928", "externalCode": "EX-34802", "addPersonalCode": True}
    assert (await edit(full, card_id, **facts, memberId=owner)).code is None
    return card_id


async def true_texts(full: Client, card_id: str) -> dict[str, str]:
    """The card's codes in clear, live or else ended, by kind."""
    found = (await listed(full, id=card_id))["giftcard"]["results"][0]
    texts = {code["codeType"]: code["code"] for code in found["codes"] or found["codeHistory"]}
    return {kind: texts[kind] for kind in KINDS}


@pytest.mark.parametrize(("rights", "sights"), FOUND_LATER, ids=names)
@pytest.mark.parametrize("where", ["codes", "codeHistory"])
async def test_a_card_found_shows_the_codes_of_the_kinds_a_caller_may_use(
    client_with: MakeClient,
    full: Client,
    store: Store,
    rights: tuple[Permission, ...],
    sights: tuple[str, ...],
    where: str,
) -> None:
    card_id = await card_of_all_kinds(full, store)
    if where == "codeHistory":
        revokes = {f"revoke{kind.title()}Code": True for kind in KINDS}
        assert (await edit(full, card_id, **revokes)).code is None
    true = await true_texts(full, card_id)
    caller = await client_with(LIST, CREATE, EDIT, *OTHERS, *rights)
    page = (await listed(caller, id=card_id))["giftcard"]
    assert seen(page["results"][0][where], true) == sights
    assert page["limitedByPermission"] is (HIDDEN in sights)


@pytest.mark.parametrize(("rights", "sights"), FOUND_LATER, ids=names)
async def test_a_look_up_by_code_finds_and_shows_only_kinds_a_caller_may_use(
    client_with: MakeClient,
    full: Client,
    store: Store,
    rights: tuple[Permission, ...],
    sights: tuple[str, ...],
) -> None:
    card_id = await card_of_all_kinds(full, store)
    true = await true_texts(full, card_id)
    caller = await client_with(FIND, *rights)
    for (kind, text), sight in zip(true.items(), sights, strict=True):
        answer = await find(caller, text, kind)
        if sight == HIDDEN:
            assert answer.code == "PERMISSION_DENIED"
            assert answer.body["data"] == {"giftcard": None}
            continue
        page = answer["giftcard"]
        assert [each["id"] for each in page["results"]] == [card_id]
        assert seen(page["results"][0]["codes"], true) == sights
        assert page["limitedByPermission"] is (HIDDEN in sights)


@pytest.mark.parametrize(("rights", "sights"), FOUND_LATER, ids=names)
async def test_who_sets_codes_sees_them_and_of_the_others_what_it_may(
    client_with: MakeClient,
    full: Client,
    store: Store,
    rights: tuple[Permission, ...],
    sights: tuple[str, ...],
) -> None:
    owner = await member(full)
    caller = await client_with(CREATE, EDIT, *rights)
    generated = CLEAR if UNMASKED in rights else MASKED
    facts: dict[str, Any] = {"addPersonalCode": True}
    facts |= {"physicalCode": "GC-0001", "externalCode": "EX-0001"}
    made = (await add(caller, **facts, memberId=owner))["giftcardAdd"]
    true = await true_texts_of(full, made["id"], "PHYSICAL", "PERSONAL", "EXTERNAL")
    assert seen(made["codes"], true) == (CLEAR, generated, CLEAR)

    card_id = await card_of_all_kinds(full, store, owner)
    for facts, just_set in (
        ({"physicalCode": "GC-0002"}, {"PHYSICAL": CLEAR}),
        ({"addPersonalCode": True}, {"PERSONAL": generated}),
        ({"externalCode": "EX-0002"}, {"EXTERNAL": CLEAR}),
        ({"note": "no code at all"}, {}),
    ):
        edited = (await edit(caller, card_id, **facts))["giftcardEdit"]
        true = await true_texts(full, card_id)
        expected = {**dict(zip(KINDS, sights, strict=True)), **just_set}
        assert seen(edited["codes"], true) == tuple(expected.values())
        ended = {code["codeType"] for code in edited["codeHistory"]}
        assert ended <= {kind for kind, sight in zip(KINDS, sights, strict=True) if sight != HIDDEN}


async def true_texts_of(full: Client, card_id: str, *kinds: str) -> dict[str, str]:
    found = (await listed(full, id=card_id))["giftcard"]["results"][0]
    texts = {code["codeType"]: code["code"] for code in found["codes"]}
    return {kind: texts[kind] for kind in kinds}


async def test_a_masked_value_never_matches(full: Client, admin: Client, store: Store) -> None:
    card_id = await card_of_all_kinds(full, store)
    shown = (await listed(admin, id=card_id))["giftcard"]["results"][0]["codes"]
    masked = [code["code"] for code in shown if code["isMasked"]]
    assert len(masked) == 2
    for value in (*masked, masked[0].lower(), "*" * 27):
        for kind in (None, *KINDS):
            assert (await find(full, value, kind))["giftcard"]["results"] == []


async def test_short_codes_are_never_shown_by_half_or_more(full: Client, admin: Client) -> None:
    """`lastFour` finds by what may be shown: of a code of four characters that is two."""
    await card(full, physicalCode="9281")
    for end, number in (("81", 1), ("9281", 0), ("281", 0)):
        assert len((await listed(admin, lastFour=end))["giftcard"]["results"]) == number


async def test_the_owner_is_shown_with_view_members_only(
    client_with: MakeClient, full: Client
) -> None:
    owner = await member(full, name="Anna")
    owned, free = await card(full, memberId=owner), await card(full)
    query = """query ($id: ID) { giftcard(id: $id)
        { limitedByPermission results { memberId member { name } } } }"""
    rights = [LIST, PHYSICAL]
    for more, name in (([], None), ([Permission.VIEW_MEMBERS], {"name": "Anna"})):
        caller = await client_with(*rights, *more)
        page = (await caller.run(query, id=owned["id"]))["giftcard"]
        assert page["results"] == [{"memberId": owner, "member": name}]
        assert page["limitedByPermission"] is (name is None)
        page = (await caller.run(query, id=free["id"]))["giftcard"]
        assert page["results"] == [{"memberId": None, "member": None}]
        assert page["limitedByPermission"] is False
    blind = await client_with(*rights)
    page = (await listed(blind, id=owned["id"]))["giftcard"]
    assert page["limitedByPermission"] is False, "who does not ask for the owner misses nothing"


ME = """{ me { id name giftcards { limitedByPermission hasMoreResults results { id memberId
    member { id }
    codes { codeType code isMasked } codeHistory { codeType code isMasked } } } } }"""


async def test_a_member_sees_its_own_cards_in_clear_and_no_others(
    full: Client, admin: Client, store: Store, server: Server
) -> None:
    anna, ben = await member(full, name="Anna"), await member(full)
    hers = await card_of_all_kinds(full, store, anna)
    await card(full, addPersonalCode=True, memberId=ben)
    await card(full)
    true = await true_texts(full, hers)
    app = server.client(await member_token(admin, anna))
    me = (await app.run(ME))["me"]
    assert (me["id"], me["name"]) == (anna, "Anna")
    assert me["giftcards"]["limitedByPermission"] is False
    (mine,) = me["giftcards"]["results"]
    assert (mine["id"], mine["memberId"]) == (hers, anna)
    assert mine["member"] == {"id": anna}
    assert seen(mine["codes"], true) == (CLEAR, CLEAR, CLEAR, CLEAR)
    await edit(full, hers, **{f"revoke{kind.title()}Code": True for kind in KINDS})
    (mine,) = (await app.run(ME))["me"]["giftcards"]["results"]
    assert mine["codes"] == []
    assert seen(mine["codeHistory"], true) == (CLEAR, CLEAR, CLEAR, CLEAR)


async def test_a_member_without_cards_has_an_empty_page(admin: Client, server: Server) -> None:
    await card(admin)
    app = server.client(await member_token(admin, await member(admin)))
    page = (await app.run(ME))["me"]["giftcards"]
    assert page == {"limitedByPermission": False, "hasMoreResults": False, "results": []}


async def test_members_page_through_their_cards(admin: Client, server: Server) -> None:
    owner = await member(admin)
    made = [(await card(admin, memberId=owner))["id"] for _ in range(3)]
    app = server.client(await member_token(admin, owner))
    query = """query ($f: Int!, $s: Int!) { me { giftcards(first: $f, skip: $s)
        { hasMoreResults results { id } } } }"""
    for skip, has_more in ((0, True), (1, False), (3, False)):
        page = (await app.run(query, f=2, s=skip))["me"]["giftcards"]
        assert [each["id"] for each in page["results"]] == made[skip : skip + 2]
        assert page["hasMoreResults"] is has_more
    for first, skip in ((0, 0), (1_001, 0), (1, -1)):
        assert (await app.run(query, f=first, s=skip)).code == "INVALID_INPUT"


async def test_a_member_reads_no_note_of_the_staff(admin: Client, server: Server) -> None:
    owner = await member(admin)
    await card(admin, memberId=owner, note="suspected of fraud")
    app = server.client(await member_token(admin, owner))
    answer = await app.run("{ me { giftcards { results { note } } } }")
    assert "suspected of fraud" not in str(answer.body)


def sample(of: Any, anna: str) -> str:
    """A literal that fits an input type; ids are another member's."""
    if isinstance(of, GraphQLNonNull):
        return sample(of.of_type, anna)
    if isinstance(of, GraphQLList):
        return f"[{sample(of.of_type, anna)}]"
    if isinstance(of, GraphQLInputObjectType):
        facts = of.fields.items()
        return "{" + ", ".join(f"{name}: {sample(each.type, anna)}" for name, each in facts) + "}"
    if isinstance(of, GraphQLEnumType):
        return str(next(iter(of.values)))
    literals = {"Int": "1", "Float": "1.5", "Boolean": "true", "JSONObject": "{a: 1}"}
    literals |= {"ID": f'"{anna}"', "Date": '"2999-01-01"', "DateTime": '"2999-01-01T00:00:00Z"'}
    return literals.get(of.name, '"GC-4928"')


async def test_a_members_token_opens_no_root_field_but_me(
    admin: Client, full: Client, store: Store, server: Server
) -> None:
    anna, ben = await member(full), await member(full)
    card_id = await card_of_all_kinds(full, store, anna)
    before = (await listed(full, id=card_id))["giftcard"]["results"]
    app = server.client(await member_token(admin, ben))
    known = build_schema(schema.build().as_str())
    walked = []
    for operation, root in (("query", known.query_type), ("mutation", known.mutation_type)):
        assert root is not None
        for name, field in root.fields.items():
            for is_full in (False, True):
                given = [
                    f"{argument}: {sample(each.type, anna)}"
                    for argument, each in field.args.items()
                    if is_full or isinstance(each.type, GraphQLNonNull)
                ]
                arguments = f"({', '.join(given)})" if given else ""
                is_object = isinstance(get_named_type(field.type), GraphQLObjectType)
                below = " { __typename }" if is_object else ""
                answer = await app.run(f"{operation} {{ {name}{arguments}{below} }}")
                walked.append(name)
                if name == "me":
                    assert answer["me"] == {"__typename": "Member"}
                    continue
                assert (name, answer.code) == (name, "PERMISSION_DENIED")
                assert answer.body["data"] == {name: None}
    assert {"me", "giftcard", "member", "giftcardAdd", "giftcardEdit"} <= set(walked)
    assert (await listed(full, id=card_id))["giftcard"]["results"] == before
