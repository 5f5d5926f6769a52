"""Everything that a busy server has written is searched for every secret that passed through it.

The development client's file and the key file hold secrets by design; nothing else may.
"""

import asyncio
import csv
import io
import json
import socket
import subprocess
import sys
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from sqlalchemy import text

from giftgql import credentials
from giftgql.settings import Settings
from giftgql.startup import open_store
from tests import servers
from tests.leaking import Run, forms

ADD = "mutation ($g: GiftcardAddInput!) { giftcardAdd(giftcard: $g) { id codes { code } } }"
EDIT = "mutation ($g: GiftcardEditInput!) { giftcardEdit(giftcard: $g) { id } }"
FIND = "query ($c: String!) { giftcard(code: $c) { results { id codeHistory { code } } } }"
MAILED = ("ada", "bo")
BUY = "mutation ($o: OrderAddInput!) { orderAdd(order: $o) { lines { giftcards { id } } } }"
CODES = "query ($id: ID) { giftcard(id: $id) { results { codes { code } } } }"
TOKEN = 'mutation { memberTokenAdd(member: {id: "M1"}) { token } }'


@pytest.fixture(params=["sqlite", "postgresql"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Run]:
    postgres: servers.PostgresServer | None = None
    url = ""
    if request.param == "postgresql":
        postgres = request.getfixturevalue("postgres")
        url = postgres.create()
        postgres.sql(f"ALTER DATABASE {postgres.name(url)} SET log_statement = 'all'")
        postgres.sql(f"ALTER DATABASE {postgres.name(url)} SET log_parameter_max_length = -1")
    talkative = {"GIFTGQL_LOG_LEVEL": "DEBUG", "GIFTGQL_WEBHOOKS_ALLOW_PRIVATE": "true"}
    environment = servers.environment(tmp_path, url, **talkative)
    settings = Settings(data_dir=tmp_path, database_url=url, _env_file=None)
    with servers.serving(environment) as server:
        run = Run(server, settings, postgres, postgres.wal_place() if postgres else ("", 0))
        run.secrets["development key"] = server.development_key.encode()
        ring = json.loads((tmp_path / "keys.json").read_text())["keys"]
        run.secrets |= {f"ring key {kid}": b64decode(key) for kid, key in ring.items()}
        yield run
    if postgres is not None:
        postgres.drop(url)


def use_codes(run: Run) -> None:
    """Codes and PINs, as literals and in variables, in requests that go well."""
    run.post('mutation { memberAdd(member: {id: "M1", email: "m1@example.org"}) { id } }')
    code, pin = run.secret("LIT-PHYS-8QW3ZK7Y"), run.secret("739164820557")
    literal = f'physicalCode: "{code}", physicalPin: "{pin}", idempotencyKey: "one"'
    for _ in range(2):
        answer = run.post(f"mutation {{ giftcardAdd(giftcard: {{{literal}}}) {{ id }} }}")
    card_id = answer["data"]["giftcardAdd"]["id"]
    given = {
        "physicalCode": run.secret("var phys 4mn8-px2r"),
        "physicalPin": run.secret("918273645501"),
        "externalCode": run.secret("VAR-EXT-J5TD1V9C"),
        "addPersonalCode": True,
        "memberId": "M1",
    }
    keys = client(run, "ViewUnmaskedGiftCardCodes", "CreateGiftCard", "FindGiftCardByCode")
    answer = run.post(ADD, token=keys["client_secret"], g=given)
    for each in answer["data"]["giftcardAdd"]["codes"]:
        run.secret(each["code"])
    assert len(answer["data"]["giftcardAdd"]["codes"]) == 3
    hook = 'webhook: {url: "https://127.0.0.1:9/"}'
    added = run.post(f"mutation {{ webhookAdd({hook}) {{ secret }} }}")["data"]["webhookAdd"]
    run.secrets["webhook key"] = b64decode(run.secret(added["secret"]).removeprefix("whsec_"))
    for each in list(run.secrets):
        run.post(FIND, c=each)
    run.post(f'{{ giftcard(code: "{code}") {{ results {{ id }} }} }}')
    new = {"physicalCode": run.secret("EDIT-PHYS-6HB2XN0S"), "physicalPin": run.secret("55018273")}
    assert "errors" not in run.post(EDIT, g={"id": card_id, **new})


def client(run: Run, *permissions: str) -> dict[str, str]:
    """A client from the command line, which shows its secret on standard output alone."""
    options = [word for each in permissions for word in ("--permission", each)]
    done = servers.giftgql(run.server.environment, "client", "add", "x", *options, "--json")
    made: dict[str, str] = json.loads(done.stdout)
    run.refusals.append(done.stderr.encode())
    run.secret(made["client_secret"])
    return made


def be_refused(run: Run) -> None:
    """The same in requests that are refused, for every reason there is."""
    code, pin = run.secret("BAD-CODE-3RF9ZT5L"), run.secret("640917283355")
    taken = "LIT-PHYS-8QW3ZK7Y"
    for query in (
        f'mutation {{ giftcardAdd(giftcard: {{physicalCode: "{code}" ',
        f"{{ giftcard(code: {code}) {{ until }} }}",
        f'{{ giftcard(code: "{code}", codeType: "{code}", first: "{code}") {{ until }} }}',
        f'{{ giftcard(since: "{code}") {{ until }} }}',
        f'{{ giftcard(id: "{code}", status: {pin}) {{ until }} }}',
        f"mutation {{ giftcardAdd(giftcard: {{externalCode: {pin}, physicalPin: {pin}}}) {{id}} }}",
        f'mutation {{ giftcardAdd(giftcard: {{physicalCode: "{taken}"}}) {{ id }} }}',
        f'mutation {{ giftcardAdd(giftcard: {{physicalPin: "{pin}"}}) {{ id }} }}',
        f'mutation {{ giftcardAdd(giftcard: {{secret: "{code}"}}) {{ id }} }}',
        f'query ($c: Int = "{code}") {{ giftcard(first: $c) {{ until }} }}',
        f'{{ giftcard(code: "{code}") {{ until {code.replace("-", "_")} }} }}',
        f'{{ __type(name: "{code}") {{ name }} }}',
    ):
        run.post(query)
    for variables in (
        code,
        [code],
        {"physicalCode": code, "physicalPin": int(pin)},
        {"physicalCode": {"code": code}, "physicalPin": [pin]},
        {"physicalCode": f"{code}\n", "physicalPin": pin},
        {"physicalCode": f"{code}🎁", "physicalPin": f"{pin}x"},
        {"physicalCode": code * 9, code: code},
        {"physicalCode": code, "physicalPin": f"{pin}{pin}"},
        {"physicalCode": code, "addPersonalCode": True, "memberId": "NOBODY"},
        {"physicalCode": code, "idempotencyKey": "one"},
        {"externalCode": code, "expiresOn": code, "metadata": code},
    ):
        run.post(ADD, g=variables)
    run.post(FIND)
    run.post(FIND, c=None)
    token = run.server.development_key
    for body in (code, f'"{code}"', f'["{code}"]', f'{{"query": ["{code}"]}}', f'{{"{code}": '):
        run.send(body, token)
    run.send(json.dumps({"query": FIND, "variables": {"c": code}, "operationName": code}), token)
    run.send(json.dumps({"query": "{ __typename }", "pad": code * 10_000}), token)
    httpx.get(f"{run.server.url}/graphql?query={quote(FIND)}&code={code}")
    httpx.get(f"{run.server.url}/cards/{code}")
    with socket.create_connection(("127.0.0.1", run.server.port)) as raw:
        raw.sendall(f"{code} {pin} NO/HTTP\r\n\r\n".encode())
        raw.recv(1000)


def sign_in(run: Run) -> None:
    """Keys, access tokens and member tokens, right and wrong, in every place they may come in."""
    made = client(run, "IssueMemberTokens", "ManageMembers")
    wrong = [run.secret(credentials.make(prefix)) for prefix in ("ggt_", "ggm_")]
    wrong += [run.secret(credentials.make("ggk_", "AAAAAAAA")), run.secret("ggk_mistyped-48151623")]
    form = {"grant_type": "client_credentials"}
    for secret in (made["client_secret"], *wrong):
        url, name = f"{run.server.url}/oauth/token", made["client_id"]
        by_basic = httpx.post(url, data=form, auth=(name, secret))
        in_form = httpx.post(url, data={**form, "client_id": name, "client_secret": secret})
        as_token = httpx.post(url, data={**form, "grant_type": secret}, auth=(secret, secret))
        for response in (by_basic, in_form):
            if response.status_code == 200:
                access = run.secret(response.json()["access_token"])
        run.refusals += [each.content for each in (by_basic, in_form, as_token) if each.is_error]
        run.post("{ __typename }", token=secret)
        run.send("{}", secret, path=f"/graphql?access_token={secret}")
        httpx.post(f"{run.server.url}/graphql", headers={"Authorization": f"Basic {secret}"})
    member = run.secret(run.post(TOKEN, token=access)["data"]["memberTokenAdd"]["token"])
    mine = run.post("{ me { id giftcards { results { codes { code } } } } }", token=member)
    assert len(mine["data"]["me"]["giftcards"]["results"]) == 1
    run.post(ADD, token=member, g={"physicalCode": run.secret("MEMBER-TRIES-7K2P")})


def guess(run: Run) -> None:
    """Wrong PINs and unknown codes, until all is refused."""
    shop = client(run, "GiftCardTransUse", "UsePhysicalGiftCardCodes", "FindGiftCardByCode")
    use = "mutation ($t: GiftcardTransAddInput!) { giftcardTransAdd(trans: $t) { id } }"
    trans = {"transType": "USE", "amount": "-1", "sourceId": "Till 7"}
    for code in ("EDIT-PHYS-6HB2XN0S", *(run.secret(f"GUESSED-4XK8-{n}W2P") for n in range(6))):
        pin = run.secret("204857391664")
        found = run.post(use, shop["client_secret"], t={**trans, "code": code, "pin": pin})
    assert found["errors"][0]["extensions"]["code"] == "RATE_LIMITED"


def sign_in_staff(run: Run) -> None:
    """By key in a browser, whose session then finds a card on a page."""
    added = servers.giftgql(
        run.server.environment, "staff", "add", "Ada", "--role", "manager", "--json"
    )
    key = run.secret(json.loads(added.stdout)["key"])
    origin = {"Origin": run.server.url, "Sec-Fetch-Site": "same-origin"}
    with httpx.Client(base_url=run.server.url, headers=origin) as browser:
        for tried in (run.secret(credentials.make("ggs_")), key):
            signed_in = browser.post("/sign-in", data={"key": tried})
        for cookie in browser.cookies.jar:
            run.secret(cookie.value or "")
        assert len(browser.cookies) == 1, signed_in.text
        code = run.secret("PAGE-CODE-7YH3-M5")
        assert browser.post("/office/cards/find", data={"code": code}).status_code < 500
        asked = {"query": FIND, "variables": {"c": code}}
        answer = browser.post("/graphql", json=asked, headers={"X-GiftGQL-Request": "1"})
        assert answer.json()["data"]["giftcard"]["results"] == []


def take_in(run: Run) -> None:
    """A card from a file, with its CVV and PIN, and a row that fails."""
    pool = '{name: "B", systemName: "box", arbitraryValue: true, isCvvRequired: true}'
    assert "errors" not in run.post(f"mutation {{ giftcardPoolAdd(pool: {pool}) {{ id }} }}")
    cvv, pin, refused = run.secret("90817263"), run.secret("719203846512"), "REFUSED-3JD8-PX6"
    rows = [
        f"{number},{pool},{cvv},{pin},10,CanBeUsed"
        for number, pool in (
            (run.secret("IMPORTED-9WQ2-LK4"), "box"),
            (run.secret(refused), "none"),
        )
    ]
    file = "\n".join(["Number,PoolSystemName,Cvv,Pin,Balance,Status", *rows])
    import_id = run.ask("POST", "imports/cards", file).json()["id"]
    wait_for(run, "giftcardImport")
    place = f"imports/{import_id}/failures.csv"
    run.given_out[place] = run.ask("GET", place).content
    run.give(place, refused)


def print_out(run: Run) -> None:
    """A campaign's codes and PINs for the printer, and the lists of cards and transactions."""
    wanted = 'name: "Box", count: 2, value: "9", codeType: PHYSICAL, pinLength: 12'
    config = "codeConfig: {length: 12}"
    run.post(f"mutation {{ giftcardCampaignAdd(campaign: {{{wanted}, {config}}}) {{ id }} }}")
    wait_for(run, "giftcardCampaign")
    may = client(run, "ExportGiftCardCodes", "ListGiftCards", "ListGiftCardTrans")
    for place in ("campaigns/1.csv?pins=true", "cards.csv", "transactions.csv"):
        run.given_out[place] = run.ask("GET", f"exports/{place}", key=may["client_secret"]).content
    printed = "campaigns/1.csv?pins=true"
    for row in csv.DictReader(io.StringIO(run.given_out[printed].decode())):
        run.give(printed, row["Code"], row["Pin"])


def mail(run: Run) -> None:
    """Two cards that are bought in an order, each brought by a mail of its own."""
    preset = 'presets: [{price: "5", value: "5"}]'
    add = f'giftcardProductAdd(product: {{name: "P", {preset}}}) {{ id presets {{ id }} }}'
    product = run.post(f"mutation {{ {add} }}")["data"]["giftcardProductAdd"]
    card = {"productId": product["id"], "variantId": product["presets"][0]["id"]}
    lines = [{"giftcard": {**card, "recipient": {"email": f"{to}@example.org"}}} for to in MAILED]
    order = {"lines": lines, "payments": [{"method": "cash", "amount": "10.00"}]}
    bought = run.post(BUY, o=order)["data"]["orderAdd"]["lines"]
    sees = client(run, "ViewUnmaskedGiftCardCodes", "UseCryptoGiftCardCodes", "ListGiftCards")
    codes = []
    for line in bought:
        found = run.post(CODES, token=sees["client_secret"], id=line["giftcards"][0]["id"])
        codes += [each["code"] for each in found["data"]["giftcard"]["results"][0]["codes"]]
    folder = run.settings.mail_folder
    until(lambda: len([*folder.glob("*.eml")]) == 2)
    mails = {str(file): run.written()[str(file)] for file in folder.glob("*.eml")}
    for to, code in zip(MAILED, codes, strict=True):
        for place, content in mails.items():
            if f"{to}@example.org".encode() in content:
                run.give(place, code)


def wait_for(run: Run, query: str) -> None:
    """Until the first of what a query lists is done."""
    asked = f"{{ {query}(first: 1) {{ results {{ status }} }} }}"
    until(lambda: run.post(asked)["data"][query]["results"] == [{"status": "DONE"}])


def until(is_done: Callable[[], bool]) -> None:
    for _ in range(300):
        if is_done():
            return
        time.sleep(0.1)
    raise AssertionError("it takes too long")


def fail(run: Run) -> None:
    """A fault in the middle of the work: the database has lost a column."""

    async def rename(before: str, after: str) -> None:
        store = await open_store(run.settings)
        async with store.database.migrating() as session:
            statement = f"ALTER TABLE code RENAME COLUMN {before} TO {after}"
            await (await session.connection()).execute(text(statement))
        await store.close()

    asyncio.run(rename("pin_verifier", "lost"))
    given = {"physicalCode": run.secret("FAULT-PHYS-2WX8"), "physicalPin": run.secret("82735540")}
    for answer in (run.post(ADD, g=given), run.post(FIND, c=given["physicalCode"])):
        assert [error["extensions"]["code"] for error in answer["errors"]] == ["INTERNAL"]
    asyncio.run(rename("lost", "pin_verifier"))
    assert "errors" not in run.post(ADD, g=given)


def test_no_secret_is_anywhere_in_what_a_busy_server_has_written(run: Run) -> None:
    use_codes(run)
    be_refused(run)
    sign_in(run)
    sign_in_staff(run)
    take_in(run)
    print_out(run)
    mail(run)
    guess(run)
    fail(run)
    assert len(run.secrets) > 60
    assert len(run.own) == 4
    assert run.found() == {}
    run.server.stop()
    assert run.found() == {}
    log = run.settings.data_dir / "logs" / f"server-{run.server.port}.log"
    assert log.read_text().count('"event":"request"') > 60
    assert log.read_text().count('"event":"fault"') == 2


def test_a_planted_leak_is_found_wherever_it_is_and_whatever_it_looks_like(run: Run) -> None:
    code = run.secret("PLANTED-5HT2-9QZ4")
    assert run.found() == {}
    log = run.settings.data_dir / "logs" / f"server-{run.server.port}.log"
    clean = log.read_text()
    for form in {*forms(code.encode()), b64encode(b"code=" + code.encode()), code.lower().encode()}:
        log.write_text(f'{clean}{{"value":"{form.decode()}"}}\n')
        assert run.found()[str(log)] == {code}
    log.write_text(clean)
    run.post('mutation { memberAdd(member: {id: "M1", name: "PLANTED-5HT2-9QZ4"}) { id } }')
    places = set(run.found())
    if run.postgres is None:
        assert places <= {str(run.settings.data_dir / f"giftgql.db{each}") for each in ("", "-wal")}
        assert places
    else:
        assert places == {"dump", "PostgreSQL's log", "write-ahead log"}


def test_the_log_keeps_the_places_of_a_fault_and_none_of_its_values(tmp_path: Path) -> None:
    script = """
import asyncio, gc, logging
import structlog
from giftgql import log
from giftgql.settings import read_settings

log.configure(read_settings(), file_name="x.log")

def fail(code):
    try:
        raise KeyError(code)
    except KeyError as error:
        raise ValueError(f"there is no {code}") from error

async def forget():
    async def lost():
        fail("LOST-TASK-9R4T")
    task = asyncio.create_task(lost())
    await asyncio.wait({task})

for logger in (structlog.get_logger("ours"), logging.getLogger("theirs")):
    try:
        fail("SHOWN-TO-NOBODY-7F2K")
    except ValueError as error:
        logger.exception("fault")
        logger.error("fault", exc_info=error)
asyncio.run(forget())
gc.collect()
"""
    environment = servers.environment(tmp_path, GIFTGQL_LOG_LEVEL="DEBUG")
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, check=True
    )
    written = (tmp_path / "logs" / "x.log").read_bytes()
    assert b"SHOWN" not in written + done.stderr + done.stdout
    assert b"LOST-TASK" not in written + done.stderr + done.stdout
    lines = [json.loads(line) for line in written.splitlines()]
    assert [line["event"] for line in lines] == [
        *["fault"] * 4,
        "Task exception was never retrieved",
    ]
    for line in lines:
        assert line["exception"] == ["ValueError", "KeyError"]
        assert line["places"][-1].endswith(" fail")
