"""The limits on a GraphQL document, checked in time linear in its length, before validation.

Strawberry's own depth and alias limiters walk each fragment anew wherever it is spread: 660 bytes
of fragments within fragments took one eleven seconds. Here each fragment is measured once.
"""

from dataclasses import dataclass, replace

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
)

from giftgql.choices import DocumentLimits
from giftgql.errors import OperationTooComplex

INTROSPECTION = frozenset({"__schema", "__type"})
INTROSPECTION_DEPTH, INTROSPECTION_FIELDS = 20, 400
DEFINITIONS, DIRECTIVES = 50, 30
NESTING = 100
"""Most selections within each other, fragments expanded: what walks them recurses."""

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


def measured(document: DocumentNode, limits: DocumentLimits) -> tuple[str, ...]:
    """The root fields the document asks for. Refuses one beyond a limit."""
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
    return tuple(sorted(measure.root_fields(operations(document))))


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
        below = self.selection(node.selection_set, level + 1)
        looks_up = any(argument.name.value == "code" for argument in node.arguments or ())
        name, card_levels = node.name.value, below.card_levels
        card_levels += name == "giftcards" or (card_levels > 0 and name.startswith("giftcard"))
        return Size(
            fields=below.fields + 1,
            depth=below.depth + 1,
            aliases=below.aliases + (node.alias is not None),
            roots=1,
            lookups=below.lookups + looks_up,
            directives=below.directives,
            nesting=below.nesting,
            card_levels=card_levels,
            metadata=below.metadata + (name == "metadata"),
        )

    def _fragment(self, name: str, level: int) -> Size:
        fragment = self._fragments.get(name)
        if name not in self._done and fragment is not None:
            self._done[name] = Size()  # a cycle ends here; validation reports it
            self._done[name] = self.selection(fragment.selection_set, level + 1)
        size = self._done.get(name, Size())
        _limit("selections within each other", level + size.nesting, NESTING)
        return size


def _limit(what: str, found: int, limit: int) -> None:
    if found > limit:
        raise OperationTooComplex(what, limit)
