"""Reading a request's body, a form too: within a limit, within a time."""

import asyncio
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request

from giftgql.errors import ErrorCode
from giftgql.settings import Settings

FORM = "application/x-www-form-urlencoded"
MOST_FIELDS = 40


class BadBody(Exception):
    """The body cannot be read; `status` and the sentence say why."""

    code = ErrorCode.BAD_REQUEST

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


def media_type_of(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def read_body(request: Request, settings: Settings) -> bytes:
    """The whole body. Raises BadBody: 413 where it is too large, 408 where it comes too slowly."""
    largest = settings.max_body_bytes
    length = request.headers.get("content-length")
    if length is not None and length.isdecimal() and int(length[:12]) > largest:
        raise BadBody(413, f"The request body has more than {largest} bytes.")
    received = bytearray()
    try:
        async with asyncio.timeout(settings.body_seconds):
            async for chunk in request.stream():
                received += chunk
                if len(received) > largest:
                    raise BadBody(413, f"The request body has more than {largest} bytes.")
    except TimeoutError:
        raise BadBody(408, "The request body took too long.") from None
    except ClientDisconnect:
        raise BadBody(400, "The request body ended early.") from None
    return bytes(received)


async def read_form(request: Request) -> dict[str, str]:
    """A form's fields, the empty ones too. Raises BadBody, also where a field is given twice."""
    if media_type_of(request) != FORM:
        raise BadBody(415, f"Content-Type must be {FORM}.")
    body = await read_body(request, request.state.settings)
    try:
        pairs = parse_qsl(
            body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict"
        )
    except ValueError:
        raise BadBody(400, "The form is malformed.") from None
    form = dict(pairs)
    if len(form) != len(pairs):
        raise BadBody(400, "A field is given twice.")
    return form
