"""What only a server process shows: real sockets, clients that go away, and its end."""

import fcntl
import http.client
import json
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import servers
from tests.test_http import JSON, SAFE, TRIVIAL, code_of


@pytest.fixture
def running(tmp_path: Path) -> Iterator[servers.Server]:
    """A server process of its own, which waits patiently for a lock."""
    patient = {"GIFTGQL_LOCK_SECONDS": "60", "GIFTGQL_STATEMENT_SECONDS": "60"}
    with servers.serving(servers.environment(tmp_path, **patient)) as server:
        yield server


ADD = """mutation { giftcardAdd(giftcard: {physicalCode: "GC49288330", idempotencyKey: "one"})
    { id } }"""


@contextmanager
def writing_stopped(server: servers.Server) -> Iterator[None]:
    """Nothing can be written meanwhile: the lock that all writers take is held."""
    file = Path(server.environment["GIFTGQL_DATA_DIR"]) / "giftgql.db.write"
    with file.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def under_way(server: servers.Server, document: str) -> Iterator[http.client.HTTPConnection]:
    """Send a document; it is under way in the block, since a later request has been answered."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=servers.PATIENCE)
    headers = {"Content-Type": JSON, "Authorization": f"Bearer {server.development_key}"}
    connection.request("POST", "/graphql", json.dumps({"query": document}), headers)
    assert httpx.get(f"{server.url}/healthz", timeout=30).status_code == 200
    yield connection
    connection.close()


def run(server: servers.Server, document: str) -> Any:
    with under_way(server, document) as connection:
        return json.load(connection.getresponse())


def test_a_running_server_is_alive_and_ready_and_asks_browsers_to_sign_in(
    running: servers.Server,
) -> None:
    with httpx.Client(base_url=running.url, headers={"Accept": "text/html"}, timeout=30) as browser:
        assert browser.get("/healthz").json() == {"status": "ok"}
        assert browser.get("/readyz").json() == {"status": "ok"}
        page = browser.get("/", follow_redirects=True)
        assert (page.url.path, page.url.params["next"]) == ("/sign-in", "/graphql")
        assert page.headers["content-type"].startswith("text/html")
        of_pages = {"referrer-policy": "same-origin"}
        assert {**SAFE, **of_pages}.items() <= dict(page.headers).items()
        assert browser.get("/").headers["location"] == "/graphql"


def test_a_client_that_sends_ten_megabytes_is_told_so(running: servers.Server) -> None:
    headers = {"Content-Type": JSON, "Authorization": f"Bearer {running.development_key}"}
    with httpx.Client(base_url=running.url, headers=headers, timeout=30) as client:
        answer = client.post("/graphql", content=b" " * 10_000_000)
        assert (answer.status_code, code_of(answer)) == (413, "BAD_REQUEST")
        assert client.post("/graphql", content=TRIVIAL).status_code == 200


def test_stopping_finishes_what_is_under_way(running: servers.Server) -> None:
    with ExitStack() as stack:
        stopped = stack.enter_context(ExitStack())
        stopped.enter_context(writing_stopped(running))
        waiting = stack.enter_context(under_way(running, ADD))
        running.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + servers.PATIENCE
        while takes_connections(running):
            assert time.monotonic() < deadline
        assert running.process.poll() is None
        stopped.close()
        assert json.load(waiting.getresponse())["data"]["giftcardAdd"]["id"]
    assert running.process.wait(servers.PATIENCE) in (0, -signal.SIGTERM)


def takes_connections(server: servers.Server) -> bool:
    try:
        socket.create_connection(("127.0.0.1", server.port), timeout=1).close()
    except OSError:
        return False
    return True


def test_a_client_that_goes_away_changes_nothing_about_what_it_asked_for(
    running: servers.Server,
) -> None:
    with writing_stopped(running):
        with under_way(running, ADD):
            pass
        assert httpx.get(f"{running.url}/healthz").status_code == 200
        with under_way(running, ADD.replace("one", "two")):
            pass
    made = run(running, ADD.replace("49288330", "49288331").replace("one", "three"))
    found = run(running, '{ giftcard(code: "GC49288330") { results { id } } }')
    first = found["data"]["giftcard"]["results"][0]["id"]
    assert int(first) < int(made["data"]["giftcardAdd"]["id"]), "each has its turn"
    answers = [run(running, each) for each in (ADD, ADD.replace("one", "two"))]
    # On a busy machine the second may have come to the database first.
    done, refused = sorted(answers, key=lambda each: "errors" in each)
    assert done == {"data": {"giftcardAdd": {"id": first}}, "extensions": {"replayed": True}}
    assert refused["errors"][0]["extensions"]["code"] == "CODE_TAKEN"
