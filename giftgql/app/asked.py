"""What a GraphQL request asks for: read from a body, or from the address of a GET."""

import re
from dataclasses import dataclass, field
from typing import Any

import orjson
from starlette.requests import Request

from giftgql.app.responses import JSON
from giftgql.web.bodies import BadBody, media_type_of, read_body

_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


@dataclass(frozen=True)
class Asked:
    """A document as text, as its SHA-256, or as both; `digest` is in small letters."""

    text: str | None = field(repr=False)
    digest: str | None = field(repr=False)
    variables: dict[str, Any] | None = field(repr=False)
    operation_name: str | None


async def by_post(request: Request) -> Asked:
    """Raises BadBody for what is not as it should be."""
    if media_type_of(request) != JSON:
        raise BadBody(415, f"Content-Type must be {JSON}.")
    content = _loaded(await read_body(request, request.state.settings), "The request body")
    if not isinstance(content, dict):
        raise BadBody(400, "The request body must be a JSON object; there is no batching.")
    return _asked(content)


def by_get(request: Request) -> Asked:
    """As `by_post`. What is empty counts as left out, as in a form."""
    if len(request.scope["query_string"]) > request.state.settings.max_body_bytes:
        raise BadBody(414, "The address is too long.")
    content: dict[str, Any] = {name: value for name, value in request.query_params.items() if value}
    for name in {"variables", "extensions"} & content.keys():
        content[name] = _loaded(content[name], name)
    return _asked(content)


def _loaded(text: bytes | str, what: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        raise BadBody(400, f"{what} is not valid JSON.") from None


def _asked(content: dict[str, Any]) -> Asked:
    text, name = content.get("query"), content.get("operationName")
    variables, extensions = content.get("variables"), content.get("extensions")
    if not isinstance(name, str | None):
        raise BadBody(400, "operationName must be a string or null.")
    if not isinstance(variables, dict | None) or not isinstance(extensions, dict | None):
        raise BadBody(400, "variables and extensions must be objects or null.")
    digest = _digest((extensions or {}).get("persistedQuery"))
    is_by_hash = text is None and digest is not None
    if not is_by_hash and (not isinstance(text, str) or not text.strip()):
        raise BadBody(400, "query must be a non-empty string.")
    return Asked(text, digest, variables, name)


def _digest(persisted: Any) -> str | None:
    """The hash in Apollo's `extensions.persistedQuery`."""
    if persisted is None:
        return None
    if not isinstance(persisted, dict) or persisted.get("version") != 1:
        raise BadBody(400, "extensions.persistedQuery must be an object of version 1.")
    digest = persisted.get("sha256Hash")
    if not isinstance(digest, str) or not _SHA256.fullmatch(digest):
        raise BadBody(400, "extensions.persistedQuery.sha256Hash must be 64 hexadecimal digits.")
    return digest.lower()
