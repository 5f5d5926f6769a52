"""The pages tell the truth: README, CHANGELOG and .env.example, compared with the code."""

import ast
import json
import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from enum import Enum
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import typer.main

from giftgql import __version__, cli, pins, server, work
from giftgql.app.callers import RIGHTS_SECONDS
from giftgql.errors import ErrorCode
from giftgql.paging import LARGEST_PAGE
from giftgql.permissions import ROLES, CallerKind, Permission
from giftgql.settings import Settings
from giftgql.store import Store
from giftgql.tries import service as tries
from giftgql.tries.rates import SOURCE, rates
from giftgql.values import METADATA_BYTES
from tests import servers
from tests.client import Answer, Client, Server
from tests.conftest import SetClock
from tests.sources import modules

pytestmark = pytest.mark.real_argon2

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
ENV_EXAMPLE = (ROOT / ".env.example").read_text()
CHANGELOG = (ROOT / "CHANGELOG.md").read_text()
WORDS = " ".join(README.split())
FENCES = re.findall(r"^```(\w*) ?(.*)\n((?s:.*?))^```$", README, re.MULTILINE)
"""Language, callers and text of every block of code, in order."""

SHOWN_CHARACTERS = frozenset("…←")


def section(title: str) -> str:
    return README.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def tables(text: str) -> list[list[list[str]]]:
    """Each table's rows of cells, without the line below the head."""
    found = re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE)
    return [
        [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
        for table in (re.sub(r"^\|[-:|]+\|\n", "", each, flags=re.MULTILINE) for each in found)
    ]


def ticked(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def is_as_shown(shown: Any, found: Any) -> bool:
    """Whether an answer is the one on the page, where `…` stands for any text."""
    if isinstance(shown, dict) and isinstance(found, dict):
        return shown.keys() == found.keys() and all(
            is_as_shown(shown[key], found[key]) for key in shown
        )
    if isinstance(shown, list) and isinstance(found, list):
        return len(shown) == len(found) and all(map(is_as_shown, shown, found))
    if isinstance(shown, str) and isinstance(found, str):
        return bool(re.fullmatch(".+".join(map(re.escape, shown.split("…"))), found))
    return type(shown) is type(found) and bool(shown == found)


# The examples


def examples() -> Iterator[tuple[str, str, Any]]:
    """Callers, document and answer of every GraphQL example."""
    for (language, callers, document), (after, _, answer) in pairwise(FENCES):
        if language == "graphql":
            assert after == "json", f"no answer follows {document}"
            yield callers, document, json.loads(answer)


def clients_of_the_page(settings: Settings) -> Iterator[tuple[str, str]]:
    """Run what the page runs first; of each client the first word of its name, and its secret."""
    environment = servers.environment(settings.data_dir, settings.database_url)
    commands = re.findall(r"^\.venv/bin/giftgql (\w+ add .*)$", README, re.MULTILINE)
    for words in map(shlex.split, commands):
        is_client = words[0] == "client"
        done = servers.giftgql(environment, *words, *(["--json"] if is_client else []))
        assert done.returncode == 0, done.stderr
        if is_client:
            yield words[2].split()[0].lower(), json.loads(done.stdout)["client_secret"]


async def test_the_examples_answer_as_the_page_says(
    server: Server, settings: Settings, store: Store, clock: SetClock
) -> None:
    """On the day of the page, all jobs done after each. `…` in a document is the last
    transaction's id."""
    assert str(clock.now.date()) in README
    callers = {name: server.client(key) for name, key in clients_of_the_page(settings)}
    trans_id, run = "", 0
    for who, document, shown in examples():
        name, _, how_often = who.partition(" ")
        for _ in range(2 if how_often == "twice" else 1):
            answer: Answer = await callers[name].run(document.replace("…", trans_id))
        assert is_as_shown(shown, answer.body), f"{document}\n{answer.body}"
        await work.do_all(store)
        data = answer.body["data"]
        if "memberTokenAdd" in data:
            callers["member"] = Client(server.http, data["memberTokenAdd"]["token"])
        for field, record in data.items():
            if field.startswith("giftcardTrans") and record and "id" in record:
                trans_id = record["id"]
        run += 1
    assert run >= 15
    assert trans_id


def test_the_shell_examples_answer_as_the_page_says(tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    parts, shown = [], []
    for (language, _, text), (after, _, answer) in pairwise(FENCES):
        if language == "sh" and after == "json":
            parts.append(text + "echo\n")
            shown.append(json.loads(answer))
    with servers.serving(servers.environment(tmp_path / "var")) as running:
        script = "".join(parts).replace("http://127.0.0.1:8000", running.url)
        done = subprocess.run(
            ["sh", "-eu", "-c", script],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
    answers = [json.loads(line) for line in done.stdout.splitlines() if line]
    assert len(answers) == 2
    assert is_as_shown(shown, answers), answers


def test_an_answer_that_differs_is_not_as_shown() -> None:
    shown = {"a": ["x…", 1, None, True]}
    assert is_as_shown(shown, {"a": ["xyz", 1, None, True]})
    for other in (
        {"a": ["x", 1, None, True]},
        {"a": ["xyz", True, None, True]},
        {"a": ["xyz", 1, None, True, 2]},
        {"a": ["xyz", 1, None, True], "b": 1},
        {"a": None},
    ):
        assert not is_as_shown(shown, other)


# Permissions and errors


def named_in_code(enum: str) -> set[str]:
    """The members that the code does something with, and does not only list."""
    return {
        node.attr
        for file in modules(ROOT / "giftgql")
        if file.name not in ("permissions.py", "server.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == enum
    }


def test_the_tables_of_permissions_are_the_codes() -> None:
    today, later = (rows[1:] for rows in tables(section("Who may do what"))[:2])
    assert [rows[0] for rows in tables(section("Who may do what"))[:2]] == [
        ["permission", *ROLES],
        ["permission", *ROLES],
    ]
    listed = {name: marks for cell, *marks in (*today, *later) for name in ticked(cell)}
    assert listed == {
        permission.value: ["x" if permission in held else "" for held in ROLES.values()]
        for permission in Permission
    }
    named = named_in_code("Permission")
    in_effect = {each.value for each in Permission if each.name in named}
    assert {name for cell, *_ in today for name in ticked(cell)} == in_effect


def test_the_development_client_lacks_what_the_page_says() -> None:
    sentence = re.search(r"every permission but (.*?)\.", WORDS)
    assert sentence
    assert set(ticked(sentence[1])) == {each.value for each in server.DEVELOPMENT_LACKS}


def test_the_error_codes_of_the_page_are_codes_that_are_answered() -> None:
    answered = named_in_code("ErrorCode")
    text = section("Error codes")
    advised = [code for _, codes in tables(text)[0][1:] for code in ticked(codes)]
    assert len(set(advised)) == len(advised)
    assert set(advised) <= {code.value for code in ErrorCode if code.name in answered}
    reserved = " ".join(text.split()).partition("Reserved for what is to come:")[2]
    assert ticked(reserved.partition(".")[0]) == [
        code.value for code in ErrorCode if code.name not in answered
    ]


# Settings, commands, limits


def as_text(default: object) -> str:
    if default is None:
        return ""
    if isinstance(default, bool):
        return str(default).lower()
    return str(default.value if isinstance(default, Enum) else default)


def test_env_example_has_every_setting_with_its_default_and_description() -> None:
    listed = re.findall(r"^# (.*)\n#(\w+)=(.*)$", ENV_EXAMPLE, re.MULTILINE)
    assert listed == [
        (field.description, f"GIFTGQL_{name.upper()}", as_text(field.default))
        for name, field in Settings.model_fields.items()
    ]


def test_env_example_copied_or_uncommented_changes_nothing(tmp_path: Path) -> None:
    assert all(line.startswith("#") for line in ENV_EXAMPLE.splitlines() if line)
    uncommented = re.sub(r"^#(?=GIFTGQL_)", "", ENV_EXAMPLE, flags=re.MULTILINE)
    assert uncommented.count("\nGIFTGQL_") == len(Settings.model_fields)
    for text in (ENV_EXAMPLE, uncommented):
        (tmp_path / ".env").write_text(text)
        assert Settings(_env_file=tmp_path / ".env") == Settings(_env_file=None)


def test_the_pages_name_only_settings_that_are_there() -> None:
    known = {f"GIFTGQL_{name.upper()}" for name in Settings.model_fields}
    assert set(re.findall(r"GIFTGQL_\w+", README + CHANGELOG)) <= known


def test_the_limits_are_the_settings() -> None:
    default = {name: field.default for name, field in Settings.model_fields.items()}
    limits = (
        f"body {default['max_body_bytes'] // 1024} KiB, "
        f"document {default['max_tokens']:,} tokens, {default['max_depth']} levels, "
        f"{default['max_fields']} fields, {default['max_aliases']} aliases, "
        f"{default['max_root_fields']} root fields, "
        f"{default['max_code_lookups']} codes named in arguments, page {LARGEST_PAGE:,}, "
        f"{default['max_rows']:,} rows in all lists, "
        f"metadata {METADATA_BYTES // 1024} KiB, {server.MOST_CONNECTIONS} connections."
    )
    assert limits in WORDS
    assert default["access_token_seconds"] == 15 * 60
    assert "lives 15 minutes" in WORDS
    assert f"up to {default['shutdown_seconds']} seconds" in WORDS
    assert RIGHTS_SECONDS == 2
    assert "within two seconds" in WORDS


def test_the_figures_of_wrong_tries_are_the_codes() -> None:
    assert [each.total_seconds() for each in tries.DELAYS] == [0, 0, 1, 4]
    minutes, hours = tries.FIRST_LOCK.seconds // 60, tries.LONGEST_LOCK.total_seconds() / 3600
    assert "after the third the next is refused for 1 s, after the fourth for 4 s" in WORDS
    assert (
        f"after the fifth for {minutes} minutes, then for twice as long each, up to a day" in WORDS
    )
    assert (hours, tries.FORGOTTEN_AFTER.total_seconds() / 3600) == (24, 24)
    assert tries.ONLINE_FAILURES == 10
    hourly = Settings.model_fields["max_failures"].default
    client, member = rates(CallerKind.CLIENT, hourly), rates(CallerKind.MEMBER, hourly)
    at_once, an_hour, a_day = client[""].burst, hourly, 5 * hourly
    assert f"fail {at_once} times at once, {an_hour} in any hour and {a_day:,} in any day" in WORDS
    assert f"a member {member[''].burst} times and 10 in any day" in WORDS
    assert f"with a `sourceId` {SOURCE.burst} times at once and 30 in any hour" in WORDS
    assert pins.CHECKING_THREADS == 2
    queue = f"{pins.CHECKS_WAITING} checks may wait, for up to {pins.CHECK_PATIENCE:.0f} s each"
    assert queue in WORDS
    argon2 = f"argon2id ({pins.MEMORY_KIB // 1024} MiB, {pins.ROUNDS} passes)"
    assert argon2 in WORDS


def test_the_figures_of_waiting_are_the_settings() -> None:
    default = {name: field.default for name, field in Settings.model_fields.items()}
    waiting, lock = default["max_waiting_movements"], default["lock_seconds"]
    assert f"too many movements wait ({waiting:,}), a lock was not free for {lock} s" in WORDS
    assert f"{default['request_seconds']} s were over (`GIFTGQL_REQUEST_SECONDS`)" in WORDS
    assert f"`GIFTGQL_REPORT_SECONDS` ({default['report_seconds']})" in WORDS
    assert default["authorize_seconds"] == 24 * 3600
    assert "reserves an amount, for a day if" in WORDS
    assert default["sweep_seconds"] == 60
    assert "A sweep follows every minute" in WORDS


def commands(command: Any, *before: str) -> Iterator[tuple[str, Any]]:
    """Every command that does something, by its name with those of its groups before it."""
    if not hasattr(command, "commands"):
        yield " ".join(before), command
        return
    for name, inner in command.commands.items():
        yield from commands(inner, *before, name)


def test_the_table_of_commands_is_the_command_lines() -> None:
    rows = {ticked(name)[0]: says for name, says in tables(section("Command line"))[0][1:]}
    found = dict(commands(typer.main.get_command(cli.app)))
    assert rows.keys() == found.keys()
    for name, says in rows.items():
        options = {
            option for each in found[name].params for option in (*each.opts, *each.secondary_opts)
        }
        assert {each for each in ticked(says) if each.startswith("--")} <= options, name


# The map


def test_the_map_has_every_file_and_no_other() -> None:
    listed = {path for row in tables(section("Map of the code"))[0][1:] for path in ticked(row[0])}
    package = ROOT / "giftgql"
    folders = {path for path in listed if path.endswith("/")}
    assert all((package / path).exists() for path in listed)
    usual = {"__init__.py", "models.py", "repository.py", "service.py", "api.py"}
    for file in modules(package):
        path = file.relative_to(package)
        if str(path) in listed or str(path) == "__init__.py":
            continue
        assert f"{path.parts[0]}/" in folders, f"{path} is not on the map"
        assert path.parts[0] == "migrations" or path.name in usual, f"{path} is not on the map"


def test_the_page_names_every_script_and_no_other() -> None:
    named = set(re.findall(r"`scripts/([\w-]+)`", README))
    assert named == {file.name for file in (ROOT / "scripts").iterdir()}
    assert all((ROOT / path).exists() for path in re.findall(r"\]\(([^)#:]+)\)", README))
    assert all((ROOT / path).exists() for path in re.findall(r"`(tests/\w+\.py|\.ci/\w+)`", README))


def test_the_pages_are_plain() -> None:
    assert len(README.splitlines()) <= 960
    for text in (README, CHANGELOG, ENV_EXAMPLE):
        assert {each for each in text if not each.isascii()} <= SHOWN_CHARACTERS
        prose = [line for line in text.splitlines() if not line.startswith("|")]
        assert max(map(len, prose)) <= 102


def test_the_pages_speak_of_this_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == __version__
    assert f"Version {__version__}" in README
    assert re.search(rf"^## {re.escape(__version__)}\b", CHANGELOG, re.MULTILINE)
