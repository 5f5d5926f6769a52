"""The retailer's OpenID provider: members call with its tokens, staff sign in by it."""

from collections.abc import AsyncIterator
from time import monotonic
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import pytest

from giftgql.app import callers
from giftgql.app.openid import name_of, roles_of
from giftgql.openid import calls, provider
from giftgql.openid.tokens import Claims
from giftgql.settings import Settings
from giftgql.staff import service as staff
from giftgql.store import Store
from giftgql.tries.rates import PLACE
from tests import openid_provider
from tests.client import Answer, Client, Server
from tests.conftest import ALL_BUT_UNMASKED, SetClock
from tests.factories import card, member
from tests.factories import client as new_client
from tests.openid_provider import CLIENT, TestProvider
from tests.signing_in import ORIGIN, SESSION, Browser

ME = "{ me { id giftcards { results { id codes { code isMasked } } } } }"
VIEWER = "{ viewer { name roles } }"


@pytest.fixture
async def issuer(store: Store, clock: SetClock) -> AsyncIterator[TestProvider]:
    async with openid_provider.running() as running:
        running.now = int(clock.now.timestamp())
        yield running


@pytest.fixture
async def server(store: Store, issuer: TestProvider) -> AsyncIterator[Server]:
    """The application, whose staff sign in by the provider, and whose members call with its
    tokens."""
    store.settings = store.settings.model_copy(
        update={
            "public_url": ORIGIN,
            "staff_oidc_issuer": issuer.issuer,
            "staff_oidc_client_id": CLIENT["client_id"],
            "staff_oidc_client_secret": CLIENT["secret"],
            "staff_oidc_claim": "realm_access.roles",
            "staff_oidc_roles": "gift-managers=manager; cn=tills,dc=shop=clerk; both=clerk",
            "member_oidc_issuer": issuer.issuer,
            "member_oidc_audience": "gifts",
        }
    )
    async with Server.over(store) as running:
        yield running


@pytest.fixture
async def backend(server: Server, store: Store) -> Client:
    return server.client((await new_client(store, permissions=ALL_BUT_UNMASKED)).client_secret)


@pytest.fixture
def aged(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds by which what is remembered of credentials and the provider has aged."""
    seconds = [0.0]
    for module in (callers, provider):
        monkeypatch.setattr(module, "monotonic", lambda: monotonic() + seconds[0])
    return seconds


# Members


async def me(server: Server, token: str) -> Answer:
    return await server.client(token).run(ME)


async def test_a_member_calls_with_the_provider_s_token_and_sees_its_own(
    server: Server, issuer: TestProvider, backend: Client
) -> None:
    await member(backend, "C1")
    await member(backend, "C2")
    own = await card(backend, memberId="C1", addPersonalCode=True)
    await card(backend, memberId="C2")
    for alg in ("RS256", "ES256", "EdDSA"):
        answer = await me(server, issuer.token(alg=alg))
        [found] = answer["me"]["giftcards"]["results"]
        assert (answer["me"]["id"], found["id"]) == ("C1", own["id"])
        assert not any(code["isMasked"] for code in found["codes"])
    assert issuer.calls == ["openid-configuration", "keys"], "asked once"
    denied = await server.client(issuer.token()).run("{ giftcard { results { id } } }")
    assert denied.code == "PERMISSION_DENIED"


async def test_tokens_that_are_not_right_or_of_nobody_are_unauthenticated(
    server: Server, issuer: TestProvider, backend: Client, clock: SetClock, aged: list[float]
) -> None:
    await member(backend, "C1")
    good = issuer.token()
    wrong = [
        *(issuer.token(aud="shop"), issuer.token(iss="http://127.0.0.1:1"), issuer.token(sub=None)),
        *(issuer.token(exp=issuer.now - 30), issuer.token(exp=issuer.now + 3_601)),
        *(issuer.token(by="rsa-evil"), good[:-4] + "AAAA", good + ".x", "a.b.c", f"{good}="),
    ]
    for token in wrong:
        answer = await me(server, token)
        assert (answer.status, answer.code) == (401, "UNAUTHENTICATED"), token
        assert "data" not in answer.body
    unknown = await me(server, issuer.token(sub="C9"))
    assert (unknown.status, unknown.code) == (401, "UNAUTHENTICATED")
    assert "no member here" in unknown.errors[0]["message"]
    assert (await me(server, good)).status == 200
    clock.forward(seconds=330)
    assert (await me(server, good)).status == 401, "remembered or not"
    aged[0] = callers.RIGHTS_SECONDS * 2
    assert (await me(server, good)).status == 401


async def test_a_new_key_is_found_and_made_up_ones_do_not_make_us_ask_for_ever(
    server: Server, issuer: TestProvider, backend: Client, aged: list[float]
) -> None:
    await member(backend, "C1")
    assert (await me(server, issuer.token())).status == 200
    issuer.kids = ["rsa-2"]
    for number in range(5):
        assert (await me(server, issuer.token(by=f"ed-{number}", alg="EdDSA"))).status == 401
    assert len(issuer.calls) == 2, "30 s have not passed since the provider was asked"
    aged[0] += provider.NOT_BEFORE
    assert (await me(server, issuer.token(by="rsa-2"))).status == 200
    for number in range(5):
        assert (await me(server, issuer.token(by=f"ed-{number}", alg="EdDSA"))).status == 401
    assert len(issuer.calls) == 4
    assert (await me(server, issuer.token(by="rsa", jti="2"))).status == 401, "the old key is gone"


async def test_without_the_provider_known_keys_go_on_for_a_day(
    server: Server, issuer: TestProvider, backend: Client, aged: list[float]
) -> None:
    await member(backend, "C1")
    issuer.replies = {"openid-configuration": b"HTTP/1.1 503 X\r\ncontent-length: 0\r\n\r\n"}
    answer = await me(server, issuer.token())
    assert (answer.status, answer.code) == (503, "UNAVAILABLE")
    assert answer.errors[0]["extensions"]["retryAfter"] == 5
    assert (await me(server, issuer.token())).status == 503
    assert issuer.calls == ["openid-configuration"], "not asked again at once"
    issuer.replies = {}
    aged[0] += provider.NOT_BEFORE_FIRST
    assert (await me(server, issuer.token())).status == 200
    issuer.replies = {"keys": None}
    for passed, wanted in ((provider.READ_AGAIN_AFTER, 200), (provider.KNOWN_FOR, 503)):
        aged[0] += passed
        assert (await me(server, issuer.token())).status == wanted
    issuer.replies = {}
    aged[0] += provider.NOT_BEFORE
    assert (await me(server, issuer.token())).status == 200


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
async def test_what_is_no_provider_is_not_believed(
    server: Server,
    issuer: TestProvider,
    aged: list[float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(calls, "CALL_SECONDS", 0.3)

    head = b"HTTP/1.1 200 X\r\n"
    elsewhere = f"http://127.0.0.1:{issuer.port}/retailer/.well-known/other"
    for replies in (
        {"openid-configuration": b"HTTP/1.1 302 X\r\nlocation: %s\r\n\r\n" % elsewhere.encode()},
        {"openid-configuration": head + b"content-length: 5\r\n\r\nhello"},
        {"openid-configuration": head + b"content-length: 2\r\n\r\n[]"},
        {"openid-configuration": head + b"content-length: 300000\r\n\r\n" + b"x" * 300_000},
        {"openid-configuration": head + b"content-length: 9\r\n\r\n"},
        {"openid-configuration": b"nonsense\r\n\r\n"},
        {"keys": openid_provider.answer({"keys": []})},
        {"keys": openid_provider.answer({"keys": 5})},
    ):
        aged[0] += provider.NOT_BEFORE
        issuer.replies = replies
        assert (await me(server, issuer.token())).status == 503, replies
    issuer.replies = {}
    for changes in (
        {"issuer": "http://127.0.0.1:1"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": None},
    ):
        aged[0] += provider.NOT_BEFORE
        issuer.changes = changes
        assert (await me(server, issuer.token())).status == 503, changes
    assert "other" not in issuer.calls, "no redirect is followed"


# Staff


async def begin(browser: Browser, goes_on: str = "/graphql") -> str:
    answer = await browser.get(f"/sign-in/openid?{urlencode({'next': goes_on})}")
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


async def come_back(browser: Browser, back: dict[str, str]) -> httpx.Response:
    return await browser.get(f"/sign-in/callback?{urlencode(back)}")


async def sign_in(browser: Browser, issuer: TestProvider, *groups: str) -> httpx.Response:
    issuer.claims["realm_access"] = {"roles": list(groups)}
    return await come_back(browser, issuer.authorize(await begin(browser)))


async def test_staff_sign_in_by_the_provider_with_the_roles_that_it_gives(
    server: Server, issuer: TestProvider, store: Store
) -> None:
    browser = Browser(server)
    assert "/sign-in/openid" in (await browser.get("/sign-in")).text
    url = await begin(browser, "/graphql?tab=1")
    asked = dict(parse_qsl(urlsplit(url).query))
    assert url.startswith(f"http://127.0.0.1:{issuer.port}/authorize?tenant=1&")
    assert asked["redirect_uri"] == f"{ORIGIN}/sign-in/callback"
    assert asked["scope"] == "openid profile"
    assert not {asked["state"], asked["nonce"]} & set("".join(browser.cookies.values()).split("."))
    issuer.claims = {"name": "Ada\x07 Jansen", "realm_access": {"roles": ["gift-managers", "x"]}}
    answer = await come_back(browser, issuer.authorize(url))
    assert (answer.status_code, answer.headers["location"]) == (303, "/graphql?tab=1")
    assert browser.cookies.keys() == {"__Host-giftgql"}
    viewer = (await browser.run(VIEWER))["viewer"]
    assert viewer == {"name": "Ada Jansen", "roles": ["manager"]}
    assert (await sign_in(browser, issuer, "cn=tills,dc=shop")).status_code == 303
    assert (await browser.run(VIEWER))["viewer"]["roles"] == ["clerk"]
    async with store.read() as reading:
        [person] = await reading.staff.page()
    assert (person.issuer, person.subject) == (issuer.issuer, "u1")


async def test_who_has_no_role_or_is_disabled_is_told_so(
    server: Server, issuer: TestProvider, store: Store
) -> None:
    browser = Browser(server)
    issuer.claims = {"name": "<i>Bob</i>"}
    for groups in ((), ("Gift-Managers", "administrator", "clerk")):
        answer = await sign_in(browser, issuer, *groups)
        assert answer.status_code == 403
        assert "&lt;i&gt;Bob&lt;/i&gt; has no role here" in answer.text
    async with store.read() as reading:
        assert await reading.staff.page() == [], "nobody is added who has no role"
    assert (await sign_in(browser, issuer, "both")).status_code == 303
    held = Browser(server, cookies=dict(browser.cookies))
    assert (await sign_in(browser, issuer)).status_code == 403
    assert (await held.run(VIEWER))["viewer"]["roles"] == [], "what is taken away is gone at once"
    assert (await sign_in(browser, issuer, "both")).status_code == 303
    async with store.write() as tx:
        [person] = await tx.staff.page()
        await staff.disable(tx, person.public_id)
    assert (await browser.run(VIEWER)).status == 401
    assert (await sign_in(browser, issuer, "both")).status_code == 403


async def test_an_answer_is_believed_once_and_only_where_it_was_asked_for(
    server: Server, issuer: TestProvider, clock: SetClock
) -> None:
    browser, other = Browser(server), Browser(server)
    issuer.claims = {"realm_access": {"roles": ["both"]}}
    back = issuer.authorize(await begin(browser))
    for wrong in ({"state": "x"}, {"state": ""}, {"state": "é"}):
        await begin(other)
        assert (await come_back(other, {**back, **wrong})).status_code == 400
    await begin(other)
    assert (await come_back(other, back)).status_code == 400, "in another browser"
    assert (await come_back(Browser(server), back)).status_code == 400, "without the cookie"
    stolen = dict(browser.cookies)
    assert (await come_back(browser, back)).status_code == 303
    assert (await come_back(browser, back)).status_code == 400, "the cookie is gone"
    replayed = Browser(server, cookies=stolen)
    assert (await come_back(replayed, back)).status_code == 403, "the code is used up"
    for wrong, status in (
        ({"iss": "https://evil.example"}, 403),
        ({"code": "", "error": "access_denied", "error_description": "<b>"}, 403),
        ({"code": "x" * 3_000}, 403),
    ):
        answer = await come_back(other, {**issuer.authorize(await begin(other)), **wrong})
        assert (answer.status_code, "<b>" in answer.text) == (status, False)
    assert other.cookies == {}


async def test_an_id_token_that_is_not_right_lets_nobody_in(
    server: Server, issuer: TestProvider, store: Store, clock: SetClock
) -> None:
    browser = Browser(server)
    wrong: list[dict[str, Any]] = [
        *({"nonce": "x"}, {"nonce": None}, {"aud": "other"}, {"iss": "http://127.0.0.1:1"}),
        *({"azp": "other"}, {"exp": issuer.now - 30}, {"iat": issuer.now - 700}, {"sub": 5}),
    ]
    for claims in wrong:
        issuer.claims = claims
        answer = await sign_in(browser, issuer, "both")
        assert answer.status_code == 403, claims
        assert "was not accepted" in answer.text
    issuer.claims = {}
    issuer.replies = {"token": openid_provider.answer({"access_token": "x"})}
    for _ in range(PLACE.burst - len(wrong)):
        assert (await sign_in(browser, issuer, "both")).status_code == 403
    issuer.replies = {}
    answer = await sign_in(browser, issuer, "both")
    assert answer.status_code == 429, "too many failures from here"
    assert SESSION not in browser.cookies
    async with store.read() as reading:
        assert await reading.staff.page() == []


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
async def test_a_provider_that_is_away_gives_a_page_that_says_so(
    server: Server, issuer: TestProvider, aged: list[float]
) -> None:
    browser, away = Browser(server), b"HTTP/1.1 500 X\r\ncontent-length: 0\r\n\r\n"
    issuer.replies = {"openid-configuration": away}
    answer = await browser.get("/sign-in/openid")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "cannot be reached" in answer.text
    aged[0] += provider.NOT_BEFORE
    issuer.replies = {"token": away}
    assert (await sign_in(browser, issuer, "both")).status_code == 503
    assert "key" in (await browser.get("/sign-in")).text, "a key is the other way in"


async def test_without_a_provider_there_is_no_way_by_one(settings: Settings, store: Store) -> None:
    async with Server.over(store) as server:
        browser = Browser(server)
        assert "/sign-in/openid" not in (await browser.get("/sign-in")).text
        for path in ("/sign-in/openid", "/sign-in/callback"):
            assert (await browser.get(path)).status_code == 404
        assert (await server.client("a.b.c").run(ME)).status == 401


def test_roles_and_names_are_read_from_whatever_claims_there_are() -> None:
    def of(path: str, **all_claims: Any) -> set[str]:
        settings = Settings(
            staff_oidc_claim=path, staff_oidc_roles="a=clerk;b=till ; b=manager;", _env_file=None
        )
        return roles_of(Claims("u1", None, all_claims), settings)  # type: ignore[arg-type]

    assert of("roles", roles=["a", "b", "c", 5, None, ["a"]]) == {"clerk", "till", "manager"}
    assert of("roles", roles="a") == {"clerk"}
    assert of("x.y", x={"y": ["a"]}) == {"clerk"}
    assert of("x.y", **{"x.y": "a"}) == {"clerk"}
    odds: tuple[Any, ...] = (None, 5, {}, {"a": True}, [], "A", "a b")
    for odd in odds:
        assert of("roles", roles=odd) == set()
    assert of("x.y", x=["y"]) == of("x.y.z", x={"y": "a"}) == of("roles") == set()

    def name(subject: str = "u1", **all_claims: Any) -> str:
        return name_of(Claims(subject, None, all_claims))  # type: ignore[arg-type]

    assert name(name="\u202eAda", email="a@b") == "Ada"
    assert name(name=5, preferred_username=" \n", email="a@b") == "a@b"
    assert name(name="x" * 200) == "x" * 100
    assert (name(), name("\n")) == ("u1", "Somebody")
