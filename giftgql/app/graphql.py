import re
from collections.abc import Mapping
from typing import Any

from graphql import GraphQLError, GraphQLSyntaxError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.types import ExecutionResult
from strawberry.types.graphql import OperationType

from giftgql.app import asked, explorer
from giftgql.app.asked import Asked
from giftgql.app.responses import GRAPHQL_JSON, JSON, failure, json_response, refused
from giftgql.context import Context
from giftgql.errors import ErrorCode, Refusal
from giftgql.permissions import Caller
from giftgql.persisted import PersistedDocuments
from giftgql.schema import Schema, is_of_the_document
from giftgql.web.bodies import BadBody

MOST_ERRORS = 5
_OPERATIONS = {
    "POST": {OperationType.QUERY, OperationType.MUTATION},
    "GET": {OperationType.QUERY},
}
_STATUS = {ErrorCode.UNAUTHENTICATED: 401, ErrorCode.UNAVAILABLE: 503}
_TOO_LARGE = re.compile(r"^Syntax Error: Document (?:contains more than|is nested too deeply)")
_SAYS_A_VALUE = re.compile(
    r"cannot represent|\bfound\b|invalid (?:default )?value|does not exist in|encountered error",
    re.IGNORECASE,
)
_BEFORE_THE_VALUE = re.compile(
    r"(?:(?P<where>Variable '\$\w+'|Argument '\w+') has invalid (?:default )?value"
    r"(?: at (?P<at>\.?[\w.\[\]]+))?: )?"
    r"(?:Expected (?:value of|variable '\$\w+' provided to) (?:non-null )?type"
    r" '(?P<named>[\w!\[\]]+)'"
    r"(?:.{1,16}(?P<field>(?:unknown|required) field '\w{1,40}'))?"
    r"|Enum '(?P<enum>\w+)' cannot represent"
    r"|Value cannot represent an? (?P<parsed>\w+)"
    r"|(?P<scalar>\w+) cannot represent)?"
)
_AFTER_THE_VALUE = re.compile(r"' does not exist in '(\w+)' enum\.(?: Did you mean ['\w, ]+\?)?$")


class GraphQLEndpoint:
    """GraphQL over HTTP: POST with JSON, and GET of queries where the settings say so. A browser's
    GET gets the explorer.

    The caller is identified from the header before the body is read. A request that cannot be
    executed is answered with 400 under `application/graphql-response+json`, and with 200 under
    `application/json`, as the GraphQL over HTTP specification has it.
    """

    def __init__(self, schema: Schema, trusted: Mapping[str, str]) -> None:
        self._schema = schema
        self._documents = PersistedDocuments(trusted)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        response = await self._respond(request)
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> Response:
        if request.method in ("GET", "HEAD") and "text/html" in request.headers.get("accept", ""):
            return await explorer.show(request)
        allowed = ["GET", "POST"] if request.state.settings.allow_get else ["POST"]
        if request.method not in allowed:
            return _not_allowed(f"GraphQL is answered over {' and '.join(allowed)}.", *allowed)
        media_type = acceptable(",".join(request.headers.getlist("accept")))
        if media_type is None:
            sentence = f"Accept must allow {GRAPHQL_JSON} or {JSON}."
            return failure(406, ErrorCode.BAD_REQUEST, sentence)
        try:
            caller = await request.app.state.callers.of(request)
            request.state.log["caller"] = caller.name
            wanted = (
                await asked.by_post(request) if request.method == "POST" else asked.by_get(request)
            )
            return await self._answer(request, caller, wanted, media_type)
        except BadBody as bad:
            headers = {"Connection": "close"} if bad.status == 408 else {}  # do not wait for it
            return failure(bad.status, bad.code, str(bad), headers=headers, media_type=media_type)
        except Refusal as refusal:
            request.state.log["errors"] = [refusal.code.value]
            status = _STATUS.get(refusal.code, _status_of_none(media_type))
            return refused(refusal, status, media_type=media_type)

    async def _answer(
        self, request: Request, caller: Caller, wanted: Asked, media_type: str
    ) -> Response:
        text = self._documents.text(caller, wanted.text, wanted.digest)
        facts, store = request.state.log, request.app.state.store
        context = Context(
            caller,
            store,
            facts["request_id"],
            operation_name=wanted.operation_name,
            ends_at=request.state.ends_at,
        )
        try:
            result = await self._schema.execute(
                text,
                variable_values=wanted.variables,
                context_value=context,
                operation_name=wanted.operation_name,
                allowed_operation_types=_OPERATIONS[request.method],
            )
        except CannotGetOperationTypeError:
            result = _refused("The document has no operation of this operationName.")
        except InvalidOperationTypeError as error:
            if error.operation_type is OperationType.MUTATION:
                return _not_allowed("Mutations are answered over POST.", "POST")
            result = _refused("There are no subscriptions.")
        facts["fields"], facts["kind"] = context.fields, context.kind
        is_valid = bool(context.fields)
        if is_valid and wanted.text is not None and wanted.digest is not None:
            self._documents.remember(caller, wanted.text, wanted.digest)
        answer = _answer(result, context)
        if "errors" in answer:
            facts["errors"] = [error["extensions"]["code"] for error in answer["errors"]]
        status = 200 if "data" in answer else _status_of_none(media_type)
        return json_response(answer, status, media_type=media_type)


def _status_of_none(media_type: str) -> int:
    """The status of an answer without data."""
    return 400 if media_type == GRAPHQL_JSON else 200


def _not_allowed(sentence: str, *allowed: str) -> Response:
    headers = {"Allow": ", ".join(allowed)}
    return failure(405, ErrorCode.BAD_REQUEST, sentence, headers=headers)


def _refused(sentence: str) -> ExecutionResult:
    return ExecutionResult(data=None, errors=[GraphQLError(sentence)])


def acceptable(accept: str) -> str | None:
    """The media type to answer with; `application/json` where the client names none."""
    if not accept.strip():
        return JSON
    qualities = dict(_range(part) for part in accept.split(",")[:20])
    any_type = qualities.get("application/*", qualities.get("*/*", 0.0))
    best, best_rank = None, (0.0, 0)
    for media_type, rank_named, rank in ((GRAPHQL_JSON, 3, 0), (JSON, 2, 1)):
        quality = qualities.get(media_type, any_type)
        wanted = (quality, rank_named if media_type in qualities else rank)
        if 0 < quality <= 1 and wanted > best_rank:
            best, best_rank = media_type, wanted
    return best


def _range(part: str) -> tuple[str, float]:
    name, *parameters = (piece.strip().lower() for piece in part.split(";"))
    return name, next((_quality(each) for each in parameters if each.startswith("q=")), 1.0)


def _quality(parameter: str) -> float:
    try:
        return float(parameter.removeprefix("q="))
    except ValueError:
        return 0.0


def _answer(result: ExecutionResult, context: Context) -> dict[str, Any]:
    errors, executed = result.errors or [], False
    answer: dict[str, Any] = {}
    if errors:
        executed = any(error.path for error in errors)  # then each null needs its error
        shown = errors if executed else errors[:MOST_ERRORS]
        answer["errors"] = [_error(each, context) for each in shown]
    if result.data is not None or executed:
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
    elif isinstance(error, GraphQLSyntaxError) and _TOO_LARGE.search(error.message):
        shown["message"] = "The document has too many tokens, or too many within each other."
        shown["extensions"] = {"code": ErrorCode.OPERATION_TOO_COMPLEX.value}
    elif isinstance(error, GraphQLSyntaxError):
        shown["message"] = "The document is not GraphQL."
        shown["extensions"] = {"code": ErrorCode.GRAPHQL_PARSE_FAILED.value}
    elif is_of_the_document(error):
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
    """A validation message without the value it complains of, which may be a code or a PIN.

    Only what stands before the value, or after it, is looked at: the value may say anything.
    """
    if not _SAYS_A_VALUE.search(message):
        return message.split(" Did you mean ", maxsplit=1)[0]
    before, after = _BEFORE_THE_VALUE.match(message), _AFTER_THE_VALUE.search(message)
    assert before is not None  # it matches nothing as well
    said = before["where"] or "A value"
    if before["at"]:
        said += f" at {before['at']}"
    names = after.groups() if after else before.group("named", "enum", "parsed", "scalar")
    fitting = next((f"type {name}" for name in names if name), "its type")
    said += f" does not fit {fitting}"
    if fitting.rstrip("!") == "type Money":
        said += ', a string such as "-6.49"'
    return f"{said}: {before['field']}." if before["field"] else f"{said}."
