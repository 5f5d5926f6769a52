"""The schema is the API's reference: complete, described, named by the rules, and committed."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import strawberry
from graphql import (
    FieldDefinitionNode,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    ListValueNode,
    ObjectTypeDefinitionNode,
    StringValueNode,
    build_client_schema,
    build_schema,
    get_introspection_query,
    is_introspection_type,
    parse,
)
from strawberry.tools import merge_types

from giftgql import schema
from giftgql.cards.api import CardMutation, CardQuery
from giftgql.context import Info
from giftgql.errors import ErrorCode
from giftgql.fields import MEMBER_TOKEN, STAFF, resolved
from giftgql.permissions import Permission
from tests.client import Client
from tests.conftest import MakeClient

ROOT = Path(__file__).parent.parent
COMMITTED = (ROOT / "schema.graphql").read_text()
BUILT = schema.build().as_str()
GRAPHQL: GraphQLSchema = build_schema(BUILT)

QUERIES = {
    *("giftcard", "giftcardBalance", "giftcardTrans", "member", "me"),
    *("giftcardProduct", "giftcardPool", "giftcardCampaign", "giftcardImport"),
    *("giftcardLiability", "giftcardTransSummary", "ledgerCheck", "ledgerTrialBalance"),
    *("outbox", "webhook", "order", "viewer", "auditEvent"),
}
NOUNS = {
    "giftcard": ("giftcard", "GiftCard"),
    "giftcardProduct": ("product", "GiftCardProduct"),
    "giftcardPool": ("pool", "GiftCardPool"),
    "giftcardCampaign": ("campaign", "GiftCardCampaign"),
    "giftcardSecret": ("giftcard", "GiftCard"),
    "giftcardTrans": ("trans", "GiftCardTrans"),
    "member": ("member", "Member"),
    "memberToken": ("member", "MemberToken"),
    "outbox": ("outbox", "OutboxMessage"),
    "webhook": ("webhook", "WebhookEndpoint"),
    "order": ("order", "Order"),
    "orderPayment": ("order", "Order"),
}
"""Of each noun its input and its record. A secret is none of its own: it shows nothing."""

VERBS = {
    *("Add", "Edit", "Capture", "Cancel", "Refund", "Transfer"),
    *("Block", "Unblock", "Disable", "Extend", "Unlock"),
    *("Remove", "Issue", "Publish", "Pause", "Resume", "Retry", "Resend", "Test", "Calculate"),
    "Erase",
}
ANSWERS = {
    "giftcardTransfer": "GiftCardTrans",
    "orderCalculate": "OrderCalculation",
    "webhookTest": "OutboxMessage",
}
"""Mutations that answer another record: the one they make."""


def root_fields() -> Iterator[tuple[str, GraphQLField, FieldDefinitionNode]]:
    for node in parse(BUILT).definitions:
        if isinstance(node, ObjectTypeDefinitionNode) and node.name.value in ("Query", "Mutation"):
            owner = cast(GraphQLObjectType, GRAPHQL.type_map[node.name.value])
            for each in node.fields or ():
                yield each.name.value, owner.fields[each.name.value], each


def own_types() -> list[GraphQLNamedType]:
    """All but introspection's, and the scalars that GraphQL itself defines."""
    given = {"String", "Int", "Float", "Boolean", "ID"}
    return [
        t for t in GRAPHQL.type_map.values() if not is_introspection_type(t) and t.name not in given
    ]


def undescribed(named: GraphQLNamedType) -> Iterator[str]:
    if not named.description:
        yield named.name
    if isinstance(named, GraphQLEnumType):
        yield from (f"{named.name}.{n}" for n, v in named.values.items() if not v.description)
    if isinstance(named, GraphQLInputObjectType):
        yield from (f"{named.name}.{n}" for n, f in named.fields.items() if not f.description)
    if isinstance(named, GraphQLObjectType):
        for name, field in named.fields.items():
            if not field.description:
                yield f"{named.name}.{name}"
            for argument, what in field.args.items():
                if not what.description:
                    yield f"{named.name}.{name}({argument})"


def test_the_committed_schema_is_the_codes() -> None:
    assert COMMITTED == BUILT + "\n", "schema.graphql is out of date: run scripts/schema"


def test_everything_in_the_schema_says_what_it_is() -> None:
    silent = [what for named in own_types() for what in undescribed(named)]
    assert silent == []


def test_a_description_is_sentences() -> None:
    found = re.findall(r'"""\n?\s*(.+?)\s*"""', COMMITTED, re.DOTALL)
    own = [text for text in found if "isoformat" not in text]  # Strawberry's words for a date
    wrong = [
        text
        for text in own
        if not (text[0].isupper() or text[0] in "`0123456789") or text[-1] not in ".;"
    ]
    assert wrong == []


def test_every_root_field_can_be_refused_alone() -> None:
    wrong = [name for name, field, _ in root_fields() if isinstance(field.type, GraphQLNonNull)]
    assert wrong == []


def test_every_root_field_says_who_may_use_it() -> None:
    known = {permission.value for permission in Permission} | {MEMBER_TOKEN, STAFF}
    for name, _, node in root_fields():
        needs = [each for each in node.directives or () if each.name.value == "requires"]
        assert len(needs) == 1, name
        named = needs[0].arguments[0].value  # type: ignore[index]
        assert isinstance(named, ListValueNode)
        texts = {cast(StringValueNode, each).value for each in named.values}
        assert texts, name
        assert texts <= known, name


def test_queries_are_nouns_and_mutations_are_noun_and_verb() -> None:
    mutations = cast(GraphQLObjectType, GRAPHQL.type_map["Mutation"]).fields
    assert {name for name, *_ in root_fields()} - mutations.keys() == QUERIES
    for name, field in mutations.items():
        [noun] = [noun for noun in NOUNS if name.removeprefix(noun) in VERBS]
        wanted, record = NOUNS[noun]
        [(argument, what)] = field.args.items()
        assert argument == wanted, "the input is named after its noun"
        assert str(what.type) == f"{name[0].upper()}{name[1:]}Input!", name
        assert str(field.type) == ANSWERS.get(name, record), "a mutation answers the record itself"


def test_lists_answer_the_same_envelope() -> None:
    for named in own_types():
        if isinstance(named, GraphQLObjectType) and named.name.endswith("Results"):
            assert {name: str(f.type) for name, f in named.fields.items()} == {
                "results": f"[{named.name.removesuffix('Results')}!]!",
                "hasMoreResults": "Boolean!",
                "limitedByPermission": "Boolean!",
                "until": "String",
            }
        for name, field in getattr(named, "fields", {}).items():
            if str(field.type).rstrip("!").endswith("Results"):
                assert {"first", "skip"} <= field.args.keys(), f"{named.name}.{name}"


def test_money_is_never_a_float() -> None:
    assert "Float" not in re.findall(r": \[?(\w+)", BUILT)
    assert str(cast(GraphQLObjectType, GRAPHQL.type_map["GiftCard"]).fields["balance"].type) == (
        "Money!"
    )


def test_there_are_no_subscriptions() -> None:
    assert GRAPHQL.subscription_type is None


def test_the_schema_has_every_error_code() -> None:
    listed = cast(GraphQLEnumType, GRAPHQL.type_map["ErrorCode"]).values
    assert {name: value.description for name, value in listed.items()} == {
        code.value: code.description for code in ErrorCode
    }


@pytest.mark.parametrize("root", ["Query", "Mutation"])
def test_a_root_field_that_does_not_say_who_may_use_it_is_an_error(
    root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    @strawberry.type
    class Open:
        @resolved(description="Open to all.")
        async def till_roll(self, info: Info) -> str | None:
            return "cash"

    parts: tuple[Any, ...] = (CardQuery if root == "Query" else CardMutation, Open)
    monkeypatch.setattr(schema, root, merge_types(root, parts))
    schema.build.cache_clear()
    with pytest.raises(TypeError, match="till_roll does not say who may use it"):
        schema.build()


async def test_only_who_may_ask_gets_the_schema_from_the_server(client_with: MakeClient) -> None:
    document = "{ __schema { queryType { fields { name } } } }"
    curious: Client = await client_with(Permission.INTROSPECT_SCHEMA)
    fields = (await curious.run(document))["__schema"]["queryType"]["fields"]
    assert {field["name"] for field in fields} == QUERIES
    others = await client_with(*(set(Permission) - {Permission.INTROSPECT_SCHEMA}))
    for hidden in (
        document,
        '{ __type(name: "GiftCard") { name } }',
        "query { ...A } fragment A on Query { __schema { description } }",
    ):
        answer = await others.run(hidden)
        assert answer.code == "PERMISSION_DENIED"
        assert "data" not in answer.body or answer.body["data"] is None
    assert (await others.run("{ __typename }"))["__typename"] == "Query"


async def test_a_tool_gets_the_whole_schema(client_with: MakeClient) -> None:
    curious = await client_with(Permission.INTROSPECT_SCHEMA)
    document = get_introspection_query(
        specified_by_url=True, directive_is_repeatable=True, input_value_deprecation=True
    )
    told = build_client_schema((await curious.run(document)).body["data"])
    assert told.type_map.keys() == GRAPHQL.type_map.keys()
