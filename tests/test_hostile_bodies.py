"""Malformed and hostile requests: each gets a clear answer, and none repeats what was sent."""

import asyncio
import json
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from graphql import parse
from hypothesis import HealthCheck, given
from hypothesis import settings as fuzzing
from hypothesis import strategies as st

from giftgql import guard, log
from giftgql.errors import OperationTooComplex
from giftgql.permissions import Permission
from giftgql.settings import Settings
from tests.client import Answer, Client
from tests.conftest import MakeClient, Templates

JSON = {"Content-Type": "application/json"}
GRAPHQL_JSON = "application/graphql-response+json"
CANARY = "CANARY-49288330"
NAME = "q"
INVALID, COMPLEX = "GRAPHQL_VALIDATION_FAILED", "OPERATION_TOO_COMPLEX"
BAD, UNPARSED = "BAD_REQUEST", "GRAPHQL_PARSE_FAILED"


def q(document: str, **more: Any) -> bytes:
    return json.dumps({"query": document, **more}).encode()


def bomb(times: int, last: str) -> str:
    chain = (f"fragment F{n} on Query {{ {f'...F{n + 1} ' * 3} }}" for n in range(times))
    return f"{{ ...F0 }} {' '.join(chain)} fragment F{times} on Query {{ {last} }}"


def nested(what: str, times: int, inner: str) -> str:
    return f"{what} {{ " * times + inner + " }" * times


def chained(what: str, condition: str) -> str:
    """Four fragments one in the other, each nested less deeply than the parser allows."""
    texts = [f"fragment F{n} on Query {nested(what, 150, f'...F{n + 1}')[:-1]}}}" for n in range(3)]
    texts = [text.replace(f"on Query {what} {{", f"on Query {{ {what} {{", 1) for text in texts]
    return f"{{ ...F0 }} {' '.join(f'{text} }}' for text in texts)} {condition}"


def look_ups(times: int) -> str:
    return "{" + " ".join(f'a{n}: giftcard(code: "GC0{n}") {{ until }}' for n in range(times)) + "}"


def aliases(times: int, field: str) -> str:
    return " ".join(f"a{n}: {field}" for n in range(times))


T = "__typename"
JSON_BODIES: dict[str, tuple[bytes, int, str | None]] = {
    "nothing": (b"", 400, BAD),
    "null": (b"null", 400, BAD),
    "a string": (b'"x"', 400, BAD),
    "a number": (b"5", 400, BAD),
    "an empty batch": (b"[]", 400, BAD),
    "a batch of nulls": (b"[null]", 400, BAD),
    "a batch": (b"[" + q("{ a }") + b"," + q("{ b }") + b"]", 400, BAD),
    "half an object": (b'{"query":', 400, BAD),
    "two objects": (q("{ a }") * 2, 400, BAD),
    "bad UTF-8": (b'{"query":"\xff\xfe"}', 400, BAD),
    "UTF-16": ('{"query":"{ a }"}'.encode("utf-16"), 400, BAD),
    "a byte order mark": (b"\xef\xbb\xbf" + q("{ a }"), 400, BAD),
    "a huge integer": (q("{ a }")[:-1] + b', "variables": {"a": ' + b"9" * 6_000 + b"}}", 400, BAD),
    "NaN": (b'{"query": "{ a }", "variables": {"a": NaN}}', 400, BAD),
    "infinity": (b'{"query": "{ a }", "variables": {"a": -Infinity}}', 400, BAD),
    "a comment": (b'{"query": "{ a }" /* b */}', 400, BAD),
    "deep variables": (b'{"variables":' + b"[" * 30_000 + b"]" * 30_000 + b"}", 400, BAD),
    "half a character": (b'{"query": "{ giftcard(id: \\"\\ud800\\") { until } }"}', 400, BAD),
    "half a character as name": (b'{"query": "{ a }", "operationName": "\\ud800"}', 400, BAD),
    "no query": (b"{}", 400, BAD),
    "an empty query": (q(""), 400, BAD),
    "a query of another type": (b'{"query": {"a": 1}}', 400, BAD),
    "a numeric name": (q("{ a }", operationName=5), 400, BAD),
    "a list as name": (q("{ a }", operationName=["a"]), 400, BAD),
    "a list of variables": (q("{ a }", variables=[1]), 400, BAD),
    "variables in a string": (q("{ a }", variables="{}"), 400, BAD),
    "5 MB": (q("{ a }", extensions={"x": "a" * 5_000_000}), 413, BAD),
}
DOCUMENTS: dict[str, tuple[str, str | None]] = {
    "only a null byte": ("\x00", UNPARSED),
    "no document": ("giftcard", UNPARSED),
    "an open string": ('{ giftcard(id: "a) { until } }', UNPARSED),
    "half a character, escaped": ('{ giftcard(id: "\\ud800") { until } }', UNPARSED),
    "600 levels": ("{ " + nested("a", 600, "b") + " }", COMPLEX),
    "20 levels": ("{ " + nested("a", 20, "b") + " }", COMPLEX),
    "10,000 levels": ("{" + "a{" * 10_000 + "b" + "}" * 10_000 + "}", COMPLEX),
    "a deep list": (f"{{ giftcard(id: {'[' * 3_000}{']' * 3_000}) {{ until }} }}", COMPLEX),
    "150 inline fragments": (f"{{ {nested('...', 150, T)} }}", COMPLEX),
    "450 inline fragments, by fragments": (
        chained("...", f"fragment F3 on Query {{{T}}}"),
        COMPLEX,
    ),
    "450 levels, by fragments": (chained("a", f"fragment F3 on Query {{{T}}}"), COMPLEX),
    "a cycle": (
        f"{{ ...A }} fragment A on Query {{ {T} ...B }} fragment B on Query {{ {T} ...A }}",
        INVALID,
    ),
    "a fragment in itself": (f"{{ ...A }} fragment A on Query {{ {T} ...A }}", INVALID),
    "a bomb": (bomb(18, T), COMPLEX),
    "a bomb of nothing": (bomb(18, "...A"), INVALID),
    "a fragment that is not there": (f"{{ {T} ...A }}", INVALID),
    "a fragment too many": (f"{{ {T} }} fragment A on Query {{ {T} }}", INVALID),
    "1,000 aliases": (f"{{ {aliases(1_000, T)} }}", COMPLEX),
    "31 aliases": (f"{{ giftcard {{ results {{ {aliases(31, 'id')} }} }} }}", COMPLEX),
    "1,000 times one field": ("{" + f"{T} " * 1_000 + "}", COMPLEX),
    "11 root fields": ("{" + f"{T} " * 11 + "}", COMPLEX),
    "501 fields": ("{ giftcard { results { " + "id " * 501 + "} } }", COMPLEX),
    "6 look-ups by code": (look_ups(6), COMPLEX),
    "6 look-ups in 2 operations": (f"query q {look_ups(3)} query other {look_ups(3)}", COMPLEX),
    "look-ups hidden in a fragment": (
        '{ a: giftcard(code: "GC01") { until } ...A ...A ...A ...A ...A } '
        'fragment A on Query { b: giftcard(code: "GC02") { until } }',
        COMPLEX,
    ),
    "1,000 directives": ("{ " + T + " @aa" * 1_000 + " }", COMPLEX),
    "31 directives": ("{ " + T + " @skip(if: false)" * 31 + " }", COMPLEX),
    "directives by fragments": (
        f"{{ {'...A ' * 16} }} fragment A on Query {{ {T} @skip(if: false) @include(if: true) }}",
        COMPLEX,
    ),
    "an unknown directive": (f"{{ {T} @aa }}", INVALID),
    "a repeated directive": (f"{{ {T} @skip(if: false) @skip(if: false) }}", INVALID),
    "20,000 comments": ("#\n" * 20_000 + f"{{ {T} }}", COMPLEX),
    "51 definitions": (f"{{ {T} }} " + f"query A {{ {T} }} " * 50, COMPLEX),
    "an integer of 5,000 digits": (f"{{ giftcard(first: {'9' * 5_000}) {{ until }} }}", INVALID),
    "480 variables": (f"query ({'$a: Int ' * 480}) {{ {T} }}", INVALID),
    "a subscription": (f"subscription {{ {T} }}", INVALID),
    "only a fragment": (f"fragment A on Query {{ {T} }}", INVALID),
    "a type": ("type A { a: Int }", INVALID),
    "a type with a query": (f"type A {{ a: Int }} {{ {T} }}", INVALID),
    "two operations": (f"query A {{ {T} }} query B {{ {T} }}", INVALID),
    "two operations of one name": (f"query A {{ {T} }} query A {{ {T} }}", INVALID),
    "two without a name": (f"{{ {T} }} {{ {T} }}", INVALID),
    "a deferred fragment": (f"{{ ... @defer {{ {T} }} }}", INVALID),
    "a streamed list": ("{ giftcard { results @stream { id } } }", INVALID),
    "introspection": ("{ __schema { types { name } } }", "PERMISSION_DENIED"),
    "introspection of a type": ('{ __type(name: "Code") { name } }', "PERMISSION_DENIED"),
    "introspection in a fragment": (
        "{ ... { ...A } } fragment A on Query { a: __schema { description } }",
        "PERMISSION_DENIED",
    ),
    "introspection in an operation that is not run": (
        f"query {NAME} {{ {T} }} query other {{ __schema {{ description }} }}",
        "PERMISSION_DENIED",
    ),
}


async def post(caller: Client, body: bytes, **headers: str) -> httpx.Response:
    async with asyncio.timeout(20):
        return await caller.http.post(
            "/graphql",
            content=body,
            headers={"Authorization": f"Bearer {caller.token}", **JSON, **headers},
        )


def answer_of(response: httpx.Response) -> Answer:
    return Answer(response.status_code, response.json())


@pytest.fixture
def settings(tmp_path: Path, templates: Templates) -> Settings:
    """SQLite only: most of this never comes as far as a database."""
    shutil.copy(templates.keys, tmp_path / "keys.json")
    shutil.copy(templates.sqlite, tmp_path / "giftgql.db")
    return Settings(data_dir=tmp_path, _env_file=None)


@pytest.fixture(autouse=True)
def log_file(settings: Settings) -> Iterator[Path]:
    log.configure(settings, file_name="test.log")
    yield log.log_folder(settings) / "test.log"
    for handler in logging.getLogger().handlers[:]:
        logging.getLogger().removeHandler(handler)
        handler.close()
    structlog.reset_defaults()


@pytest.fixture
async def stranger(client_with: MakeClient) -> Client:
    """May do everything but introspect."""
    return await client_with(*frozenset(Permission) - {Permission.INTROSPECT_SCHEMA})


async def test_every_malformed_body_gets_its_4xx(stranger: Client) -> None:
    for name, (body, status, code) in JSON_BODIES.items():
        for accept in ("application/json", GRAPHQL_JSON):
            response = await post(stranger, body, Accept=accept)
            answer = answer_of(response)
            assert (answer.status, answer.code) == (status, code), name
            assert "data" not in answer.body
            assert response.headers["content-type"].startswith(accept)


async def test_every_hostile_document_is_refused_with_its_code(stranger: Client) -> None:
    for name, (document, code) in DOCUMENTS.items():
        operation = NAME if f"query {NAME} " in document else None
        for accept, status in (("application/json", 200), (GRAPHQL_JSON, 400)):
            response = await post(stranger, q(document, operationName=operation), Accept=accept)
            answer = answer_of(response)
            found = {error["extensions"]["code"] for error in answer.errors}
            assert (answer.status, found) == (status, {code}), (name, answer.body)
            assert "data" not in answer.body, name
            assert len(answer.errors) <= 5
            assert "Did you mean" not in response.text


async def test_what_is_within_the_limits_is_answered(stranger: Client) -> None:
    for document in (
        "{" + f"{T} " * 10 + "}",
        look_ups(5),
        f"{{ giftcard {{ results {{ {aliases(30, 'id')} }} }} }}",
        f"{{ {nested('...', 90, T)} }}",
        f"{{ {'... @skip(if: false) { __typename } ' * 10} }}",
    ):
        assert (
            await stranger.run(document.replace("{'__typename'}", "{ __typename }"))
        ).code is None


async def test_one_of_several_operations_runs_by_its_name(stranger: Client) -> None:
    document = f"query A {{ a: {T} }} query B {{ b: {T} }}"
    answer = answer_of(await post(stranger, q(document, operationName="B")))
    assert answer["b"] == "Query"
    for name in ("C", "", CANARY):
        response = await post(stranger, q(document, operationName=name))
        assert answer_of(response).code == INVALID
        assert CANARY not in response.text


def test_each_fragment_is_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    measured, real = list[object](), guard._Measure.selection

    def counting(self: Any, selections: Any, level: int = 1) -> guard.Size:
        measured.append(selections)
        return real(self, selections, level)

    monkeypatch.setattr(guard._Measure, "selection", counting)
    with pytest.raises(OperationTooComplex):
        guard.measured(parse(bomb(40, T)), Settings(_env_file=None).document_limits)
    leaves = 41
    assert len(measured) <= 1 + 41 + leaves


VALUES: list[Any] = [
    CANARY,
    f"sold at {CANARY}",
    f"of type '{CANARY}', enum '{CANARY}', unknown field '{CANARY}' found",
    f"{CANARY} Did you mean 'x'?",
    f"{CANARY}' does not exist in 'x' enum. Did you mean y",
    f"String cannot represent a value: {CANARY}",
    49288330,
    49288330.5,
    -49288330,
    [CANARY],
    [[49288330]],
    {"code": CANARY},
    {"a": {"at": [f" at .{CANARY}"]}},
]
PLACES = {
    "ID": "query ($v: ID) { giftcard(id: $v) { until } }",
    "String": "query ($v: String) { giftcard(code: $v) { until } }",
    "Int": "query ($v: Int!) { giftcard(first: $v) { until } }",
    "Date": "query ($v: Date) { giftcard(expiresBefore: $v) { until } }",
    "CodeType": 'query ($v: CodeType) { giftcard(code: "GC01", codeType: $v) { until } }',
    "Boolean": "query ($v: Boolean!) { giftcard @skip(if: $v) { until } }",
    "wrong position": "query ($v: String) { giftcard(first: $v) { until } }",
    "unknown type": "query ($v: Code) { giftcard(first: $v) { until } }",
    "unknown argument": "query ($v: String) { giftcard(codes: $v) { until } }",
    "unused": "query ($v: Int) { __typename }",
    "undeclared": "{ giftcard(code: $v) { until } }",
    "input": "mutation ($v: GiftcardAddInput!) { giftcardAdd(giftcard: $v) { id } }",
    "edit": "mutation ($v: GiftcardEditInput!) { giftcardEdit(giftcard: $v) { id } }",
    "member": "mutation ($v: MemberAddInput!) { memberAdd(member: $v) { id } }",
    "since": "query ($v: String) { giftcard(since: $v) { until } }",
    "last four": "query ($v: String) { giftcard(lastFour: $v) { until } }",
    "directive": "query ($v: String) { giftcard @skip(if: $v) { until } }",
    "alias": "query ($v: String) { a: giftcard(note: $v) { until } a: __typename }",
}
FIELDS = (
    *("physicalCode", "physicalPin", "physicalExpiresOn", "addPersonalCode", "personalExpiresOn"),
    *("externalCode", "externalExpiresOn", "memberId", "note", "metadata", "idempotencyKey"),
    *("currency", "expiresOn", "pin"),
)


def read(file: Path) -> str:
    return file.read_text()


def literal(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {literal(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(literal, value)) + "]"
    return json.dumps(value)


def assert_says_nothing(response: httpx.Response, where: object) -> None:
    """No error repeats the canary, nor half of it."""
    said = json.dumps(response.json().get("errors", []))
    assert "CANARY" not in said, (where, said)
    assert "49288330" not in said, (where, said)
    assert "Did you mean" not in said, (where, said)
    assert "INTERNAL" not in said, (where, said)


async def test_no_variable_is_repeated_in_an_error_or_in_the_log(
    stranger: Client, log_file: Path
) -> None:
    for place, document in PLACES.items():
        for value in VALUES:
            response = await post(stranger, q(document, variables={"v": value}))
            assert_says_nothing(response, (place, value))
    logged = read(log_file)
    assert logged.count('"request"') == len(PLACES) * len(VALUES)
    assert "CANARY" not in logged


async def test_no_literal_is_repeated_in_an_error(stranger: Client) -> None:
    for place, document in PLACES.items():
        body = document[document.index("{") :] if document.startswith("query") else document
        if document.startswith("mutation"):
            body = "mutation " + document[document.index("{") :]
        for value in [*map(literal, VALUES), "CANARY", "[CANARY]", "{a: CANARY}", '"""CANARY"""']:
            assert_says_nothing(await post(stranger, q(body.replace("$v", value))), (place, value))


async def test_no_default_is_repeated_in_an_error(stranger: Client) -> None:
    for place, document in PLACES.items():
        for value in [*map(literal, VALUES), "CANARY"]:
            with_default = document.replace(")", f" = {value})", 1)
            assert_says_nothing(await post(stranger, q(with_default)), (place, value))


async def test_no_field_of_an_input_is_repeated_in_an_error(stranger: Client) -> None:
    document = PLACES["input"]
    for field in FIELDS:
        for value in [*VALUES, CANARY + "\x00", CANARY * 9, f"{CANARY}\N{SNOWMAN}"]:
            given = {"v": {field: value}}
            assert_says_nothing(await post(stranger, q(document, variables=given)), given)
            if isinstance(value, str):
                continue
            written = f"mutation {{ giftcardAdd(giftcard: {literal({field: value})}) {{ id }} }}"
            assert_says_nothing(await post(stranger, q(written)), written)


async def test_no_part_of_what_is_no_graphql_is_repeated(stranger: Client) -> None:
    for document in (
        f'{{ giftcard(code: "{CANARY}) }}',
        f'{{ giftcard(code: "{CANARY}" }}',
        f"{{ giftcard(code: {CANARY} }}",
        f"{{ giftcard }} {CANARY}",
        f'{{ giftcard(code: "\\u{CANARY}") {{ until }} }}',
        f'{{ "{CANARY}" }}',
        "{ giftcard(code: 0CANARY) { until } }",
        "{ giftcard(code: 49288330CANARY) { until } }",
        f"# {CANARY}",
        f'{{ giftcard(code: """{CANARY}',
    ):
        assert_says_nothing(await post(stranger, q(document)), document)
    for body in (f'{{"query": {CANARY}}}', f'{{"query": ["{CANARY}"]}}', f'"{CANARY}"'):
        assert CANARY not in (await post(stranger, body.encode())).text


bodies = st.one_of(
    st.binary(max_size=300),
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text() | st.sampled_from([T, "{ a }", "{"]),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ).map(lambda value: json.dumps(value).encode()),
    st.fixed_dictionaries(
        {"query": st.text(alphabet='{}()[]!$@:.&|="#\\ \nab1é'), "variables": st.none()},
    ).map(lambda value: json.dumps(value).encode()),
)


@fuzzing(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(body=bodies)
async def test_no_body_is_a_fault(stranger: Client, body: bytes) -> None:
    response = await post(stranger, body)
    assert response.status_code in (200, 400)
    assert "INTERNAL" not in response.text
