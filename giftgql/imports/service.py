from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import orjson

from giftgql.errors import InvalidInput, NotFound
from giftgql.imports import card_batch, pool_batch, receiving
from giftgql.imports.card_batch import CardBatch, Landed
from giftgql.imports.card_rows import CARD_COLUMNS
from giftgql.imports.csv_rows import Row, RowReader, State
from giftgql.imports.failures import Failure, FailuresFile
from giftgql.imports.headers import Header, checked
from giftgql.imports.models import ImportFailure, ImportFile, ImportKind, ImportStatus
from giftgql.imports.pool_batch import PoolBatch
from giftgql.imports.pool_rows import POOL_COLUMNS
from giftgql.jobs import service as jobs
from giftgql.jobs.ahead import one_ahead
from giftgql.jobs.service import Lease, LeaseLost
from giftgql.ledger.orders import By
from giftgql.paging import Page, cut
from giftgql.pools.service import PoolRules
from giftgql.spreadsheets import Table
from giftgql.store import Reading, Store, Transaction
from giftgql.vault import Vault

JOB = receiving.JOB

_ROW = "import row"
"""What a row that failed is sealed for."""

SLICE, ENOUGH = 1 << 11, 700
"""The reader is fed so many bytes at a time, of 292 rows at the most, until it has given so many
rows: with what the last slice adds they are no more than a thousand."""

PAGE = 1_000
MOST_NAMED = 1_000
"""How many failures of a trial are named."""

PINS_JOB = "pins"
"""The kind of the job that hardens the PINs that come in."""

_COLUMNS = {ImportKind.CARDS: CARD_COLUMNS, ImportKind.POOLS: POOL_COLUMNS}


async def import_rows(store: Store, lease: Lease) -> bool:
    """Import rows of a file, piece by piece, for a spell; the work of its job."""
    did_something = False
    async with aclosing(one_ahead(_pieces(store, lease.subject_id))) as pieces:
        async for piece in pieces:
            async with store.write() as tx:
                await jobs.hold(tx, lease)
                await _write(tx, await receiving.locked(tx, lease.subject_id), piece)
                await jobs.measure(tx, lease, len(piece.rows))
            did_something = True
    return did_something


@dataclass
class Piece:
    """Some rows of a file, and where the reader is after them. `refusal` is of the file as a
    whole: nothing of it comes in from there on."""

    state: State
    header: Header | None
    rows: list[Row]
    begins: int = 0
    batch: CardBatch | PoolBatch | None = None
    is_last: bool = False
    refusal: str | None = None


async def _pieces(store: Store, import_id: int) -> AsyncGenerator[Piece, None]:
    """What is left of a file, from where it was left."""
    async with store.read() as reading:
        file = await get(reading, import_id)
    if file.status is not ImportStatus.IN_PROGRESS:
        return
    state: Any = file.reader
    begins = file.position
    async for piece in _read(receiving.stored(store, import_id, begins), file.kind, state):
        piece.begins, begins = begins, piece.state["offset"]
        if piece.header is not None:
            piece.batch = await _batch(store, file, piece.header, piece.rows)
        yield piece


async def _batch(
    store: Store, file: ImportFile, header: Header, rows: Sequence[Row]
) -> CardBatch | PoolBatch:
    if file.kind is ImportKind.POOLS:
        return await pool_batch.read(store, header, rows)
    by = By(file.created_by, reason=f"import {file.id}")
    return await card_batch.read(store, header, rows, by)


async def _read(
    content: AsyncGenerator[bytes, None], kind: ImportKind, state: State | None
) -> AsyncGenerator[Piece, None]:
    """The rows of a file in pieces of no more than a thousand; the last one is marked."""
    reader, rows = RowReader(_COLUMNS[kind], state), list[Row]()
    try:
        async with aclosing(content):
            async for chunk in content:
                for at in range(0, len(chunk), SLICE):
                    rows += reader.feed(chunk[at : at + SLICE])
                    if len(rows) >= ENOUGH:
                        yield Piece(reader.state, reader.header, rows)
                        rows = []
        rows += reader.finish()
    except InvalidInput as refused:
        refusal = f"The {refused}"
        yield Piece(reader.state, reader.header, rows, refusal=refusal)
    else:
        yield Piece(reader.state, reader.header, rows, is_last=True)


async def _write(tx: Transaction, file: ImportFile, piece: Piece) -> None:
    """Write a piece, its failures, and how far the file is. Raises LeaseLost where it is not what
    comes next: somebody else was at it."""
    if file.status is not ImportStatus.IN_PROGRESS or file.position != piece.begins:
        raise LeaseLost
    landed = await piece.batch.write(tx) if piece.batch else Landed()
    assert file.id is not None
    failed = _failures(tx.vault, file.id, piece.header, landed.failures)
    await tx.imports.add_failures(failed)
    done = file.done + len(piece.rows)
    facts: dict[str, Any] = {
        "position": piece.state["offset"],
        "reader": dict(piece.state),
        "done": done,
        "imported": file.imported + landed.imported,
        "unchanged": file.unchanged + landed.unchanged,
        "failed": file.failed + len(failed),
        "modified_at": tx.now,
    }
    if file.kind is ImportKind.CARDS and landed.imported:
        await jobs.add(tx, PINS_JOB)
    if piece.is_last:
        facts["rows"] = done
    await tx.imports.update(file, facts)
    if piece.refusal is not None:
        await receiving.end(tx, file, ImportStatus.FAILED, piece.refusal)
    elif piece.is_last:
        await receiving.end(tx, file, ImportStatus.DONE)


def _failures(
    vault: Vault,
    import_id: int,
    header: Header | None,
    failures: Sequence[tuple[Row, Failure]],
) -> list[tuple[Any, ...]]:
    """The rows of failures; cells that may be given out are kept sealed."""
    if header is None:
        return []
    out, rows = FailuresFile(header), []
    for row, why in failures:
        place = receiving.bound_to(import_id, why.line)
        content = orjson.dumps(out.cells(row))
        sealed, key = vault.seal_bytes(_ROW, content, bound_to=place)
        rows.append((import_id, why.line, why.column, why.value, why.reason, sealed, key))
    return rows


def _cells(vault: Vault, failure: ImportFailure) -> list[str]:
    place = receiving.bound_to(failure.import_id, failure.line)
    content = vault.unseal_bytes(_ROW, failure.ciphertext, failure.cipher_key, bound_to=place)
    return list(orjson.loads(content))


@dataclass
class Trial:
    """What an import would do."""

    imported: int = 0
    unchanged: int = 0
    failed: int = 0
    failures: list[Failure] = field(default_factory=list)
    refusal: str | None = None


async def try_out(store: Store, kind: ImportKind, content: AsyncGenerator[bytes, None]) -> Trial:
    """Check every row of a file and write nothing. The first failures are named."""
    trial, codes, names = Trial(), dict[bytes, int | None](), dict[str, PoolRules]()
    async with aclosing(_read(content, kind, None)) as pieces:
        async for piece in pieces:
            trial.refusal = piece.refusal
            if piece.header is None:
                continue
            if kind is ImportKind.CARDS:
                landed = await card_batch.tried(store, piece.header, piece.rows, codes)
            else:
                landed = await pool_batch.tried(store, piece.header, piece.rows, names)
            trial.imported += landed.imported
            trial.unchanged += landed.unchanged
            trial.failed += len(landed.failures)
            room = MOST_NAMED - len(trial.failures)
            trial.failures += [why for _, why in landed.failures[:room]]
    return trial


async def fail(tx: Transaction, import_id: int) -> None:
    """Say that the rows could not be imported."""
    why = "The server failed at it; the log says why. What was imported until then stays."
    await receiving.end(tx, await receiving.locked(tx, import_id), ImportStatus.FAILED, why)


async def get(reading: Reading, import_id: int) -> ImportFile:
    """Refuses `NOT_FOUND`."""
    file = await reading.imports.get(import_id)
    if file is None:
        raise NotFound("id", "import")
    return file


def subject(file: ImportFile) -> jobs.Subject | None:
    """What the job that imports its rows is about, while it is to go on."""
    is_going_on = file.status is ImportStatus.IN_PROGRESS
    return (JOB, file.id) if is_going_on and file.id is not None else None


async def page(
    reading: Reading, import_id: int | None, *, first: int, skip: int
) -> Page[ImportFile]:
    """Imports, the newest first."""
    found = await reading.imports.page(cut(first, skip), import_id=import_id)
    return Page(found[:first], len(found) > first)


async def failures(
    reading: Reading, import_id: int, *, first: int, skip: int
) -> Page[ImportFailure]:
    """The rows that were not imported, by line."""
    cut(first, skip)
    found = await reading.imports.page_of_failures(import_id, first=first, skip=skip)
    return Page(found[:first], len(found) > first)


async def failure_export(store: Store, import_id: int) -> Table:
    """The rows that were not imported, as they came but for secrets, to be corrected and sent
    again. Refuses `NOT_FOUND`."""
    async with store.read() as reading:
        file = await get(reading, import_id)
    if file.reader is None or file.reader["header"] is None:
        raise NotFound("id", "import with a header")
    header = checked(_COLUMNS[file.kind], file.reader["header"], file.reader["delimiter"])
    out = FailuresFile(header)

    async def pages() -> AsyncGenerator[list[list[str]], None]:
        after = 0
        while True:
            async with store.read() as reading:
                found = await reading.imports.page_of_failures(import_id, after=after, first=PAGE)
            if found:
                after = found[-1].line
                yield [out.row(_cells(store.vault, each), each.line, each.reason) for each in found]
            if len(found) <= PAGE:
                return

    return Table(f"import-{import_id}-failures", out.head, pages())
