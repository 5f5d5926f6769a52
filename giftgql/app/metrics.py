import hmac

from starlette.requests import Request
from starlette.responses import Response

from giftgql import exposition
from giftgql.app.responses import failure
from giftgql.errors import ErrorCode

TEXT = "text/plain; version=0.0.4; charset=utf-8"


async def show(request: Request) -> Response:
    """`GET /metrics`, for whoever has the token of the settings; without that it is not there."""
    wanted = request.state.settings.metrics_token
    if not wanted:
        return failure(404, ErrorCode.NOT_FOUND, "Not Found.")
    kind, _, given = request.headers.get("authorization", "").partition(" ")
    if not hmac.compare_digest(given.strip().encode(), wanted.encode()) or kind.lower() != "bearer":
        headers = {"WWW-Authenticate": "Bearer"}
        sentence = "The token of the metrics is needed."
        return failure(401, ErrorCode.UNAUTHENTICATED, sentence, headers=headers)
    return Response(await exposition.text(request.app.state.store), media_type=TEXT)
