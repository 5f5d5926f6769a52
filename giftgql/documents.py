"""Documents, each read once: parsed, measured against the limits, validated; then remembered.

Tills send the same few documents over and over. They are remembered by their text, which costs
one hash of a string; Strawberry's own caches hash the whole tree of a document, at each request.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from graphql import DocumentNode, GraphQLError, GraphQLSchema, parse, specified_rules
from strawberry.extensions import SchemaExtension
from strawberry.schema.schema import validate_document

from giftgql.choices import DocumentLimits
from giftgql.context import Context
from giftgql.guard import INTROSPECTION, Measured, measured, operations
from giftgql.permissions import Permission

REMEMBERED, LONGEST_REMEMBERED = 200, 4_000


@dataclass(frozen=True)
class Document:
    """A document that is within the limits, with what is wrong with it otherwise."""

    tree: DocumentNode
    kind: str
    """`mutation` if one of its operations is, else `query`."""

    measure: Measured
    errors: list[GraphQLError]


class Documents:
    """Reads documents of one schema, and remembers the latest 200 of up to 4,000 characters."""

    def __init__(self) -> None:
        self.remembered = lru_cache(maxsize=REMEMBERED)(self.read)

    def get(self, text: str, schema: GraphQLSchema, limits: DocumentLimits) -> Document:
        """Raises GraphQLSyntaxError, or OperationTooComplex for a document beyond a limit."""
        if len(text) > LONGEST_REMEMBERED:
            return self.read(text, schema, limits)
        return self.remembered(text, schema, limits)

    @staticmethod
    def read(text: str, schema: GraphQLSchema, limits: DocumentLimits) -> Document:
        tree = parse(text, max_tokens=limits.tokens)
        measure = measured(tree, limits)
        kinds = {each.operation.value for each in operations(tree)}
        kind = "mutation" if "mutation" in kinds else "query"
        errors = validate_document(schema, tree, tuple(specified_rules))
        return Document(tree, kind, measure, errors)


class ReadDocument(SchemaExtension):
    """Hands Strawberry documents that are read already; refuses what the caller may not ask."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._errors: Sequence[GraphQLError] = ()

    def on_parse(self) -> Iterator[None]:
        execution = self.execution_context
        context: Context = execution.context
        limits = context.store.settings.document_limits
        document = self._documents.get(execution.query or "", execution.schema._schema, limits)
        document.measure.check(execution.variables, limits)
        if context.operation_name is None and len(operations(document.tree)) > 1:
            raise GraphQLError("operationName is needed: the document has several operations.")
        if not INTROSPECTION.isdisjoint(document.measure.root_fields):
            context.caller.require(Permission.INTROSPECT_SCHEMA)
        if not document.errors:
            context.fields, context.kind = document.measure.root_fields, document.kind
        execution.graphql_document = document.tree
        self._errors = document.errors
        yield

    def on_validate(self) -> Iterator[None]:
        self.execution_context.pre_execution_errors = list(self._errors)
        yield
