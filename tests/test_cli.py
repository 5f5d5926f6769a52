"""The command line as real processes, most of them beside a running server on SQLite."""

import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from giftgql.permissions import Permission
from tests import servers
from tests.servers import Server, giftgql, serving

HEAVY = ("strawberry", "sqlalchemy", "graphql", "cryptography", "sqlmodel", "uvicorn", "starlette")
ADD = "mutation ($g: GiftcardAddInput!) { giftcardAdd(giftcard: $g) { id codes { code } } }"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server on SQLite in a folder with a space in its name, as it is on its very first start."""
    folder = tmp_path_factory.mktemp("first start")
    with serving(servers.environment(folder)) as server:
        yield server


def data_dir(server: Server) -> Path:
    return Path(server.environment["GIFTGQL_DATA_DIR"])


def cli(server: Server, *arguments: str) -> str:
    """Run a command that must go well; returns what it printed."""
    done = giftgql(server.environment, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def refusal(environment: dict[str, str], *arguments: str) -> str:
    """Run a command that must be refused with exit code 1; returns the one sentence it says."""
    done = giftgql(environment, *arguments)
    assert done.returncode == 1, done
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    return lines[0]


def ask(server: Server, key: str, query: str, **variables: object) -> httpx.Response:
    return httpx.post(
        f"{server.url}/graphql",
        json={"query": query, "variables": variables},
        headers={"Authorization": f"Bearer {key}"},
        timeout=servers.PATIENCE,
    )


def status_of(server: Server, key: str) -> int:
    return ask(server, key, "{ __typename }").status_code


def new_client(server: Server, *arguments: str) -> dict[str, str]:
    made: dict[str, str] = json.loads(cli(server, "client", "add", "x", *arguments, "--json"))
    return made


def listed(server: Server, client_id: str) -> dict[str, object]:
    clients = json.loads(cli(server, "client", "list", "--json"))
    found: dict[str, object] = next(each for each in clients if each["client_id"] == client_id)
    return found


# Start


def test_the_first_start_makes_all_it_needs_for_one_pair_of_eyes(running: Server) -> None:
    folder = data_dir(running)
    files = {
        "giftgql.db",
        "keys.json",
        "development-client.json",
        f"logs/server-{running.port}.log",
    }
    for name in files:
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600, name


def test_the_development_client_may_do_all_but_three_things(running: Server) -> None:
    made = json.loads((data_dir(running) / "development-client.json").read_text())
    assert made.keys() == {"client_id", "client_secret"}
    facts = listed(running, made["client_id"])
    assert (facts["name"], facts["roles"], facts["channel"]) == ("development", [], "IN_STORE")
    held = facts["permissions"]
    assert isinstance(held, list)
    assert {each.value for each in Permission} - set(held) == {
        "ViewUnmaskedGiftCardCodes",
        "ExportGiftCardCodes",
        "IntrospectSchema",
    }


def test_the_printed_curl_works_as_printed_from_any_folder(running: Server, tmp_path: Path) -> None:
    running.line(r"-d '\{\"query\"")
    printed = "".join(running.lines)
    command = printed[printed.index("    curl ") :].strip()
    assert running.development_key not in printed
    for _ in range(2):  # it has an idempotency key: again is as good as once
        done = subprocess.run(
            ["bash", "-c", command.replace("curl ", "curl -sS ", 1)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
        assert json.loads(done.stdout)["data"]["giftcardAdd"]["codes"] == [
            {"codeType": "PHYSICAL", "code": "WELCOME-0001"}
        ]


def test_what_is_printed_says_where_everything_is(running: Server) -> None:
    printed = "".join(running.lines)
    assert httpx.get(re.findall(r"Health +(\S+)", printed)[0]).status_code == 200
    explorer = re.findall(r"Explorer +(\S+)", printed)[0]
    page = httpx.get(explorer, headers={"Accept": "text/html"}, follow_redirects=True)
    assert "text/html" in page.headers["content-type"]
    assert Path(re.findall(r"Log +(.+)", printed)[0]).is_file()
    assert Path(re.findall(r"Database +(.+)", printed)[0]).is_file()


def test_a_later_start_keeps_the_client_and_one_on_an_empty_database_replaces_it(
    tmp_path: Path,
) -> None:
    environment = servers.environment(tmp_path)
    with serving(environment) as server:
        first = server.development_key
    with serving(environment) as server:
        server.line("curl ")
        assert server.development_key == first
        assert status_of(server, first) == 200
    (tmp_path / "giftgql.db").unlink()
    with serving(environment) as server:
        server.line("curl ")
        assert server.development_key != first
        assert status_of(server, server.development_key) == 200
        assert status_of(server, first) == 401
        clients = json.loads(cli(server, "client", "list", "--json"))
        assert [each["name"] for each in clients] == ["development"]


def test_no_client_is_made_up_where_there_are_clients(tmp_path: Path) -> None:
    environment = servers.environment(tmp_path)
    assert giftgql(environment, "client", "add", "till", "--role", "till").returncode == 0
    with serving(environment) as server:
        server.stop()
        assert "curl" not in "".join(server.lines)
    assert not (tmp_path / "development-client.json").exists()


def test_no_client_is_made_up_in_production(tmp_path: Path) -> None:
    environment = servers.environment(tmp_path, GIFTGQL_PRODUCTION="true")
    assert "keys new" in refusal(environment, "serve", "--port", "0")
    assert giftgql(environment, "keys", "new").returncode == 0
    with serving(environment) as server:
        server.stop()
        assert "curl" not in "".join(server.lines)
    assert not (tmp_path / "development-client.json").exists()


def test_no_client_is_made_up_for_other_machines_to_use(tmp_path: Path) -> None:
    script = """
import asyncio
from giftgql.server import prepare
from giftgql.settings import read_settings
for host in ("0.0.0.0", "::", "192.0.2.1", "shop.example", "::1"):
    print(host, asyncio.run(prepare(read_settings(), host)))
"""
    environment = servers.environment(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    made = [line.split() for line in done.stdout.splitlines()]
    assert [host for host, is_made in made if is_made == "True"] == ["::1"]
    assert len(made) == 5


def test_a_second_server_on_one_sqlite_database_is_refused(running: Server) -> None:
    sentence = refusal(running.environment, "serve", "--port", "0")
    assert sentence.startswith("Another giftgql server has this SQLite database open.")
    assert status_of(running, running.development_key) == 200


def test_several_workers_on_sqlite_are_refused(running: Server) -> None:
    sentence = refusal(running.environment, "serve", "--port", "0", "--workers", "2")
    assert sentence.startswith("SQLite takes one server process.")


def test_a_taken_port_is_named(running: Server, tmp_path: Path) -> None:
    done = giftgql(servers.environment(tmp_path), "serve", "--port", str(running.port))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    wanted = f"Cannot listen on 127.0.0.1:{running.port}: Address already in use."
    assert done.stderr.splitlines()[-1].startswith(wanted)


def test_settings_are_read_from_dot_env(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(
        "GIFTGQL_DATABASE_URL=sqlite:///mine.db\nGIFTGQL_DATA_DIR=here\n"
    )
    bare = {k: v for k, v in os.environ.items() if not k.startswith("GIFTGQL_")}
    command = [sys.executable, "-m", "giftgql", "migrate"]
    subprocess.run(command, cwd=tmp_path, env=bare, capture_output=True, timeout=60, check=True)
    assert (tmp_path / "mine.db").is_file()
    assert (tmp_path / "here" / "keys.json").is_file()


def test_two_workers_serve_on_postgresql(postgres: servers.PostgresServer, tmp_path: Path) -> None:
    url = postgres.create()
    try:
        environment = servers.environment(tmp_path, url)
        with serving(environment, "--workers", "2") as server:
            ready = httpx.get(f"{server.url}/readyz", timeout=servers.PATIENCE)
            assert ready.status_code == 200
            assert status_of(server, server.development_key) == 200
            assert server.stop() == 0
    finally:
        postgres.drop(url)


# Commands beside a running server


def test_a_name_may_be_given_twice_and_a_client_is_online_unless_said_otherwise(
    running: Server,
) -> None:
    one, two = new_client(running), new_client(running, "--channel", "IN_STORE")
    assert one.keys() == {"client_id", "client_secret"}
    assert one["client_id"] != two["client_id"]
    assert listed(running, one["client_id"])["channel"] == "ONLINE"
    assert listed(running, two["client_id"])["channel"] == "IN_STORE"


def test_a_client_gets_its_rights_at_once_and_only_those(running: Server) -> None:
    key = new_client(running, "--role", "clerk", "--permission", "CreateGiftCard")["client_secret"]
    made = ask(running, key, ADD, g={"physicalCode": "CLI-0001"}).json()
    assert made["data"]["giftcardAdd"]["codes"] == [{"code": "CLI-0001"}]
    denied = ask(running, key, '{ giftcard(id: "1") { until } }').json()
    assert denied["errors"][0]["extensions"]["code"] == "PERMISSION_DENIED"


def test_a_secret_is_shown_to_a_person_once_and_never_again(running: Server) -> None:
    printed = cli(running, "client", "add", "for a person", "--role", "till")
    found = re.search(r"^client_secret  (ggk_\w+)$", printed, re.MULTILINE)
    assert found
    assert status_of(running, found[1]) == 200
    for again in (cli(running, "client", "list"), cli(running, "client", "list", "--json")):
        assert "for a person" in again
        assert "ggk_" not in again


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("client", "add", "x", "--role", "king"), "king"),
        (("client", "add", "x", "--permission", "PrintMoney"), "PrintMoney"),
        (("client", "add", "x", "--channel", "MARS"), "IN_STORE or ONLINE"),
        (("client", "add", " "), "name"),
        (("client", "add", "x\x1b[2J"), "name"),
        (("client", "disable", "ggc_nobody"), "no such"),
        (("client", "rotate", "ggc_nobody"), "no such"),
        (("member", "add", ""), "id"),
        (("member", "add", "C1", "--email", "no address"), "email"),
        (("keys", "new"), "left as it is"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(
    running: Server, arguments: tuple[str, ...], said: str
) -> None:
    before = (data_dir(running) / "keys.json").read_bytes()
    assert said in refusal(running.environment, *arguments)
    assert (data_dir(running) / "keys.json").read_bytes() == before


def test_a_refused_client_is_not_there(running: Server) -> None:
    refusal(running.environment, "client", "add", "never", "--role", "till", "--role", "king")
    assert "never" not in cli(running, "client", "list")


def test_a_rotation_keeps_two_keys_alive_and_ends_the_third(running: Server) -> None:
    client = new_client(running, "--role", "till")
    keys = [client["client_secret"]]
    for _ in range(2):
        rotated = json.loads(cli(running, "client", "rotate", client["client_id"], "--json"))
        assert rotated["client_id"] == client["client_id"]
        keys.append(rotated["client_secret"])
    assert [status_of(running, key) for key in keys] == [401, 200, 200]


def test_a_disabled_client_is_refused_with_all_its_keys(running: Server) -> None:
    client = new_client(running, "--role", "till")
    second = json.loads(cli(running, "client", "rotate", client["client_id"], "--json"))
    cli(running, "client", "disable", client["client_id"])
    assert listed(running, client["client_id"])["disabled"] is True
    for key in (client["client_secret"], second["client_secret"]):
        assert status_of(running, key) == 401
    assert "no such" in refusal(running.environment, "client", "disable", client["client_id"])


def test_members_can_be_added(running: Server) -> None:
    cli(running, "member", "add", "C9", "--name", "Ada Byron", "--email", "ada@example.org")
    found = ask(running, running.development_key, '{ member(id: "C9") { results { name email } } }')
    assert found.json()["data"]["member"]["results"] == [
        {"name": "Ada Byron", "email": "ada@example.org"}
    ]
    assert "already" in refusal(running.environment, "member", "add", "C9")


def test_migrate_and_doctor_find_all_well_beside_a_running_server(running: Server) -> None:
    assert "up to date" in cli(running, "migrate")
    assert "WRONG" not in cli(running, "doctor")


def test_the_books_are_checked_and_reported_beside_a_running_server(running: Server) -> None:
    made = 'mutation { giftcardAdd(giftcard: {physicalCode: "BOOKS-001"}) { id } }'
    paid = (
        'mutation { giftcardTransAdd(trans: {code: "BOOKS-001", transType: ADD, amount: "5.00"}) '
        "{ balance } }"
    )
    for document in (made, paid):
        assert "errors" not in ask(running, running.development_key, document).json()
    assert cli(running, "verify") == "1 movement checked: the books are clean.\n"
    assert '"EUR","CARDS","0.00","5.00","5.00"' in cli(running, "report", "trial-balance", "--csv")


def test_the_printed_schema_is_the_servers(running: Server) -> None:
    schema = cli(running, "schema")
    assert "giftcardAdd(" in schema
    committed = Path(__file__).parent.parent / "schema.graphql"
    assert schema == committed.read_text()


# Help


def test_help_is_there_at_once_and_imports_nothing_heavy() -> None:
    script = f"""
import sys
from giftgql.cli import app
from typer.testing import CliRunner
for words in ([], ["client"], ["serve"], ["keys", "rotate"], ["verify"], ["report", "summary"]):
    shown = CliRunner().invoke(app, [*words, "--help"])
    assert shown.exit_code == 0, shown
print(*(name for name in {HEAVY} if name in sys.modules))
"""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == ""


def test_an_unknown_option_is_exit_code_2(tmp_path: Path) -> None:
    done = giftgql(servers.environment(tmp_path), "serve", "--colour", "red")
    assert done.returncode == 2
    assert not any(tmp_path.iterdir())
