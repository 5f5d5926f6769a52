"""Every command leaves exactly the audit events that it should."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from giftgql import cli
from giftgql.audit.models import AuditEvent
from giftgql.settings import Settings
from giftgql.startup import open_store
from tests.conftest import RunCommand
from tests.test_audit_walk import rows

COMMANDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("client add Till --role till", ("CLIENT_ADDED", "CLIENT_KEY_ADDED")),
    ("client rights {client} --role shop", ("CLIENT_RIGHTS_SET",)),
    ("client documents {client} --trusted-only", ("CLIENT_BOUND",)),
    ("client rotate {client}", ("CLIENT_KEY_ADDED",)),
    ("client limits {client} --lift", ("CLIENT_LET_GO_ON",)),
    ("client disable {client}", ("CLIENT_DISABLED",)),
    ("staff add Anna --role clerk", ("STAFF_ADDED", "STAFF_KEY_ADDED")),
    ("staff rights {staff} --role manager", ("STAFF_RIGHTS_SET",)),
    ("staff rotate {staff}", ("STAFF_KEY_ADDED",)),
    ("staff revoke {staff}", ("STAFF_KEYS_REVOKED",)),
    ("staff disable {staff}", ("STAFF_DISABLED",)),
    ("member add M1 --name Ada", ("MEMBER_ADDED",)),
    ("keys rotate", ("KEY_ROTATED",)),
    ("import pools pools.csv", ("IMPORT_ADDED", "POOL_ADDED by server:giftgql")),
    ("export cards", ("CODES_EXPORTED",)),
    ("export transactions", ("CODES_EXPORTED",)),
    ("export audit", ("CODES_EXPORTED",)),
    ("restored", ("DATABASE_RESTORED",)),
)
CHANGE_NOTHING = frozenset(
    {"serve", "migrate", "schema", "doctor", "client list", "staff list", "keys new", "worker"}
    | {
        "audit verify",
        "backup",
        "verify",
        "journal",
        "report trial-balance",
        "report liability",
        "report summary",
    }
)
ELSEWHERE = frozenset({"import cards", "export campaign", "restore"})
"""They do what the commands beside them do, which tests of their own walk."""


def test_every_command_leaves_exactly_the_events_it_should(
    command: RunCommand, settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "pools.csv").write_text("Name,SystemName,FaceValue\nBoxes,boxes,5\n")
    known, last = dict[str, str](), 0
    for line, expected in COMMANDS:
        code, said = command(*line.format(**known).split())
        assert code == 0, said
        known |= dict(re.findall(r"^(client|staff)_id +(\S+)", said, re.MULTILINE))
        left = asyncio.run(written(settings, last))
        last = left[-1].id or 0
        shown = [
            each.event.value if each.caller == "server:cli" else f"{each.event} by {each.caller}"
            for each in left
        ]
        assert tuple(shown) == expected, line
        assert {each.address for each in left} == {None}
    walked = {" ".join(line.split()[:2]) for line, _ in COMMANDS}
    assert walked | CHANGE_NOTHING | ELSEWHERE == set(command_names())


async def written(settings: Settings, after: int) -> list[AuditEvent]:
    store = await open_store(settings)
    try:
        return await rows(store, after)
    finally:
        await store.close()


def command_names() -> Iterator[str]:
    def names(group: Any, before: str = "") -> Iterator[str]:
        for name, each in group.commands.items():
            whole = f"{before} {name}".strip()
            yield from names(each, whole) if hasattr(each, "commands") else [whole]

    return names(typer.main.get_command(cli.app))
