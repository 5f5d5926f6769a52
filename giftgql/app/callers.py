import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic

import structlog
from starlette.requests import Request

from giftgql import credentials
from giftgql.clients import service as clients
from giftgql.errors import Unauthenticated
from giftgql.members import service as members
from giftgql.openid import tokens
from giftgql.openid.provider import Provider
from giftgql.openid.tokens import BadToken, Rules
from giftgql.permissions import Caller, CallerKind
from giftgql.staff import service as staff
from giftgql.store import Reading, Store
from giftgql.web import sessions

log = structlog.get_logger("giftgql.callers")

RIGHTS_SECONDS = 2.0
"""For how long a credential is not asked about again: so late a disabled client is refused."""

REMEMBERED = 10_000


Authenticate = Callable[[Reading, str], Awaitable[tuple[Caller, datetime | None] | None]]
_AUTHENTICATE: dict[str, Authenticate] = {
    credentials.KEY: clients.authenticate,
    credentials.ACCESS_TOKEN: clients.authenticate,
    credentials.MEMBER_TOKEN: members.authenticate,
    credentials.STAFF_KEY: staff.authenticate,
}


class NoSuchMember(Unauthenticated):
    """The token is right."""

    sentence = "The token is right, but no member here has the id that it names."


@dataclass(frozen=True, slots=True)
class _Known:
    caller: Caller
    expires_at: datetime | None
    read_at: float


class Callers:
    """Tells who is calling from the bearer credential in a request's header, or from the session
    of a browser, of which the rights are read anew each time."""

    def __init__(self, store: Store, members_provider: Provider | None = None) -> None:
        self._store = store
        self._members_provider = members_provider
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        self._asked: dict[bytes, asyncio.Future[_Known]] = {}

    async def of(self, request: Request) -> Caller:
        """The caller of a request, before its body is read. Raises Unauthenticated."""
        authorization = request.headers.get("authorization")
        if authorization is not None:
            caller = await self.identify(authorization)
            return caller.coming_from(sessions.origin_of(request))
        session = await sessions.calling(request)
        if session is None:
            raise Unauthenticated
        return session.caller

    async def identify(self, authorization: str | None) -> Caller:
        """The caller. Raises Unauthenticated; what is mistyped is not looked up."""
        scheme, _, credential = (authorization or "").partition(" ")
        credential = credential.strip()
        if scheme.lower() != "bearer" or not self._may_be_right(credential):
            raise Unauthenticated
        digest = credentials.digest(credential)
        known = self._known.get(digest)
        if known is None or monotonic() - known.read_at > RIGHTS_SECONDS:
            known = await self._read_once(digest, credential)
        now = self._store.clock() if self._store.clock else datetime.now(UTC)
        if known.expires_at is not None and known.expires_at <= now:
            raise Unauthenticated
        return known.caller

    async def _read_once(self, digest: bytes, credential: str) -> _Known:
        """Read a credential once for all requests that wait for it: a till has many at a time."""
        reading = self._asked.get(digest)
        if reading is None:
            reading = self._asked[digest] = asyncio.ensure_future(self._read(credential))
            reading.add_done_callback(lambda _: self._asked.pop(digest))
        known = await asyncio.shield(reading)
        self._known[digest] = known
        self._known.move_to_end(digest)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return known

    def _may_be_right(self, credential: str) -> bool:
        return credentials.is_well_formed(credential) or (
            self._members_provider is not None and tokens.is_well_formed(credential)
        )

    async def _read(self, credential: str) -> _Known:
        read_at = monotonic()
        if not credentials.is_well_formed(credential):
            return await self._read_token(credential, read_at)
        authenticate = _AUTHENTICATE[credential[:4]]
        async with self._store.read() as reading:
            found = await authenticate(reading, credential)
        if found is None:
            raise Unauthenticated
        return _Known(*found, read_at)

    async def _read_token(self, token: str, read_at: float) -> _Known:
        """The member whom the provider's token names."""
        provider, settings = self._members_provider, self._store.settings
        assert provider is not None
        rules = Rules(provider.issuer, settings.member_oidc_audience)
        try:
            claims = await provider.claims(token, rules, self._store.now)
        except BadToken as bad:
            log.info("token refused", issuer=provider.issuer, why=str(bad))
            raise Unauthenticated from None
        member_id = claims.all.get(settings.member_oidc_claim)
        async with self._store.read() as reading:
            if not isinstance(member_id, str) or not await members.exists(reading, member_id):
                raise NoSuchMember
        return _Known(Caller(CallerKind.MEMBER, member_id), claims.expires_at, read_at)
