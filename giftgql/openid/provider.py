"""A provider as it publishes itself, remembered; and what is asked of it."""

import asyncio
from base64 import b64encode
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import structlog
from joserfc.jwk import KeySet

from giftgql.errors import Unavailable
from giftgql.openid import calls
from giftgql.openid.calls import Refused, Unreachable
from giftgql.openid.tokens import BadToken, Claims, Rules, UnknownKey, check, key_set

log = structlog.get_logger("giftgql.openid")

READ_AGAIN_AFTER = 600.0
KNOWN_FOR = 24 * 3600.0
"""What was read last goes on for so long where the provider cannot be reached."""

LONGEST_URL = 2_048
NOT_BEFORE = 30.0
"""The provider is asked again at most so often, whatever key ids strangers make up."""

NOT_BEFORE_FIRST = 5.0
"""The same where nothing is known of it yet."""


@dataclass(frozen=True)
class Party:
    """Who we are to the provider."""

    client_id: str
    secret: str = field(repr=False)
    returns_to: str


@dataclass(frozen=True)
class _Published:
    document: dict[str, Any]
    keys: KeySet
    read_at: float


class Provider:
    """One provider. What it publishes is read when it is needed first."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        self._held: _Published | None = None
        self._asked_at = float("-inf")
        self._asking = asyncio.Lock()

    async def claims(self, token: str, rules: Rules, now: datetime) -> Claims:
        """What a token says. Raises BadToken; refuses `UNAVAILABLE` where no key is known."""
        published = await self._published(monotonic() - READ_AGAIN_AFTER)
        try:
            return check(token, published.keys, rules, now)
        except UnknownKey:
            newer = await self._published(published.read_at, waits=True)
            return check(token, newer.keys, rules, now)

    async def sign_in_url(self, party: Party, asked: dict[str, str]) -> str:
        """Where to send a browser that is to sign in. Refuses `UNAVAILABLE`."""
        endpoint = await self._endpoint("authorization_endpoint")
        query = urlencode(
            {
                "response_type": "code",
                "client_id": party.client_id,
                "redirect_uri": party.returns_to,
                **asked,
            }
        )
        return f"{endpoint}{'&' if urlsplit(endpoint).query else '?'}{query}"

    async def exchange(self, party: Party, code: str, verifier: str) -> str:
        """The ID token for a code. Raises BadToken where the provider does not take the code;
        refuses `UNAVAILABLE`."""
        endpoint = await self._endpoint("token_endpoint")
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": party.returns_to,
            "code_verifier": verifier,
            "client_id": party.client_id,
        }
        headers = {}
        if party.secret and await self._takes_basic():
            pair = f"{quote(party.client_id, safe='')}:{quote(party.secret, safe='')}"
            headers["authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
        elif party.secret:
            form["client_secret"] = party.secret
        try:
            answer = await calls.post(endpoint, urlencode(form).encode(), headers)
        except Refused as refused:
            raise BadToken(f"the provider does not take the code: {refused}") from None
        except Unreachable as error:
            raise self._told(error) from None
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise BadToken("the provider's answer has no id_token")
        return token

    async def _takes_basic(self) -> bool:
        published = await self._published(float("-inf"))
        known = published.document.get("token_endpoint_auth_methods_supported")
        return not isinstance(known, list) or "client_secret_basic" in known

    async def _endpoint(self, name: str) -> str:
        published = await self._published(monotonic() - READ_AGAIN_AFTER)
        try:
            return self._address(published.document, name)
        except Unreachable as error:
            raise self._told(error) from None

    async def _published(self, after: float, *, waits: bool = False) -> _Published:
        """What was read after a moment, where the provider may be asked; else what is known. While
        somebody else is asking, what is known will do, but for who waits for what is new."""
        held = self._held
        if held and held.read_at > after:
            return held
        if held and not waits and self._asking.locked() and self._is_usable(held):
            return held
        async with self._asking:
            return await self._read_after(after)

    async def _read_after(self, after: float) -> _Published:
        held, now = self._held, monotonic()
        if held and held.read_at > after:
            return held
        if now - self._asked_at >= (NOT_BEFORE if held else NOT_BEFORE_FIRST):
            self._asked_at = now
            try:
                held = self._held = await self.read()
            except Unreachable as error:
                log.warning("provider is unavailable", issuer=self.issuer, why=str(error))
        if held is None or not self._is_usable(held):
            raise _unavailable()
        return held

    async def read(self) -> _Published:
        """What the provider publishes now. Raises Unreachable."""
        document = await calls.get(f"{self.issuer.rstrip('/')}/.well-known/openid-configuration")
        if document.get("issuer") != self.issuer:
            raise Unreachable("It says that it is another issuer")
        published = await calls.get(self._address(document, "jwks_uri"))
        keys = published.get("keys")
        found = key_set(keys if isinstance(keys, list) else ())
        if not found:
            raise Unreachable("It publishes no key that is of use")
        return _Published(document, found, monotonic())

    def _address(self, document: dict[str, Any], name: str) -> str:
        """One of the provider's addresses: by HTTPS, if the provider is."""
        url = str(document.get(name, ""))
        is_text = url.isascii() and url.isprintable() and len(url) < LONGEST_URL
        scheme, own = (each.partition("://")[0] for each in (url, self.issuer))
        if not is_text or scheme not in ("https", own):
            raise Unreachable(f"Its {name} is no address")
        return url

    def _told(self, error: Unreachable) -> Unavailable:
        log.warning("provider is unavailable", issuer=self.issuer, why=str(error))
        return _unavailable()

    @staticmethod
    def _is_usable(held: _Published) -> bool:
        return monotonic() - held.read_at <= KNOWN_FOR


def _unavailable() -> Unavailable:
    wait = round(NOT_BEFORE_FIRST)
    return Unavailable("The sign-in provider cannot be reached.", retry_after=wait)
