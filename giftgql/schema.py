"""The GraphQL schema, put together from the features' parts."""

from functools import cache

import strawberry
import structlog
from graphql import GraphQLError
from strawberry.schema.config import StrawberryConfig
from strawberry.tools import merge_types
from strawberry.types import ExecutionContext
from strawberry.types.base import get_object_definition

from giftgql.audit.api import AuditQuery
from giftgql.campaigns.api import CampaignMutation, CampaignQuery
from giftgql.cards.api import CardMutation, CardQuery
from giftgql.documents import Documents, ReadDocument
from giftgql.erasure.api import ErasureMutation
from giftgql.errors import ErrorCode, OperationTooComplex, Refusal
from giftgql.fields import Requires
from giftgql.imports.api import ImportQuery
from giftgql.issuing.api import IssuingMutation
from giftgql.members.api import MemberMutation, MemberQuery
from giftgql.movements.api import MovementMutation, MovementQuery
from giftgql.orders.api import OrderMutation, OrderQuery
from giftgql.outbox.api import OutboxMutation, OutboxQuery
from giftgql.pools.api import PoolMutation, PoolQuery
from giftgql.products.api import ProductMutation, ProductQuery
from giftgql.reports.api import ReportQuery
from giftgql.settings import Settings
from giftgql.staff.api import StaffQuery
from giftgql.standing.api import StandingMutation
from giftgql.values import SCALARS
from giftgql.webhooks.api import WebhookMutation, WebhookQuery

log = structlog.get_logger("giftgql.graphql")

Query = merge_types(
    "Query",
    (
        *(CardQuery, MovementQuery, ProductQuery, PoolQuery, ImportQuery, CampaignQuery),
        *(OrderQuery, ReportQuery, MemberQuery, OutboxQuery, WebhookQuery, StaffQuery),
        AuditQuery,
    ),
)
Mutation = merge_types(
    "Mutation",
    (
        *(CardMutation, IssuingMutation, MovementMutation, StandingMutation),
        *(ProductMutation, PoolMutation, CampaignMutation, OrderMutation),
        *(MemberMutation, ErasureMutation, OutboxMutation, WebhookMutation),
    ),
)

get_object_definition(Query, strict=True).description = "What can be read."
get_object_definition(
    Mutation, strict=True
).description = (
    "What can be changed. Each is a transaction of its own; a refused one leaves the others."
)


class Schema(strawberry.Schema):
    """Logs what went wrong without a word of the document or its variables: they hold codes."""

    def process_errors(
        self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None
    ) -> None:
        for error in errors:
            if isinstance(error.original_error, Refusal) or is_of_the_document(error):
                continue  # the caller's own doing
            log.error("fault", path=error.path, exc_info=error.original_error)


def is_of_the_document(error: GraphQLError) -> bool:
    """Whether the document or its variables are at fault. An argument that is given null by a
    nullable variable is found out only when its field is resolved, so it has a path."""
    if error.path is None:
        return bool(error.nodes) or isinstance(error.original_error, GraphQLError | None)
    is_graphql = isinstance(error.original_error, GraphQLError | None)
    return is_graphql and error.message.startswith("Argument '")


def fits(text: str, settings: Settings) -> bool:
    """Whether a document would be run: it is GraphQL, within the limits, and fits the schema."""
    try:
        found = Documents.read(text, build()._schema, settings.document_limits)
    except (GraphQLError, OperationTooComplex):
        return False
    return not found.errors


@cache
def build() -> Schema:
    """The one schema of this process, which remembers the documents it has read."""
    for root in (Query, Mutation):
        for field in get_object_definition(root, strict=True).fields:
            if not any(isinstance(directive, Requires) for directive in field.directives):
                raise TypeError(f"root field {field.python_name} does not say who may use it")
    documents = Documents()
    config = StrawberryConfig(disable_field_suggestions=True, scalar_map=SCALARS)
    return Schema(
        Query,
        Mutation,
        types=[ErrorCode],
        extensions=[lambda: ReadDocument(documents)],
        config=config,
    )
