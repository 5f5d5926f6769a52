"""Tokens of an OpenID provider: which are believed, and the hostile ones that are not."""

import hmac
import warnings
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from joserfc.jwk import KeySet, RSAKey

from giftgql.openid.tokens import BadToken, Claims, Rules, UnknownKey, check, key_set
from tests.openid_provider import ALGORITHMS, encoded, key, signed

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
AT = int(NOW.timestamp())
ISSUER, AUDIENCE = "https://login.example", "gifts"
RULES = Rules(ISSUER, AUDIENCE)
SIGN_IN = Rules(ISSUER, AUDIENCE, nonce="n-1")
RIGHT = {"iss": ISSUER, "aud": AUDIENCE, "sub": "C1", "iat": AT, "exp": AT + 300}
DAY = 86_400


@pytest.fixture(scope="module")
def keys() -> KeySet:
    return key_set(key(kid).as_dict(private=False) for kid in ("rsa", "ec", "ed"))


def claims(**other: Any) -> dict[str, Any]:
    return {name: value for name, value in {**RIGHT, **other}.items() if value is not None}


def believed(token: str, keys: KeySet, rules: Rules = RULES, now: datetime = NOW) -> Claims:
    return check(token, keys, rules, now)


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_a_right_token_is_believed_whatever_it_is_signed_with(alg: str, keys: KeySet) -> None:
    found = believed(signed(claims(roles=["x"]), alg=alg), keys)
    assert found.subject == "C1"
    assert found.expires_at.timestamp() == AT + 300
    assert found.all["roles"] == ["x"]
    assert "roles" not in repr(found)


def test_what_is_usual_is_believed(keys: KeySet) -> None:
    for other in (
        {"aud": ["other", AUDIENCE]},
        {"iat": AT + 29},
        {"exp": AT - 29, "iat": AT - 300},
        {"exp": AT + 300.5},
        {"exp": AT + 3600},
        {"nbf": AT},
        {"azp": "an app"},
        {"iss": ISSUER, "extra": {"a": 1}},
    ):
        assert believed(signed(claims(**other)), keys)
    for header in ({"typ": "at+jwt"}, {"typ": "AT+JWT"}, {"typ": "application/at+jwt"}, {"x": 1}):
        assert believed(signed(claims(), **header), keys)


def forged(header: Any, signature: str | None = None) -> str:
    """Our claims under a header of which the signature is not."""
    return f"{encoded(orjson.dumps(header))}.{BODY}.{SIGNATURE if signature is None else signature}"


def hmac_with_public_key() -> str:
    """The classic: the published key taken as the secret of an HMAC."""
    signing = forged({"alg": "HS256", "typ": "JWT", "kid": "rsa"}, "").rstrip(".")
    rsa = key("rsa")
    assert isinstance(rsa, RSAKey)
    public = rsa.as_pem(private=False)
    return f"{signing}.{encoded(hmac.digest(public, signing.encode(), 'sha256'))}"


GOOD = signed(claims())
HEAD, BODY, SIGNATURE = GOOD.split(".")
EVIL = signed(claims(), by="rsa-evil", kid="rsa", jwk=key("rsa-evil").as_dict(private=False))
HOSTILE = {
    "none": forged({"alg": "none", "typ": "JWT", "kid": "rsa"}, ""),
    "None": forged({"alg": "None", "typ": "JWT", "kid": "rsa"}, "x"),
    "none with a signature": forged({"alg": "none", "typ": "JWT", "kid": "rsa"}),
    "no signature": f"{HEAD}.{BODY}.",
    "hmac with the public key": hmac_with_public_key(),
    "another's key": EVIL,
    "jku": signed(claims(), by="rsa-evil", jku="https://evil.example/keys"),
    "x5u": signed(claims(), by="rsa-evil", x5u="https://evil.example/cert"),
    "key id of a file": signed(claims(), kid="../../dev/null"),
    "key id of another key": signed(claims(), kid="ec"),
    "key id is a number": signed(claims(), kid=1),
    "key id of a secret": signed(claims(), kid="oct"),
    "no key id": signed(claims(), kid=None),
    "key of another algorithm": signed(claims(), alg="ES256", kid="rsa"),
    "no algorithm": forged({"typ": "JWT", "kid": "rsa"}),
    "algorithms in a list": forged({"alg": ["RS256"], "typ": "JWT", "kid": "rsa"}),
    "algorithm that is not allowed": signed(claims(), alg="RS512", by="rsa"),
    "crit": signed(claims(), crit=["exp"], exp=1),
    "crit of what is known": signed(claims(), crit=["kid"]),
    "b64 alone": signed(claims(), b64=False),
    "b64": signed(claims(), crit=["b64"], b64=False),
    "of another type": signed(claims(), typ="logout+jwt"),
    "no type": signed(claims(), typ=None),
    "type is a list": signed(claims(), typ=["JWT"]),
    "json form": orjson.dumps(
        {"protected": HEAD, "payload": BODY, "signature": SIGNATURE}
    ).decode(),
    "four dots": f"{GOOD}.x.y",
    "one dot": f"{HEAD}.{BODY}",
    "padding": f"{HEAD}.{BODY}.{SIGNATURE}==",
    "a changed word": f"{HEAD}.{encoded(orjson.dumps(claims(sub='C2')))}.{SIGNATURE}",
    "too long": signed(claims(x="x" * 8_000)),
    "spaces": f" {GOOD}",
    "not ascii": f"{HEAD}.{BODY}.é",
    "payload is a list": signed(b"[]"),
    "payload is no json": signed(b"{"),
    "payload has a number without end": signed(b'{"exp": ' + b"9" * 400 + b"}"),
    "deep payload": signed(b"[" * 3_000 + b"]" * 3_000),
    "header is a list": forged([]),
    "header is a number": forged(5),
    "empty": "..",
}
FALSE: dict[str, dict[str, Any]] = {
    "another issuer": {"iss": "https://evil.example"},
    "issuer with a slash": {"iss": f"{ISSUER}/"},
    "issuers in a list": {"iss": [ISSUER]},
    "no issuer": {"iss": None},
    "another audience": {"aud": "shop"},
    "audience within a text": {"aud": f"x{AUDIENCE}"},
    "audience among what is no text": {"aud": [AUDIENCE, 5]},
    "audience is an object": {"aud": {AUDIENCE: True}},
    "no audience": {"aud": None},
    "no subject": {"sub": None},
    "empty subject": {"sub": ""},
    "subject is a number": {"sub": 1},
    "expired": {"exp": AT - 30, "iat": AT - 300},
    "no end": {"exp": None},
    "end is a text": {"exp": str(AT + 300)},
    "end is true": {"exp": True},
    "end is beyond all time": {"exp": 1e300},
    "no beginning": {"iat": None},
    "from the future": {"iat": AT + 31},
    "not yet": {"nbf": AT + 31},
    "beginning is a text": {"nbf": "0"},
    "beginning is true": {"nbf": True},
    "lives for too long": {"exp": AT + 3_601},
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_token_is_refused(case: str, keys: KeySet) -> None:
    with pytest.raises(BadToken) as refused:
        believed(HOSTILE[case], keys)
    assert HOSTILE[case] not in str(refused.value) or not HOSTILE[case].strip(".")


@pytest.mark.parametrize("case", FALSE)
def test_a_token_that_is_not_for_us_or_not_for_now_is_refused(case: str, keys: KeySet) -> None:
    with pytest.raises(BadToken):
        believed(signed(claims(**FALSE[case])), keys)


def test_an_id_token_is_of_one_sign_in_and_for_us_alone(keys: KeySet) -> None:
    right = {"nonce": "n-1", "exp": AT + DAY}
    for other in ({}, {"azp": AUDIENCE, "aud": [AUDIENCE, "other"]}, {"iat": AT - 600}):
        assert believed(signed(claims(**right, **other)), keys, SIGN_IN)
    assert believed(signed(claims(**right), typ=None), keys, SIGN_IN), "some say no type"
    for wrong in (
        {"nonce": None},
        {"nonce": "n-2"},
        {"nonce": ["n-1"]},
        {"azp": "other"},
        {"aud": [AUDIENCE, "other"]},
        {"iat": AT - 631},
    ):
        with pytest.raises(BadToken):
            believed(signed(claims(**{**right, **wrong})), keys, SIGN_IN)


def test_of_the_published_keys_only_those_fit_for_signatures_count(keys: KeySet) -> None:
    good = key("rsa").as_dict(private=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        small = RSAKey.generate_key(1024, {"kid": "small"}).as_dict(private=False)
    published: list[Any] = [
        *(None, 5, {}, {"kty": "RSA"}, {"kty": "RSA", "kid": "x"}, {"kty": "AKP", "kid": "pq"}),
        {"kty": "oct", "kid": "oct", "k": "c2VjcmV0"},
        {"kty": "EC", "kid": "ec", "crv": "P-256", "x": "!", "y": "!"},
        {**good, "use": "enc", "kid": "enc"},
        {**good, "kid": None},
        {name: value for name, value in good.items() if name != "kid"},
        small,
        good,
    ]
    assert [each.kid for each in key_set(published)] == ["rsa"]
    assert not key_set([{**good, "kid": str(n)} for n in range(50)] + [good]).keys[50:]
    with pytest.raises(UnknownKey):
        believed(signed(claims(), alg="ES256"), key_set([good]))
    with pytest.raises(BadToken):
        believed(signed(claims(), kid=None), key_set([good]))
    only_ps256 = key_set([{**good, "alg": "PS256"}])
    assert believed(signed(claims(), alg="PS256"), only_ps256)
    with pytest.raises(UnknownKey):
        believed(signed(claims(), alg="RS256"), only_ps256)
