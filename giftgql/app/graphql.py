import re
from typing import Any

import orjson
import structlog
from graphql import GraphQLError, GraphQLSyntaxError
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.types import Receive, Scope, Send
from strawberry.http.ides import get_graphql_ide_html
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.types import ExecutionResult
from strawberry.types.graphql import OperationType

from giftgql.app.bodies import BadBody, media_type_of, read_body
from giftgql.app.responses import GRAPHQL_JSON, JSON, failure, json_response
from giftgql.context import Context
from giftgql.errors import ErrorCode, Refusal, Unauthenticated, Unavailable
from giftgql.schema import Schema

log = structlog.get_logger("giftgql.graphql")

MOST_ERRORS = 5
_OPERATIONS = {OperationType.QUERY, OperationType.MUTATION}
_RANK = {GRAPHQL_JSON: 3, JSON: 2, "application/*": 1, "*/*": 0}
_SAYS_A_VALUE = re.compile(
    r"cannot represent|\bfound\b|invalid (?:default )?value|does not exist in|encountered error",
    re.IGNORECASE,
)
_WHERE = re.compile(r"^(?:Variable '\$\w+'|Argument '[\w.]+')")
_AT = re.compile(r" at '?(\.?[A-Za-z_][\w.\[\]]*)")
_EXPECTED = re.compile(
    r"(?:type|enum) '(?P<named>[\w!\[\]]+)'"
    r"|Value cannot represent an? (?P<parsed>\w+)"
    r"|\b(?P<scalar>\w+) cannot represent"
)
_FIELD = re.compile(r"(?:unknown|required) field '\w+'")


class GraphQLEndpoint:
    """GraphQL over HTTP: POST with JSON. A browser's GET gets the explorer.

    The caller is identified from the header before the body is read. A request that cannot be
    executed is answered with 400 under `application/graphql-response+json`, and with 200 under
    `application/json`, as the GraphQL over HTTP specification has it.
    """

    def __init__(self, schema: Schema) -> None:
        self._schema = schema

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        response = await self._respond(request)
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> Response:
        if request.method in ("GET", "HEAD") and "text/html" in request.headers.get("accept", ""):
            return HTMLResponse(get_graphql_ide_html())
        if request.method != "POST":
            return failure(
                405,
                ErrorCode.BAD_REQUEST,
                "GraphQL is answered over POST.",
                headers={"Allow": "POST"},
            )
        media_type = acceptable(request.headers.get("accept"))
        if media_type is None:
            sentence = f"Accept must allow {GRAPHQL_JSON} or {JSON}."
            return failure(406, ErrorCode.BAD_REQUEST, sentence)
        try:
            caller = await request.app.state.callers.identify(request.headers.get("authorization"))
        except Unauthenticated as refusal:
            headers = {"WWW-Authenticate": "Bearer"}
            return failure(401, refusal.code, str(refusal), headers=headers, media_type=media_type)
        except Unavailable as refusal:
            wait = refusal.facts["retryAfter"]
            return failure(503, refusal.code, str(refusal), media_type=media_type, retryAfter=wait)
        facts = request.state.log
        facts["caller"] = caller.name
        try:
            query, variables, name = await _parameters(request)
        except BadBody as bad:
            return failure(bad.status, bad.code, str(bad), media_type=media_type)
        store, request_id = request.app.state.store, facts["request_id"]
        context = Context(caller, store, request_id, operation_name=name)
        answer = await self._execute(context, query, variables)
        facts["fields"] = context.fields
        if "errors" in answer:
            facts["errors"] = [error["extensions"]["code"] for error in answer["errors"]]
        status = 400 if "data" not in answer and media_type == GRAPHQL_JSON else 200
        return json_response(answer, status, media_type=media_type)

    async def _execute(
        self, context: Context, query: str, variables: dict[str, Any] | None
    ) -> dict[str, Any]:
        try:
            result = await self._schema.execute(
                query,
                variable_values=variables,
                context_value=context,
                operation_name=context.operation_name,
                allowed_operation_types=_OPERATIONS,
            )
        except CannotGetOperationTypeError:
            result = _refused("The document has no operation of this operationName.")
        except InvalidOperationTypeError:
            result = _refused("There are no subscriptions.")
        return _answer(result, context)


def _refused(sentence: str) -> ExecutionResult:
    return ExecutionResult(data=None, errors=[GraphQLError(sentence)])


def acceptable(accept: str | None) -> str | None:
    """The media type to answer with; `application/json` where the client names none."""
    if not accept:
        return JSON
    best, best_rank = None, (0.0, -1)
    for part in accept.split(",")[:20]:
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        quality = next((_quality(each) for each in parameters if each.startswith("q=")), 1.0)
        if name in _RANK and 0 < quality <= 1 and (quality, _RANK[name]) > best_rank:
            best_rank = (quality, _RANK[name])
            best = GRAPHQL_JSON if name == GRAPHQL_JSON else JSON
    return best


def _quality(parameter: str) -> float:
    try:
        return float(parameter.removeprefix("q="))
    except ValueError:
        return 0.0


async def _parameters(request: Request) -> tuple[str, dict[str, Any] | None, str | None]:
    """The query, variables and operation name of a body that is as it should be."""
    if media_type_of(request) != JSON:
        raise BadBody(415, f"Content-Type must be {JSON}.")
    body = await read_body(request, request.state.settings)
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise BadBody(400, "The request body is not valid JSON.") from None
    if not isinstance(content, dict):
        raise BadBody(400, "The request body must be a JSON object; there is no batching.")
    query, name = content.get("query"), content.get("operationName")
    variables, extensions = content.get("variables"), content.get("extensions")
    if not isinstance(query, str) or not query.strip():
        raise BadBody(400, "query must be a non-empty string.")
    if not isinstance(name, str | None):
        raise BadBody(400, "operationName must be a string or null.")
    if not isinstance(variables, dict | None) or not isinstance(extensions, dict | None):
        raise BadBody(400, "variables and extensions must be objects or null.")
    return query, variables, name


def _answer(result: ExecutionResult, context: Context) -> dict[str, Any]:
    errors = result.errors or []
    answer: dict[str, Any] = {}
    if errors:
        answer["errors"] = [_error(each, context) for each in errors[:MOST_ERRORS]]
    if result.data is not None or any(error.path for error in errors):
        answer["data"] = result.data
    if context.replayed:
        answer["extensions"] = {"replayed": True}
    return answer


def _error(error: GraphQLError, context: Context) -> dict[str, Any]:
    """An error as it may be seen: a refusal as it is, the client's document's without values,
    anything else as `INTERNAL`."""
    shown: dict[str, Any] = {}
    cause = error.original_error
    if isinstance(cause, Refusal):
        shown["message"] = str(cause)
        shown["extensions"] = cause.extensions
    elif isinstance(error, GraphQLSyntaxError):
        shown["message"] = "The document is not GraphQL."
        shown["extensions"] = {"code": ErrorCode.GRAPHQL_PARSE_FAILED.value}
    elif error.path is None and (error.nodes or cause is None):
        shown["message"] = _without_values(error.message)
        shown["extensions"] = {"code": ErrorCode.GRAPHQL_VALIDATION_FAILED.value}
    else:
        shown["message"] = "The server failed."
        shown["extensions"] = {
            "code": ErrorCode.INTERNAL.value,
            "requestId": context.request_id,
        }
    if error.locations:
        shown["locations"] = [{"line": at.line, "column": at.column} for at in error.locations]
    if error.path:
        shown["path"] = error.path
    return shown


def _without_values(message: str) -> str:
    """A validation message without the value it complains of, which may be a code or a PIN."""
    message = message.split(" Did you mean ", maxsplit=1)[0]
    if not _SAYS_A_VALUE.search(message):
        return message
    where, at = _WHERE.match(message), _AT.search(message)
    expected, field = _EXPECTED.search(message), _FIELD.search(message)
    said = where[0] if where else "A value"
    if at:
        said += f" at {at[1]}"
    fitting = expected[expected.lastgroup or 0] if expected else None
    said += f" does not fit type {fitting}" if fitting else " does not fit its type"
    return f"{said}: {field[0]}." if field else f"{said}."
