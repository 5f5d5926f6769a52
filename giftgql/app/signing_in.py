"""The pages where staff sign in and out: `/sign-in`, `/sign-out`."""

from ipaddress import IPv6Address, ip_address, ip_network

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from giftgql import credentials
from giftgql.errors import Unauthenticated
from giftgql.permissions import Permission
from giftgql.staff import service as staff
from giftgql.store import Store
from giftgql.tries import service as tries
from giftgql.web import sessions
from giftgql.web.bodies import read_form
from giftgql.web.pages import for_people, page

NO_TLS = (
    "Signing in needs HTTPS. If browsers reach this server by HTTPS through a proxy, set "
    "GIFTGQL_PUBLIC_URL."
)


@for_people
async def show(request: Request) -> Response:
    """`GET /sign-in`: the form, or who is signed in."""
    session = await sessions.signed_in(request)
    if session is None:
        return _form(request, request.query_params.get("next"))
    held = [each for each in Permission if session.caller.may(each)]
    goes_on = sessions.local(request.query_params.get("next"))
    return page("signed_in.html", session=session, rights=held, next=goes_on)


@for_people
async def sign_in(request: Request) -> Response:
    """`POST /sign-in`: by a personal access key."""
    sessions.require_same_origin(request)
    form = await read_form(request)
    key, goes_on = form.get("key", "").strip(), form.get("next")
    if not (sessions.is_encrypted(request) or sessions.is_on_this_machine(request)):
        return _form(request, goes_on, NO_TLS, 400)
    if not key.startswith(credentials.STAFF_KEY) or not credentials.is_well_formed(key):
        return _form(request, goes_on, "This is no personal access key, or it is mistyped.", 403)
    store, place = request.app.state.store, place_of(request)
    async with store.read() as reading:
        await tries.require_free(reading, place)
        is_known = await staff.knows(reading, key)
    if is_known:  # who has no key gets no further than a read: writers wait for each other
        async with store.write(sessions.signing_in(request)) as tx:
            secret = await staff.sign_in(tx, key, instead_of=sessions.secret_of(request))
        if secret is not None:
            return admitted(request, secret, goes_on)
    async with store.write() as tx:
        await tries.fail_at(tx, place)
    return _form(request, goes_on, "This key is unknown, or it has ended.", 403)


@for_people
async def sign_out(request: Request) -> Response:
    """`POST /sign-out`: the session ends, for every process."""
    response = RedirectResponse("/sign-in", 303)
    try:
        session, _ = await sessions.posted(request)
    except Unauthenticated:
        return response  # it has ended already
    store: Store = request.app.state.store
    async with store.write(session.caller) as tx:
        await staff.sign_out(tx, sessions.secret_of(request))
    sessions.delete_cookie(response, request, sessions.NAME)
    return response


def admitted(request: Request, secret: str, goes_on: str | None) -> Response:
    """Go on with a new session."""
    response = RedirectResponse(sessions.local(goes_on), 303)
    sessions.set_cookie(response, request, sessions.NAME, secret)
    return response


def place_of(request: Request) -> str:
    """Whence a request comes: an address, of IPv6 the network, which one person has all of."""
    host = request.client.host if request.client else ""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    is_wide = isinstance(address, IPv6Address)
    return str(ip_network((address, 64), strict=False)) if is_wide else host


def _form(request: Request, goes_on: str | None, problem: str = "", status: int = 200) -> Response:
    known = {"problem": problem, "next": sessions.local(goes_on)}
    has_provider = request.app.state.staff_provider is not None
    return page("sign_in.html", status, has_provider=has_provider, **known)
