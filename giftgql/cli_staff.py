"""Commands for staff: the people who sign in."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from giftgql.permissions import THE_OPERATOR
from giftgql.terminal import with_store

if TYPE_CHECKING:
    from giftgql.staff.service import Credential
    from giftgql.store import Store

staff = typer.Typer(help="Staff: the people who sign in.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(help="The staff member's id.")]
Roles = Annotated[list[str] | None, typer.Option(help="A role; may be repeated.")]
Permissions = Annotated[
    list[str] | None, typer.Option(help="A single permission; may be repeated.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]


def add_to(app: typer.Typer) -> None:
    app.add_typer(staff, name="staff")


@staff.command("add")
def add(
    name: Annotated[str, typer.Argument(help="Who it is; may be given twice.")],
    role: Roles = None,
    permission: Permissions = None,
    as_json: AsJson = False,
) -> None:
    """Add a staff member and print the personal access key to sign in with, once."""
    from giftgql.staff import service

    async def added(store: "Store") -> service.Credential:
        async with store.write(THE_OPERATOR) as tx:
            return await service.add(tx, name, roles=role or (), permissions=permission or ())

    _print_key(with_store(added), as_json)


@staff.command("list")
def list_all(as_json: AsJson = False) -> None:
    """List all staff."""

    async def page(store: "Store") -> list[dict[str, object]]:
        async with store.read() as reading:
            return [
                {
                    "staff_id": each.public_id,
                    "name": each.name,
                    "roles": each.roles,
                    "permissions": each.permissions,
                    "provider": each.issuer,
                    "disabled": each.disabled_at is not None,
                }
                for each in await reading.staff.page()
            ]

    people = with_store(page)
    if as_json:
        typer.echo(json.dumps(people, indent=2))
        return
    for each in people:
        rights = ", ".join([*each["roles"], *each["permissions"]]) or "no rights"  # type: ignore[misc]
        state = "disabled" if each["disabled"] else "provider" if each["provider"] else "key"
        typer.echo(f"{each['staff_id']}  {state:<8}  {each['name']}  ({rights})")


@staff.command("rights")
def set_rights(staff_id: Id, role: Roles = None, permission: Permissions = None) -> None:
    """Give a staff member these rights in place of those held; sessions follow at once."""
    from giftgql.staff import service

    async def given(store: "Store") -> None:
        async with store.write(THE_OPERATOR) as tx:
            await service.set_rights(tx, staff_id, roles=role or (), permissions=permission or ())

    with_store(given)
    typer.echo(f"{staff_id} has new rights.")


@staff.command("disable")
def disable(staff_id: Id) -> None:
    """Refuse a staff member from now on; sessions end at once."""
    from giftgql.staff import service

    async def disabled(store: "Store") -> None:
        async with store.write(THE_OPERATOR) as tx:
            await service.disable(tx, staff_id)

    with_store(disabled)
    typer.echo(f"{staff_id} is disabled.")


@staff.command("rotate")
def rotate(staff_id: Id, as_json: AsJson = False) -> None:
    """Give a staff member a new key. The one before goes on working until the next rotation."""
    from giftgql.staff import service

    async def rotated(store: "Store") -> service.Credential:
        async with store.write(THE_OPERATOR) as tx:
            return await service.new_key(tx, staff_id)

    _print_key(with_store(rotated), as_json)


@staff.command("revoke")
def revoke(staff_id: Id) -> None:
    """End all keys of a staff member, and the sessions opened by them; say, of a lost one."""
    from giftgql.staff import service

    async def revoked(store: "Store") -> None:
        async with store.write(THE_OPERATOR) as tx:
            await service.revoke_keys(tx, staff_id)

    with_store(revoked)
    typer.echo(f"The keys of {staff_id} have ended; 'giftgql staff rotate' makes a new one.")


def _print_key(made: "Credential", as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"staff_id": made.staff_id, "key": made.key}))
    else:
        typer.echo(f"staff_id  {made.staff_id}")
        typer.echo(f"key       {made.key}")
        typer.echo("The key is not shown again. Sign in with it at /sign-in.")
