"""Commands for the audit trail."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from giftgql.terminal import with_store

if TYPE_CHECKING:
    from giftgql.audit.seals import Verdict
    from giftgql.store import Store

audit = typer.Typer(help="The audit trail: who did what.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    app.add_typer(audit, name="audit")


@audit.command("verify")
def verify(
    anchor: Annotated[
        list[str] | None,
        typer.Option(help="A seal that was printed before and kept elsewhere; may be repeated."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
) -> None:
    """Check the audit trail against its seals, and print the last seal, to be kept elsewhere."""
    from giftgql.audit import seals

    async def work(store: "Store") -> "Verdict":
        kept = seals.anchors(anchor or ())
        async with store.snapshot() as reading:
            return await seals.verify(reading, kept)

    found = with_store(work)
    last = None if found.last is None else seals.shown(found.last)
    counts = {"events": found.events, "seals": found.seals, "unsealed": found.unsealed}
    if as_json:
        typer.echo(json.dumps({**counts, "seal": last, "wrong": found.wrong}))
    else:
        for sentence in found.wrong:
            typer.echo(sentence)
        typer.echo(
            f"{found.events:,} events, {found.seals:,} seals, {found.unsealed:,} not sealed yet."
        )
        if last is not None:
            typer.echo(f"The last seal, to be kept elsewhere: {last}")
    if found.wrong:
        raise typer.Exit(1)
