"""Taking a file in: in chunks as it comes, compressed and sealed, for any server to go on with."""

import asyncio
import hashlib
import zlib
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

from giftgql.audit import service as audit
from giftgql.audit.models import Event
from giftgql.errors import Conflict, NotFound
from giftgql.imports.models import ImportChunk, ImportFile, ImportKind, ImportStatus
from giftgql.jobs import service as jobs
from giftgql.permissions import Caller
from giftgql.store import Store, Transaction
from giftgql.vault import Vault

JOB = "import"
"""The kind of the job that imports a file's rows."""

CHUNK = 1 << 17
CHUNKS_AT_ONCE = 8

UNFINISHED_AFTER = timedelta(hours=1)
"""A file of which no more has come for so long is given up."""

_LINE_ENDS = (b"\n", b"\r")

SEALED_FOR = "import chunk"


class TooLarge(Exception):
    """The file has more bytes than the settings allow."""


def too_large(store: Store) -> TooLarge:
    return TooLarge(f"The file has more than {store.settings.max_import_mib} MiB.")


async def receive(
    store: Store, caller: Caller, kind: ImportKind, content: AsyncIterator[bytes]
) -> ImportFile:
    """Take a file in, to be imported by a job. The same file that is still being imported is not
    taken twice: that import is given. Raises TooLarge; refuses `CONFLICT` where hardly
    anything came for so long that it was given up."""
    async with store.write(caller) as tx:
        file = ImportFile(kind=kind, created_by=caller.name, created_at=tx.now, modified_at=tx.now)
        import_id = await tx.imports.add(file)
    try:
        size, lines, fingerprint = await _take_in(store, import_id, content)
    except BaseException as error:
        why = str(error) if isinstance(error, TooLarge) else "The file did not come to its end."
        await asyncio.shield(_discard(store, import_id, why))
        raise
    facts = {"fingerprint": fingerprint, "size": size, "rows": max(lines - 1, 0)}
    while (taken := await _begun(store, caller, import_id, facts)) is None:
        pass  # the same has just been sent by somebody else
    if taken.id != import_id:
        await _discard(store, import_id, "The same file is being imported already.")
    return taken


class _IsTaken(Exception):
    pass


async def _begun(
    store: Store, caller: Caller, import_id: int, facts: dict[str, Any]
) -> ImportFile | None:
    """A file that is here whole, now to be imported, or the import of the same that is under way;
    None if that has just begun."""
    with suppress(_IsTaken):
        async with store.write(caller) as tx:
            file = await _coming(tx, import_id)
            same = await tx.imports.in_progress(file.kind, facts["fingerprint"])
            if same is not None:
                return same
            if not await tx.imports.commence(file, {**facts, "modified_at": tx.now}):
                raise _IsTaken
            await jobs.add(tx, JOB, import_id)
            told = {"kind": file.kind.value, "rows": facts["rows"]}
            await audit.record(tx, Event.IMPORT_ADDED, f"import:{import_id}", **told)
            return file
    return None


async def _coming(tx: Transaction, import_id: int) -> ImportFile:
    """A file that is still coming in, locked. Refuses `CONFLICT` where it was given up: what came
    of it is no longer there."""
    file = await locked(tx, import_id)
    if file.status is not ImportStatus.RECEIVING:
        raise Conflict("file", "The file came so slowly that it was given up.")
    return file


async def _take_in(
    store: Store, import_id: int, content: AsyncIterator[bytes]
) -> tuple[int, int, bytes]:
    """Store the content in chunks; its size, its lines, and what is the same for the same."""
    largest = store.settings.max_import_mib << 20
    digest, waiting, size = hashlib.sha256(), bytearray(), 0
    ends, last = Counter[bytes](), b"\n"
    async for piece in content:
        if not piece:
            continue
        size += len(piece)
        if size > largest:
            raise too_large(store)
        digest.update(piece)
        for end in _LINE_ENDS:
            ends[end] += piece.count(end)
        last = piece[-1:]
        waiting += piece
        while len(waiting) >= CHUNK * CHUNKS_AT_ONCE:
            await _store(store, import_id, size - len(waiting), waiting[: CHUNK * CHUNKS_AT_ONCE])
            del waiting[: CHUNK * CHUNKS_AT_ONCE]
    if waiting:
        await _store(store, import_id, size - len(waiting), waiting)
    fingerprint = store.vault.request_fingerprint(digest.digest())
    lines = max(ends.values(), default=0) + (last not in _LINE_ENDS)
    return size, lines, fingerprint


async def _store(store: Store, import_id: int, start: int, content: bytearray) -> None:
    def sealed() -> list[tuple[Any, ...]]:
        return [
            _chunk(store.vault, import_id, start + at, bytes(content[at : at + CHUNK]))
            for at in range(0, len(content), CHUNK)
        ]

    rows = await asyncio.to_thread(sealed)
    async with store.write() as tx:
        await tx.imports.add_chunks(rows)
        await tx.imports.update(await _coming(tx, import_id), {"modified_at": tx.now})


def _chunk(vault: Vault, import_id: int, start: int, content: bytes) -> tuple[Any, ...]:
    packed = zlib.compress(content, 1)
    sealed, key = vault.seal_bytes(SEALED_FOR, packed, bound_to=bound_to(import_id, start))
    return import_id, start, len(content), sealed, key


async def stored(store: Store, import_id: int, begins: int) -> AsyncGenerator[bytes, None]:
    """The bytes of a stored file from an offset on."""
    while True:
        async with store.read() as reading:
            chunks = await reading.imports.chunks_from(import_id, begins, at_most=CHUNKS_AT_ONCE)
        if not chunks:
            return
        for chunk in chunks:
            content = await asyncio.to_thread(_opened, store.vault, chunk)
            yield content[begins - chunk.start :]
            begins = chunk.start + chunk.size


def _opened(vault: Vault, chunk: ImportChunk) -> bytes:
    """What a chunk holds."""
    place = bound_to(chunk.import_id, chunk.start)
    packed = vault.unseal_bytes(SEALED_FOR, chunk.ciphertext, chunk.cipher_key, bound_to=place)
    return zlib.decompress(packed)


def bound_to(import_id: int, start: int) -> bytes:
    """The place in a file that something sealed belongs to."""
    return b"%d/%d" % (import_id, start)


async def _discard(store: Store, import_id: int, why: str) -> None:
    async with store.write() as tx:
        await end(tx, await locked(tx, import_id), ImportStatus.FAILED, why)


async def forget_unfinished(tx: Transaction) -> int:
    """Give up files that were begun and never came to their end; returns of how many."""
    return await tx.imports.forget_unfinished(tx.now - UNFINISHED_AFTER, at=tx.now, at_most=10)


async def end(
    tx: Transaction, file: ImportFile, status: ImportStatus, error: str | None = None
) -> None:
    """Nothing of the file itself is kept longer than needed."""
    assert file.id is not None
    await tx.imports.delete_chunks(file.id)
    facts = {"status": status, "error": error, "ended_at": tx.now, "modified_at": tx.now}
    await tx.imports.update(file, facts)


async def locked(tx: Transaction, import_id: int) -> ImportFile:
    """An import as it stays until the transaction ends. Refuses `NOT_FOUND`."""
    file = await tx.imports.lock(import_id)
    if file is None:
        raise NotFound("id", "import")
    return file
