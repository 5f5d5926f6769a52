import asyncio
from collections.abc import Mapping
from typing import Any

import httpcore2
import orjson

from giftgql import __version__, network

CALL_SECONDS = 5.0
MOST_BYTES = 256 * 1024


class Unreachable(Exception):
    """The provider does not answer as one does. The reason is for the log."""


class Refused(Exception):
    """The provider answers that it does not do so. The reason is for the log."""


async def get(url: str) -> dict[str, Any]:
    """A JSON document. Raises Unreachable, also for a redirect: none is followed."""
    status, content = await _call("GET", url, {}, None)
    if status != 200:
        raise Unreachable(f"HTTP {status}")
    return _document(content)


async def post(url: str, form: bytes, headers: Mapping[str, str]) -> dict[str, Any]:
    """The JSON answer to a form. Raises Unreachable, and Refused for a status of 400 to 499."""
    sent = {"content-type": "application/x-www-form-urlencoded", **headers}
    status, content = await _call("POST", url, sent, form)
    if 400 <= status < 500:
        raise Refused(f"HTTP {status}")
    if status != 200:
        raise Unreachable(f"HTTP {status}")
    return _document(content)


async def _call(
    method: str, url: str, headers: Mapping[str, str], content: bytes | None
) -> tuple[int, bytes]:
    sent = {"accept": "application/json", "user-agent": f"giftgql/{__version__}", **headers}
    received = bytearray()
    try:
        async with (
            asyncio.timeout(CALL_SECONDS),
            httpcore2.AsyncConnectionPool(ssl_context=network.tls()) as pool,
            pool.stream(method, url, headers=[*sent.items()], content=content) as response,
        ):
            async for chunk in response.aiter_stream():
                received += chunk
                if len(received) > MOST_BYTES:
                    raise Unreachable("The answer is too large")
            return response.status, bytes(received)
    except TimeoutError:
        raise Unreachable(f"No answer within {CALL_SECONDS:g} s") from None
    except network.FAILURES as error:
        raise Unreachable(network.reason(error)) from None


def _document(content: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(content)
    except orjson.JSONDecodeError:
        document = None
    if not isinstance(document, dict):
        raise Unreachable("The answer is no JSON object")
    return document
