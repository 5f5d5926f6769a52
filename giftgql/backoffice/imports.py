"""Imports: files of pools and cards, how far they are, and what of them was not right."""

from collections.abc import AsyncGenerator, Mapping
from datetime import datetime

from starlette.responses import Response

from giftgql.backoffice import people
from giftgql.backoffice.forms import NOTHING, Form
from giftgql.backoffice.listing import ROWS, listing, skipped
from giftgql.backoffice.pages import Problem, Visit, changes, go_to, shows
from giftgql.backoffice.progress import Progress, paces_of
from giftgql.errors import InvalidInput, Refusal
from giftgql.imports import receiving
from giftgql.imports import service as imports
from giftgql.imports.card_rows import CARD_COLUMNS
from giftgql.imports.models import ImportFile, ImportKind
from giftgql.imports.pool_rows import POOL_COLUMNS
from giftgql.jobs.pace import Pace
from giftgql.jobs.service import Subject
from giftgql.permissions import Permission

NEEDED = Permission.MANAGE_POOLS

COLUMNS = {ImportKind.POOLS: POOL_COLUMNS, ImportKind.CARDS: CARD_COLUMNS}
TITLES = {ImportKind.POOLS: "Pools", ImportKind.CARDS: "Cards"}

KIND, ROWS_TYPED = "kind", "rows"
LABELS = {KIND: "What is in it", ROWS_TYPED: "The rows"}


@shows(NEEDED)
async def show_all(visit: Visit) -> Response:
    """`GET /office/imports`: the newest first, and the forms for a new one."""
    return await _listed(visit)


@changes(NEEDED)
async def add(visit: Visit, form: Form) -> Response:
    """`POST /office/imports`: rows that were pasted, taken as a file is. The same rows that are
    still being imported are not taken twice."""
    try:
        kind = form.needed(KIND)
        if kind not in ImportKind.__members__:
            raise InvalidInput(KIND, "is to be chosen")
        content = form.needed(ROWS_TYPED).encode()
        file = await receiving.receive(
            visit.store, visit.caller, ImportKind[kind], _pieces(content)
        )
    except Refusal as refusal:
        return await _listed(visit, Problem(refusal, form, of="paste"))
    return go_to(f"/office/imports/{file.id}")


@shows(NEEDED)
async def show(visit: Visit) -> Response:
    """`GET /office/imports/{id}`."""
    import_id = visit.request.path_params["id"]
    async with visit.read() as reading:
        file = await imports.get(reading, import_id)
        paces = await paces_of(reading, [imports.subject(file)])
        failed = await imports.failures(reading, import_id, first=ROWS, skip=skipped(visit))
        names = await people.named(reading, {file.created_by})
    return visit.page(
        "import.html",
        file=file,
        title=TITLES[file.kind],
        progress=_progress(file, paces, reading.now),
        failed=listing(visit, failed),
        made_by=names[file.created_by],
    )


@shows(NEEDED)
async def progress(visit: Visit) -> Response:
    """`GET /office/imports/{id}/progress`: that part of the page, for scripts."""
    async with visit.read() as reading:
        file = await imports.get(reading, visit.request.path_params["id"])
        paces = await paces_of(reading, [imports.subject(file)])
    return visit.page("live.html", progress=_progress(file, paces, reading.now))


async def _listed(visit: Visit, problem: Problem | None = None) -> Response:
    async with visit.read() as reading:
        page = await imports.page(reading, None, first=ROWS, skip=skipped(visit))
        paces = await paces_of(reading, map(imports.subject, page.rows))
        shown = [(each, _progress(each, paces, reading.now)) for each in page.rows]
    return visit.page(
        "imports.html",
        200 if problem is None else problem.status,
        listed=listing(visit, page),
        shown=shown,
        titles=TITLES,
        columns=COLUMNS,
        labels=LABELS,
        typed=NOTHING if problem is None else problem.form,
        problem=problem,
        largest=visit.store.settings.max_import_mib,
    )


def _progress(file: ImportFile, paces: Mapping[Subject, Pace], now: datetime) -> Progress:
    subject = imports.subject(file)
    return Progress(
        f"/office/imports/{file.id}",
        "rows",
        file.status,
        file.done,
        file.rows,
        file.ended_at is None,
        paces.get(subject) if subject else None,
        now,
    )


async def _pieces(content: bytes) -> AsyncGenerator[bytes, None]:
    yield content
