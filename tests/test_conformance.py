"""The audits of the GraphQL over HTTP specification, and clients that others wrote.

They need what `scripts/setup --dev` installs where there is npm.
"""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gql import Client, gql
from gql.transport.exceptions import TransportQueryError
from gql.transport.httpx import HTTPXTransport

from tests import servers
from tests.needed import skip_without

JS = Path(__file__).parent / "js"
OF_GET = {"5A70", "D6D5", "6A70"}
"""Audits of what a server may do that answers GET."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    """One that answers GET."""
    folder = tmp_path_factory.mktemp("conformance")
    with servers.serving(servers.environment(folder, GIFTGQL_ALLOW_GET="true")) as running:
        yield running


@pytest.fixture(scope="module")
def key(server: servers.Server) -> str:
    """Of a client that may do what a till may, and introspect."""
    return new_client(server)


def new_client(server: servers.Server) -> str:
    made = servers.giftgql(
        server.environment,
        *("client", "add", "Till", "--role", "till", "--channel", "IN_STORE", "--json"),
        *("--permission", "IntrospectSchema"),
    )
    return str(json.loads(made.stdout)["client_secret"])


def node(script: str, *arguments: str) -> Any:
    """What a script of `tests/js` prints."""
    if not (JS / "node_modules").is_dir():
        skip_without("Node and npm: run scripts/setup --dev where they are")
    done = subprocess.run(
        ["node", script, *arguments],
        cwd=JS,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def failed_audits(server: servers.Server, key: str) -> dict[str, str]:
    """How serious it is, by audit."""
    audited = node("audits.js", f"{server.url}/graphql", key)
    assert audited["passed"] + len(audited["failed"]) == 61
    return {each["id"]: each["status"] for each in audited["failed"]}


def test_all_audits_are_passed(server: servers.Server, key: str) -> None:
    assert failed_audits(server, key) == {}


def test_where_get_is_off_only_what_it_might_do_is_noticed(tmp_path: Path) -> None:
    with servers.serving(servers.environment(tmp_path)) as server:
        assert failed_audits(server, new_client(server)) == dict.fromkeys(OF_GET, "notice")


def test_apollo_client_works_with_automatic_persisted_queries(
    server: servers.Server, key: str
) -> None:
    codes = ["GC49288330", "GC49288331"]
    worked = node("apollo.js", f"{server.url}/graphql", key, *codes)
    for code, each in zip(codes, worked["found"], strict=True):
        assert each["added"]["status"] == "NOT_ACTIVATED"
        (card,) = each["found"]
        assert card["id"] == each["added"]["id"]
        assert [shown["code"] for shown in card["codes"]] == [code]
    sent = [(each["withText"], each["status"]) for each in worked["requests"]]
    each_is_unknown_once = [(False, 400), (True, 200)]
    assert sent == [*each_is_unknown_once * 2, (False, 200), (False, 200)]
    for each in worked["requests"]:
        assert each["withHash"]
        assert each["type"].startswith("application/graphql-response+json")


def test_gql_for_python_works_with_the_schema_it_has_asked_for(
    server: servers.Server, key: str
) -> None:
    transport = HTTPXTransport(
        url=f"{server.url}/graphql", headers={"Authorization": f"Bearer {key}"}
    )
    add = gql("mutation ($code: String!) { giftcardAdd(giftcard: {physicalCode: $code}) { id } }")
    find = gql("query ($code: String!) { giftcard(code: $code) { results { id } } }")
    code = {"code": "GC49288332"}
    with Client(transport=transport, fetch_schema_from_transport=True) as session:
        add.variable_values = find.variable_values = code
        card = session.execute(add)["giftcardAdd"]
        assert session.execute(find)["giftcard"]["results"] == [card]
        with pytest.raises(TransportQueryError, match="is or was in use"):
            session.execute(add)
