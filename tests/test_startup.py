"""What a start refuses and what it mends; keys that are rotated."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlmodel import SQLModel

from giftgql import work
from giftgql.jobs import service as jobs
from giftgql.jobs.runner import Lane
from giftgql.permissions import Permission
from giftgql.settings import Settings
from giftgql.startup import RESEAL, DatabaseTooNew, DatabaseUnusable, open_store, rotate_keys
from giftgql.store import Store
from giftgql.vault import Keyring, KeyringError
from tests import factories, servers
from tests.client import Client, Server
from tests.servers import giftgql

LISTS = {"cards": "giftcard", "members": "member", "trans": "giftcardTrans"}
ANEW = dict.fromkeys(LISTS, "")
SYNCHRONISE = """query ($cards: String, $members: String, $trans: String) {
    giftcard(since: $cards) { until results { id } }
    member(since: $members) { until results { id } }
    giftcardTrans(since: $trans) { until results { id } } }"""


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Store]:
    store = await open_store(settings)
    try:
        yield store
    finally:
        await store.close()


async def change(settings: Settings, *statements: str) -> None:
    async with opened(settings) as store, store.database.migrating() as session:
        for statement in statements:
            await (await session.connection()).execute(text(statement))


async def contents(settings: Settings) -> list[object]:
    """The rows that a start may write."""
    kept = Settings(**{**settings.model_dump(), "keys_file": settings.data_dir / "kept.json"})
    async with opened(kept) as store, store.read() as reading:
        found = [(each.key_id, each.canary) for each in await reading.installation.key_checks()]
        installation = await reading.installation.get()
    assert installation is not None
    return [sorted(found), installation.epoch, installation.cluster]


# Keys


async def test_a_database_without_its_keys_is_refused_and_no_new_ones_are_made(
    settings: Settings,
) -> None:
    settings.keyring_file.unlink()
    with pytest.raises(KeyringError, match=r"There is no key file at .* Put it back"):
        await open_store(settings)
    assert not settings.keyring_file.exists()


@pytest.mark.parametrize("make", [Keyring.new, lambda: Keyring(7, 7, {7: bytes(range(32))})])
async def test_another_keyring_is_refused_and_nothing_is_written(
    settings: Settings, make: Callable[[], Keyring]
) -> None:
    settings.keyring_file.rename(settings.data_dir / "kept.json")
    before = await contents(settings)
    make().write(settings.keyring_file)
    given = settings.keyring_file.read_bytes()
    with pytest.raises(KeyringError, match="Put back the"):
        await open_store(settings)
    assert await contents(settings) == before
    assert settings.keyring_file.read_bytes() == given


async def test_another_index_key_is_refused_since_a_code_could_be_issued_twice(
    settings: Settings,
) -> None:
    ring = Keyring.read(settings.keyring_file).rotated()
    Keyring(ring.primary, ring.primary, ring.keys).write(settings.keyring_file, replacing=True)
    with pytest.raises(KeyringError, match="as the index key; this database's is 1"):
        await open_store(settings)


@pytest.mark.parametrize("content", ["", "{}", "[]", "null", '{"primary": 1, "index": 1}', "\xff"])
async def test_a_damaged_key_file_is_refused(settings: Settings, content: str) -> None:
    settings.keyring_file.write_bytes(content.encode("latin-1"))
    with pytest.raises(KeyringError, match="is damaged"):
        await open_store(settings)


async def test_production_makes_no_keys_up(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, production=True, _env_file=None)
    with pytest.raises(KeyringError, match="giftgql keys new"):
        await open_store(settings)
    assert not settings.keyring_file.exists()
    Keyring.new().write(settings.keyring_file)
    await (await open_store(settings)).close()


# The form of the database


async def test_a_database_of_a_newer_version_is_refused_and_left_alone(settings: Settings) -> None:
    await change(settings, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(DatabaseTooNew, match="newer giftgql"):
        await open_store(settings)


async def test_an_address_that_leads_nowhere_useful_is_said_in_a_sentence(
    postgres: servers.PostgresServer, tmp_path: Path
) -> None:
    file = tmp_path / "no.db"
    file.write_bytes(b"this is a shopping list\n" * 100)
    nobody = postgres.url("postgres").replace("postgres@", "nobody@")
    option = postgres.url("postgres") + "&channel_binding=require"
    for url, said in (
        (f"sqlite:///{file}", "file is not a database"),
        (f"sqlite:///{tmp_path}", "unable to open database file"),
        (postgres.url("nowhere"), 'database "nowhere" does not exist'),
        (nobody, 'role "nobody" does not exist'),
        (option, "channel_binding"),
    ):
        settings = Settings(data_dir=tmp_path / "data", database_url=url, _env_file=None)
        with pytest.raises(DatabaseUnusable, match=said):
            await open_store(settings)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_two_processes_that_start_at_once_migrate_once_and_both_work(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    postgres = request.getfixturevalue("postgres") if kind == "postgresql" else None
    environment = servers.environment(tmp_path, postgres.create() if postgres else "")
    command = [sys.executable, "-m", "giftgql", "client", "add", "x", "--json"]
    started = [
        subprocess.Popen(command, env=environment, stdout=-1, stderr=-1, text=True, cwd=tmp_path)
        for _ in range(3)
    ]
    said = [process.communicate(timeout=60) for process in started]
    assert [process.returncode for process in started] == [0, 0, 0], said
    migrated = [errors for _, errors in said if "database migrated" in errors]
    made_keys = [errors for _, errors in said if "new keys were made" in errors]
    assert (len(migrated), len(made_keys)) == (1, 1)
    ids = {json.loads(output)["client_id"] for output, _ in said}
    listed = json.loads(giftgql(environment, "client", "list", "--json").stdout)
    assert {each["client_id"] for each in listed} == ids
    assert len(ids) == 3


# Restored elsewhere


async def synchronised(
    settings: Settings, key: str, since: dict[str, str]
) -> tuple[dict[str, list[str]], dict[str, str]]:
    """The ids of the rows that a synchronisation of each list gives, and where it goes on."""
    async with opened(settings) as store, Server.over(store) as server:
        answer = await server.client(key).run(SYNCHRONISE, **since)
    found = {name: answer[field] for name, field in LISTS.items()}
    ids = {name: sorted(row["id"] for row in of["results"]) for name, of in found.items()}
    return ids, {name: of["until"] for name, of in found.items()}


async def a_shop(settings: Settings) -> tuple[str, dict[str, list[str]]]:
    """A client's key, and the ids of a member, three cards and the movements on one of them."""
    async with opened(settings) as store, Server.over(store) as server:
        key = (await factories.client(store, permissions=Permission)).client_secret
        caller = server.client(key)
        member = await factories.member(caller)
        cards = [await factories.card(caller) for _ in range(3)]
        await factories.top_up(caller, cards[0], "10.00")
        captured = await factories.hold(caller, cards[0], "-2.00")
        await factories.capture(caller, captured["id"], "1.50")
        await factories.hold(caller, cards[0], "-1.00")
        code = factories.code_of(cards[0])
        await factories.trans(caller, code=code, transType="USE", amount="-99.00")
        trans = [each["id"] for each in await factories.movements(caller)]
        trans.append(captured["id"])  # it comes twice: as it was made, and as it ended
        ids = sorted(card["id"] for card in cards)
        return key, {"cards": ids, "members": [member], "trans": sorted(trans)}


async def test_data_restored_into_another_cluster_begins_a_new_epoch(settings: Settings) -> None:
    key, shop = await a_shop(settings)
    found, before = await synchronised(settings, key, ANEW)
    assert found == shop
    # As from a cluster whose transactions were numbered far beyond this one's.
    tables = ("account", "member", "movement", "hold_end")
    changes = [f"UPDATE {table} SET changed_in = 4000000000000" for table in tables]
    await change(settings, "UPDATE installation SET cluster = 'another'", *changes)
    async with opened(settings) as store, Server.over(store) as server:
        for name in LISTS:
            since: dict[str, str | None] = {**dict.fromkeys(LISTS), name: before[name]}
            refused = await server.client(key).run(SYNCHRONISE, **since)
            assert (refused.code, refused.field) == ("INVALID_INPUT", "since"), name
    found, until = await synchronised(settings, key, ANEW)
    assert found == shop
    async with opened(settings) as store, Server.over(store) as server:
        caller = server.client(key)
        late = await factories.card(caller)
        moved = await factories.top_up(caller, late, "5.00")
    found, until = await synchronised(settings, key, until)
    assert found == {"cards": [late["id"]], "members": [], "trans": [moved["id"]]}


async def test_the_books_can_be_numbered_anew_but_not_changed(settings: Settings) -> None:
    await a_shop(settings)
    for table, columns in (
        ("movement", "account_id amount balance created_at error"),
        ("hold_end", "captured released created_at"),
        ("posting", "line amount credit_account effective_at"),
    ):
        for column in columns.split():
            with pytest.raises(DBAPIError, match=f"{table} is append-only"):
                await change(settings, f"UPDATE {table} SET {column} = NULL")
        with pytest.raises(DBAPIError, match=f"{table} is append-only"):
            await change(settings, f"DELETE FROM {table}")
        if "changed_in" in SQLModel.metadata.tables[table].columns:
            await change(settings, f"UPDATE {table} SET changed_in = changed_in + 1")


async def test_a_restart_and_a_rotation_of_keys_leave_synchronisations_be(
    settings: Settings,
) -> None:
    key, _ = await a_shop(settings)
    _, until = await synchronised(settings, key, ANEW)
    async with opened(settings) as store:
        await rotate_keys(store)
    found, _ = await synchronised(settings, key, until)
    assert found == {"cards": [], "members": [], "trans": []}


# Rotation of keys


async def test_a_running_server_goes_on_when_keys_are_rotated_elsewhere(
    settings: Settings, store: Store, admin: Client
) -> None:
    card = await factories.card(admin, physicalCode="ROTATED-1", physicalPin="4711")
    pins = await verifiers(store)
    async with opened(settings) as elsewhere:
        await rotate_keys(elsewhere)
        await work.see_done(elsewhere, RESEAL)

    found = await factories.find(admin, "rotated1")
    assert found["giftcard"]["results"][0]["codes"][0]["code"] == "ROTATED-1"
    assert found["giftcard"]["results"][0]["id"] == card["id"]
    taken = await admin.run(
        'mutation { giftcardAdd(giftcard: {physicalCode: "ROTATED 1"}) { id } }'
    )
    assert taken.code == "CODE_TAKEN"
    await factories.card(admin, physicalCode="ROTATED-2")
    found = await factories.find(admin, "ROTATED-2")
    assert found["giftcard"]["results"][0]["codes"][0]["code"] == "ROTATED-2"
    assert (await verifiers(store))[: len(pins)] == pins
    assert await cipher_keys(store) == {2}


async def test_a_server_that_has_not_met_the_new_key_seals_all_codes_with_it(
    settings: Settings, store: Store, admin: Client
) -> None:
    """Whoever takes the job: by a server's own key of before, all codes were sealed already."""
    await factories.card(admin, physicalCode="ROTATED-1")
    old = settings.keyring_file.read_bytes()
    async with opened(settings) as elsewhere:
        await rotate_keys(elsewhere)
    new = settings.keyring_file.read_bytes()
    settings.keyring_file.write_bytes(old)  # as on a machine to which the new one has not come
    assert await Lane(store, work.WORKS, [RESEAL]).do_next()
    async with store.read() as reading:
        job = await jobs.latest(reading, RESEAL, 0)
    assert job is not None
    assert job.error == "the key file of this machine is older than the newest key"
    settings.keyring_file.write_bytes(new)
    await Lane(store, work.WORKS, [RESEAL]).do_of(RESEAL, 0)
    assert await cipher_keys(store) == {2}


async def verifiers(store: Store) -> list[str]:
    async with store.read() as reading:
        query = text("SELECT pin_verifier FROM code WHERE pin_verifier IS NOT NULL ORDER BY id")
        return [row[0] for row in await (await reading.session.connection()).execute(query)]


async def cipher_keys(store: Store) -> set[int]:
    async with store.read() as reading:
        query = text("SELECT cipher_key FROM code")
        return {row[0] for row in await (await reading.session.connection()).execute(query)}


async def test_rotations_at_once_come_one_after_the_other_and_lose_no_key(
    settings: Settings, store: Store, admin: Client
) -> None:
    await factories.card(admin, physicalCode="SHARED-1")
    async with opened(settings) as one, opened(settings) as two, opened(settings) as three:
        await asyncio.gather(*(rotate_keys(each) for each in (one, two, three)))
    ring = Keyring.read(settings.keyring_file)
    assert (ring.primary, ring.index, set(ring.keys)) == (4, 1, {1, 2, 3, 4})
    found = await factories.find(admin, "SHARED-1")
    assert found["giftcard"]["results"][0]["codes"][0]["code"] == "SHARED-1"
    await (await open_store(settings)).close()


async def test_a_key_file_that_is_behind_the_database_is_not_rotated(
    settings: Settings, store: Store
) -> None:
    old = settings.keyring_file.read_bytes()
    await rotate_keys(store)
    settings.keyring_file.write_bytes(old)
    with pytest.raises(KeyringError, match="written with key 2"):
        await rotate_keys(store)
    assert settings.keyring_file.read_bytes() == old


def post(server: servers.Server, query: str) -> Any:
    headers = {"Authorization": f"Bearer {server.development_key}"}
    given: Any = {"json": {"query": query}, "headers": headers, "timeout": servers.PATIENCE}
    return httpx.post(f"{server.url}/graphql", **given).json()


def test_keys_are_rotated_while_a_server_runs(tmp_path: Path) -> None:
    environment = servers.environment(tmp_path)
    with servers.serving(environment) as server:
        add = 'mutation { giftcardAdd(giftcard: {physicalCode: "ROT-0001"}) { id } }'
        find = '{ giftcard(code: "rot0001") { results { codes { code } } } }'
        assert "errors" not in post(server, add)
        done = giftgql(environment, "keys", "rotate")
        assert (done.returncode, done.stderr) == (0, "")
        assert "all codes are encrypted with it" in done.stdout
        found = post(server, find)["data"]["giftcard"]["results"]
        assert found == [{"codes": [{"code": "ROT-0001"}]}]
        assert "WRONG" not in giftgql(environment, "doctor").stdout
