"""Everything that an import has written is searched for the numbers, PINs and CVVs of its file."""

import asyncio
from signal import SIGKILL
from typing import Any

import httpx

from giftgql.imports.models import ImportChunk, ImportFailure
from tests import importing, servers
from tests.importing import are_clean
from tests.leaking import Run
from tests.tables import Tables
from tests.test_leaks import run
from tests.test_startup import opened

__all__ = ["run"]

ROWS = 400
BAD = ("{n},gone,{c},{p},5,,", "{n},leak,{c},{p},5 0,,", "{n},leak,{c},{p},50,Odd,",
       "{n},leak,{c}x,{p}y,50,,", "{n},leak,{c},{p},50,,,more", "{n},leak,,{p},50,,",
       '"{n}"{p},leak,{c},{p},50,,', "{n},leak,{c},{p},50,CanBeUsed,2020-01-01")  # fmt: skip
"""Rows that are refused, each in its own way."""


def content(run: Run) -> bytes:
    """A file of which every tenth row is bad; all that is in it is noted as secret."""
    lines = ["Number,PoolSystemName,Cvv,Pin,Balance,Status,ExpiresOn"]
    for row in range(ROWS):
        number, cvv, pin = f"LK{row * 7919 + 10**11}", f"{row + 71_000_000}", f"{row + 10**11}8"
        form = BAD[row // 10 % len(BAD)] if row % 10 == 3 else "{n},leak,{c},{p},50.00,CanBeUsed,"
        lines.append(form.format(n=number, c=cvv, p=pin[:12]))
        if row % 10 == 3 or row % 100 == 0:
            for secret in (number, cvv, pin[:12]):
                run.secret(secret)
    return "\n".join(lines).encode()


def send(run: Run, file: bytes) -> str:
    headers = {"Authorization": f"Bearer {run.server.development_key}", "Content-Type": "text/csv"}
    answer = httpx.post(f"{run.server.url}/imports/cards", content=file, headers=headers)
    return str(answer.json()["id"])


def failures_of(run: Run, import_id: str) -> str:
    headers = {"Authorization": f"Bearer {run.server.development_key}"}
    return httpx.get(f"{run.server.url}/imports/{import_id}/failures.csv", headers=headers).text


def status(run: Run, import_id: str) -> dict[str, Any]:
    query = """query ($id: ID!) { giftcardImport(id: $id) { results {
        status imported failed error failures { results { line column value reason } } } } }"""
    [found] = run.post(query, id=import_id)["data"]["giftcardImport"]["results"]
    run.refusals.append(repr(found).encode())
    return dict(found)


async def ended(run: Run, import_id: str) -> dict[str, Any]:
    while True:
        now = status(run, import_id)
        if now["status"] != "IN_PROGRESS":
            return now
        await asyncio.sleep(0.1)


async def test_no_secret_of_a_file_is_anywhere_but_sealed_while_it_is_imported_and_after(
    run: Run,
) -> None:
    # To read the file of a database that this process has open would undo SQLite's locks on it.
    async with opened(run.settings) as store:
        await importing.pools(store, "Leak,leak,EUR,50.00,true,true,NONE")
    file, environment = content(run), run.server.environment
    run.server.stop()
    # A server that does no jobs: the file stays as it came in.
    with servers.serving({**environment, "GIFTGQL_WORKS": "false"}) as run.server:
        import_id = send(run, file)
        headless = run.secret("HEADLESS-7731-0042")
        send(run, f"{headless},leak\nLK2,leak\n".encode())
        assert status(run, import_id)["status"] == "IN_PROGRESS"
        assert run.found() == {}
        run.server.stop(SIGKILL)
    async with Tables.of(run.settings) as tables:
        chunks = await tables.all(ImportChunk.__table__.select())  # type: ignore[attr-defined]
    assert run.found() == {}
    assert len(chunks) > 1
    with servers.serving(environment) as run.server:
        now = await ended(run, import_id)
        assert (now["status"], now["imported"]) == ("DONE", ROWS - ROWS // 10)
        assert run.found() == {}
        out = failures_of(run, import_id)
        numbers = [name for name in run.secrets if name.startswith("LK")]
        assert sum(number in out for number in numbers) > 25, "numbers are for correcting"
        digits = [name for name in run.secrets if name.isdecimal()]
        assert not [secret for secret in digits if secret in out]
    async with Tables.of(run.settings) as tables:
        assert await tables.all(ImportChunk.__table__.select()) == []  # type: ignore[attr-defined]
        failures = await tables.all(ImportFailure.__table__.select())  # type: ignore[attr-defined]
        assert len(failures) == ROWS // 10
    async with opened(run.settings) as store:
        await are_clean(store)
    assert run.found() == {}
