"""A token of a provider: what must hold of it before a word of it is believed."""

import re
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from joserfc import jws
from joserfc.errors import InvalidKeyIdError, JoseError, SecurityWarning
from joserfc.jwk import ECKey, KeySet, OKPKey, RSAKey, import_key

ALGORITHMS = ("RS256", "PS256", "ES256", "Ed25519", "EdDSA")
LONGEST = 8 * 1024
LEEWAY = timedelta(seconds=30)
LONGEST_LIFE = timedelta(hours=1)
"""Of a token that is shown again and again: so long it works after it was stolen."""

FRESH = timedelta(minutes=10)
"""How old a token may be that a sign-in has just brought; how long it lives does not matter."""

MOST_KEYS = 50
SMALLEST_RSA_BITS = 2048
_COMPACT = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)
_TYPES = ("jwt", "at+jwt", "application/at+jwt")


class BadToken(Exception):
    """The token is not accepted. The reason is for the log: it repeats nothing of the token."""


class UnknownKey(BadToken):
    """The token names a key that is not in the set; a newer set may have it."""


@dataclass(frozen=True)
class Rules:
    """From whom a token must be, and for whom; with a nonce, of which sign-in."""

    issuer: str
    audience: str
    nonce: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Claims:
    """What a token says that has been checked."""

    subject: str
    expires_at: datetime
    all: Mapping[str, Any] = field(repr=False)


class _Registry(jws.JWSRegistry):
    max_header_length = 2_048
    max_payload_length = LONGEST
    max_signature_length = 1_400


_REGISTRY = _Registry(algorithms=ALGORITHMS, strict_check_header=False)


def is_well_formed(token: str) -> bool:
    """Whether it may be a token at all: compact, and not too long."""
    return len(token) <= LONGEST and bool(_COMPACT.fullmatch(token))


def key_set(published: Iterable[Any]) -> KeySet:
    """Those of the published keys that signatures may be checked with. The others are left out:
    a provider may have keys for other ends, and for algorithms that we do not know."""
    keys = []
    for each in list(published)[:MOST_KEYS]:
        if not isinstance(each, dict) or not isinstance(each.get("kid"), str):
            continue
        if each.get("kty") not in ("RSA", "EC", "OKP") or each.get("use", "sig") != "sig":
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SecurityWarning)  # of keys left out below
                key = import_key(each)
        except (JoseError, ValueError, TypeError, KeyError):
            continue
        if isinstance(key, RSAKey) and key.public_key.key_size < SMALLEST_RSA_BITS:
            continue
        keys.append(key)
    return KeySet(keys)


def check(token: str, keys: KeySet, rules: Rules, now: datetime) -> Claims:
    """What the token says. Raises UnknownKey and BadToken."""
    if not is_well_formed(token):
        raise BadToken("it is no compact token of at most 8 KiB")
    try:
        claims = orjson.loads(_signed(token, keys, rules))
    except JoseError as error:
        raise BadToken(type(error).__name__) from None
    except (ValueError, TypeError, KeyError, AttributeError):
        raise BadToken("it is malformed") from None
    if not isinstance(claims, dict):
        raise BadToken("it is malformed")
    return _checked(claims, rules, now)


def _signed(token: str, keys: KeySet, rules: Rules) -> bytes:
    """The payload, once the signature is found to be right."""
    parts = jws.extract_compact(token.encode(), None, _REGISTRY)
    header = parts.headers()
    algorithm, key_id, kind = (header.get(name) for name in ("alg", "kid", "typ"))
    if algorithm not in ALGORITHMS:
        raise BadToken("its algorithm is not allowed")
    if "crit" in header or "b64" in header:
        raise BadToken("it asks for an extension")
    comes_from_provider = rules.nonce is not None  # straight; some say no type then
    if (kind is not None or not comes_from_provider) and str(kind).lower() not in _TYPES:
        raise BadToken("it is of another type")
    if not isinstance(key_id, str):
        raise BadToken("it names no key")
    try:
        key = keys.get_by_kid(key_id, {"alg": algorithm, "use": "sig"})
    except InvalidKeyIdError:
        raise UnknownKey("its key is unknown") from None
    assert isinstance(key, RSAKey | ECKey | OKPKey)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SecurityWarning)  # of the name EdDSA, which providers use
        if not jws.validate_compact(parts, key, registry=_REGISTRY):
            raise BadToken("its signature is wrong")
    return bytes(parts.payload)


def _checked(claims: dict[str, Any], rules: Rules, now: datetime) -> Claims:
    subject, audience = claims.get("sub"), claims.get("aud")
    if claims.get("iss") != rules.issuer:
        raise BadToken("it is from another issuer")
    if not isinstance(subject, str) or not 1 <= len(subject) <= 255:
        raise BadToken("it names no subject")
    several = audience if isinstance(audience, list) else [audience]
    if not all(isinstance(each, str) for each in several) or rules.audience not in several:
        raise BadToken("it is for another audience")
    expires_at, issued_at = _moment(claims, "exp"), _moment(claims, "iat")
    if expires_at is None or issued_at is None:
        raise BadToken("it does not say from when to when")
    begins_at = _moment(claims, "nbf") or issued_at
    if now >= expires_at + LEEWAY or max(issued_at, begins_at) > now + LEEWAY:
        raise BadToken("its time is past, or has not come")
    if rules.nonce is None:
        if expires_at - issued_at > LONGEST_LIFE:
            raise BadToken("it lives for too long")
    elif claims.get("nonce") != rules.nonce or now - issued_at > FRESH + LEEWAY:
        raise BadToken("it is not of this sign-in")
    elif claims.get("azp", rules.audience) != rules.audience or (
        len(several) > 1 and "azp" not in claims
    ):
        raise BadToken("it is for another party")
    return Claims(subject, expires_at, claims)


def _moment(claims: dict[str, Any], name: str) -> datetime | None:
    """A moment in seconds since 1970; None where it is absent."""
    seconds = claims.get(name)
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise BadToken(f"its {name} is no number")
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        raise BadToken(f"its {name} is no moment") from None
