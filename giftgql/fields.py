"""How root fields are declared: with who may call them, or not at all.

`@query(requires=…)` and `@mutation(requires=…)` check before the resolver runs, by set membership,
and put `@requires` into the schema. `schema.build` refuses a root field without it.
"""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

import strawberry
from graphql import FieldNode, FragmentSpreadNode, InlineFragmentNode, SelectionSetNode
from strawberry.schema_directive import Location
from strawberry.types.base import get_object_definition
from strawberry.types.field import StrawberryField

from giftgql.context import Info
from giftgql.errors import PermissionDenied
from giftgql.permissions import Caller, CallerKind, Permission

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
Resolver = Callable[Concatenate[Any, Info, Arguments], Awaitable[Result]]

MEMBER_TOKEN = "a member's token"  # noqa: S105  says what is needed
STAFF = "a staff member"
_KINDS = {MEMBER_TOKEN: CallerKind.MEMBER, STAFF: CallerKind.STAFF}
Need = Permission | tuple[Permission, ...] | str


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION],
    description="The caller needs one of these permissions, or a member's token, or is to be "
    "staff; else `PERMISSION_DENIED`. A field's description names what else its arguments need.",
)
class Requires:
    any_of: list[str]


def query(*, requires: Need, description: str) -> Callable[[Resolver[..., Any]], Any]:
    """Declare a root query field that only these callers may use."""
    return _root_field(strawberry.field, requires, description)


def mutation(*, requires: Need, description: str) -> Callable[[Resolver[..., Any]], Any]:
    """Declare a root mutation field that only these callers may use."""
    return _root_field(strawberry.mutation, requires, description)


def resolved(*, description: str) -> Callable[[Callable[..., Any]], Any]:
    """Declare a field of a type that is worked out when it is asked for."""
    declare: Callable[[Callable[..., Any]], Any] = strawberry.field(description=description)
    return declare


def extend(owner: type, *, description: str) -> Callable[[Resolver[..., Any]], Any]:
    """Add a resolver as a field to a type of an earlier feature, as SDL's `extend type` does."""

    def declare(resolver: Resolver[..., Any]) -> Any:
        field: StrawberryField = strawberry.field(resolver=resolver, description=description)
        field.python_name = resolver.__name__
        field.origin = owner
        get_object_definition(owner, strict=True).fields.append(field)
        return resolver

    return declare


def _root_field(
    declare: Callable[..., Any], requires: Need, description: str
) -> Callable[[Resolver[..., Any]], Any]:
    needs = requires if isinstance(requires, tuple) else (requires,)
    names = [str(need) for need in needs]

    def decorate(resolver: Resolver[Arguments, Result]) -> Any:
        @wraps(resolver)
        async def gated(
            self: Any, info: Info, *args: Arguments.args, **kwargs: Arguments.kwargs
        ) -> Result:
            if not any(_meets(info.context.caller, need) for need in needs):
                raise PermissionDenied(" or ".join(names))
            return await resolver(self, info, *args, **kwargs)

        field: StrawberryField = declare(
            resolver=gated, description=description, directives=[Requires(any_of=names)]
        )
        _leave_out_nulls(field)
        return field

    return decorate


def _leave_out_nulls(field: StrawberryField) -> None:
    """Arguments that default to null get no default in the schema: what is left out then costs
    nothing at each request, and the resolver's own default says the same."""
    assert field.base_resolver is not None
    for argument in field.base_resolver.arguments:
        if argument.default is None:
            argument.default = strawberry.UNSET


def _meets(caller: Caller, need: Permission | str) -> bool:
    if isinstance(need, Permission):
        return caller.may(need)
    return caller.kind is _KINDS[need]


def selected(info: Info) -> frozenset[str]:
    """The names of all fields asked for below this one, at any depth, through fragments."""
    fragments = info._raw_info.fragments
    names: set[str] = set()
    entered: set[str] = set()

    def walk(selections: SelectionSetNode | None) -> None:
        for node in selections.selections if selections else ():
            match node:
                case FieldNode():
                    names.add(node.name.value)
                    walk(node.selection_set)
                case InlineFragmentNode():
                    walk(node.selection_set)
                case FragmentSpreadNode() if node.name.value not in entered:
                    entered.add(node.name.value)
                    walk(fragments[node.name.value].selection_set)

    for node in info._raw_info.field_nodes:
        walk(node.selection_set)
    return frozenset(names)
