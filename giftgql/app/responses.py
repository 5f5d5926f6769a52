from collections.abc import Mapping
from typing import Any

import orjson
from starlette.responses import Response

from giftgql.errors import ErrorCode, Refusal

JSON = "application/json"
GRAPHQL_JSON = "application/graphql-response+json"


def json_response(
    content: Any,
    status: int = 200,
    *,
    headers: Mapping[str, str] | None = None,
    media_type: str = JSON,
) -> Response:
    return Response(
        orjson.dumps(content), status, headers=headers, media_type=f"{media_type}; charset=utf-8"
    )


def failure(
    status: int,
    code: ErrorCode,
    sentence: str,
    *,
    headers: Mapping[str, str] | None = None,
    media_type: str = JSON,
    **facts: object,
) -> Response:
    """A request that came to nothing, in the form of a GraphQL error."""
    error = {"message": sentence, "extensions": {"code": code.value, **facts}}
    return json_response({"errors": [error]}, status, headers=headers, media_type=media_type)


def refused(refusal: Refusal, status: int, *, media_type: str = JSON) -> Response:
    """A refusal of the whole request, with the headers that go with its status."""
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    if "retryAfter" in refusal.facts:
        headers["Retry-After"] = str(refusal.facts["retryAfter"])
    facts = {name: fact for name, fact in refusal.extensions.items() if name != "code"}
    return failure(
        status, refusal.code, str(refusal), headers=headers, media_type=media_type, **facts
    )
