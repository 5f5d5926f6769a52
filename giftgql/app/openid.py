"""Signing in by the retailer's OpenID provider: `/sign-in/openid`, and back at `/sign-in/callback`.

What is known of a sign-in under way is one random secret in the browser's cookie: state, nonce and
verifier are made from it, so that an answer is believed only in the browser that asked for it.
"""

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from secrets import compare_digest

import structlog
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from giftgql.app.signing_in import admitted, place_of
from giftgql.openid.provider import Party, Provider
from giftgql.openid.tokens import BadToken, Claims, Rules
from giftgql.settings import Settings
from giftgql.staff import service as staff
from giftgql.store import Store
from giftgql.tries import service as tries
from giftgql.web import sessions
from giftgql.web.pages import for_people, refused

log = structlog.get_logger("giftgql.staff")

NAME = "giftgql-openid"
MINUTES = 10
LONGEST_CODE = 2_048
NO_ADDRESS = "To sign in by a provider, the server needs GIFTGQL_PUBLIC_URL."


@dataclass(frozen=True, slots=True)
class Begun:
    """A sign-in under way, as the browser's cookie has it."""

    secret: str
    goes_on: str

    @classmethod
    def of(cls, request: Request) -> "Begun | None":
        cookie = request.cookies.get(sessions.cookie_name(NAME, request), "")
        secret, _, path = cookie.partition(".")
        try:
            goes_on = urlsafe_b64decode(path.encode()).decode()
        except ValueError:
            return None
        return cls(secret, sessions.local(goes_on)) if secret else None

    @property
    def cookie(self) -> str:
        return f"{self.secret}.{urlsafe_b64encode(self.goes_on.encode()).decode()}"

    def made(self, what: str) -> str:
        """The state, nonce or verifier of this sign-in."""
        return _text(hmac.digest(self.secret.encode(), what.encode(), hashlib.sha256))


@for_people
async def begin(request: Request) -> Response:
    """`GET /sign-in/openid`: send the browser to the provider."""
    provider, settings = _provider(request), request.state.settings
    if provider is None:
        return _no_provider()
    if not (settings.public_url or sessions.is_on_this_machine(request)):
        return refused("Not set up", NO_ADDRESS, 400)
    begun = Begun(secrets.token_urlsafe(32), sessions.local(request.query_params.get("next")))
    asked = {
        "scope": settings.staff_oidc_scope,
        "state": begun.made("state"),
        "nonce": begun.made("nonce"),
        "code_challenge": _text(hashlib.sha256(begun.made("verifier").encode()).digest()),
        "code_challenge_method": "S256",
    }
    url = await provider.sign_in_url(_party(request), asked)
    response = RedirectResponse(url, 303)
    sessions.set_cookie(response, request, NAME, begun.cookie, max_age=MINUTES * 60)
    return response


@for_people
async def come_back(request: Request) -> Response:
    """`GET /sign-in/callback`: who the provider says it is."""
    provider, begun = _provider(request), Begun.of(request)
    if provider is None:
        return _no_provider()
    response = await _answer(request, provider, begun)
    sessions.delete_cookie(response, request, NAME)
    return response


async def _answer(request: Request, provider: Provider, begun: Begun | None) -> Response:
    given = request.query_params
    state = given.get("state", "").encode()
    if begun is None or not compare_digest(state, begun.made("state").encode()):
        return refused("Not signed in", "This sign-in was not begun here, or took too long.", 400)
    if given.get("iss", provider.issuer) != provider.issuer:
        return refused("Not signed in", "The answer came from another provider.", 403)
    if (code := given.get("code", "")) == "" or len(code) > LONGEST_CODE:
        return refused("Not signed in", "Your organisation's sign-in did not let you in.", 403)
    store: Store = request.app.state.store
    place = place_of(request)
    async with store.read() as reading:
        await tries.require_free(reading, place)
    try:
        claims = await _claims(request, provider, begun, code)
    except BadToken as bad:
        log.warning("sign-in refused", issuer=provider.issuer, why=str(bad))
        async with store.write() as tx:
            await tries.fail_at(tx, place)
        return refused("Not signed in", "Your organisation's answer was not accepted.", 403)
    roles = roles_of(claims, store.settings)
    async with store.write(sessions.signing_in(request)) as tx:
        name = name_of(claims)
        secret = await staff.sign_in_by_provider(
            tx,
            provider.issuer,
            claims.subject,
            name=name,
            roles=roles,
            instead_of=sessions.secret_of(request),
        )
    if secret is None:
        sentence = f"{name} has no role here. Whoever manages your accounts can give you one."
        return refused("No access", sentence, 403)
    return admitted(request, secret, begun.goes_on)


async def _claims(request: Request, provider: Provider, begun: Begun, code: str) -> Claims:
    party, store = _party(request), request.app.state.store
    token = await provider.exchange(party, code, begun.made("verifier"))
    rules = Rules(provider.issuer, party.client_id, begun.made("nonce"))
    return await provider.claims(token, rules, store.now)


def roles_of(claims: Claims, settings: Settings) -> set[str]:
    """Our roles of who has these claims. Of the claim, each text counts that the settings name."""
    path, found = settings.staff_oidc_claim, claims.all.get(settings.staff_oidc_claim)
    if found is None:
        found = claims.all
        for name in path.split("."):
            found = found.get(name) if isinstance(found, dict) else None
    groups = [found] if isinstance(found, str) else found if isinstance(found, list) else []
    given = settings.staff_roles
    return set().union(*(given.get(each, set()) for each in groups if isinstance(each, str)))


def name_of(claims: Claims) -> str:
    """What to call somebody: a name that can be shown, at most 100 characters."""
    for claim in ("name", "preferred_username", "email"):
        if isinstance(text := claims.all.get(claim), str):
            shown = "".join(each for each in text if each.isprintable()).strip()
            if shown:
                return shown[:100]
    return claims.subject[:100] if claims.subject.isprintable() else "Somebody"


def _no_provider() -> Response:
    return refused("Not set up", "Nobody signs in by a provider here.", 404)


def _provider(request: Request) -> Provider | None:
    provider: Provider | None = request.app.state.staff_provider
    return provider


def _party(request: Request) -> Party:
    settings: Settings = request.state.settings
    base = settings.public_url or f"http://{request.headers['host']}"
    returns_to = f"{base}/sign-in/callback"
    return Party(settings.staff_oidc_client_id, settings.staff_oidc_client_secret, returns_to)


def _text(digest: bytes) -> str:
    return urlsafe_b64encode(digest).decode().rstrip("=")
