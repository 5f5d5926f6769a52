"""The command line. Imports are made in the commands, so that `--help` answers at once.

Every command works while the server runs. What goes wrong is said in a sentence on standard
error, with exit code 1; an unknown option is exit code 2.
"""

import json
import os
from typing import TYPE_CHECKING, Annotated

import typer

from giftgql import cli_audit, cli_bulk, cli_operations, cli_reports, cli_staff
from giftgql.permissions import THE_OPERATOR
from giftgql.terminal import fail, run, settings_or_fail, with_store

if TYPE_CHECKING:
    from giftgql.store import Store

app = typer.Typer(
    name="giftgql",
    help="The gift card server that any shop, till or app can call.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
client = typer.Typer(help="Clients: the systems that call the server.", no_args_is_help=True)
member = typer.Typer(help="Members: the retailer's customers.", no_args_is_help=True)
keys = typer.Typer(help="The keys that codes and PINs are kept with.", no_args_is_help=True)
app.add_typer(client, name="client")
app.add_typer(member, name="member")
app.add_typer(keys, name="keys")

Roles = Annotated[list[str] | None, typer.Option(help="A role; may be repeated.")]
Permissions = Annotated[
    list[str] | None, typer.Option(help="A single permission; may be repeated.")
]
OnlyTrusted = Annotated[
    bool,
    typer.Option("--trusted-documents-only", help="It may run no documents but trusted ones."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]


def main() -> None:
    os.umask(0o077)  # the database, its keys and its logs are for one user
    app()


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=0, max=65535)] = 8000,
    workers: Annotated[int, typer.Option(help="Processes; on SQLite one.", min=1, max=64)] = 1,
) -> None:
    """Run the server; creates the database, the keys and a first client where there are none."""
    from giftgql import server

    settings = settings_or_fail()
    if workers > 1 and settings.sqlite_file is not None:
        fail(
            "SQLite takes one server process. Leave out --workers, or set GIFTGQL_DATABASE_URL "
            "to a PostgreSQL database."
        )
    is_ready = run(lambda: server.prepare(settings, host))
    try:
        server.run(settings, host, port, workers, with_example=is_ready)
    except (server.PortTaken, server.NotStarted) as error:
        fail(str(error))


@app.command()
def migrate() -> None:
    """Bring the database up to date. The server does so itself when it starts."""
    from giftgql import migrations
    from giftgql.startup import Form, form_of

    async def find(store: "Store") -> Form:
        async with store.read() as reading:
            return await form_of(reading.session)

    is_newer = with_store(find) is Form.NEWER
    says = ": a newer giftgql has added to it" if is_newer else f" ({migrations.newest()})"
    typer.echo(f"The database is up to date{says}.")


@app.command()
def schema() -> None:
    """Print the GraphQL schema."""
    from giftgql.schema import build

    typer.echo(build().as_str())


@client.command("add")
def client_add(
    name: Annotated[str, typer.Argument(help="What it is; may be given twice.")],
    role: Roles = None,
    permission: Permissions = None,
    channel: Annotated[str, typer.Option(help="IN_STORE or ONLINE.")] = "ONLINE",
    only_trusted: OnlyTrusted = False,
    as_json: AsJson = False,
) -> None:
    """Add a client and print its client_id and client_secret, once."""
    from giftgql.clients import service
    from giftgql.permissions import Channel

    known = {each.value: each for each in Channel}
    if channel not in known:
        fail("--channel must be IN_STORE or ONLINE.")

    async def add(store: "Store") -> service.Credential:
        async with store.write(THE_OPERATOR) as tx:
            return await service.add(
                tx,
                name,
                roles=role or (),
                permissions=permission or (),
                channel=known[channel],
                only_trusted=only_trusted,
            )

    _print_credential(with_store(add), as_json)


@client.command("list")
def client_list(as_json: AsJson = False) -> None:
    """List all clients."""

    async def page(store: "Store") -> list[dict[str, object]]:
        async with store.read() as reading:
            return [
                {
                    "client_id": each.public_id,
                    "name": each.name,
                    "channel": each.channel.value,
                    "roles": each.roles,
                    "permissions": each.permissions,
                    "trusted_documents_only": each.only_trusted,
                    "disabled": each.disabled_at is not None,
                }
                for each in await reading.clients.page()
            ]

    clients = with_store(page)
    if as_json:
        typer.echo(json.dumps(clients, indent=2))
        return
    for each in clients:
        rights = ", ".join([*each["roles"], *each["permissions"]]) or "no rights"  # type: ignore[misc]
        state = "disabled" if each["disabled"] else each["channel"]
        bound = ", trusted documents only" if each["trusted_documents_only"] else ""
        typer.echo(f"{each['client_id']}  {state:<8}  {each['name']}  ({rights}{bound})")


@client.command("rights")
def client_rights(
    client_id: Annotated[str, typer.Argument(help="The client's id.")],
    role: Roles = None,
    permission: Permissions = None,
) -> None:
    """Give a client these rights in place of those it has; a running server follows in seconds."""
    from giftgql.clients import service

    async def set_rights(store: "Store") -> None:
        async with store.write(THE_OPERATOR) as tx:
            await service.set_rights(tx, client_id, roles=role or (), permissions=permission or ())

    with_store(set_rights)
    typer.echo(f"{client_id} has new rights.")


@client.command("documents")
def client_documents(
    client_id: Annotated[str, typer.Argument(help="The client's id.")],
    only_trusted: Annotated[
        bool, typer.Option("--trusted-only/--any", help="Which documents the client may run.")
    ],
) -> None:
    """Let a client run trusted documents only, or any; a running server follows in seconds."""
    from giftgql.clients import service

    async def bind(store: "Store") -> None:
        async with store.write(THE_OPERATOR) as tx:
            await service.bind(tx, client_id, only_trusted=only_trusted)

    with_store(bind)
    typer.echo(f"{client_id} may run {'trusted' if only_trusted else 'all'} documents.")


@client.command("disable")
def client_disable(client_id: Annotated[str, typer.Argument(help="The client's id.")]) -> None:
    """Refuse a client from now on; a running server follows within seconds."""
    from giftgql.clients import service

    async def disable(store: "Store") -> None:
        async with store.write(THE_OPERATOR) as tx:
            await service.disable(tx, client_id)

    with_store(disable)
    typer.echo(f"{client_id} is disabled.")


@client.command("rotate")
def client_rotate(
    client_id: Annotated[str, typer.Argument(help="The client's id.")], as_json: AsJson = False
) -> None:
    """Give a client a new secret. The one before goes on working until the next rotation."""
    from giftgql.clients import service

    async def rotate(store: "Store") -> service.Credential:
        async with store.write(THE_OPERATOR) as tx:
            return await service.rotate(tx, client_id)

    _print_credential(with_store(rotate), as_json)


@client.command("limits")
def client_limits(
    client_id: Annotated[str, typer.Argument(help="The client's id.")],
    lift: Annotated[bool, typer.Option("--lift", help="Forget its failures.")] = False,
) -> None:
    """Show what a client failed to look up and until when it is refused; or let it go on."""
    from giftgql.tries import failures

    async def standing(store: "Store") -> failures.Standing:
        if lift:
            async with store.write(THE_OPERATOR) as tx:
                await failures.lift(tx, client_id)
        async with store.read() as reading:
            return await failures.standing(reading, client_id)

    stands = with_store(standing)
    is_suspended = stands.suspended_until is not None
    state = "suspended" if is_suspended else "refused" if stands.refused_until else "free"
    until = f" until {stands.refused_until:%Y-%m-%d %H:%M:%S} UTC" if stands.refused_until else ""
    typer.echo(f"{client_id} is {state}{until}; {stands.sources} of its sources are refused.")
    for each in stands.hours:
        counts = f"{each.found + each.failed} look-ups, {each.failed} failed"
        typer.echo(f"{each.hour:%Y-%m-%d %H}:00  {counts}, {each.unknown} unknown codes")


@member.command("add")
def member_add(
    member_id: Annotated[str, typer.Argument(help="The retailer's own id.")],
    name: Annotated[str | None, typer.Option(help="Name.")] = None,
    email: Annotated[str | None, typer.Option(help="E-mail address.")] = None,
    phone: Annotated[str | None, typer.Option(help="Telephone number.")] = None,
) -> None:
    """Add a member."""
    import strawberry

    from giftgql.members import service
    from giftgql.members.api import MemberAddInput

    given = MemberAddInput(id=strawberry.ID(member_id), name=name, email=email, phone=phone)

    async def add(store: "Store") -> None:
        facts = given.parsed()
        async with store.write(THE_OPERATOR) as tx:
            await service.add(tx, facts)

    with_store(add)
    typer.echo(f"{member_id} is added.")


@keys.command("new")
def keys_new() -> None:
    """Make a key file where there is none, as production needs before the first start."""
    from giftgql.vault import Keyring

    path = settings_or_fail().keyring_file
    try:
        Keyring.new().write(path)
    except FileExistsError:
        fail(f"There is a key file at {path} already; it is left as it is.")
    typer.echo(f"New keys are in {path}. Keep a copy apart from the database's backups.")


@keys.command("rotate")
def keys_rotate() -> None:
    """Make a new key for codes and PINs, and encrypt all codes with it, while servers run.

    Servers on other machines need the new key file before they meet the new key.
    """
    path = settings_or_fail().keyring_file
    with_store(_rotate)
    typer.echo(f"A new key is in {path}, and all codes are encrypted with it. Keep a copy of it.")


cli_operations.add_to(app)
cli_staff.add_to(app)
cli_bulk.add_to(app)
cli_reports.add_to(app)
cli_audit.add_to(app)


async def _rotate(store: "Store") -> None:
    from giftgql import work
    from giftgql.startup import RESEAL, rotate_keys

    await rotate_keys(store)
    await work.see_done(store, RESEAL)


def _print_credential(credential: object, as_json: bool) -> None:
    from giftgql.clients.service import Credential

    assert isinstance(credential, Credential)
    if as_json:
        shown = {"client_id": credential.client_id, "client_secret": credential.client_secret}
        typer.echo(json.dumps(shown))
    else:
        typer.echo(f"client_id      {credential.client_id}")
        typer.echo(f"client_secret  {credential.client_secret}")
        typer.echo("The secret is not shown again.")
