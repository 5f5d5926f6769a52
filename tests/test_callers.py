"""Who is calling: clients with keys and access tokens, members with theirs, and nobody."""

import asyncio
import base64
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from starlette.types import Message

from giftgql import credentials, schema
from giftgql.app import callers, create_app
from giftgql.clients import service as clients
from giftgql.clients.service import Credential
from giftgql.permissions import Permission
from giftgql.store import Store
from tests.client import Answer, Client, Server
from tests.conftest import MakeClient, SetClock, statements
from tests.factories import card, member, member_token
from tests.factories import client as new_client
from tests.root_fields import ROOT_FIELDS

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
GRANT = {"grant_type": "client_credentials"}
TRIVIAL = "{ __typename }"


def basic(client_id: str, secret: str) -> dict[str, str]:
    encoded = base64.b64encode(f"{client_id}:{secret}".encode()).decode()
    return {**FORM, "Authorization": f"Basic {encoded}"}


async def ask_token(server: Server, form: Any = None, **headers: str) -> httpx.Response:
    content = form if isinstance(form, bytes) else urlencode(form or {})
    return await server.http.post("/oauth/token", content=content, headers={**FORM, **headers})


async def access_token(server: Server, client: Credential) -> str:
    answer = await ask_token(server, GRANT, **basic(client.client_id, client.client_secret))
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


async def status(server: Server, token: str) -> int:
    return (await server.client(token).run(TRIVIAL)).status


@pytest.fixture
async def shop(store: Store) -> Credential:
    return await new_client(store, roles=["shop"])


async def test_a_client_gets_a_token_by_basic_authentication(
    server: Server, shop: Credential
) -> None:
    answer = await ask_token(server, GRANT, **basic(shop.client_id, shop.client_secret))
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    token = answer.json()
    assert (token["token_type"], token["expires_in"]) == ("Bearer", 900)
    assert await status(server, token["access_token"]) == 200


async def test_a_client_gets_a_token_by_the_form(server: Server, shop: Credential) -> None:
    given = {"client_id": shop.client_id, "client_secret": shop.client_secret}
    answer = await ask_token(server, {**GRANT, **given})
    assert answer.status_code == 200
    assert "www-authenticate" not in answer.headers
    assert await status(server, answer.json()["access_token"]) == 200


async def test_credentials_may_be_url_encoded_and_parameters_unknown(
    server: Server, shop: Credential
) -> None:
    encoded = "".join(f"%{ord(letter):02X}" for letter in shop.client_secret)
    headers = basic(shop.client_id.replace("_", "%5F"), encoded)
    unknown = {"scope": "", "audience": "cards", "client_id": shop.client_id}
    assert (await ask_token(server, {**GRANT, **unknown}, **headers)).status_code == 200


async def test_what_oauth_refuses_it_refuses_as_rfc_6749_says(
    server: Server, store: Store, shop: Credential
) -> None:
    other = await new_client(store)
    token = await access_token(server, shop)
    right = basic(shop.client_id, shop.client_secret)
    form = {**GRANT, "client_id": shop.client_id, "client_secret": shop.client_secret}
    twice = f"{urlencode(form)}&grant_type=client_credentials".encode()
    mistyped = shop.client_secret[:-1] + ("a" if shop.client_secret[-1] != "a" else "b")
    refused: list[tuple[Any, dict[str, str], int, str]] = [
        ({}, right, 400, "invalid_request"),
        ({"grant_type": ""}, right, 400, "invalid_request"),
        ({"grant_type": "password"}, right, 400, "unsupported_grant_type"),
        (form, right, 400, "invalid_request"),
        (twice, {}, 400, "invalid_request"),
        (b"grant_type=client_credentials&client_id=%ff", {}, 400, "invalid_request"),
        (b"\xff=1", {}, 400, "invalid_request"),
        (b"&".join(b"p%d=1" % n for n in range(50)), {}, 400, "invalid_request"),
        (b"p=" + b"x" * 100_000, {}, 413, "invalid_request"),
        (form, {"Content-Type": "application/json"}, 400, "invalid_request"),
        (GRANT, {}, 401, "invalid_client"),
        ({**form, "client_secret": ""}, {}, 401, "invalid_client"),
        ({**form, "client_id": ""}, {}, 401, "invalid_client"),
        ({**form, "client_secret": mistyped}, {}, 401, "invalid_client"),
        ({**form, "client_secret": other.client_secret}, {}, 401, "invalid_client"),
        ({**form, "client_id": other.client_id}, {}, 401, "invalid_client"),
        ({**form, "client_id": "nobody\x00\N{SNOWMAN}"}, {}, 401, "invalid_client"),
        ({**form, "client_secret": token}, {}, 401, "invalid_client"),
        (GRANT, basic(shop.client_id, mistyped), 401, "invalid_client"),
        (GRANT, {"Authorization": "Basic !"}, 401, "invalid_client"),
        (GRANT, {"Authorization": "Basic /w=="}, 401, "invalid_client"),
        (GRANT, {"Authorization": "Basic bm8gY29sb24="}, 401, "invalid_client"),
        (GRANT, {"Authorization": f"Bearer {shop.client_secret}"}, 401, "invalid_client"),
    ]
    for number, (given, headers, wanted, error) in enumerate(refused):
        answer = await ask_token(server, given, **headers)
        assert (answer.status_code, answer.json()["error"]) == (wanted, error), number
        assert answer.headers["cache-control"] == "no-store"
        assert ("www-authenticate" in answer.headers) is (wanted == 401)
        assert not any(secret in answer.text for secret in (mistyped, shop.client_secret, token))


async def test_who_knows_no_key_does_not_wait_for_the_database_s_writer(
    server: Server, store: Store, shop: Credential
) -> None:
    other = await new_client(store)
    async with asyncio.timeout(20), store.write():
        for secret in ("wrong", credentials.make("ggk_", "12345678"), other.client_secret):
            answer = await ask_token(server, GRANT, **basic(shop.client_id, secret))
            assert answer.json()["error"] == "invalid_client"


async def test_a_disabled_client_gets_no_token(
    server: Server, store: Store, shop: Credential
) -> None:
    async with store.write() as tx:
        await clients.disable(tx, shop.client_id)
    answer = await ask_token(server, GRANT, **basic(shop.client_id, shop.client_secret))
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


async def test_an_access_token_ends_when_its_time_is_up(
    server: Server, shop: Credential, clock: SetClock
) -> None:
    token = await access_token(server, shop)
    clock.forward(seconds=899)
    assert await status(server, token) == 200
    clock.forward(seconds=1)
    assert await status(server, token) == 401, "remembered or not"


async def test_a_key_is_a_bearer_token_itself_and_does_not_expire(
    server: Server, shop: Credential, clock: SetClock
) -> None:
    clock.forward(days=3650)
    assert await status(server, shop.client_secret) == 200


async def test_no_credential_or_a_wrong_one_is_unauthenticated(
    server: Server, shop: Credential
) -> None:
    key = shop.client_secret
    headers = [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer \xff",
        f"Bearer {key} {key}",
        f"Bearer {key[:-1]}",
        f"Bearer {key.upper()}",
        f"Token {key}",
        key,
        f"Bearer {shop.client_id}",
        f"Bearer {credentials.make('ggk_', '12345678')}",
        *(f"Bearer {credentials.make(prefix)}" for prefix in ("ggk_", "ggt_", "ggm_")),
        f"Bearer ggm{key[3:]}",
        basic(shop.client_id, key)["Authorization"],
        f"Bearer {'x' * 8_000}",
    ]
    for header in headers:
        given = [] if header is None else [(b"Authorization", header.encode("latin-1"))]
        response = await server.http.post("/graphql", json={"query": TRIVIAL}, headers=given)
        answer = Answer(response.status_code, response.json())
        assert (answer.status, answer.code) == (401, "UNAUTHENTICATED"), header
        assert response.headers["www-authenticate"].startswith("Bearer")
        assert "data" not in answer.body
        assert not header or len(header) < 20 or header[-20:] not in response.text


async def test_the_scheme_s_case_does_not_matter(server: Server, shop: Credential) -> None:
    headers = {"Authorization": f"bEARER  {shop.client_secret} "}
    response = await server.http.post("/graphql", json={"query": TRIVIAL}, headers=headers)
    assert response.status_code == 200


async def test_a_mistyped_credential_is_not_looked_up(
    server: Server, store: Store, shop: Credential
) -> None:
    with statements(store) as seen:
        for position in range(4, len(shop.client_secret)):
            was = shop.client_secret[position]
            typed = "x" if was != "x" else "y"
            mistyped = shop.client_secret[:position] + typed + shop.client_secret[position + 1 :]
            assert await status(server, mistyped) == 401
        assert seen == []
        assert await status(server, credentials.make("ggk_", "12345678")) == 401
        assert seen, "the test would see a look-up"


async def test_disabling_a_client_ends_its_keys_and_tokens_within_seconds(
    server: Server, store: Store, shop: Credential, later: list[float]
) -> None:
    held = [shop.client_secret, await access_token(server, shop)]
    assert [await status(server, each) for each in held] == [200, 200]
    async with store.write() as tx:
        await clients.disable(tx, shop.client_id)
    assert callers.RIGHTS_SECONDS <= 5
    later[0] = callers.RIGHTS_SECONDS + 0.001
    assert [await status(server, each) for each in held] == [401, 401]


async def test_rotating_leaves_two_keys_and_ends_older_ones_with_their_tokens(
    server: Server, store: Store, shop: Credential, later: list[float]
) -> None:
    first = [shop.client_secret, await access_token(server, shop)]
    async with store.write() as tx:
        second = await clients.rotate(tx, shop.client_id)
    later[0] += callers.RIGHTS_SECONDS * 2
    held = [*first, second.client_secret, await access_token(server, second)]
    assert [await status(server, each) for each in held] == [200] * 4
    async with store.write() as tx:
        third = await clients.rotate(tx, shop.client_id)
    later[0] += callers.RIGHTS_SECONDS * 2
    held.append(third.client_secret)
    assert [await status(server, each) for each in held] == [401, 401, 200, 200, 200]


async def test_a_remembered_credential_is_not_asked_about_at_each_request(
    server: Server, store: Store, shop: Credential, later: list[float]
) -> None:
    await status(server, shop.client_secret)
    with statements(store) as seen:
        later[0] = -1.0  # the time of the test itself is not to count
        await status(server, shop.client_secret)
    assert seen == []


async def test_no_more_credentials_are_remembered_than_are_provided_for(
    server: Server, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callers, "REMEMBERED", 3)
    keys = [(await new_client(store)).client_secret for _ in range(5)]
    book = callers.Callers(store)
    for key in keys:
        await book.identify(f"Bearer {key}")
    assert len(book._known) == 3
    assert (await book.identify(f"Bearer {keys[0]}")).name.startswith("client:")


@pytest.fixture
async def app_backend(store: Store) -> Credential:
    return await new_client(store, roles=["app-backend"])


@pytest.fixture
async def minted(server: Server, app_backend: Credential, clock: SetClock) -> str:
    """The token of the member C1."""
    backend = server.client(app_backend.client_secret)
    await member(backend, "C1")
    return await member_token(backend, "C1")


async def test_a_member_s_token_ends_when_its_time_is_up(
    server: Server, minted: str, clock: SetClock
) -> None:
    assert (await server.client(minted).run("{ me { id } }"))["me"] == {"id": "C1"}
    clock.forward(seconds=900)
    assert (await server.client(minted).run("{ me { id } }")).code == "UNAUTHENTICATED"


async def test_a_member_s_token_ends_with_the_client_that_minted_it(
    server: Server, store: Store, app_backend: Credential, minted: str, later: list[float]
) -> None:
    assert await status(server, minted) == 200
    async with store.write() as tx:
        await clients.disable(tx, app_backend.client_id)
    later[0] = callers.RIGHTS_SECONDS + 0.001
    assert await status(server, minted) == 401


async def test_a_member_can_ask_for_nothing_but_itself(server: Server, minted: str) -> None:
    built = schema.build()._schema
    assert built.query_type is not None
    assert built.mutation_type is not None
    known = {*built.query_type.fields, *built.mutation_type.fields}
    assert known == {*ROOT_FIELDS, "me"}, "a new root field is to be tried here as well"
    for field, document in ROOT_FIELDS.items():
        answer = await server.client(minted).run(document)
        assert answer.code == "PERMISSION_DENIED", field
        assert answer.body["data"] == {field: None}
    for document in ("{ __schema { description } }", '{ __type(name: "Code") { name } }'):
        assert (await server.client(minted).run(document)).code == "PERMISSION_DENIED"


async def test_a_member_sees_its_own_cards_and_no_others(
    server: Server, minted: str, admin: Client
) -> None:
    await member(admin, "C2")
    mine, theirs = await card(admin, memberId="C1"), await card(admin, memberId="C2")
    answer = await server.client(minted).run(
        "{ me { giftcards { results { id member { id } } } } }"
    )
    own = {"id": mine["id"], "member": {"id": "C1"}}
    assert answer["me"]["giftcards"]["results"] == [own]
    assert theirs["id"] != mine["id"]


async def test_only_a_member_has_a_me(admin: Client) -> None:
    assert (await admin.run("{ me { id } }")).code == "PERMISSION_DENIED"


async def test_the_body_of_a_stranger_is_not_read(store: Store) -> None:
    app, sent = create_app(store.settings, store), list[Message]()

    async def receive() -> Message:
        raise AssertionError("the body was asked for")

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"content-type", b"application/json"), (b"content-length", b"99999999")]
    scope = {"type": "http", "method": "POST", "path": "/graphql", "query_string": b""}
    async with app.router.lifespan_context(app):
        await app({**scope, "headers": headers}, receive, send)
    assert sent[0]["status"] == 401


async def test_a_stranger_s_bad_body_is_unauthenticated_all_the_same(server: Server) -> None:
    for body, media_type in (
        (b"{", "application/json"),
        (b"x" * 1_000_000, "application/json"),
        (b"{}", "text/plain"),
    ):
        headers = {"Content-Type": media_type}
        assert (
            await server.http.post("/graphql", content=body, headers=headers)
        ).status_code == 401


async def test_a_caller_is_refused_what_it_lacks_the_right_to(client_with: MakeClient) -> None:
    nobody = await client_with()
    assert (await nobody.run(TRIVIAL))["__typename"] == "Query"
    for field, document in ROOT_FIELDS.items():
        assert (await nobody.run(document)).code == "PERMISSION_DENIED", field
    for permission in (Permission.VIEW_MEMBERS, Permission.EDIT_GIFT_CARD):
        one = await client_with(permission)
        allowed = [f for f, document in ROOT_FIELDS.items() if await _may(one, document)]
        wanted = "member" if permission is Permission.VIEW_MEMBERS else "giftcardEdit"
        assert allowed == [wanted]


async def _may(caller: Client, document: str) -> bool:
    return (await caller.run(document)).code != "PERMISSION_DENIED"
