"""The sign-in page, its sessions, and what other sites cannot do with them."""

from itertools import product

import pytest

from giftgql import credentials
from giftgql.app.signing_in import place_of
from giftgql.permissions import Permission
from giftgql.settings import Settings
from giftgql.staff import service as staff
from giftgql.store import Store
from giftgql.tries.rates import PLACE
from giftgql.work import sweep
from tests.client import Server
from tests.conftest import SetClock
from tests.factories import client as new_client
from tests.signing_in import OURS, SAME_ORIGIN, SESSION, Browser, person

VIEWER = "{ viewer { name permissions } }"


@pytest.fixture
def browser(server: Server) -> Browser:
    return Browser(server)


async def test_a_person_signs_in_sees_who_it_is_and_signs_out(
    browser: Browser, store: Store
) -> None:
    anna = await person(store, role="clerk", name="<b>Anna & co</b>")
    form = await browser.get("/sign-in?next=/graphql%3Fa=1")
    assert form.status_code == 200
    assert 'value="/graphql?a=1"' in form.text
    assert "<script" not in form.text
    assert "style=" not in form.text
    answer = await browser.sign_in(anna.key, "/graphql?a=1")
    assert (answer.status_code, answer.headers["location"]) == (303, "/graphql?a=1")
    [cookie] = answer.headers.get_list("set-cookie")
    assert cookie.startswith(f"{SESSION}=")
    assert {each.strip().lower() for each in cookie.split(";")[1:]} == {
        *("path=/", "secure", "httponly", "samesite=lax")
    }
    shown = await browser.get("/sign-in")
    assert "&lt;b&gt;Anna &amp; co&lt;/b&gt;" in shown.text
    assert "clerk" in shown.text
    assert Permission.CHECK_GIFT_CARD_BALANCE.value in shown.text
    assert (await browser.run(VIEWER))["viewer"]["name"] == "<b>Anna & co</b>"
    async with Server.over(store) as another_process:
        elsewhere = Browser(another_process, cookies=dict(browser.cookies))
        assert (await elsewhere.run(VIEWER)).status == 200
        answer = await browser.post("/sign-out", {"formToken": await browser.form_token()})
        assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
        assert browser.cookies == {}
        assert (await elsewhere.run(VIEWER)).code == "UNAUTHENTICATED", "the session has ended"
        assert (await elsewhere.post("/sign-out")).headers["location"] == "/sign-in"


async def test_pages_are_sent_with_a_policy_that_lets_no_script_run(browser: Browser) -> None:
    for path in ("/sign-in", "/static/giftgql.css"):
        answer = await browser.get(path)
        assert answer.status_code == 200
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
    policy = (await browser.get("/sign-in")).headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "script-src" not in policy
    assert (await browser.get("/static/..%2Fpages.py")).status_code == 404


async def test_a_wrong_key_is_refused_and_too_many_are_for_a_while(
    browser: Browser, store: Store, clock: SetClock
) -> None:
    anna, till = await person(store), await new_client(store)
    mistyped = anna.key[:-1] + ("a" if anna.key[-1] != "a" else "b")
    for key in ("", "x", mistyped, till.client_secret, anna.key + "\x00", "ggs_" + "x" * 5_000):
        answer = await browser.sign_in(key)
        assert answer.status_code == 403, key
        assert len(key) < 5 or key not in answer.text
    unknown = credentials.make("ggs_", "12345678")
    statuses = [(await browser.sign_in(unknown)).status_code for _ in range(PLACE.burst + 1)]
    assert statuses == [403] * PLACE.burst + [429]
    answer = await browser.sign_in(anna.key)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "18")
    clock.forward(seconds=18)
    assert (await browser.sign_in(anna.key)).status_code == 303
    assert browser.cookies


def test_a_place_is_an_address_or_all_of_a_network_of_ipv6() -> None:
    from starlette.requests import Request

    def place(host: str | None) -> str:
        return place_of(Request({"type": "http", "client": host and (host, 1), "headers": []}))

    assert place("192.0.2.1") == "192.0.2.1"
    assert place("2001:db8::1") == place("2001:db8::2") == "2001:db8::/64"
    assert place("testclient") == "testclient"
    assert place(None) == ""


async def test_a_session_ends_when_idle_when_its_time_is_up_and_never_wakes(
    browser: Browser, store: Store, clock: SetClock
) -> None:
    anna = await person(store)
    await browser.sign_in(anna.key)
    for _ in range(16):
        clock.forward(minutes=29, seconds=59)
        assert (await browser.run(VIEWER)).status == 200
    clock.forward(seconds=16)
    assert (await browser.run(VIEWER)).status == 401, "after eight hours, used or not"
    await sweep(store)
    async with store.write() as tx:
        assert await staff.forget_ended(tx) == 0, "the sweep has done so"
    await browser.sign_in(anna.key)
    clock.forward(minutes=30)
    assert (await browser.run(VIEWER)).status == 401
    assert (await browser.run(VIEWER)).status == 401


async def test_a_new_sign_in_ends_the_session_that_the_browser_had(
    browser: Browser, store: Store
) -> None:
    anna, bob = await person(store), await person(store, name="Bob")
    await browser.sign_in(anna.key)
    before = Browser(browser.server, cookies=dict(browser.cookies))
    await browser.sign_in(bob.key)
    assert (await browser.run(VIEWER))["viewer"]["name"] == "Bob"
    assert (await before.run(VIEWER)).status == 401


async def test_rights_that_are_changed_are_changed_for_sessions_at_once(
    browser: Browser, store: Store
) -> None:
    anna = await person(store, role="clerk")
    await browser.sign_in(anna.key)
    cards = "{ giftcard { results { id } } }"
    assert (await browser.run(cards)).code == "PERMISSION_DENIED"
    async with store.write() as tx:
        await staff.set_rights(tx, anna.staff_id, roles=["manager"], permissions=[])
    assert (await browser.run(cards))["giftcard"] == {"results": []}
    async with store.write() as tx:
        await staff.revoke_keys(tx, anna.staff_id)
    assert (await browser.run(cards)).status == 401, "a session ends with its key"
    async with store.write() as tx:
        again = await staff.new_key(tx, anna.staff_id)
    await browser.sign_in(again.key)
    assert (await browser.run(cards)).status == 200
    async with store.write() as tx:
        await staff.disable(tx, anna.staff_id)
    assert (await browser.run(cards)).status == 401
    assert (await browser.sign_in(again.key)).status_code == 403


async def test_the_session_lies_in_the_database_as_a_digest(browser: Browser, store: Store) -> None:
    anna = await person(store)
    await browser.sign_in(anna.key)
    secret = browser.cookies[SESSION]
    async with store.read() as reading:
        found = await reading.staff.find_session(credentials.digest(secret))
    assert found
    assert secret not in str([row and row.model_dump() for row in found])
    assert len(secret) == 43


async def test_another_site_s_page_can_do_nothing_with_the_cookie(
    browser: Browser, store: Store
) -> None:
    """Cookie, Sec-Fetch-Site, Origin, our header, content type: only our own pages are heard."""
    anna = await person(store, role="administrator")
    await browser.sign_in(anna.key)
    own, evil = browser.origin, "https://evil.example"
    sites = (None, "same-origin", "same-site", "cross-site", "none")
    origins = (None, own, evil, "null", "https://cards.example.evil", f"{own}:8443")
    for site, origin, ours, kind in product(
        sites, origins, (None, "1", "0"), ("application/json", "text/plain")
    ):
        given = {
            "Sec-Fetch-Site": site,
            "Origin": origin,
            "X-GiftGQL-Request": ours,
            "Content-Type": kind,
        }
        headers = {name: value for name, value in given.items() if value is not None}
        is_own = site == "same-origin" or (site is None and origin == own)
        wanted = 401 if not (is_own and ours == "1") else 200 if kind.endswith("json") else 415
        body = b'{"query": "{ viewer { name } }"}'
        answer = await browser.send("POST", "/graphql", content=body, headers=headers)
        assert answer.status_code == wanted, given
        assert "access-control-allow-origin" not in answer.headers
    nobody = Browser(browser.server)
    assert (await nobody.run(VIEWER)).status == 401
    file = "/exports/transactions.csv"
    assert (await browser.send("GET", file, headers=SAME_ORIGIN)).status_code == 200
    assert (await browser.send("GET", file, headers={"Sec-Fetch-Site": "none"})).status_code == 401


async def test_another_site_s_form_neither_signs_in_nor_out(browser: Browser, store: Store) -> None:
    anna = await person(store)
    for headers in ({}, {"Sec-Fetch-Site": "cross-site", "Origin": browser.origin}):
        answer = await browser.post("/sign-in", {"key": anna.key}, headers=headers)
        assert answer.status_code == 403
    assert browser.cookies == {}
    await browser.sign_in(anna.key)
    token = await browser.form_token()
    assert len(token) == 64
    for form, headers in (
        ({"formToken": token}, {"Sec-Fetch-Site": "same-site"}),
        ({"formToken": token}, {}),
        ({"formToken": token[:-1]}, SAME_ORIGIN),
        ({"formToken": ""}, SAME_ORIGIN),
    ):
        assert (await browser.post("/sign-out", form, headers=headers)).status_code == 403
    assert (await browser.run(VIEWER)).status == 200
    twice = await browser.send(
        "POST",
        "/sign-out",
        content=f"formToken={token}&formToken={token}".encode(),
        headers={**SAME_ORIGIN, "Content-Type": "application/x-www-form-urlencoded"},
    )
    assert twice.status_code == 400
    assert (await browser.send("GET", "/sign-out")).status_code == 405


async def test_a_bearer_token_goes_before_a_cookie_and_needs_no_origin(
    browser: Browser, store: Store
) -> None:
    anna, bob = await person(store), await person(store, name="Bob")
    await browser.sign_in(anna.key)
    bearer = {"Authorization": f"Bearer {bob.key}", "Sec-Fetch-Site": "cross-site"}
    assert (await browser.run(VIEWER, bearer))["viewer"]["name"] == "Bob"
    assert (await browser.run(VIEWER, {**OURS, "Authorization": "Bearer x"})).status == 401


@pytest.mark.parametrize(
    "goes_on",
    [
        *("//evil.example", "/\\evil.example", "https://evil.example", "javascript:alert(1)"),
        *("evil", "/\t/evil.example", "/a\r\nSet-Cookie: x=1", "/" + "x" * 501, "/a b", ""),
    ],
)
async def test_a_sign_in_leads_nowhere_else(goes_on: str) -> None:
    from giftgql.web.sessions import local

    assert local(goes_on) == "/graphql"
    assert local("/sign-in") == "/sign-in"


async def test_without_tls_only_this_machine_signs_in(server: Server, store: Store) -> None:
    anna = await person(store)
    for origin, wanted in (
        ("http://127.0.0.1:8000", 303),
        ("http://localhost", 303),
        ("http://[::1]:8000", 303),
        ("http://192.0.2.7:8000", 400),
        ("http://localhost.evil.example", 400),
    ):
        browser = Browser(server, origin)
        headers = {"Origin": origin}
        answer = await browser.post("/sign-in", {"key": anna.key}, headers=headers)
        assert answer.status_code == wanted, origin
        if wanted == 303:
            assert "Secure" not in answer.headers["set-cookie"]
            assert browser.cookies.keys() == {"giftgql"}
            sent = {**headers, "X-GiftGQL-Request": "1"}
            assert (await browser.run(VIEWER, sent)).status == 200


async def test_in_production_nobody_signs_in_without_tls(settings: Settings, store: Store) -> None:
    """A proxy may call the server by this machine's name, whoever calls the proxy."""
    store.settings = settings.model_copy(update={"production": True})
    anna = await person(store)
    async with Server.over(store) as server:
        browser = Browser(server, "http://127.0.0.1:8000")
        headers = {"Origin": browser.origin}
        answer = await browser.post("/sign-in", {"key": anna.key}, headers=headers)
        assert (answer.status_code, browser.cookies) == (400, {})


async def test_behind_a_proxy_the_public_address_is_what_counts(
    settings: Settings, store: Store
) -> None:
    store.settings = settings.model_copy(update={"public_url": "https://gifts.example"})
    anna = await person(store)
    async with Server.over(store) as server:
        browser = Browser(server, "http://10.0.0.5:8000")
        for origin, wanted in (("http://10.0.0.5:8000", 403), ("https://gifts.example", 303)):
            headers = {"Origin": origin}
            answer = await browser.post("/sign-in", {"key": anna.key}, headers=headers)
            assert answer.status_code == wanted
        assert browser.cookies.keys() == {SESSION}
