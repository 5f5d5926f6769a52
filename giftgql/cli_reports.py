"""Commands that check the books and report on them, each in one snapshot of the database."""

import json
import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from giftgql.spreadsheets import safe, writer
from giftgql.terminal import counted, fail, with_store

if TYPE_CHECKING:
    from giftgql.reports.service import Finding
    from giftgql.store import Store

report = typer.Typer(help="Reports for the finance people.", no_args_is_help=True)

AsOf = Annotated[
    datetime | None,
    typer.Option(formats=["%Y-%m-%d"], help="The end of this day; without it now."),
]
From = Annotated[datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="The first day.")]
To = Annotated[datetime, typer.Option("--to", formats=["%Y-%m-%d"], help="The last day.")]
AsCsv = Annotated[bool, typer.Option("--csv", help="Print CSV, for spreadsheets.")]

JOURNAL = (
    *("effective_at", "movement_id", "line", "type", "debit", "credit", "amount", "currency"),
    *("caller", "source_id", "ref_no", "reason"),
)


def add_to(app: typer.Typer) -> None:
    app.command()(verify)
    app.command()(journal)
    app.add_typer(report, name="report")


def verify(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
) -> None:
    """Check every invariant of the books, name each row that breaks one, and exit with 1 then."""
    from giftgql.reports import service

    async def check(store: "Store") -> tuple[datetime, int, list[service.Finding]]:
        async with store.snapshot() as reading:
            findings = await service.check(reading)
            return reading.now, await reading.reports.count_movements(), findings

    checked_at, movements, findings = with_store(check)
    unlisted = sum(finding.more for finding in findings)
    if as_json:
        answer = {
            "isClean": not findings,
            "checkedAt": checked_at.isoformat(),
            "movements": movements,
            "findings": [
                {
                    "rule": each.rule.name,
                    "table": each.rule.table,
                    "rowId": each.row_id,
                    "expected": each.expected,
                    "found": each.found,
                }
                for each in findings
            ],
            "unlisted": unlisted,
        }
        typer.echo(json.dumps(answer, indent=2))
    else:
        _print_findings(findings)
        total = len(findings) + unlisted
        wrong = f"{counted(total, 'row')} {'is' if total == 1 else 'are'} wrong"
        state = wrong if findings else "the books are clean"
        typer.echo(f"{counted(movements, 'movement')} checked: {state}.")
    if findings:
        raise typer.Exit(1)


@report.command("trial-balance")
def trial_balance(as_of: AsOf = None, as_csv: AsCsv = False) -> None:
    """Print the sums of each account by currency; those of a currency balance."""
    from giftgql.reports import service

    async def lines(store: "Store") -> list[service.BalanceLine]:
        async with store.snapshot() as reading:
            return await service.trial_balance(reading, as_of and as_of.date())

    rows = [
        (each.currency, each.account, each.debits, each.credits, each.balance)
        for each in with_store(lines)
    ]
    _print_rows(("currency", "account", "debits", "credits", "balance"), rows, as_csv)


@report.command("liability")
def liability(
    as_of: AsOf = None,
    group_by: Annotated[
        str, typer.Option(help="CURRENCY, EXPIRY_MONTH or ISSUE_MONTH.")
    ] = "CURRENCY",
    as_csv: AsCsv = False,
) -> None:
    """Print what is owed to the holders of cards."""
    from giftgql.reports import service
    from giftgql.reports.models import LiabilityGroup

    if group_by not in LiabilityGroup.__members__:
        fail(f"--group-by must be one of {', '.join(LiabilityGroup)}.")
    group = LiabilityGroup[group_by]

    async def lines(store: "Store") -> list[service.LiabilityLine]:
        async with store.snapshot() as reading:
            return await service.liability_lines(reading, as_of and as_of.date(), group)

    rows = [
        (each.amount.currency, each.month or "", each.amount, each.cards)
        for each in with_store(lines)
    ]
    _print_rows(("currency", "month", "amount", "cards"), rows, as_csv)


@report.command("summary")
def summary(
    first: From,
    last: To,
    source_id: Annotated[str | None, typer.Option(help="Only of this source.")] = None,
    as_csv: AsCsv = False,
) -> None:
    """Print what happened at each source on each day, by type and currency."""
    from giftgql.reports import service

    async def lines(store: "Store") -> list[service.SummaryLine]:
        days = service.Days.parsed(first.date(), last.date())
        async with store.snapshot() as reading:
            return await service.summary_lines(reading, days, source_id)

    rows = [
        (
            each.day,
            safe(each.source_id),
            each.type,
            each.amount.currency,
            each.count,
            each.amount,
            each.declined,
        )
        for each in with_store(lines)
    ]
    head = ("day", "source_id", "type", "currency", "count", "amount", "declined")
    _print_rows(head, rows, as_csv)


def journal(first: From, last: To) -> None:
    """Print all postings of a period as CSV, in the order of time."""
    from giftgql.reports import service

    out = writer(sys.stdout)

    async def write(store: "Store") -> str | None:
        """Write all there is; returns why not all of it was taken."""
        days = service.Days.parsed(first.date(), last.date())
        async with store.snapshot() as reading, aclosing(service.journal(reading, days)) as lines:
            try:
                out.writerow(JOURNAL)
                async for each in lines:
                    out.writerow(_journal_row(each))
                sys.stdout.flush()
            except OSError as error:
                return error.strerror or str(error)
        return None

    if refused := with_store(write):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        fail(f"The journal is not complete: {refused}.")


def _journal_row(entry: Any) -> tuple[object, ...]:
    return (
        entry.effective_at.isoformat(),
        entry.movement_id,
        entry.line,
        entry.type,
        entry.debit,
        entry.credit,
        entry.amount,
        entry.amount.currency,
        safe(entry.caller),
        safe(entry.source_id),
        safe(entry.ref_no),
        safe(entry.reason),
    )


def _print_findings(findings: "Sequence[Finding]") -> None:
    for each in findings:
        typer.echo(
            f"{each.rule.name}: {each.rule.table} {each.row_id}: "
            f"expected {each.expected}, found {each.found}"
        )
        if each.more:
            typer.echo(f"{each.rule.name}: {each.more:,} more")


def _print_rows(head: Sequence[str], rows: Iterable[Sequence[object]], as_csv: bool) -> None:
    cells = [[str(cell) for cell in row] for row in rows]
    if as_csv:
        out = writer(sys.stdout)
        out.writerow(head)
        out.writerows(cells)
        return
    widths = [max(len(row[place]) for row in (head, *cells)) for place in range(len(head))]
    for row in (head, *cells):
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        typer.echo(line.rstrip())
