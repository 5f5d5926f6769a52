"""Commands for whoever runs the server: what is wrong with it, backups, and the way back."""

import asyncio
import json
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from giftgql.terminal import counted, fail, run, settings_or_fail

if TYPE_CHECKING:
    from giftgql.backups import Copied


def add_to(app: typer.Typer) -> None:
    app.command()(doctor)
    app.command()(backup)
    app.command()(restore)
    app.command()(restored)


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
    strict: Annotated[bool, typer.Option(help="Exit with 1 for warnings as well.")] = False,
) -> None:
    """Say what is wrong, or may become so, and what to do; exit with 1 if something is wrong."""
    from giftgql.doctor import examine
    from giftgql.findings import Level

    findings = asyncio.run(examine())
    worst = {finding.level for finding in findings}
    is_well = Level.WRONG not in worst and not (strict and Level.WARNING in worst)
    if as_json:
        listed = [
            {"level": each.level, "what": each.what, "says": each.says, "do": each.do or None}
            for each in findings
        ]
        typer.echo(json.dumps({"isWell": is_well, "findings": listed}, indent=2))
    else:
        for finding in findings:
            typer.echo(str(finding))
    if not is_well:
        raise typer.Exit(1)


def backup(
    file: Annotated[Path, typer.Argument(help="A file that is not there yet.")],
) -> None:
    """Copy the database into a file while servers run, and check the copy. The keys are not in it.

    On PostgreSQL this is pg_dump, whose file pg_restore reads.
    """
    from giftgql import backups

    settings = settings_or_fail()
    copied = _do(backups.back_up(settings, file))
    typer.echo(f"{file} has {copied.bytes / 2**20:,.1f} MiB{_books(copied)}")
    typer.echo(f"It does not hold the keys: keep a copy of {settings.keyring_file} apart.")
    _exit_for(copied)


def restore(
    file: Annotated[Path, typer.Argument(help="What giftgql backup has made.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Keep a SQLite database that is there beside.")
    ] = False,
) -> None:
    """Make a backup the database, with the server stopped; on PostgreSQL one that is empty."""
    from giftgql import backups

    copied = _do(backups.restore(settings_or_fail(), file, replacing=replace))
    typer.echo(f"{file} is the database now{_books(copied)}")
    typer.echo(ANEW)
    _exit_for(copied)


def restored() -> None:
    """Say that the database was restored by other means: begin a new epoch, check the books."""
    from giftgql import backups

    copied = _do(backups.begin_anew(settings_or_fail()))
    typer.echo(f"The database begins a new epoch{_books(copied)}")
    typer.echo(ANEW)
    _exit_for(copied)


ANEW = 'Systems that keep a copy are refused once, and begin synchronisation anew with since: "".'


def _do(work: "Coroutine[Any, Any, Copied]") -> "Copied":
    from giftgql import backups, log

    log.configure(settings_or_fail(), plain=True)

    async def whole() -> "Copied":
        return await work

    try:
        return run(whole)
    except backups.BackupError as error:
        fail(str(error))


def _books(copied: "Copied") -> str:
    if copied.wrong is None:
        return "; its books are not checked: run 'giftgql verify' where it is restored."
    if copied.wrong:
        return f"; {counted(copied.wrong, 'row')} of its books are wrong: run 'giftgql verify'."
    return f", with {counted(copied.movements or 0, 'movement')}; the books are clean."


def _exit_for(copied: "Copied") -> None:
    if copied.wrong:
        raise typer.Exit(1)
