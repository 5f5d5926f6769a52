"""Documents asked for by their hash: automatic persisted queries, and trusted documents."""

import json
import logging
import shutil
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog

from giftgql import log, trusted
from giftgql.clients import service as clients
from giftgql.members import service as members
from giftgql.permissions import Caller, CallerKind, Permission
from giftgql.persisted import (
    BYTES,
    CALLERS,
    DOCUMENTS,
    DocumentNotTrusted,
    PersistedDocuments,
    PersistedQueryNotFound,
)
from giftgql.settings import Settings
from giftgql.store import Store
from giftgql.trusted import TrustedDocumentsError
from tests import factories
from tests.client import Answer, Client, Server
from tests.conftest import RunCommand, Templates

GRAPHQL_JSON = "application/graphql-response+json"
FIND = "query ($code: String!) { giftcard(code: $code) { results { id } } }"
ME = "{ me { id } }"
UNKNOWN, UNTRUSTED = "PERSISTED_QUERY_NOT_FOUND", "DOCUMENT_NOT_TRUSTED"
CANARY = "CANARY-49288330"


def digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def by_hash(text: str, **more: Any) -> dict[str, Any]:
    return {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": digest(text)}}, **more}


async def post(caller: Client, asked: dict[str, Any], accept: str = GRAPHQL_JSON) -> httpx.Response:
    headers = {"Authorization": f"Bearer {caller.token}", "Accept": accept}
    return await caller.http.post("/graphql", json=asked, headers=headers)


async def ask(caller: Client, asked: dict[str, Any]) -> Answer:
    response = await post(caller, asked)
    return Answer(response.status_code, response.json())


@pytest.fixture
def settings(tmp_path: Path, templates: Templates) -> Settings:
    """SQLite only, since next to nothing of this is of the database; two documents are trusted."""
    shutil.copy(templates.keys, tmp_path / "keys.json")
    shutil.copy(templates.sqlite, tmp_path / "giftgql.db")
    manifest = tmp_path / "trusted.json"
    manifest.write_text(json.dumps({digest(each): each for each in (FIND, ME)}))
    return Settings(data_dir=tmp_path, trusted_documents=manifest, allow_get=True, _env_file=None)


@pytest.fixture
def log_file(settings: Settings) -> Iterator[Path]:
    log.configure(settings, file_name="test.log")
    yield log.log_folder(settings) / "test.log"
    for handler in logging.getLogger().handlers[:]:
        logging.getLogger().removeHandler(handler)
        handler.close()
    structlog.reset_defaults()


def read_log(file: Path) -> str:
    """What the server has logged; the client of this test logs addresses."""
    lines = file.read_text().splitlines()
    return "\n".join(line for line in lines if '"logger":"httpx"' not in line)


async def test_a_document_runs_by_its_hash_once_it_was_sent_by_the_same_caller(
    till: Client, admin: Client, log_file: Path
) -> None:
    text = f'{{ giftcard(code: "{CANARY}") {{ results {{ id }} }} }}'
    for accept, status in ((GRAPHQL_JSON, 400), ("application/json", 200)):
        response = await post(till, by_hash(text), accept)
        (error,) = response.json()["errors"]
        assert (response.status_code, error["message"]) == (status, "PersistedQueryNotFound")
        assert error["extensions"] == {"code": UNKNOWN}
    for asked in (by_hash(text, query=text), by_hash(text)):
        assert (await ask(till, asked))["giftcard"] == {"results": []}
    assert (await ask(admin, by_hash(text))).code == UNKNOWN, "nobody finds out by a hash"
    extensions = json.dumps(by_hash(text)["extensions"])
    headers = {"Authorization": f"Bearer {till.token}"}
    got = await till.http.get("/graphql", params={"extensions": extensions}, headers=headers)
    assert got.json()["data"]["giftcard"] == {"results": []}
    logged = read_log(log_file)
    assert UNKNOWN in logged
    assert CANARY not in logged
    assert digest(text) not in logged


async def test_only_documents_that_can_be_run_are_kept(till: Client) -> None:
    for text, code in (
        ("{ nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ nothing", "GRAPHQL_PARSE_FAILED"),
        ("{ __schema { description } }", "PERMISSION_DENIED"),
        ("{" + " a" * 600 + "}", "OPERATION_TOO_COMPLEX"),
    ):
        assert (await ask(till, by_hash(text, query=text))).code == code
        assert (await ask(till, by_hash(text))).code == UNKNOWN, text
    denied = "{ ledgerCheck { isClean } }"
    for asked in (by_hash(denied, query=denied), by_hash(denied)):
        assert (await ask(till, asked)).code == "PERMISSION_DENIED"


async def test_a_hash_that_is_none_or_another_document_s_is_refused(till: Client) -> None:
    assert (await ask(till, by_hash(ME, query=FIND))).code == "PERSISTED_QUERY_MISMATCH"
    good = by_hash(FIND)["extensions"]["persistedQuery"]
    for wrong in (
        *(1, "x", [], {}, {"version": 1}, {**good, "version": 2}, {**good, "version": None}),
        *({**good, "sha256Hash": each} for each in (None, 5, "", "0" * 63, "0" * 65, "g" * 64)),
    ):
        for query in ({}, {"query": FIND}):
            answer = await ask(till, {"extensions": {"persistedQuery": wrong}, **query})
            assert (answer.status, answer.code) == (400, "BAD_REQUEST"), wrong
    stranger = Client(till.http, "")
    assert (await ask(stranger, by_hash(FIND))).status == 401


def test_no_caller_pushes_out_another_one_s_documents_or_takes_more_than_its_share() -> None:
    documents = PersistedDocuments({})

    def caller(name: object) -> Caller:
        return Caller(CallerKind.CLIENT, str(name))

    def knows(name: object, text: str) -> bool:
        try:
            return documents.text(caller(name), None, digest(text)) == text
        except PersistedQueryNotFound:
            return False

    def send(name: object, *texts: str) -> None:
        for text in texts:
            documents.remember(caller(name), text, digest(text))

    send("till", "first")
    send("shop", *map(str, range(DOCUMENTS)), "0")
    assert knows("shop", "0")  # so it is the latest that was asked for
    send("shop", "one more")
    assert [knows("shop", each) for each in ("0", "1", "2", "one more")] == [1, 0, 1, 1]
    send("shop", "x" * BYTES)
    assert not knows("shop", "x" * BYTES)
    assert knows("shop", "one more")
    halves = [letter * (BYTES // 2 - 100) for letter in "abc"]
    send("shop", *halves)
    assert [knows("shop", each) for each in ("one more", *halves)] == [0, 0, 1, 1]
    assert knows("till", "first")
    for number in range(CALLERS - 1):
        assert not knows(number, "never sent")  # nothing is kept for who sends nothing
        send(number, "a document")
    assert not knows("shop", halves[2])
    assert knows("till", "first")


async def test_a_bound_client_and_its_members_run_trusted_documents_only(
    server: Server, store: Store, admin: Client, later: list[float]
) -> None:
    made = await factories.client(store, permissions=[*Permission], only_trusted=True)
    bound = server.client(made.client_secret)
    known = {"variables": {"code": "GC49288330"}}
    for asked in (by_hash(FIND), by_hash(FIND, query=FIND), {"query": FIND}):
        assert (await ask(bound, {**asked, **known}))["giftcard"] == {"results": []}
    other = FIND.replace("id", "status")
    for asked in (by_hash(other), by_hash(other, query=other), {"query": other}):
        answer = await ask(bound, {**asked, **known})
        assert (answer.status, answer.code) == (400, UNTRUSTED)
    for asked in (by_hash(FIND), by_hash(other, query=other), by_hash(other)):
        assert (await ask(admin, {**asked, **known})).code is None, "others are as free as before"

    member = await factories.member(admin, "C1")
    async with store.write(Caller(CallerKind.CLIENT, made.client_id)) as tx:
        token = await members.mint_token(tx, member)
    app = server.client(token.text)
    assert (await ask(app, by_hash(ME)))["me"] == {"id": "C1"}
    assert (await ask(app, {"query": "{ me { name } }"})).code == UNTRUSTED

    async with store.write() as tx:
        await clients.bind(tx, made.client_id, only_trusted=False)
    later[0] += 3
    for freed, text in ((bound, other), (app, "{ me { name } }")):
        assert (await ask(freed, {"query": text, **known})).code is None


def test_a_trusted_document_is_no_way_around_the_limits(settings: Settings) -> None:
    many = "{" + " a" * 600 + "}"
    documents = PersistedDocuments({digest(many): many})
    bound = Caller(CallerKind.CLIENT, "till", only_trusted=True)
    assert documents.text(bound, None, digest(many)) == many  # which the guard then refuses
    with pytest.raises(DocumentNotTrusted):
        documents.text(bound, None, digest(FIND))


def read(folder: Path, name: str, content: object) -> dict[str, str]:
    file = folder / name
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return trusted.documents(Settings(trusted_documents=file, _env_file=None))


def test_manifests_of_apollo_and_code_generator_and_files_are_read(tmp_path: Path) -> None:
    operation = {"id": digest(ME), "name": "Me", "type": "query", "body": ME}
    apollo = {"format": trusted.APOLLO, "version": 1, "operations": [operation]}
    assert read(tmp_path, "apollo.json", apollo) == {digest(ME): ME}
    assert read(tmp_path, "codegen.json", {f"sha256:{digest(FIND)}": FIND}) == {digest(FIND): FIND}
    assert read(tmp_path, "a.graphql", ME + "\n") == {digest(ME + "\n"): ME + "\n"}
    (tmp_path / "readme.txt").write_text("not read")
    whole = trusted.documents(Settings(trusted_documents=tmp_path, _env_file=None))
    assert whole.keys() == {digest(each) for each in (ME, FIND, ME + "\n")}
    assert trusted.documents(Settings(_env_file=None)) == {}


def test_trusted_documents_that_cannot_be_read_say_why(
    tmp_path: Path, command: RunCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, content, why in (
        ("none.json", {}, "There are no documents in"),
        ("cut.json", "{", "is not valid JSON"),
        ("list.json", [ME], "is no JSON object"),
        ("sha1.json", {"0" * 40: ME}, "is not the SHA-256 of its document"),
        ("edited.json", {digest(ME): FIND}, "is not the SHA-256 of its document"),
        ("numbers.json", {digest(ME): 1}, "are texts"),
        ("newer.json", {"format": trusted.APOLLO, "version": 2, "operations": []}, "version 1"),
        ("odd.json", {"format": trusted.APOLLO, "version": 1, "operations": [1]}, "are texts"),
    ):
        with pytest.raises(TrustedDocumentsError, match=why):
            read(tmp_path, name, content)
    (tmp_path / "latin.graphql").write_bytes(b"\xff")
    for name, why in (("latin.graphql", "is not UTF-8"), ("nowhere.json", "cannot be read: No")):
        monkeypatch.setenv("GIFTGQL_TRUSTED_DOCUMENTS", str(tmp_path / name))
        code, said = command("serve", "--port", "0")
        assert (code, said.count("\n")) == (1, 1)
        assert why in said
    old = "{ giftcard { noLongerThere } }"
    (tmp_path / "old.json").write_text(json.dumps({digest(old): old, digest(ME): ME}))
    monkeypatch.setenv("GIFTGQL_TRUSTED_DOCUMENTS", str(tmp_path / "old.json"))
    code, said = command("doctor")
    assert code == 1
    assert f"1 of 2 cannot be run any more, the first being {digest(old)[:12]}" in said


def test_the_command_line_binds_and_frees_a_client(command: RunCommand) -> None:
    _, printed = command("client", "add", "Till", "--trusted-documents-only", "--json")
    client_id = json.loads(printed)["client_id"]
    for option, is_bound in ((None, True), ("--any", False), ("--trusted-only", True)):
        if option is not None:
            assert command("client", "documents", client_id, option)[0] == 0
        (listed,) = json.loads(command("client", "list", "--json")[1])
        assert listed["trusted_documents_only"] is is_bound
        assert ("trusted documents only" in command("client", "list")[1]) is is_bound
    assert "no such client" in command("client", "documents", "ggc_none", "--any")[1]
    assert command("client", "documents", client_id)[0] == 2
