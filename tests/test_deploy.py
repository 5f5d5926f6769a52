"""What `deploy/` says is so: its settings are there, and its proxy does what it promises."""

import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from giftgql.settings import Settings
from tests import servers
from tests.mailing import certificate
from tests.needed import skip_without

DEPLOY = Path(__file__).parent.parent / "deploy"
HAPROXY = shutil.which("haproxy", path="/usr/local/sbin:/usr/sbin:/usr/local/bin:/usr/bin")


def test_the_files_are_described_and_name_only_settings_that_are_there() -> None:
    page = (DEPLOY / "README.md").read_text()
    prose = re.sub(r"```.*?```", "", page, flags=re.DOTALL)
    assert max(map(len, prose.splitlines())) <= 102
    known = {f"GIFTGQL_{name.upper()}" for name in Settings.model_fields}
    for file in DEPLOY.iterdir():
        assert file.suffix == ".dockerignore" or file.name in page or file.name == "README.md"
        assert set(re.findall(r"GIFTGQL_[A-Z_]+", file.read_text())) <= known, file
    assert all((DEPLOY / path).exists() for path in re.findall(r"\]\(([^)#:]+)\)", page))


def test_the_limits_of_the_proxy_and_of_the_role_are_those_of_the_settings() -> None:
    default = {name: field.default for name, field in Settings.model_fields.items()}
    proxy, role = (DEPLOY / "haproxy.cfg").read_text(), (DEPLOY / "database.sql").read_text()
    assert f"gt {default['max_body_bytes']} }}" in proxy
    assert f"gt {default['max_import_mib'] * 2**20} }}" in proxy
    [waits] = re.findall(r"timeout server (\d+)s", proxy)
    assert int(waits) > default["request_seconds"]
    for name, setting in (
        ("statement_timeout", "statement_seconds"),
        ("lock_timeout", "lock_seconds"),
        ("idle_in_transaction_session_timeout", "idle_seconds"),
    ):
        assert f"SET {name} = '{default[setting]}s'" in role


@pytest.fixture
def proxied(tmp_path: Path) -> Iterator[httpx.Client]:
    """A server behind the proxy as it is deployed, but for its addresses."""
    if HAPROXY is None:
        skip_without("haproxy")
    _, shown = certificate(tmp_path)
    shown.write_bytes(shown.read_bytes() + (tmp_path / "server.key").read_bytes())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with servers.serving(servers.environment(tmp_path / "var")) as server:
        text = (DEPLOY / "haproxy.cfg").read_text()
        text = text.replace(
            ":443 ssl crt /etc/haproxy/giftgql.pem", f"127.0.0.1:{port} ssl crt {shown}"
        )
        text = text.replace("server one 10.0.0.11:8000", f"server one 127.0.0.1:{server.port}")
        text = text.replace("server two 10.0.0.12:8000", "")
        (tmp_path / "haproxy.cfg").write_text(text)
        arguments = [HAPROXY, "-q", "-f", str(tmp_path / "haproxy.cfg")]
        proxy = subprocess.Popen(arguments, stdout=subprocess.DEVNULL)
        headers = {"Authorization": f"Bearer {server.development_key}"}
        trust = ssl.create_default_context(cafile=shown)
        base = f"https://127.0.0.1:{port}"
        try:
            _wait_for(port)
            with httpx.Client(base_url=base, headers=headers, verify=trust, timeout=20) as http:
                yield http
        finally:
            proxy.kill()
            proxy.wait()


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + servers.PATIENCE
    while True:
        with socket.socket() as asking:
            if asking.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_proxy_lets_requests_through_and_nothing_else(proxied: httpx.Client) -> None:
    answer = proxied.post("/graphql", json={"query": "{ __typename }"})
    assert (answer.status_code, "errors" in answer.json()) == (200, False)
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
    for path in ("/metrics", "/healthz", "/readyz"):
        assert proxied.get(path).status_code == 404
    assert proxied.post("/graphql", content=b" " * 70_000).status_code == 413
    assert proxied.get("/graphql", headers={"X-Large": "x" * 20_000}).status_code == 400
    assert proxied.get("/graphql", headers={f"X-{n}": "x" for n in range(80)}).status_code == 400
