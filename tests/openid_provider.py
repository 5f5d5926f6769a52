"""An OpenID provider for tests, on 127.0.0.1: it publishes keys, lets everybody in as who the test
says, and signs tokens."""

import asyncio
import hashlib
from base64 import b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import parse_qs, parse_qsl, unquote, urlencode, urlsplit

import orjson
from joserfc import jws
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

ALGORITHMS = {"RS256": "rsa", "PS256": "rsa", "ES256": "ec", "EdDSA": "ed", "Ed25519": "ed"}
CLIENT = {"client_id": "gift cards", "secret": "s3cret:/+"}


@cache
def key(kid: str) -> Key:
    """A key by its id, the first two or three letters of which say of what kind it is."""
    if kid.startswith("rsa"):
        return RSAKey.generate_key(2048, {"kid": kid})
    if kid.startswith("ec"):
        return ECKey.generate_key("P-256", {"kid": kid})
    return OKPKey.generate_key("Ed25519", {"kid": kid})


def signed(
    claims: dict[str, Any] | bytes, *, alg: str = "RS256", by: str | None = None, **header: Any
) -> str:
    """A token with these claims, signed by a key of ours, whatever the header says. What is None
    in the header is left out."""
    by = by or ALGORITHMS[alg]
    whole = {"typ": "JWT", "alg": alg, "kid": by, **header}
    shown = {name: value for name, value in whole.items() if value is not None}
    body = claims if isinstance(claims, bytes) else orjson.dumps(claims)
    signing = f"{encoded(orjson.dumps(shown))}.{encoded(body)}"
    algorithm = jws.JWSRegistry.algorithms["Ed25519" if alg == "EdDSA" else alg]
    return f"{signing}.{encoded(algorithm.sign(signing.encode(), key(by)))}"


def encoded(content: bytes) -> str:
    return urlsafe_b64encode(content).decode().rstrip("=")


@dataclass
class TestProvider:
    """`claims` are those of whoever signs in next; `now` is the time it is there."""

    __test__ = False

    port: int = 0
    kids: list[str] = field(default_factory=lambda: ["rsa", "ec", "ed"])
    now: int = 0
    claims: dict[str, Any] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    replies: Mapping[str, bytes | None] = field(default_factory=dict)
    changes: dict[str, Any] = field(default_factory=dict)
    asked: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port}/retailer"

    def token(self, **claims: Any) -> str:
        """A member's token. What is given as None is left out."""
        facts = {"iss": self.issuer, "aud": "gifts", "sub": "C1", **self._times(), **claims}
        alg = str(facts.pop("alg", "RS256"))
        by = facts.pop("by", None)
        return signed({n: v for n, v in facts.items() if v is not None}, alg=alg, by=by)

    def authorize(self, url: str) -> dict[str, str]:
        """Let in whoever is sent to this address; what the browser brings back."""
        query = dict(parse_qsl(urlsplit(url).query))
        code = f"code-{len(self.asked)}"
        self.asked[code] = query
        return {"code": code, "state": query["state"], "iss": self.issuer}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in head[1:] if line)}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            path = head[0].split()[1]
            name = urlsplit(path).path.rpartition("/")[2]
            self.calls.append(name)
            reply = self.replies.get(name, b"")
            if reply is not None:
                writer.write(reply or self._answer(name, path, headers, body.decode()))
                await writer.drain()
        finally:
            writer.close()

    def _answer(self, name: str, path: str, headers: dict[str, str], body: str) -> bytes:
        if name == "openid-configuration":
            base = f"http://127.0.0.1:{self.port}"
            document = {
                "issuer": self.issuer,
                "authorization_endpoint": f"{base}/authorize?tenant=1",
                "token_endpoint": f"{base}/token",
                "jwks_uri": f"{base}/keys",
            }
            return answer({**document, **self.changes})
        if name == "keys":
            keys = [key(kid).as_dict(private=False) for kid in self.kids]
            return answer({"keys": [*keys, {"kty": "oct", "kid": "oct", "k": "c2VjcmV0"}, 5]})
        if name == "authorize":
            [back] = parse_qs(urlsplit(path).query)["redirect_uri"]
            query = urlencode(self.authorize(path))
            return (
                f"HTTP/1.1 303 X\r\nlocation: {back}?{query}\r\ncontent-length: 0\r\n\r\n".encode()
            )
        return self._token(headers, dict(parse_qsl(body)))

    def _token(self, headers: dict[str, str], form: dict[str, str]) -> bytes:
        """As RFC 6749 and RFC 7636 have it; a code works once."""
        asked = self.asked.pop(form["code"], None)
        basic = b64decode(headers["authorization"].removeprefix("Basic ")).decode()
        client, secret = map(unquote, basic.split(":"))
        verifier = hashlib.sha256(form["code_verifier"].encode()).digest()
        is_right = asked is not None and (
            (client, secret) == (CLIENT["client_id"], CLIENT["secret"])
            and form["grant_type"] == "authorization_code"
            and form["redirect_uri"] == asked["redirect_uri"]
            and asked["code_challenge"] == encoded(verifier)
            and asked["code_challenge_method"] == "S256"
            and asked["response_type"] == "code"
        )
        if asked is None or not is_right:
            return answer({"error": "invalid_grant"}, 400)
        facts = {
            "iss": self.issuer,
            "aud": client,
            "sub": "u1",
            "nonce": asked["nonce"],
            **self._times(),
            **self.claims,
        }
        return answer({"access_token": "x", "token_type": "Bearer", "id_token": signed(facts)})

    def _times(self) -> dict[str, int]:
        return {"iat": self.now, "exp": self.now + 300}


def answer(content: Any, status: int = 200) -> bytes:
    body = orjson.dumps(content)
    head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n"
    return f"{head}connection: close\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


@asynccontextmanager
async def running() -> AsyncIterator[TestProvider]:
    provider = TestProvider()
    server = await asyncio.start_server(provider.serve, "127.0.0.1", 0)
    provider.port = server.sockets[0].getsockname()[1]
    try:
        yield provider
    finally:
        server.close()
