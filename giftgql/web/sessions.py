import hashlib
import hmac
import re
from contextlib import suppress
from dataclasses import dataclass, field
from secrets import compare_digest
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from giftgql.errors import ErrorCode, Refusal, Unauthenticated, Unavailable
from giftgql.permissions import THE_SERVER, Caller, Origin
from giftgql.staff import service as staff
from giftgql.store import Store
from giftgql.web.bodies import read_form

NAME = "giftgql"
OF_OURS = "x-giftgql-request"
"""A header that no page of another site can send without asking first, which is not allowed."""

HOME = "/graphql"
SAFE = frozenset({"GET", "HEAD"})
_LOOPBACK = re.compile(r"(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?", re.IGNORECASE)
_LOCAL = re.compile(r"/(?![/\\])[!-\[\]-~]{0,499}")


class ForeignForm(Refusal):
    code = ErrorCode.PERMISSION_DENIED

    def __init__(self) -> None:
        super().__init__("This was not sent by a page of this server. Open the page again.")


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in staff member, with the rights held at this request."""

    name: str
    roles: tuple[str, ...]
    caller: Caller
    form_token: str = field(repr=False)
    """Stands in each form of ours; no other site can know it."""


async def signed_in(request: Request) -> Session | None:
    """Whose browser this is, to be shown a page. What changes something asks `posted`."""
    secret = secret_of(request)
    if not secret:
        return None
    store: Store = request.app.state.store
    async with store.read() as reading:
        found = await staff.signed_in(reading, secret)
    if found is None:
        return None
    if found.is_due:
        with suppress(Unavailable):
            async with store.write() as tx:
                await staff.see(tx, secret)
    request.state.log["caller"] = found.caller.name
    token = hmac.digest(secret.encode(), b"form", hashlib.sha256).hex()
    caller = found.caller.coming_from(origin_of(request))
    return Session(found.name, found.roles, caller, token)


def origin_of(request: Request) -> Origin:
    """Whence a request comes, as the server sees it: behind a proxy that it was told to trust, the
    address that the proxy names."""
    address = request.client.host if request.client else None
    return Origin(address, request.state.log["request_id"])


def signing_in(request: Request) -> Caller:
    """Who opens a session for somebody: the server, on behalf of a request."""
    return THE_SERVER.coming_from(origin_of(request))


def secret_of(request: Request) -> str:
    """What a session's cookie holds; empty without one."""
    return request.cookies.get(cookie_name(NAME, request), "")


async def posted(request: Request) -> tuple[Session, dict[str, str]]:
    """Who sends a form of ours, and its fields.

    Refuses `UNAUTHENTICATED` and, where another site sends it, `PERMISSION_DENIED`. Raises BadBody.
    """
    require_same_origin(request)
    session = await signed_in(request)
    if session is None:
        raise Unauthenticated
    form = await read_form(request)
    if not compare_digest(form.pop("formToken", "").encode(), session.form_token.encode()):
        raise ForeignForm
    return session, form


async def calling(request: Request) -> Session | None:
    """Who calls the API from a page of ours. Other sites' requests count as nobody's."""
    if not is_same_origin(request):
        return None
    if request.method not in SAFE and request.headers.get(OF_OURS) != "1":
        return None
    return await signed_in(request)


def is_same_origin(request: Request) -> bool:
    """Whether a page of this server sends the request. A browser says so of itself, by
    Sec-Fetch-Site or, an older one, by Origin; who says neither is not believed."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin, own = request.headers.get("origin", ""), request.state.settings.public_url
    if own:
        return bool(origin == own)
    host = request.headers.get("host", "")
    return bool(host) and origin.partition("://")[2].lower() == host.lower()


def require_same_origin(request: Request) -> None:
    if not is_same_origin(request):
        raise ForeignForm


def to_sign_in(request: Request) -> Response:
    """Ask for a sign-in, after which the browser comes back here."""
    path = request.url.path if request.method in SAFE else HOME
    query = f"?{request.url.query}" if request.url.query and request.method in SAFE else ""
    return RedirectResponse(f"/sign-in?next={quote(path + query, safe='')}", 303)


def local(path: str | None) -> str:
    """Where to go after a sign-in: a path of this server, whoever made the link."""
    return path if path and _LOCAL.fullmatch(path) else HOME


def is_encrypted(request: Request) -> bool:
    """Whether the browser speaks TLS, as far as is known."""
    own = request.state.settings.public_url
    return own.startswith("https:") if own else request.url.scheme == "https"


def is_on_this_machine(request: Request) -> bool:
    """Whether the browser is where the server is. In production nobody's is: a proxy may call the
    server by this machine's name for all the world."""
    if request.state.settings.production:
        return False
    return bool(_LOOPBACK.fullmatch(request.headers.get("host", "")))


def set_cookie(response: Response, request: Request, name: str, value: str, **how: Any) -> None:
    """A cookie for this host alone, which no script reads. On this machine without TLS, where not
    every browser takes such a one, it lacks what holds it to TLS."""
    is_held = not is_on_this_machine(request) or is_encrypted(request)
    response.set_cookie(
        cookie_name(name, request),
        value,
        path="/",
        secure=is_held,
        httponly=True,
        samesite="lax",
        **how,
    )


def delete_cookie(response: Response, request: Request, name: str) -> None:
    set_cookie(response, request, name, "", max_age=0)


def cookie_name(name: str, request: Request) -> str:
    is_held = not is_on_this_machine(request) or is_encrypted(request)
    return f"__Host-{name}" if is_held else name
