"""Commands for many cards at once: imports, exports, and the worker that does jobs."""

import asyncio
import sys
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager, suppress
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO, TypeVar

import typer

from giftgql.terminal import fail, run, settings_or_fail, with_store

if TYPE_CHECKING:
    from giftgql.imports.models import ImportFile, ImportKind
    from giftgql.spreadsheets import Table
    from giftgql.store import Store

imports = typer.Typer(help="Import pools and cards from CSV.", no_args_is_help=True)
exports = typer.Typer(help="Export cards and codes as CSV.", no_args_is_help=True)

Member = TypeVar("Member", bound=Enum)

READ = 1 << 17
REDRAW_SECONDS = 0.2

File = Annotated[Path, typer.Argument(help="A CSV file; - reads standard input.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check every row; write nothing.")]
Out = Annotated[Path | None, typer.Option("--out", help="Write there, not to standard output.")]
FromDay = Annotated[
    datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="From this day on.")
]
ToDay = Annotated[
    datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="To the end of this day.")
]
Failures = Annotated[
    Path | None, typer.Option(help="Write the rows that were not imported there, with why.")
]


def add_to(app: typer.Typer) -> None:
    app.add_typer(imports, name="import")
    app.add_typer(exports, name="export")
    app.command()(worker)


@imports.command("pools")
def import_pools(file: File, dry_run: DryRun = False, failures: Failures = None) -> None:
    """Import pools; each becomes a product."""
    _import("POOLS", file, dry_run, failures)


@imports.command("cards")
def import_cards(file: File, dry_run: DryRun = False, failures: Failures = None) -> None:
    """Import cards into pools. Stopped in the middle and started again, it goes on there."""
    _import("CARDS", file, dry_run, failures)


def _import(kind: str, file: Path, dry_run: bool, failures: Path | None) -> None:
    from giftgql.imports import receiving, service
    from giftgql.imports.models import ImportKind
    from giftgql.permissions import THE_OPERATOR

    _look_at(file, failures)
    if dry_run:
        _try_out(ImportKind[kind], file)
        return

    async def work(store: "Store") -> "ImportFile":
        received = await receiving.receive(store, THE_OPERATOR, ImportKind[kind], _chunks(file))
        assert received.id is not None
        done = await _done(store, received.id)
        if failures is not None and done.failed:
            await _write(await service.failure_export(store, received.id), failures)
        return done

    done = with_store(work)
    _say(done.imported, done.unchanged, done.failed, done.error)
    if done.failed:
        if failures is None:
            typer.echo("--failures FILE writes the rows that failed, to be corrected.", err=True)
        raise typer.Exit(1)


def _look_at(file: Path, failures: Path | None) -> None:
    """Fail before anything is done where a file cannot be read, or written."""
    if file.is_dir():
        fail(f"{file} is a folder.")
    if str(file) != "-" and not file.exists():
        fail(f"There is no file {file}.")
    if failures is not None and failures.exists():
        fail(f"{failures} exists already.")
    if failures is not None and not failures.parent.is_dir():
        fail(f"There is no folder {failures.parent}.")


def _try_out(kind: "ImportKind", file: Path) -> None:
    from giftgql.imports import service

    async def work(store: "Store") -> service.Trial:
        return await service.try_out(store, kind, _chunks(file))

    trial = with_store(work)
    for each in trial.failures:
        place = f"line {each.line}" + (f", {each.column}" if each.column else "")
        typer.echo(f"{place}: {each.reason}")
    _say(trial.imported, trial.unchanged, trial.failed, trial.refusal, would="would be ")
    if trial.failed:
        raise typer.Exit(1)


def _say(
    imported: int, unchanged: int, failed: int, refusal: str | None, *, would: str = ""
) -> None:
    typer.echo(f"{imported:,} {would}imported, {unchanged:,} unchanged, {failed:,} failed.")
    if refusal is not None:
        fail(refusal)


async def _done(store: "Store", import_id: int) -> "ImportFile":
    """See an import to its end."""
    from giftgql import work
    from giftgql.imports import service

    watching = asyncio.create_task(_watch(store, import_id))
    try:
        await work.see_done(store, service.JOB, import_id)
    finally:
        watching.cancel()
        await asyncio.wait([watching])  # it clears its line
    async with store.read() as reading:
        return await service.get(reading, import_id)


async def _watch(store: "Store", import_id: int) -> None:
    """Show how far an import is; on a terminal only."""
    from giftgql.errors import Unavailable
    from giftgql.imports import service

    with _progress() as show:
        while show is not None:
            with suppress(Unavailable):
                async with store.read() as reading:
                    file = await service.get(reading, import_id)
                show(file.done, file.rows)
            await asyncio.sleep(REDRAW_SECONDS)


@contextmanager
def _progress() -> Iterator[Callable[[int, int | None], None] | None]:
    """Shows how many rows are done of how many, if that is known, at which rate, and how long it
    will take; None where nobody sees it."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    rate = TextColumn("rows, {task.fields[rate]:,.0f}/s")
    columns = (BarColumn(), MofNCompleteColumn(), rate, TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=None, rate=0.0)

        def show(done: int, total: int | None) -> None:
            speed = progress.tasks[0].speed or 0.0
            progress.update(task, completed=done, total=total, rate=speed)

        yield show


async def _chunks(file: Path) -> AsyncGenerator[bytes, None]:
    if str(file) == "-":
        source = sys.stdin.buffer
    else:
        source = await asyncio.to_thread(file.open, "rb")
    with source:
        while chunk := await asyncio.to_thread(source.read, READ):
            yield chunk


@exports.command("campaign")
def export_campaign(
    campaign_id: Annotated[int, typer.Argument(help="The campaign's id.")],
    pins: Annotated[bool, typer.Option("--pins", help="With the PINs, which come once.")] = False,
    out: Out = None,
) -> None:
    """Export a campaign's codes in clear, for printing or mailing."""
    from giftgql.exports import service
    from giftgql.permissions import THE_OPERATOR

    async def work(store: "Store") -> None:
        export = await service.campaign_codes(store, THE_OPERATOR, campaign_id, with_pins=pins)
        await _write(export, out)

    with_store(work)


@exports.command("cards")
def export_cards(
    status: Annotated[str | None, typer.Option(help="Only cards in this state.")] = None,
    member_id: Annotated[str | None, typer.Option(help="Only this member's.")] = None,
    product_id: Annotated[int | None, typer.Option(help="Only of this product.")] = None,
    pool_id: Annotated[int | None, typer.Option(help="Only of this pool.")] = None,
    campaign_id: Annotated[int | None, typer.Option(help="Only of this campaign.")] = None,
    out: Out = None,
) -> None:
    """Export cards and what is on them; their codes in clear."""
    from giftgql.cards.criteria import Criteria
    from giftgql.cards.models import CardStatus
    from giftgql.exports import service
    from giftgql.permissions import THE_OPERATOR

    criteria = Criteria(
        status=_member(CardStatus, status, "--status"),
        member_id=member_id,
        product_id=product_id,
        pool_id=pool_id,
        campaign_id=campaign_id,
    )

    async def work(store: "Store") -> None:
        await _write(await service.card_list(store, THE_OPERATOR, criteria), out)

    with_store(work)


@exports.command("transactions")
def export_transactions(
    first: FromDay = None,
    last: ToDay = None,
    trans_type: Annotated[str | None, typer.Option(help="Only of this type.")] = None,
    source_id: Annotated[str | None, typer.Option(help="Only of this source.")] = None,
    card_id: Annotated[int | None, typer.Option(help="Only of this card.")] = None,
    out: Out = None,
) -> None:
    """Export transactions, declined ones too."""
    from giftgql.exports import service
    from giftgql.ledger.models import MovementType
    from giftgql.movements.criteria import Criteria
    from giftgql.permissions import THE_OPERATOR

    criteria = Criteria(
        type=_member(MovementType, trans_type, "--trans-type"),
        source_id=source_id,
        card_ids=None if card_id is None else [card_id],
    )
    days = {"first": first and first.date(), "last": last and last.date()}

    async def work(store: "Store") -> None:
        await _write(await service.transaction_list(store, THE_OPERATOR, criteria, **days), out)

    with_store(work)


@exports.command("audit")
def export_audit(
    first: FromDay = None,
    last: ToDay = None,
    caller: Annotated[str | None, typer.Option(help="Only by this caller.")] = None,
    event: Annotated[str | None, typer.Option(help="Only what is called so.")] = None,
    subject: Annotated[str | None, typer.Option(help="Only of this record: card:12.")] = None,
    source_id: Annotated[str | None, typer.Option(help="Only of this source.")] = None,
    out: Out = None,
) -> None:
    """Export the audit trail."""
    from giftgql.audit.criteria import Criteria
    from giftgql.audit.models import Event
    from giftgql.exports import service
    from giftgql.permissions import THE_OPERATOR

    criteria = Criteria(caller, _member(Event, event, "--event"), subject, source_id)
    days = {"first": first and first.date(), "last": last and last.date()}

    async def work(store: "Store") -> None:
        await _write(await service.audit_trail(store, THE_OPERATOR, criteria, **days), out)

    with_store(work)


def _member(members: type[Member], name: str | None, option: str) -> Member | None:
    if name is not None and name not in members.__members__:
        fail(f"{option} must be one of {', '.join(members.__members__)}.")
    return members[name] if name else None


async def _write(table: "Table", out: Path | None) -> None:
    if out is None:
        await _write_to(sys.stdout.buffer, table)
        return
    with out.open("xb") as file, _progress() as show:
        await _write_to(file, table, show)


async def _write_to(
    file: BinaryIO, table: "Table", show: Callable[[int, int | None], None] | None = None
) -> None:
    from giftgql.spreadsheets import csv_bytes

    done = 0
    file.write(csv_bytes([table.head]))
    async with aclosing(table.pages) as pages:
        async for rows in pages:
            file.write(csv_bytes(rows))
            done += len(rows)
            if show is not None:
                show(done, table.rows)
    file.flush()


def worker() -> None:
    """Do imports, campaigns and all other jobs, until stopped. Several may run; on SQLite the
    server does them itself."""
    from giftgql import log, server

    settings = settings_or_fail()
    if settings.sqlite_file is not None:
        fail(
            "On SQLite the server does the jobs itself. For workers of their own, set "
            "GIFTGQL_DATABASE_URL to a PostgreSQL database."
        )
    log.configure(settings)
    typer.echo("The worker is up.")
    run(lambda: server.work_until_stopped(settings))
