"""The page in which staff write GraphQL, at `GET /graphql`."""

import gzip
from functools import cache

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from giftgql import schema
from giftgql.errors import Unauthenticated
from giftgql.permissions import Permission
from giftgql.web import built, sessions
from giftgql.web.hints import HINTS
from giftgql.web.pages import for_people, page

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
    " font-src 'self' data:; connect-src 'self'; worker-src 'self'; form-action 'self';"
    " frame-ancestors 'none'; base-uri 'none'"
)
"""As strict as the editor allows: it writes styles into the page."""


@for_people
async def show(request: Request) -> Response:
    """The explorer, for who is signed in."""
    session = await sessions.signed_in(request)
    if session is None:
        return sessions.to_sign_in(request)
    return page(
        "explorer.html",
        headers={"Content-Security-Policy": POLICY},
        session=session,
        rights=[each for each in Permission if session.caller.may(each)],
        entry=built.entry(),
        how_to_get_it=built.HOW_TO_GET_IT,
    )


@for_people
async def schema_text(request: Request) -> Response:
    """`GET /explorer/schema.graphql`: the reference and the completion of names, for all staff.
    It says nothing of any data, so nobody needs `IntrospectSchema` for it."""
    if await sessions.signed_in(request) is None:
        raise Unauthenticated
    headers = {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
    return Response(_schema_text(), headers=headers, media_type="text/plain; charset=utf-8")


@for_people
async def hints(request: Request) -> Response:
    """`GET /explorer/hints.json`: what to do about an error, by its code."""
    if await sessions.signed_in(request) is None:
        raise Unauthenticated
    return JSONResponse(HINTS)


@cache
def _schema_text() -> bytes:
    return gzip.compress(schema.build().as_str().encode())
