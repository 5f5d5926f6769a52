"""Malformed and hostile requests: each gets a clear answer, and none repeats what was sent."""

import asyncio
import gc
import json
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import process_time
from typing import Any

import httpx
import pytest
import structlog
from graphql import parse
from hypothesis import HealthCheck, given
from hypothesis import settings as fuzzing
from hypothesis import strategies as st
from starlette.requests import Request

from giftgql import guard, log
from giftgql.app.asked import by_get
from giftgql.errors import OperationTooComplex
from giftgql.permissions import Permission
from giftgql.settings import Settings
from giftgql.web.bodies import BadBody
from tests.client import Answer, Client, InProcess
from tests.conftest import MakeClient, Templates
from tests.hostile import (
    ADDRESSES,
    DOCUMENTS,
    INVALID,
    JSON_BODIES,
    NAME,
    SECONDS,
    T,
    aliases,
    bomb,
    look_ups,
    nested,
    q,
)

JSON = {"Content-Type": "application/json"}
GRAPHQL_JSON = "application/graphql-response+json"
CANARY = "CANARY-49288330"


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
    return Settings(data_dir=tmp_path, allow_get=True, _env_file=None)


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


@contextmanager
def quickly(name: str) -> Iterator[None]:
    """Measured as the processor's time, since others use the machine too, and without the
    collector, which here walks what all tests before have left."""
    gc.disable()
    started = process_time()
    try:
        yield
        assert process_time() - started < SECONDS, name
    finally:
        gc.enable()


async def test_every_malformed_body_gets_its_4xx_at_once(stranger: Client) -> None:
    for name, (body, status, code) in JSON_BODIES.items():
        for accept in ("application/json", GRAPHQL_JSON):
            with quickly(name):
                response = await post(stranger, body, Accept=accept)
            answer = answer_of(response)
            assert (answer.status, answer.code) == (status, code), name
            assert "data" not in answer.body
            assert response.headers["content-type"].startswith(accept)


async def test_every_hostile_address_gets_its_4xx_at_once(stranger: Client) -> None:
    headers = {"Authorization": f"Bearer {stranger.token}", "Accept": GRAPHQL_JSON}
    for name, (address, status) in ADDRESSES.items():
        with quickly(name):
            response = await stranger.http.get(f"/graphql?{address}", headers=headers)
        assert response.status_code == status, (name, response.text)
        assert "data" not in response.json(), name
        if status == 405:
            assert response.headers["allow"] == "POST"


async def test_there_is_no_websocket(stranger: Client) -> None:
    assert isinstance(stranger.http, InProcess)
    scope = {"type": "websocket", "path": "/graphql", "headers": [], "query_string": b""}
    said = list[Any]()

    async def receive() -> dict[str, str]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        said.append(message["type"])

    await stranger.http._app(scope, receive, send)
    assert "websocket.accept" not in said


def test_an_address_has_a_limit(settings: Settings) -> None:
    scope = {"type": "http", "method": "GET", "headers": [], "state": {"settings": settings}}
    query = b"query={a}".ljust(settings.max_body_bytes + 1, b"&")
    with pytest.raises(BadBody, match="too long") as refused:
        by_get(Request({**scope, "query_string": query}))
    assert refused.value.status == 414
    assert by_get(Request({**scope, "query_string": query[:-1]})).text == "{a}"


async def test_every_hostile_document_is_refused_with_its_code(stranger: Client) -> None:
    for name, (document, code) in DOCUMENTS.items():
        operation = NAME if f"query {NAME} " in document else None
        for accept, status in (("application/json", 200), (GRAPHQL_JSON, 400)):
            body = q(document, operationName=operation)
            with quickly(name):
                response = await post(stranger, body, Accept=accept)
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
