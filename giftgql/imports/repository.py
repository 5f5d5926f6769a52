from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, update
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from giftgql.imports.models import (
    ImportChunk,
    ImportFailure,
    ImportFile,
    ImportKind,
    ImportStatus,
)
from giftgql.paging import Cut
from giftgql.rows import Rows, Write, write_rows

CHUNK = ("import_id", "start", "size", "ciphertext", "cipher_key")
FAILURE = (
    *("import_id", "line", "column_name", "value", "reason"),
    *("ciphertext", "cipher_key"),
)
OPEN = (ImportStatus.RECEIVING, ImportStatus.IN_PROGRESS)


class ImportRepository:
    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def add(self, file: ImportFile) -> int:
        self.session.add(file)
        await self.session.flush()
        assert file.id is not None
        return file.id

    async def get(self, import_id: int) -> ImportFile | None:
        return await self.session.get(ImportFile, import_id)

    async def lock(self, import_id: int) -> ImportFile | None:
        query = select(ImportFile).where(ImportFile.id == import_id).with_for_update()
        return (await self.session.exec(query)).first()

    async def in_progress(self, kind: ImportKind, fingerprint: bytes) -> ImportFile | None:
        """The import of the same content that is under way."""
        query = select(ImportFile).where(
            ImportFile.kind == kind,
            ImportFile.fingerprint == fingerprint,
            ImportFile.status == ImportStatus.IN_PROGRESS,
        )
        return (await self.session.exec(query)).first()

    async def commence(self, file: ImportFile, facts: Mapping[str, Any]) -> bool:
        """Let a file be under way; False if the same is, which is the end of this transaction.
        Waits for who is just sending the same."""
        change = update(ImportFile).where(col(ImportFile.id) == file.id)
        try:
            await self.session.exec(change.values(status=ImportStatus.IN_PROGRESS, **facts))
        except IntegrityError:
            return False
        return True

    async def update(self, file: ImportFile, facts: Mapping[str, Any]) -> None:
        for name, value in facts.items():
            setattr(file, name, value)
        await self.session.flush()

    async def page(self, cut: Cut, *, import_id: int | None = None) -> Sequence[ImportFile]:
        """One row more than the page shows, the newest first."""
        query = select(ImportFile)
        if import_id is not None:
            query = query.where(ImportFile.id == import_id)
        query = query.order_by(col(ImportFile.id).desc()).offset(cut.skip).limit(cut.first + 1)
        return (await self.session.exec(query)).all()

    async def add_chunks(self, rows: Rows) -> None:
        await write_rows(self.session, [Write(ImportChunk, CHUNK, rows)])

    async def chunks_from(
        self, import_id: int, position: int, *, at_most: int
    ) -> Sequence[ImportChunk]:
        """The chunk that holds a position, and those that follow."""
        query = (
            select(ImportChunk)
            .where(
                ImportChunk.import_id == import_id,
                col(ImportChunk.start) + col(ImportChunk.size) > position,
            )
            .order_by(col(ImportChunk.start))
            .limit(at_most)
        )
        return (await self.session.exec(query)).all()

    async def delete_chunks(self, import_id: int) -> None:
        mine = col(ImportChunk.import_id) == import_id
        await self.session.exec(delete(ImportChunk).where(mine))

    async def add_failures(self, rows: Rows) -> None:
        await write_rows(self.session, [Write(ImportFailure, FAILURE, rows)])

    async def page_of_failures(
        self, import_id: int, *, after: int = 0, first: int, skip: int = 0
    ) -> Sequence[ImportFailure]:
        """Failures by line, with one more than was asked for."""
        query = (
            select(ImportFailure)
            .where(ImportFailure.import_id == import_id, col(ImportFailure.line) > after)
            .order_by(col(ImportFailure.line))
            .offset(skip)
            .limit(first + 1)
        )
        return (await self.session.exec(query)).all()

    async def forget_unfinished(self, before: datetime, *, at: datetime, at_most: int) -> int:
        """Give up files of which no more has come since then; returns of how many."""
        query = (
            select(ImportFile)
            .where(
                ImportFile.status == ImportStatus.RECEIVING,
                col(ImportFile.modified_at) < before,
            )
            .limit(at_most)
            .with_for_update(skip_locked=True)
        )
        found = (await self.session.exec(query)).all()
        for file in found:
            assert file.id is not None
            await self.delete_chunks(file.id)
            change = update(ImportFile).where(col(ImportFile.id) == file.id)
            why = "The file did not come to its end."
            await self.session.exec(
                change.values(status=ImportStatus.FAILED, error=why, ended_at=at, modified_at=at)
            )
        return len(found)
