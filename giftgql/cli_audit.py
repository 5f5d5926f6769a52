"""Commands for the audit trail."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from giftgql.terminal import counted, with_store

if TYPE_CHECKING:
    from giftgql.seals.service import Verdict
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
    """Check the audit trail and the journal against their seals, and print the last seal, to be
    kept elsewhere."""
    from giftgql.seals import service as seals

    async def work(store: "Store") -> "Verdict":
        kept = seals.anchors(anchor or ())
        async with store.read() as reading:  # what is sealed changes no more
            return await seals.verify(reading, kept)

    found = with_store(work)
    last = None if found.last is None else seals.shown(found.last)
    names = ("events", "movements", "seals", "unsealed", "unread")
    counts = {name: getattr(found, name) for name in names}
    if as_json:
        typer.echo(json.dumps({**counts, "seal": last, "wrong": found.wrong}))
    else:
        for sentence in found.wrong:
            typer.echo(sentence)
        typer.echo(
            f"{counted(found.events, 'event')}, {found.movements:,} movements and ends of holds, "
            f"{counted(found.seals, 'seal')}, {counted(found.unsealed, 'row')} not sealed yet."
        )
        if found.unread:
            typer.echo(
                f"{counted(found.unread, 'seal')} of before the database was restored elsewhere: "
                "of movements of then nothing can be said."
            )
        if last is not None:
            typer.echo(f"The last seal, to be kept elsewhere: {last}")
    if found.wrong:
        raise typer.Exit(1)
