"""Processes of this program that need not import it: forked from one that has.

To import the program takes a second of processor time, and the suite starts hundreds of
processes. `running()` starts the one that forks; `Process` is then started by it, and is like
`subprocess.Popen` in all that tests ask of it. What is run, with which arguments, environment and
files, is the same as without; each process is one of its own that can be killed.
"""

import json
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

ROOT = Path(__file__).parent.parent
_sockets: list[str] = []


@contextmanager
def running() -> Iterator[None]:
    """Fork for `Process` for as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="ggspawn") as folder:
        address = f"{folder}/socket"
        kept = {k: v for k, v in os.environ.items() if not k.startswith("GIFTGQL_")}
        with subprocess.Popen(
            [sys.executable, "-m", "tests.spawner", address],
            cwd=ROOT,
            env=kept,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as process:
            assert process.stdout is not None
            assert process.stdin is not None
            assert process.stdout.readline() == b"ready\n"
            _sockets.append(address)
            try:
                yield
            finally:
                _sockets.remove(address)
                process.stdin.close()  # which tells it to end
                process.wait()


def is_running() -> bool:
    return bool(_sockets)


class Process:
    """A forked process. Its standard output can be read; standard error goes there too, or is
    read apart."""

    def __init__(
        self,
        program: str,
        arguments: Sequence[str],
        environment: dict[str, str],
        folder: Path,
        *,
        errors_apart: bool = False,
    ) -> None:
        asked = [program, list(arguments), environment, str(folder)]
        out, err = os.pipe(), os.pipe() if errors_apart else None
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(_sockets[-1])
        files = [out[1], err[1] if err else out[1]]
        socket.send_fds(self._socket, [json.dumps(asked).encode() + b"\n"], files)
        for end in set(files):
            os.close(end)
        self.stdout: TextIO = os.fdopen(out[0])
        self.stderr: TextIO | None = os.fdopen(err[0]) if err else None
        self._told = self._socket.makefile()
        self.pid = int(self._told.readline())
        self.returncode: int | None = None
        self._ended = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        self.returncode = int(self._told.readline() or -signal.SIGKILL)
        self._told.close()
        self._socket.close()
        self._ended.set()

    def poll(self) -> int | None:
        return self.returncode if self._ended.is_set() else None

    def wait(self, timeout: float | None = None) -> int:
        if not self._ended.wait(timeout):
            raise subprocess.TimeoutExpired("forked", timeout or 0)
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, how: int) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, how)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


# The process that forks


def _serve(address: str) -> list[Any]:
    """Fork for whoever asks, and tell them how it ended, until standard input ends. In a forked
    process it returns what is to be run."""
    woken, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    children = dict[int, socket.socket]()
    with socket.socket(socket.AF_UNIX) as listening, selectors.DefaultSelector() as waiting:
        listening.bind(address)
        listening.listen(128)
        for file in (listening, woken, sys.stdin):
            waiting.register(file, selectors.EVENT_READ)
        print("ready", flush=True)
        while True:
            ready = [key.fileobj for key, _ in waiting.select()]
            if woken in ready:
                os.read(woken, 4096)
                _tell_ended(children)
            if listening in ready:
                asking = listening.accept()[0]
                message, files, _, _ = socket.recv_fds(asking, 1 << 20, 2)
                while not message.endswith(b"\n"):
                    message += asking.recv(1 << 20)
                pid = os.fork()
                if pid == 0:
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
                    for target, file in zip((1, 2), files, strict=True):
                        os.dup2(file, target)
                    for file in (woken, waker, *files):
                        os.close(file)
                    for kept in (asking, *children.values()):
                        kept.close()
                    return list(json.loads(message))
                for file in files:
                    os.close(file)
                children[pid] = asking
                asking.sendall(f"{pid}\n".encode())
            if sys.stdin in ready:
                sys.exit(0)


def _tell_ended(children: dict[int, socket.socket]) -> None:
    while children:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        with children.pop(pid) as asking, suppress(OSError):
            asking.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())


def _main() -> None:
    import giftgql.cli
    import giftgql.doctor
    import giftgql.server  # noqa: F401  what takes time to import

    program, arguments, environment, folder = _serve(sys.argv[1])
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = [program, *arguments]
    runpy.run_module(program, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _main()
