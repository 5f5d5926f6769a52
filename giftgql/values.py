"""Types shared by all features, and the reading of input: once, at the edge, into what fits."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, NewType, TypeVar, dataclass_transform

import orjson
import strawberry
from strawberry.types.base import get_object_definition
from strawberry.types.enum import StrawberryEnumDefinition
from strawberry.types.scalar import ScalarDefinition

from giftgql.choices import RedemptionStrategy
from giftgql.codes import CodeType
from giftgql.errors import Described, ErrorCode, InvalidInput, NotFound
from giftgql.money import Money
from giftgql.paging import FURTHEST_SKIP, LARGEST_PAGE, Page

Input = TypeVar("Input", bound=type)
EnumClass = TypeVar("EnumClass", bound=type[Described])
Item = TypeVar("Item")
Read = TypeVar("Read")

ID = strawberry.ID
JSONObject = NewType("JSONObject", dict[str, Any])

METADATA_BYTES = 4_096
METADATA_DEPTH = 5
_LARGEST_NUMBER = 2**53 - 1


def argument(description: str) -> Any:
    return strawberry.argument(description=description)


def optional(description: str) -> Any:
    """An input that may be left out, which is not the same as giving null."""
    return strawberry.field(default=strawberry.UNSET, description=description)


First = Annotated[int, argument(f"Rows of the page, 1 to {LARGEST_PAGE}.")]
Skip = Annotated[int, argument(f"Rows to pass over, 0 to {FURTHEST_SKIP}.")]
Since = Annotated[
    str | None,
    argument(
        'Begins a synchronisation with "", goes on with the `until` of the answer before: rows '
        "in the order of their last change, none missed. Null: no synchronisation."
    ),
]


@strawberry.type(description="A page of a list.")
class Results(Generic[Item]):
    results: list[Item] = strawberry.field(description="The page's rows.")
    has_more_results: bool = strawberry.field(description="Whether rows follow this page.")
    limited_by_permission: bool = strawberry.field(
        description="Whether something was left out that the caller may not see."
    )
    until: str | None = strawberry.field(
        description="With `since`: give it as `since` of the next call, also when the page is "
        "empty. Null without `since`."
    )


def results(shown: list[Item], page: Page[Any]) -> Results[Item]:
    """A page as it is answered of which nothing was left out."""
    return Results(
        results=shown,
        has_more_results=page.has_more,
        limited_by_permission=False,
        until=page.until,
    )


def register(description: str, name: str | None = None) -> Callable[[EnumClass], EnumClass]:
    """Make a text enum a GraphQL enum, described by its members."""

    def decorate(members: EnumClass) -> EnumClass:
        strawberry.enum(members, name=name, description=description)
        definition: StrawberryEnumDefinition = members.__strawberry_definition__  # type: ignore[attr-defined]
        for value in definition.values:
            value.description = members[value.name].description
        return members

    return decorate


register("What a code is for.")(CodeType)
register("What becomes of what a use leaves on a card.")(RedemptionStrategy)
register("Why an operation failed: `extensions.code` of an error.")(ErrorCode)


@dataclass_transform(kw_only_default=True, field_specifiers=(strawberry.field,))
def secret_input(description: str) -> Callable[[Input], Input]:
    """An input type that may hold codes or PINs: printing it shows its name and nothing else."""

    def decorate(cls: Input) -> Input:
        return strawberry.input(silent(cls), description=description)

    return decorate


def silent(cls: Input) -> Input:
    """Make printing an object of this class show the class's name and nothing else."""
    setattr(cls, "__repr__", _name_only)  # noqa: B010  mypy knows no method may be assigned
    return cls


def _name_only(self: object) -> str:
    return f"{type(self).__name__}(…)"


def facts_of(given: object, *, without: frozenset[str]) -> dict[str, Any]:
    """An input's values as given, those of inputs within it too, absent ones left out: what makes
    a repeated request the same."""
    definition = get_object_definition(type(given), strict=True)
    values = ((each.python_name, getattr(given, each.python_name)) for each in definition.fields)
    return {
        name: _facts(value, without)
        for name, value in values
        if name not in without and value is not strawberry.UNSET
    }


def _facts(value: object, without: frozenset[str]) -> object:
    if isinstance(value, list):
        return [_facts(each, without) for each in value]
    is_input = get_object_definition(value) is not None
    return facts_of(value, without=without) if is_input else value


def given(value: Read | None) -> Read | None:
    """An optional input's value, whether it was left out or given as null."""
    return None if value is strawberry.UNSET else value


def text(value: str, field: str, longest: int, *, lines: bool = False) -> str:
    """Text of 1 to `longest` characters without control characters (`lines`: but line ends)."""
    if not 1 <= len(value) <= longest:
        raise InvalidInput(field, f"must have 1 to {longest} characters")
    plain = value.replace("\n", " ").replace("\r", " ").replace("\t", " ") if lines else value
    if any(character < " " or "\x7f" <= character <= "\x9f" for character in plain):
        raise InvalidInput(field, "has control characters")
    _refuse_half_characters(value, field)
    return value


def moment(value: datetime | None, field: str) -> datetime | None:
    """A moment that a list begins or ends at, with its time zone."""
    if value is not None and value.tzinfo is None:
        raise InvalidInput(field, "needs a time zone, such as Z")
    try:
        return None if value is None else value.astimezone(UTC)
    except OverflowError:
        raise InvalidInput(field, "is in no year from 1 to 9999") from None


def metadata(value: JSONObject, field: str = "metadata") -> dict[str, Any]:
    """A JSON object of at most 4 KiB, nested at most five deep, with numbers within ±2^53."""
    _check_json(value, field, METADATA_DEPTH)
    if len(orjson.dumps(value)) > METADATA_BYTES:
        raise InvalidInput(field, f"has more than {METADATA_BYTES} bytes of JSON")
    return dict(value)


def record_id(value: strawberry.ID) -> int | None:
    """The number in an ID; None where there can be no record of it."""
    digits = str(value)
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= 19):
        return None
    number = int(digits)
    return number if number < 2**63 else None


def known_id(value: strawberry.ID, field: str, what: str) -> int:
    """The number in an ID that names something. Refuses `NOT_FOUND` for what can be none."""
    found = record_id(value)
    if found is None:
        raise NotFound(field, what)
    return found


def _check_json(value: object, field: str, depth: int) -> None:
    match value:
        case dict() | list() if depth == 0:
            raise InvalidInput(field, f"is nested more than {METADATA_DEPTH} deep")
        case dict():
            for key, member in value.items():
                _check_json(key, field, depth)
                _check_json(member, field, depth - 1)
        case list():
            for member in value:
                _check_json(member, field, depth - 1)
        case str():
            if "\x00" in value:
                raise InvalidInput(field, "has a null character")
            _refuse_half_characters(value, field)
        case int() | float() if not abs(value) <= _LARGEST_NUMBER:
            raise InvalidInput(field, "has a number beyond 2^53")


def _refuse_half_characters(value: str, field: str) -> None:
    """A lone surrogate is no character: neither database can store it."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidInput(field, "has half a character (a lone surrogate)") from None


def _parse_json_object(value: object) -> JSONObject:
    if not isinstance(value, dict):
        raise ValueError("JSONObject must be an object.")
    return JSONObject(value)


def _parse_money(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError('Money must be a string such as "-6.49".')
    return value


SCALARS: dict[object, ScalarDefinition] = {
    Money: strawberry.scalar(
        name="Money",
        description="An exact amount as a signed decimal string in the card's currency, with its "
        'minor unit\'s decimals: "-6.49", "500" for JPY, "1.250" for KWD.',
        serialize=str,
        parse_value=_parse_money,
    ),
    JSONObject: strawberry.scalar(
        name="JSONObject",
        description="A JSON object of at most 4 KiB, nested at most five deep.",
        serialize=lambda value: value,
        parse_value=_parse_json_object,
    ),
}
