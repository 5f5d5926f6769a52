"""Files of pools and cards for tests, sent to be imported and seen to their end."""

from collections.abc import AsyncIterator
from typing import Any

from giftgql import work
from giftgql.imports import receiving
from giftgql.imports import service as imports
from giftgql.imports.models import ImportFile, ImportKind, ImportStatus
from giftgql.permissions import THE_OPERATOR
from giftgql.reports import service as reports
from giftgql.store import Store
from tests.client import Client

IMPORT = """id kind status progress { done total } imported unchanged failed error
    createdAt endedAt"""
FAILURES = "failures { results { line column value reason } }"
Why = tuple[int, str | None, str | None]
"""A failure: its line, its column, and what is shown of the value."""


async def pieces(content: bytes, size: int = 1 << 16) -> AsyncIterator[bytes]:
    for at in range(0, len(content), size):
        yield content[at : at + size]


async def sent(
    store: Store, content: str | bytes, kind: ImportKind = ImportKind.CARDS, *, size: int = 1 << 16
) -> int:
    """Have a file taken in; returns the import's id."""
    whole = content.encode() if isinstance(content, str) else content
    file = await receiving.receive(store, THE_OPERATOR, kind, pieces(whole, size))
    assert file.id is not None
    return file.id


async def now(store: Store, import_id: int) -> ImportFile:
    """An import as it is by now."""
    async with store.read() as reading:
        return await imports.get(reading, import_id)


async def imported(
    store: Store, content: str | bytes, kind: ImportKind = ImportKind.CARDS
) -> ImportFile:
    """Import a file to its end."""
    import_id = await sent(store, content, kind)
    await work.do_all(store)
    return await now(store, import_id)


async def pools(store: Store, *rows: str) -> None:
    """Import pools: `Name,SystemName,Currency,FaceValue,PartialRedemption,IsCvvRequired,Expiration`
    with nothing left out; a pool without a face value takes any."""
    head = "Name,SystemName,Currency,ArbitraryValue,FaceValue,PartialRedemption,IsCvvRequired"
    lines = [f"{head},Expiration"]
    for row in rows:
        name, system_name, currency, face, *rest = row.split(",")
        is_any = str(not face).lower()
        lines.append(",".join([name, system_name, currency, is_any, face, *rest]))
    done = await imported(store, "\n".join(lines), ImportKind.POOLS)
    assert (done.status, done.imported) == (ImportStatus.DONE, len(rows)), await why(store, done)


def counts(file: ImportFile) -> tuple[int, int, int]:
    """How many rows were imported, unchanged, failed; of an import that is done."""
    assert file.status is ImportStatus.DONE, file.error
    assert file.done == file.rows == file.imported + file.unchanged + file.failed
    return file.imported, file.unchanged, file.failed


async def why(store: Store, file: ImportFile) -> dict[Why, str]:
    """The reasons of an import's failures, by line, column and value."""
    assert file.id is not None
    found = dict[Why, str]()
    while True:
        async with store.read() as reading:
            page = await imports.failures(reading, file.id, first=1000, skip=len(found))
        found |= {(each.line, each.column_name, each.value): each.reason for each in page.rows}
        if not page.has_more:
            return found


async def are_clean(store: Store) -> None:
    """What `giftgql verify` would find is nothing."""
    async with store.snapshot() as reading:
        assert await reports.check(reading) == []


async def card(caller: Client, number: str) -> dict[str, Any]:
    """The card with a number."""
    query = """query ($c: String!) { giftcard(code: $c, codeType: PHYSICAL) { results {
        id status currency balance lifetimeTotal expiresOn memberId poolId productId purchasedOn
        pointOfContact codes { codeType code expiresOn } } } }"""
    [found] = (await caller.run(query, c=number))["giftcard"]["results"]
    return dict(found)


async def shown(caller: Client, import_id: int | str, fields: str = IMPORT) -> dict[str, Any]:
    """An import as GraphQL shows it."""
    query = f"query ($id: ID!) {{ giftcardImport(id: $id) {{ results {{ {fields} }} }} }}"
    [found] = (await caller.run(query, id=str(import_id)))["giftcardImport"]["results"]
    return dict(found)
