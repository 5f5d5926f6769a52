"""The limits on a GraphQL document, checked in time linear in its length, before validation.

Strawberry's own depth and alias limiters walk each fragment anew wherever it is spread: 660 bytes
of fragments within fragments took one eleven seconds. Here each fragment is measured once.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    ListValueNode,
    ObjectValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValueNode,
    VariableNode,
)

from giftgql.choices import DocumentLimits
from giftgql.errors import OperationTooComplex

INTROSPECTION = frozenset({"__schema", "__type"})
INTROSPECTION_DEPTH, INTROSPECTION_FIELDS = 20, 400
DEFINITIONS, DIRECTIVES = 50, 30
NESTING = 100
"""Most selections within each other, fragments expanded: what walks them recurses."""

LONGEST_NAME = 100
"""Characters of an alias or a field's name: a name stands in the answer once for each row."""

CODES = frozenset({"code", "physicalCode", "externalCode"})
"""Arguments and fields of inputs whose value is looked for among all codes."""

NO_CODES = frozenset({"metadata"})
"""Whose values are the caller's own."""

METADATA = 5
"""It has up to 4 KiB: asked for under thirty names it made an answer of 116 MB."""

CARD_LEVELS = 1
"""A member's cards are asked for once on a way, and not below a card: lists in a circle
multiply, so the circle is not gone round."""

_SATURATED = 1_000_000


@dataclass(frozen=True, slots=True)
class Size:
    """What a selection comes to with its fragments expanded."""

    fields: int = 0
    depth: int = 0
    aliases: int = 0
    roots: int = 0
    lookups: int = 0
    directives: int = 0
    nesting: int = 0
    card_levels: int = 0
    metadata: int = 0

    def beside(self, other: "Size") -> "Size":
        """Both selections next to each other. Counts saturate: they could grow to 3^n."""
        return Size(
            min(self.fields + other.fields, _SATURATED),
            max(self.depth, other.depth),
            min(self.aliases + other.aliases, _SATURATED),
            min(self.roots + other.roots, _SATURATED),
            min(self.lookups + other.lookups, _SATURATED),
            min(self.directives + other.directives, _SATURATED),
            max(self.nesting, other.nesting),
            max(self.card_levels, other.card_levels),
            min(self.metadata + other.metadata, _SATURATED),
        )


@dataclass(frozen=True, slots=True)
class Measured:
    """What is to be known of a document within the limits: its root fields; the look-ups by code
    that it makes itself; the variables that may bring more, with how often each is given."""

    root_fields: tuple[str, ...]
    lookups: int = 0
    given: Mapping[str, int] = field(default_factory=dict)
    defaults: Mapping[str, int] = field(default_factory=dict)

    def check(self, variables: Mapping[str, Any] | None, limits: DocumentLimits) -> None:
        """Refuses more look-ups by code than may be, those in the variables counted too."""
        if not self.given:
            return
        found, variables = self.lookups, variables or {}
        for name, times in self.given.items():
            if name in variables:
                found += times * _codes_in(variables[name])
            else:
                found += times * self.defaults.get(name, 0)
        _limit("look-ups by code", found, limits.code_lookups)


def measured(document: DocumentNode, limits: DocumentLimits) -> Measured:
    """The document's measure. Refuses one beyond a limit."""
    measure = _Measure(document)
    _limit("definitions", len(document.definitions), DEFINITIONS)
    whole = Size()
    for operation in operations(document):
        size = measure.selection(operation.selection_set)
        whole = whole.beside(size)
        _limit("root fields", size.roots, limits.root_fields)
        _limit("levels of fields", size.depth, limits.depth)
    _limit("fields", whole.fields, limits.fields)
    _limit("aliases", whole.aliases, limits.aliases)
    _limit("directives", whole.directives, DIRECTIVES)
    _limit("levels of cards within cards", whole.card_levels, CARD_LEVELS)
    _limit("fields of metadata", whole.metadata, METADATA)
    _limit("look-ups by code", whole.lookups, limits.code_lookups)
    for node in measure.introspection:
        size = measure.selection(node.selection_set)
        _limit("levels of introspection", size.depth, INTROSPECTION_DEPTH)
        _limit("fields of introspection", size.fields, INTROSPECTION_FIELDS)
    return Measured(
        tuple(sorted(measure.root_fields(operations(document)))),
        whole.lookups,
        measure.given,
        {
            variable.variable.name.value: _Codes(variable.default_value).count
            for operation in operations(document)
            for variable in operation.variable_definitions or ()
            if variable.default_value is not None
        },
    )


def operations(document: DocumentNode) -> list[OperationDefinitionNode]:
    return [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]


class _Measure:
    """Measures selections of one document, each fragment once."""

    def __init__(self, document: DocumentNode) -> None:
        self._fragments = {
            node.name.value: node
            for node in document.definitions
            if isinstance(node, FragmentDefinitionNode)
        }
        self._done: dict[str, Size] = {}
        self.introspection: list[FieldNode] = []
        self.given: Counter[str] = Counter()

    def selection(self, selections: SelectionSetNode | None, level: int = 1) -> Size:
        _limit("selections within each other", level, NESTING)
        whole = Size()
        for node in selections.selections if selections else ():
            directives = Size(directives=len(node.directives or ()))
            if isinstance(node, FieldNode):
                size = self._field(node, level)
            elif isinstance(node, FragmentSpreadNode):
                size = self._fragment(node.name.value, level)
            else:
                assert isinstance(node, InlineFragmentNode)
                size = self.selection(node.selection_set, level + 1)
            whole = whole.beside(size).beside(directives)
        return replace(whole, nesting=whole.nesting + 1)

    def root_fields(self, found: list[OperationDefinitionNode]) -> set[str]:
        """The names of the fields at the top, through fragments."""
        names: set[str] = set()
        entered: set[str] = set()
        waiting: list[SelectionSetNode | None] = [each.selection_set for each in found]
        while waiting:
            selections = waiting.pop()
            for node in selections.selections if selections else ():
                if isinstance(node, FieldNode):
                    names.add(node.name.value)
                elif isinstance(node, InlineFragmentNode):
                    waiting.append(node.selection_set)
                elif isinstance(node, FragmentSpreadNode) and node.name.value not in entered:
                    entered.add(node.name.value)
                    fragment = self._fragments.get(node.name.value)
                    waiting.append(fragment.selection_set if fragment else None)
        return names

    def _field(self, node: FieldNode, level: int) -> Size:
        if node.name.value in INTROSPECTION:
            self.introspection.append(node)
            return Size(fields=1, depth=1, roots=1)
        name, alias = node.name.value, node.alias.value if node.alias else ""
        _limit("characters in a name", max(len(name), len(alias)), LONGEST_NAME)
        below = self.selection(node.selection_set, level + 1)
        card_levels = below.card_levels
        card_levels += name == "giftcards" or (card_levels > 0 and name.startswith("giftcard"))
        return Size(
            fields=below.fields + 1,
            depth=below.depth + 1,
            aliases=below.aliases + (node.alias is not None),
            roots=1,
            lookups=below.lookups + self._lookups(node),
            directives=below.directives,
            nesting=below.nesting,
            card_levels=card_levels,
            metadata=below.metadata + (name == "metadata"),
        )

    def _lookups(self, node: FieldNode) -> int:
        """The codes among a field's arguments, and within their literals."""
        found = 0
        for argument in node.arguments or ():
            codes = _Codes(argument.value, argument.name.value)
            self.given.update(codes.variables)
            found += codes.count
        return found

    def _fragment(self, name: str, level: int) -> Size:
        fragment = self._fragments.get(name)
        if name not in self._done and fragment is not None:
            self._done[name] = Size()  # a cycle ends here; validation reports it
            self._done[name] = self.selection(fragment.selection_set, level + 1)
        size = self._done.get(name, Size())
        _limit("selections within each other", level + size.nesting, NESTING)
        return size


class _Codes:
    """How many codes a literal holds, and which variables may hold more."""

    def __init__(self, value: ValueNode, name: str = "") -> None:
        self.count = 0
        self.variables: list[str] = []
        waiting = [(name, value)]
        while waiting:
            name, value = waiting.pop()
            if name in CODES:
                self.count += 1
            elif name in NO_CODES:
                continue
            elif isinstance(value, VariableNode):
                self.variables.append(value.name.value)
            elif isinstance(value, ListValueNode):
                waiting += [(name, each) for each in value.values]
            elif isinstance(value, ObjectValueNode):
                waiting += [(each.name.value, each.value) for each in value.fields]


def _codes_in(variable: Any) -> int:
    """How many codes the value of a variable holds."""
    found, waiting = 0, [variable]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        elif isinstance(value, dict):
            codes = CODES & value.keys()
            found += sum(value[name] is not None for name in codes)
            waiting += [value[name] for name in value.keys() - codes - NO_CODES]
    return found


def _limit(what: str, found: int, limit: int) -> None:
    if found > limit:
        raise OperationTooComplex(what, limit)
