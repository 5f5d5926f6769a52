"""How the server behaves over HTTP: media types, headers, routes, limits, health."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from starlette.types import Message

from giftgql.app import create_app
from giftgql.app.graphql import acceptable
from giftgql.permissions import Permission
from giftgql.settings import Settings
from giftgql.store import Store
from tests.client import Client, Server
from tests.conftest import MakeClient
from tests.factories import client as new_client

JSON = "application/json"
GRAPHQL_JSON = "application/graphql-response+json"
TRIVIAL = b'{"query": "{ __typename }"}'
SAFE = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "x-frame-options": "DENY",
}


async def post(caller: Client, content: Any = TRIVIAL, **headers: str) -> httpx.Response:
    given = {"Authorization": f"Bearer {caller.token}", "Content-Type": JSON}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    return await caller.http.post("/graphql", content=content, headers=given)


def test_the_answer_s_media_type_is_the_one_the_client_likes_best() -> None:
    for accept, wanted in {
        "": JSON,
        "*/*": JSON,
        "application/*": JSON,
        JSON: JSON,
        GRAPHQL_JSON: GRAPHQL_JSON,
        f"{GRAPHQL_JSON}; charset=utf-8, {JSON}": GRAPHQL_JSON,
        f"{JSON}, {GRAPHQL_JSON}": GRAPHQL_JSON,
        f"{JSON}, {GRAPHQL_JSON};q=0.9": JSON,
        f"{JSON};q=0.5,{GRAPHQL_JSON} ; q=0.4": JSON,
        f"{GRAPHQL_JSON.upper()}": GRAPHQL_JSON,
        f"*/*, {GRAPHQL_JSON}": GRAPHQL_JSON,
        f"*/*, {GRAPHQL_JSON};q=0.1": JSON,
        f"{JSON};q=0, */*": GRAPHQL_JSON,
        f"{GRAPHQL_JSON};q=0, */*": JSON,
        "text/html, */*;q=0.1": JSON,
        f"{JSON};q=0": None,
        f"{JSON};q=nan": None,
        f"{JSON};q=2": None,
        f"{JSON};q=x": None,
        "text/html": None,
        "application/jsonx": None,
        "text/*": None,
        ",;,": None,
        f"{'text/html,' * 20}{JSON}": None,
    }.items():
        assert acceptable(accept) == wanted, accept


async def test_a_request_error_is_200_as_json_and_400_as_graphql_response(admin: Client) -> None:
    for document, executed in (("{ nothing }", False), ('{ giftcard(code: "") { until } }', True)):
        body = json.dumps({"query": document})
        for accept in (JSON, GRAPHQL_JSON):
            answer = await post(admin, body, Accept=accept)
            refused = accept == GRAPHQL_JSON and not executed
            assert answer.status_code == (400 if refused else 200)
            assert answer.headers["content-type"] == f"{accept}; charset=utf-8"
            assert ("data" in answer.json()) is executed


async def test_what_no_answer_can_be_given_in_is_not_acceptable(admin: Client) -> None:
    answer = await post(admin, Accept="text/plain")
    assert (answer.status_code, code_of(answer)) == (406, "BAD_REQUEST")


async def test_several_accept_headers_are_one(admin: Client) -> None:
    headers = [("Accept", "text/plain"), ("Accept", GRAPHQL_JSON), ("Content-Type", JSON)]
    headers.append(("Authorization", f"Bearer {admin.token}"))
    answer = await admin.http.post("/graphql", content=TRIVIAL, headers=headers)
    assert answer.headers["content-type"].startswith(GRAPHQL_JSON)


async def test_only_json_is_taken(admin: Client) -> None:
    for media_type in (
        "",
        "text/plain",
        "text/plain; a=application/json",
        "application/jsonx",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/graphql",
    ):
        answer = await post(admin, Content_Type=media_type)
        assert (answer.status_code, code_of(answer)) == (415, "BAD_REQUEST"), media_type
    for media_type in ("application/json; charset=utf-8", "APPLICATION/JSON"):
        assert (await post(admin, Content_Type=media_type)).status_code == 200


def code_of(answer: httpx.Response) -> str:
    return str(answer.json()["errors"][0]["extensions"]["code"])


async def test_a_route_or_method_that_is_not_there_is_a_json_error(server: Server) -> None:
    for method, path, status, allowed in (
        ("GET", "/nothing", 404, None),
        ("POST", "/graphql/", 404, None),
        ("GET", "/graphql/../secret", 404, None),
        ("POST", "/healthz", 405, "GET, HEAD"),
        ("DELETE", "/", 405, "GET, HEAD"),
        ("GET", "/oauth/token", 405, "POST"),
        *((method, "/graphql", 405, "POST") for method in ("GET", "PUT", "DELETE", "OPTIONS")),
    ):
        answer = await server.http.request(method, path)
        assert answer.status_code == status, (method, path)
        assert code_of(answer) == ("NOT_FOUND" if status == 404 else "BAD_REQUEST")
        allow = answer.headers.get("allow")
        assert (allow and set(allow.split(", "))) == (allowed and set(allowed.split(", ")))
    assert (await server.http.head("/graphql")).status_code == 405


async def test_a_query_by_get_is_not_run(admin: Client) -> None:
    answer = await admin.http.get(
        "/graphql",
        params={"query": "{ __typename }"},
        headers={"Authorization": f"Bearer {admin.token}", "Accept": JSON},
    )
    assert answer.status_code == 405
    assert "data" not in answer.json()


async def test_every_answer_has_the_headers_that_keep_it_safe(
    server: Server, admin: Client
) -> None:
    answers = [
        await post(admin),
        await post(admin, b"{"),
        await post(Client(server.http, "")),
        await server.http.post("/oauth/token"),
        await server.http.get("/nothing"),
        await server.http.get("/"),
        await server.http.get("/healthz"),
        await server.http.get("/readyz"),
        await server.http.get("/graphql", headers={"Accept": "text/html"}),
    ]
    for answer in answers:
        assert SAFE.items() <= dict(answer.headers).items(), answer.url
        assert answer.headers["x-request-id"]
        assert "server" not in answer.headers


async def test_a_request_keeps_its_id_or_gets_one(server: Server) -> None:
    async def id_of(given: bytes | None) -> str:
        headers = [] if given is None else [(b"X-Request-ID", given)]
        return str((await server.http.get("/healthz", headers=headers)).headers["x-request-id"])

    for good in ("a", "till-7.2026_11_21", "x" * 64):
        assert await id_of(good.encode()) == good
    for bad in (None, b"", b"x" * 65, b"a b", b"<b>", b"\xe9", b"a\tb", b"a;b"):
        made = await id_of(bad)
        assert len(made) == 16
        assert made != await id_of(bad)


async def test_a_fault_tells_its_request_id_and_nothing_else(
    admin: Client, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> Any:
        raise RuntimeError("the secret of GC49288330")

    body = b'{"query": "{ giftcard(code: \\"GC49288330\\") { until } }"}'
    stranger = Client(admin.http, (await new_client(store)).client_secret)
    assert (await post(admin)).status_code == 200  # so its credential is remembered
    monkeypatch.setattr(store, "read", fail)
    for caller, status, data in ((stranger, 500, None), (admin, 200, {"giftcard": None})):
        answer = await post(caller, body, X_Request_ID="find-me")
        assert (answer.status_code, answer.json().get("data")) == (status, data)
        error = answer.json()["errors"][0]
        assert error["extensions"] == {"code": "INTERNAL", "requestId": "find-me"}
        assert "GC49288330" not in answer.text


async def test_a_body_is_read_no_further_than_its_limit(admin: Client, settings: Settings) -> None:
    taken = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal taken
        for _ in range(10_000):
            taken += 1_000
            yield b" " * 1_000

    # This transport hands over a body as it is asked for.
    answer = await post(admin, body())
    assert (answer.status_code, code_of(answer)) == (413, "BAD_REQUEST")
    assert taken <= settings.max_body_bytes + 1_000


async def test_the_largest_body_is_taken_and_one_byte_more_is_not(
    admin: Client, settings: Settings
) -> None:
    fitting = TRIVIAL.ljust(settings.max_body_bytes)
    assert (await post(admin, fitting)).status_code == 200
    assert (await post(admin, fitting + b" ")).status_code == 413
    for length in ("99999999999999999999", "0" * 30 + "99999999"):
        answer = await post(admin, fitting + b" ", Content_Length=length)
        assert answer.status_code == 413


async def test_a_body_that_does_not_come_is_given_up(store: Store) -> None:
    settings = store.settings.model_copy(update={"body_seconds": 0})
    never = asyncio.Event()

    async def receive() -> Message:
        await never.wait()
        raise AssertionError

    for path in ("/graphql", "/oauth/token"):
        status, headers, body = await call(settings, store, path, receive)
        assert status == 408
        assert b"took too long" in body
        assert path != "/graphql" or headers[b"connection"] == b"close"


async def test_a_body_that_ends_early_is_a_bad_request(store: Store) -> None:
    for path in ("/graphql", "/oauth/token"):
        messages: Iterator[Message] = iter(
            [
                {"type": "http.request", "body": b'{"query', "more_body": True},
                {"type": "http.disconnect"},
            ]
        )

        async def receive(messages: Iterator[Message] = messages) -> Message:
            return next(messages)

        status, _, body = await call(store.settings, store, path, receive)
        assert status == 400
        assert b"ended early" in body


async def call(
    settings: Settings, store: Store, path: str, receive: Any
) -> tuple[int, dict[bytes, bytes], bytes]:
    """POST as someone who may, with a body that comes as `receive` has it."""
    form = b"application/x-www-form-urlencoded"
    media_type = form if path == "/oauth/token" else JSON.encode()
    key = (await new_client(store)).client_secret
    headers = [(b"content-type", media_type), (b"authorization", f"Bearer {key}".encode())]
    scope = {"type": "http", "method": "POST", "path": path, "query_string": b""}
    sent = list[Message]()

    async def send(message: Message) -> None:
        sent.append(message)

    app = create_app(settings, store)
    async with asyncio.timeout(20), app.router.lifespan_context(app):
        await app({**scope, "headers": headers}, receive, send)
    return sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"]


async def test_the_server_is_alive_and_ready(server: Server) -> None:
    for path in ("/healthz", "/readyz"):
        answer = await server.http.get(path)
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_the_server_is_not_ready_for_a_database_in_another_form(
    server: Server, store: Store
) -> None:
    for change, said in (
        ("UPDATE alembic_version SET version_num = '9999'", "is newer"),
        ("DELETE FROM alembic_version", "needs migration"),
    ):
        async with store.write() as tx:
            await (await tx.session.connection()).execute(text(change))
        answer = await server.http.get("/readyz")
        assert (answer.status_code, answer.json()["database"]) == (503, said)
        assert (await server.http.get("/healthz")).status_code == 200


async def test_each_null_of_a_mutation_has_its_error(admin: Client) -> None:
    refused = " ".join(f'a{n}: giftcardAdd(giftcard: {{note: "{n}"}}) {{ id }}' for n in range(10))
    answer = await admin.run(f"mutation {{ {refused} }}")
    assert [error["path"] for error in answer.errors] == [[f"a{n}"] for n in range(10)]


async def test_null_for_an_argument_that_needs_a_value_is_the_caller_s_fault(
    admin: Client,
) -> None:
    document = "query ($n: Int = 5) { giftcard(first: $n) { until } }"
    answer = await admin.run(document, n=None)
    assert (answer.code, answer.body["data"]) == ("GRAPHQL_VALIDATION_FAILED", {"giftcard": None})
    assert answer.errors[0]["message"] == "Argument 'first' does not fit type Int!."


async def test_an_amount_that_is_no_string_is_told_how_it_is_written(admin: Client) -> None:
    for amount in ("5", "-6.49"):
        given = f'{{code: "C", transType: USE, amount: {amount}}}'
        answer = await admin.run(f"mutation {{ giftcardTransAdd(trans: {given}) {{ id }} }}")
        said = 'A value does not fit type Money, a string such as "-6.49".'
        assert answer.errors[0]["message"] == said


async def test_introspection_is_for_those_who_may(client_with: MakeClient) -> None:
    caller = await client_with(Permission.INTROSPECT_SCHEMA)
    assert (await caller.run("{ __schema { queryType { name } } }"))["__schema"]
    for inner in ("ofType { " * 20 + "name" + " }" * 20, "name " * 500):
        document = f"{{ __schema {{ types {{ {inner} }} }} }}"
        assert (await caller.run(document)).code == "OPERATION_TOO_COMPLEX"


async def test_the_server_is_not_ready_when_the_database_is_gone(
    server: Server, settings: Settings, request: pytest.FixtureRequest
) -> None:
    folder = settings.data_dir
    if settings.sqlite_file is None:
        request.getfixturevalue("postgres").drop(settings.database_url)
    else:
        folder.rename(folder.with_name("elsewhere"))
    answer = await server.http.get("/readyz")
    assert (answer.status_code, answer.json()["database"]) == (503, "unreachable")
    assert (await server.http.get("/healthz")).status_code == 200
