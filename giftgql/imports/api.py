from datetime import datetime
from typing import Annotated

import strawberry

from giftgql.context import Info
from giftgql.fields import query, resolved
from giftgql.imports import models, service
from giftgql.imports.models import ImportKind, ImportStatus
from giftgql.jobs.api import Progress
from giftgql.paging import cut
from giftgql.permissions import Permission
from giftgql.values import First, Results, Skip, argument, record_id, register, results

register("What a file is imported as.")(ImportKind)
register("How far an import is.")(ImportStatus)


@strawberry.type(description="A row that was not imported.")
class ImportFailure:
    line: int = strawberry.field(description="The line of the file on which the row begins.")
    column: str | None = strawberry.field(description="The column at fault.")
    value: str | None = strawberry.field(description="What stands there; secrets are blanked.")
    reason: str = strawberry.field(description="What is wrong with it.")


@strawberry.type(description="A file that is or was imported.")
class GiftCardImport:
    id: strawberry.ID = strawberry.field(description="The import's id.")
    kind: ImportKind = strawberry.field(description="What it is imported as.")
    status: ImportStatus = strawberry.field(description="How far it is.")
    progress: Progress = strawberry.field(description="How many of its rows are done, how fast.")
    imported: int = strawberry.field(description="Rows that are there now.")
    unchanged: int = strawberry.field(description="Rows that were there before, as they were.")
    failed: int = strawberry.field(description="Rows that were not imported.")
    error: str | None = strawberry.field(description="Why the file as a whole has failed.")
    created_at: datetime = strawberry.field(description="When it was sent, UTC.")
    ended_at: datetime | None = strawberry.field(description="When it was done or failed, UTC.")

    @resolved(
        description="The rows that were not imported, by line. As CSV for correcting: "
        "`GET /imports/{id}/failures.csv`."
    )
    async def failures(
        self, info: Info, first: First = 100, skip: Skip = 0
    ) -> Results[ImportFailure]:
        cut(first, skip)
        info.context.ask_rows(first)
        async with info.context.read() as reading:
            page = await service.failures(reading, int(self.id), first=first, skip=skip)
        return results(
            [
                ImportFailure(
                    line=each.line,
                    column=each.column_name,
                    value=each.value,
                    reason=each.reason,
                )
                for each in page.rows
            ],
            page,
        )

    @classmethod
    def of(cls, file: models.ImportFile) -> "GiftCardImport":
        return cls(
            id=strawberry.ID(str(file.id)),
            kind=file.kind,
            status=file.status,
            progress=Progress(done=file.done, total=file.rows, subject=service.subject(file)),
            imported=file.imported,
            unchanged=file.unchanged,
            failed=file.failed,
            error=file.error,
            created_at=file.created_at,
            ended_at=file.ended_at,
        )


@strawberry.type
class ImportQuery:
    @query(
        requires=Permission.MANAGE_POOLS,
        description="Imports, by id or all, the newest first. A file is sent to "
        "`POST /imports/pools` or `POST /imports/cards`.",
    )
    async def giftcard_import(
        self,
        info: Info,
        id: Annotated[strawberry.ID | None, argument("The import's id.")] = None,
        first: First = 100,
        skip: Skip = 0,
    ) -> Results[GiftCardImport] | None:
        wanted = None if id is None else record_id(id) or 0
        info.context.ask_rows(first)
        async with info.context.read() as reading:
            page = await service.page(reading, wanted, first=first, skip=skip)
        return results([GiftCardImport.of(each) for each in page.rows], page)
