"""Files over HTTP and by the command line: who may send them, what is refused, what comes back."""

import asyncio
import csv
import gzip
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
from starlette.types import Message

from giftgql import work
from giftgql.imports.models import ImportChunk, ImportFile
from giftgql.permissions import Permission
from giftgql.settings import Settings
from giftgql.store import Store
from tests import factories, importing
from tests.client import Client, Server
from tests.conftest import MakeClient, RunCommand
from tests.importing import are_clean, counts, now, shown
from tests.tables import Tables

BOXES = "Boxes,boxes,EUR,50.00,true,false,NONE"
FILE = b"Number,PoolSystemName\nAAA1,boxes\nAAA2,boxes\n"


async def post(
    caller: Client, content: Any = FILE, path: str = "/imports/cards", **headers: str
) -> httpx.Response:
    given = {"Authorization": f"Bearer {caller.token}", "Content-Type": "text/csv"}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    return await caller.http.post(path, content=content, headers=given)


async def nothing_is_kept(store: Store) -> list[str]:
    """No file is under way or coming in, and nothing of any is there; what was said of each."""
    async with Tables.of(store.settings) as tables:
        assert await tables.all(ImportChunk.__table__.select()) == []  # type: ignore[attr-defined]
        files = await tables.all(ImportFile.__table__.select())  # type: ignore[attr-defined]
    assert {file.status.value for file in files} <= {"FAILED", "DONE"}
    return [str(file.error) for file in files if file.error]


async def test_a_file_is_taken_by_whoever_manages_pools_and_imported(
    admin: Client, store: Store, client_with: MakeClient
) -> None:
    pools = b"Name,SystemName,FaceValue\nBoxes,boxes,50\n"
    answer = await post(admin, pools, "/imports/pools", Content_Type="Text/CSV; charset=utf-8")
    assert answer.status_code == 202
    await work.do_all(store)
    answer = await post(admin, importing.pieces(FILE, 7))
    assert (answer.status_code, answer.json()["status"]) == (202, "IN_PROGRESS")
    again = await post(admin, FILE)
    assert again.json() == answer.json()
    await work.do_all(store)
    assert counts(await now(store, int(answer.json()["id"]))) == (2, 0, 0)
    nobody = await client_with(*frozenset(Permission) - {Permission.MANAGE_POOLS})
    for refused in (
        await post(nobody),
        await nobody.http.get(
            "/imports/1/failures.csv", headers={"Authorization": f"Bearer {nobody.token}"}
        ),
    ):
        assert refused.status_code == 403
        assert refused.json()["errors"][0]["extensions"]["code"] == "PERMISSION_DENIED"
    query = "{ giftcardImport { results { id failures { results { line } } } } }"
    assert (await nobody.run(query)).code == "PERMISSION_DENIED"
    unknown = await post(Client(admin.http, "ggk_nobody"))
    assert unknown.status_code == 401
    member_id = await factories.member(admin)
    token = await factories.member_token(admin, member_id)
    assert (await post(Client(admin.http, token))).status_code == 403


async def test_what_is_no_csv_or_no_route_is_not_taken(admin: Client, store: Store) -> None:
    for media_type in ("application/json", "text/html", "multipart/form-data; boundary=x", ""):
        assert (await post(admin, Content_Type=media_type)).status_code == 415, media_type
    for path in ("/imports/members", "/imports/", "/imports/CARDS", "/imports/cards/"):
        assert (await post(admin, path=path)).status_code == 404, path
    assert await nothing_is_kept(store) == []


async def test_a_file_that_is_too_large_is_refused_and_nothing_of_it_kept(
    admin: Client, store: Store, settings: Settings
) -> None:
    store.settings = settings.model_copy(update={"max_import_mib": 2})
    taken = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal taken
        for _ in range(200):
            taken += 1 << 16
            yield b"x" * (1 << 16)

    answer = await post(admin, body())
    assert (answer.status_code, answer.headers["connection"]) == (413, "close")
    assert "2 MiB" in answer.json()["errors"][0]["message"]
    assert taken <= (2 << 20) + (1 << 16)
    assert await nothing_is_kept(store) == ["The file has more than 2 MiB."]
    taken = 0
    answer = await post(admin, body(), Content_Length=str((2 << 20) + 1))
    assert (answer.status_code, taken) == (413, 0), "what says so is not read at all"
    assert len(await nothing_is_kept(store)) == 1


async def raw(store: Store, messages: AsyncIterator[Message]) -> int:
    """POST as someone who may, with a body as it comes; the status of the answer."""
    key = (await factories.client(store, permissions=[Permission.MANAGE_POOLS])).client_secret
    headers = {"content-type": "text/csv", "authorization": f"Bearer {key}", "host": "giftgql"}
    scope = {"type": "http", "method": "POST", "path": "/imports/cards", "query_string": b""}
    scope |= {"headers": [(name.encode(), value.encode()) for name, value in headers.items()]}
    sent = list[Message]()

    async def send(message: Message) -> None:
        sent.append(message)

    async with Server.over(store) as server:
        await server.http._app(scope, lambda: anext(messages), send)  # type: ignore[attr-defined]
    return int(sent[0]["status"])


async def test_a_body_that_ends_early_or_stalls_is_given_up_and_nothing_of_it_kept(
    store: Store, settings: Settings
) -> None:
    store.settings = settings.model_copy(update={"body_seconds": 1})
    begin: Message = {"type": "http.request", "body": FILE * 40_000, "more_body": True}

    async def ends_early() -> AsyncIterator[Message]:
        yield begin
        yield {"type": "http.disconnect"}

    async def stalls() -> AsyncIterator[Message]:
        yield begin
        await asyncio.Event().wait()

    assert await raw(store, ends_early()) == 400
    assert await raw(store, stalls()) == 408
    assert await nothing_is_kept(store) == ["The file did not come to its end."] * 2


async def test_a_file_that_was_given_up_while_it_came_is_not_gone_on_with(
    store: Store, settings: Settings
) -> None:
    clock = store.now
    store.clock = lambda: clock
    part: Message = {"type": "http.request", "body": FILE * 30_000, "more_body": True}

    async def slow() -> AsyncIterator[Message]:
        nonlocal clock
        yield part
        clock = clock.replace(year=clock.year + 1)
        await work.sweep(store)
        yield {**part, "more_body": False}

    assert await raw(store, slow()) == 409
    await work.do_all(store)
    assert await nothing_is_kept(store) == ["The file did not come to its end."]


async def test_failures_are_corrected_and_sent_again(admin: Client, store: Store) -> None:
    await importing.pools(store, BOXES)
    file = (
        "\ufeffNumber;PoolSystemName;Balance;PointOfContact;Pin\r\n"
        'AAA1;boxes;50,00;"Shop; ""7""";4711\r\n=AAA2;boxes;5 0;=cmd;\r\nAAA3;boxes;;;\r\n'
        "AAA4;boxes\r\n"
    )
    taken = (await post(admin, file.encode())).json()["id"]
    await work.do_all(store)
    assert counts(await now(store, int(taken))) == (1, 0, 3)
    headers = {"Authorization": f"Bearer {admin.token}"}
    answer = await admin.http.get(f"/imports/{taken}/failures.csv", headers=headers)
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    text = answer.content.decode("utf-8-sig")
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert rows[0][-1] == "Reason"
    assert [row[0] for row in rows[1:]] == ["AAA1", "'=AAA2", ""]
    assert rows[1][3:5] == ['Shop; "7"', "(blanked)"]
    for wrong, right in (("50,00", "50.00"), ("5 0", "50"), ("(blanked)", "4711")):
        text = text.replace(wrong, right)
    again = (await post(admin, text.encode())).json()["id"]
    await work.do_all(store)
    done = await now(store, int(again))
    assert counts(done) == (2, 0, 1), await importing.why(store, done)
    assert (await importing.card(admin, "=AAA2"))["pointOfContact"] == "=cmd"
    await are_clean(store)
    for unknown in ("0", "999", "x", "9" * 30, "-1"):
        found = await admin.http.get(f"/imports/{unknown}/failures.csv", headers=headers)
        assert found.status_code == 404, unknown


async def test_failures_are_paged_by_line_and_none_is_told_twice(
    admin: Client, store: Store
) -> None:
    await importing.pools(store, BOXES)
    rows = "".join(f"AAA{line},nowhere{line}\n" for line in range(2, 3_002))
    taken = (await post(admin, f"Number,PoolSystemName\n{rows}".encode())).json()["id"]
    await work.do_all(store)
    query = """query ($id: ID!, $first: Int!, $skip: Int!) { giftcardImport(id: $id) { results {
        failures(first: $first, skip: $skip) { hasMoreResults results { line } } } } }"""
    lines = list[int]()
    while True:
        answer = await admin.run(query, id=taken, first=700, skip=len(lines))
        [found] = answer["giftcardImport"]["results"]
        lines += [each["line"] for each in found["failures"]["results"]]
        if not found["failures"]["hasMoreResults"]:
            break
    assert lines == list(range(2, 3_002))
    headers = {"Authorization": f"Bearer {admin.token}"}
    listed = await admin.http.get(f"/imports/{taken}/failures.csv", headers=headers)
    assert listed.text.count("names no pool that is there") == 3_000
    assert (await admin.run(query, id=taken, first=1_001, skip=0)).code == "INVALID_INPUT"
    assert (await admin.run(query, id=taken, first=1, skip=-1)).code == "INVALID_INPUT"
    assert (await shown(admin, taken))["failed"] == 3_000


CARDS = "Number,PoolSystemName\nAAA1,boxes\nAAA2,boxes\n"
WHOLE = {
    "nothing": (b"", "has no header row: it is empty"),
    "blank lines": (b"\n\r\n  \n", "has no header row"),
    "no header": (b"AAA1,boxes\nAAA2,boxes\n", "has no header row: its first row names none"),
    "unknown column": (b"Number,PoolSystemName,Colour\nAAA1,boxes,red\n", '"Colour"'),
    "column twice": (b"Number,PoolSystemName,number\nAAA1,boxes,x\n", "column Number twice"),
    "missing column": (b"Number\nAAA1\n", "has no column PoolSystemName"),
    "gzip": (gzip.compress(CARDS.encode()), "gzip"),
    "UTF-16": (CARDS.encode("utf-16"), "UTF-16"),
    "UTF-16 without a mark": (CARDS.encode("utf-16-le"), "UTF-16"),
    "Latin-1 header": ("Number,PoolSystemName,Gr\xf6\xdfe\n".encode("latin-1"), "not UTF-8"),
    "zip": (b"PK\x03\x04" + b"\0" * 99, "zip"),
}
"""Files that cannot be imported at all, and why."""

ROWS = {
    "only a header": (b"Number,PoolSystemName\n", (0, 0, 0)),
    "LF": (CARDS.encode(), (2, 0, 0)),
    "CRLF, a mark, tabs": (
        b"\xef\xbb\xbf" + CARDS.replace(",", "\t").replace("\n", "\r\n").encode(), (2, 0, 0),
    ),
    "CR": (CARDS.replace("\n", "\r").encode(), (2, 0, 0)),
    "no last line end": (CARDS.rstrip().encode(), (2, 0, 0)),
    "Latin-1 row": (CARDS.encode() + "AAA\xe43,boxes\n".encode("latin-1"), (2, 0, 1)),
    "NULs": (CARDS.encode() + b"AA\0A3,boxes\n\0\0\0\n", (2, 0, 2)),
    "ragged": (CARDS.encode() + b"AAA3\nAAA4,boxes,x\n\nAAA5,boxes\n", (3, 0, 2)),
    "quotes": (CARDS.encode() + b'"AAA3",boxes\n"AAA"4,boxes\nAAA5,"bo\nAAA6,boxes\n', (3, 0, 2)),
    "dates": (
        b"Number,PoolSystemName,ExpiresOn\nAAA1,boxes,31.12.2030\nAAA2,boxes,12/31/2030\n"
        b"AAA3,boxes,2030-12-31\nAAA4,boxes,2030-02-30\nAAA5,boxes,20301231\n", (1, 0, 4),
    ),
    "spaces": (
        b"Number,PoolSystemName,Balance\nAA A1,boxes, 50 \n AAA2 ,boxes,5 0\n"
        b"AAA3,boxes,50\xc2\xa0\n", (2, 0, 1),
    ),
}  # fmt: skip
"""Files whose good rows land, and how many are imported, unchanged, failed."""


async def test_a_bad_file_says_what_is_wrong_with_it_and_a_good_row_lands_from_any(
    admin: Client, store: Store
) -> None:
    await importing.pools(store, BOXES)
    for what, (content, reason) in WHOLE.items():
        taken = (await post(admin, content)).json()["id"]
        await work.do_all(store)
        found = await shown(admin, taken)
        assert found["status"] == "FAILED", what
        assert reason in found["error"], (what, found["error"])
        assert (found["imported"], found["failed"]) == (0, 0), what
    before = 0
    for place, (what, (content, wanted)) in enumerate(ROWS.items()):
        marked = content.replace(b"AAA", b"A%02dA" % place).replace(b"AA A", b"A%02dA" % place)
        taken = (await post(admin, marked)).json()["id"]
        await work.do_all(store)
        done = await now(store, int(taken))
        assert (done.imported, done.unchanged, done.failed) == wanted, (
            *(what, await importing.why(store, done)),
        )
        assert done.status.value == "DONE", (what, done.error)
        before += wanted[0]
    query = "{ giftcardPool { results { cardCount } } }"
    assert (await admin.run(query))["giftcardPool"]["results"] == [{"cardCount": before}]
    await nothing_is_kept(store)
    await are_clean(store)


def test_the_command_says_what_became_of_a_file(command: RunCommand, tmp_path: Path) -> None:
    def file(content: str | bytes, name: str = "file.csv") -> str:
        whole = content.encode() if isinstance(content, str) else content
        (tmp_path / name).write_bytes(whole)
        return name

    code, said = command("import", "pools", file("Name,SystemName,FaceValue\nBoxes,boxes,50\n"))
    assert (code, said) == (0, "1 imported, 0 unchanged, 0 failed.\n")
    bad = "Number,PoolSystemName,Status,ExpiresOn\nAAA1,boxes,,\nAAA2,boxes,CanBeUsed,2020-01-01\n"
    code, said = command("import", "cards", "--dry-run", file(bad))
    assert (code, said.splitlines()[-1]) == (*(1, "1 would be imported, 0 unchanged, 1 failed."),)
    assert said.startswith("line 3, ExpiresOn: ")
    code, said = command("import", "cards", file(bad), "--failures", "bad.csv")
    assert (code, said) == (1, "1 imported, 0 unchanged, 1 failed.\n")
    assert '"AAA2","boxes","CanBeUsed","2020-01-01"' in (tmp_path / "bad.csv").read_text()
    code, said = command("import", "cards", "-", given=bad.encode())
    assert (code, said.splitlines()[0]) == (1, "0 imported, 1 unchanged, 1 failed.")
    for what, (content, reason) in WHOLE.items():
        name = file(content)
        for more in ((), ("--dry-run",), ("--failures", f"{what}.csv")):
            code, said = command("import", "cards", name, *more)
            assert (code, reason in said) == (1, True), (what, more, said)
    assert not list(tmp_path.glob("*gzip.csv"))


def test_the_command_writes_over_no_file_and_reads_no_folder(
    command: RunCommand, tmp_path: Path
) -> None:
    (tmp_path / "cards.csv").write_text(CARDS)
    (tmp_path / "there.csv").write_text("mine")
    for arguments, reason in (
        (("cards", "."), "folder"),
        (("cards", "gone.csv"), "There is no file gone.csv."),
        (("cards", "cards.csv", "--failures", "there.csv"), "exists already"),
        (("cards", "cards.csv", "--failures", "gone/x.csv"), "There is no folder gone."),
        (("cards", "cards.csv", "--failures", "."), "exists"),
    ):
        code, said = command("import", *arguments)
        assert code == 1, arguments
        assert reason in said, (arguments, said)
        assert "imported" not in said, "it is refused before anything is done"
    assert (tmp_path / "there.csv").read_text() == "mine"
