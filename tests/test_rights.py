"""Rights that change while a client is known to the server."""

import json
from pathlib import Path

import pytest

from giftgql.app import callers
from giftgql.clients import service as clients
from giftgql.errors import InvalidInput, NotFound
from giftgql.permissions import Permission
from giftgql.store import Store
from tests import factories, servers
from tests.client import Server

TRIVIAL = "{ __typename }"
LIST = "{ giftcard { until } }"


async def set_rights(store: Store, client_id: str, *, roles: tuple[str, ...] = ()) -> None:
    async with store.write() as tx:
        await clients.set_rights(tx, client_id, roles=roles, permissions=())


async def test_changed_rights_hold_within_seconds(
    server: Server, store: Store, later: list[float]
) -> None:
    known = await factories.client(store, roles=["clerk"])
    caller = server.client(known.client_secret)
    assert (await caller.run(LIST)).code == "PERMISSION_DENIED"

    await set_rights(store, known.client_id, roles=("manager",))
    later[0] = callers.RIGHTS_SECONDS + 0.001
    assert (await caller.run(LIST)).code is None

    await set_rights(store, known.client_id)
    later[0] *= 2
    assert (await caller.run(LIST)).code == "PERMISSION_DENIED"
    assert (await caller.run(TRIVIAL)).code is None


def test_rights_are_changed_on_the_command_line_while_a_server_runs(tmp_path: Path) -> None:
    environment = servers.environment(tmp_path)
    with servers.serving(environment):
        added = servers.giftgql(environment, "client", "add", "Till", "--role", "till", "--json")
        client_id = json.loads(added.stdout)["client_id"]
        changed = servers.giftgql(
            environment, "client", "rights", client_id, "--permission", "ViewMembers"
        )
        wrong = servers.giftgql(environment, "client", "rights", client_id, "--role", "captain")
        shown = servers.giftgql(environment, "client", "list", "--json")
    assert (changed.returncode, wrong.returncode) == (0, 1)
    assert "captain" in wrong.stderr
    rights = {each["client_id"]: each for each in json.loads(shown.stdout)}[client_id]
    assert (rights["roles"], rights["permissions"]) == ([], ["ViewMembers"])


async def test_rights_replace_those_before_and_unknown_ones_change_nothing(store: Store) -> None:
    known = await factories.client(store, permissions=[Permission.VIEW_MEMBERS])
    for roles, permissions, field in (
        (["till", "captain"], [], "roles"),
        ([], ["ViewMembers", "ViewEverything"], "permissions"),
    ):
        with pytest.raises(InvalidInput) as refused:
            async with store.write() as tx:
                await clients.set_rights(tx, known.client_id, roles=roles, permissions=permissions)
        assert refused.value.field == field
    with pytest.raises(NotFound):
        await set_rights(store, "ggc_nobody")
    async with store.read() as reading:
        found = await reading.clients.find_by_public_id(known.client_id)
    assert found is not None
    assert (found.roles, found.permissions) == ([], ["ViewMembers"])
