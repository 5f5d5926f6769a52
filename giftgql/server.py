"""Running the server: what is made ready before, what is said when it is up."""

import asyncio
import ipaddress
import json
import os
import shlex
import signal
import socket
from pathlib import Path

import uvicorn
from uvicorn.supervisors import Multiprocess

from giftgql import __version__, exposition, log, trusted, work
from giftgql.app import create_app
from giftgql.choices import LogTo
from giftgql.clients import service as clients
from giftgql.permissions import Channel, Permission
from giftgql.settings import Settings
from giftgql.startup import alone, open_store
from giftgql.store import Store

DEVELOPMENT_LACKS = frozenset(
    {
        Permission.VIEW_UNMASKED_GIFT_CARD_CODES,
        Permission.EXPORT_GIFT_CARD_CODES,
        Permission.INTROSPECT_SCHEMA,
    }
)
KEEP_ALIVE_SECONDS = 75
MOST_CONNECTIONS = 512
SILENT_SECONDS = 30
"""A worker process that says nothing for so long is ended and another one started. It says nothing
while it imports the program either, which takes a busy machine longer than uvicorn's 5 s."""


async def prepare(settings: Settings, host: str) -> bool:
    """Migrate, make keys, and on the very first start a client to try the server with.

    Says whether there is such a client and its credential works.
    """
    log.configure(settings, plain=True)
    trusted.documents(settings)  # what is wrong with them is said before anything is served
    store = await open_store(settings, serving=True)
    try:
        if settings.production or not is_loopback(host):
            return False
        await _make_development_client(store)
        return await _knows_development_client(store)
    finally:
        await store.close()


async def _make_development_client(store: Store) -> None:
    """Where there is no client at all; a credential left of an earlier database is replaced."""
    async with alone(store) as tx:
        if await tx.clients.page():
            return
        names = [each.value for each in Permission if each not in DEVELOPMENT_LACKS]
        made = await clients.add(tx, "development", permissions=names, channel=Channel.IN_STORE)
        content = {"client_id": made.client_id, "client_secret": made.client_secret}
        _write_secret(development_file(store.settings), json.dumps(content, indent=2))


async def _knows_development_client(store: Store) -> bool:
    try:
        key = json.loads(development_file(store.settings).read_text())["client_secret"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    async with store.read() as reading:
        return await clients.authenticate(reading, str(key)) is not None


def _write_secret(file: Path, content: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f"{file.name}.{os.getpid()}")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
        opened.write(content)
    draft.replace(file)


class PortTaken(Exception):
    """The address cannot be listened on. The sentence says which and why."""


class NotStarted(Exception):
    """The server ended before it answered. The sentence says where to look."""


def run(
    settings: Settings, host: str, port: int, workers: int, *, with_example: bool = False
) -> None:
    """Serve until stopped; what is under way is finished first. Raises PortTaken, NotStarted."""
    listener = _listen(host, port)
    port = listener.getsockname()[1]
    several = workers > 1
    config = uvicorn.Config(
        "giftgql.app:create_app" if several else create_app(settings),
        factory=several,
        workers=workers,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=settings.shutdown_seconds,
        timeout_worker_healthcheck=SILENT_SECONDS,
        limit_concurrency=MOST_CONNECTIONS,
    )
    log.configure(settings, file_name=None if several else log_name(port))
    log_file = None if several or settings.log_to is not LogTo.FILE else log_name(port)
    welcome = _welcome(settings, host, port, log_file)
    if with_example:
        welcome += _example(settings, host, port)
    if several:
        listener.listen()  # a request that comes before the workers are up waits for them
        print(welcome, flush=True)
        Multiprocess(config, sockets=[listener]).run()
    else:
        _Server(config, welcome).run(sockets=[listener])


async def work_until_stopped(settings: Settings) -> None:
    """Do the jobs, and nothing else, until told to stop; the piece under way is finished."""
    store = await open_store(settings)
    working = asyncio.create_task(work.go_on(store))
    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, working.cancel)
    try:
        async with exposition.told(store):
            await asyncio.wait([working])
    finally:
        await store.close()


class _Server(uvicorn.Server):
    """Says where it is as soon as it answers there, not before."""

    def __init__(self, config: uvicorn.Config, welcome: str) -> None:
        super().__init__(config)
        self._welcome = welcome

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        except SystemExit:
            raise NotStarted("The server did not start. The log says why.") from None
        print(self._welcome, flush=True)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server on this address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def development_file(settings: Settings) -> Path:
    return settings.data_dir / "development-client.json"


def log_name(port: int) -> str:
    return f"server-{port}.log"


def _listen(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise PortTaken(
            f"Cannot listen on {host}:{port}: {error.strerror}. Choose another with --port."
        ) from None
    listener.set_inheritable(True)
    return listener


def _base(host: str, port: int) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _welcome(settings: Settings, host: str, port: int, log_file: str | None) -> str:
    base = _base(host, port)
    database = settings.sqlite_file.absolute() if settings.sqlite_file else "PostgreSQL"
    place = log.log_folder(settings).absolute() / log_file if log_file else "here"
    return f"""giftgql {__version__} is up.

  API       {base}/graphql
  Explorer  {base}/graphql in a browser
  Health    {base}/healthz
  Database  {database}
  Log       {place}
"""


def _example(settings: Settings, host: str, port: int) -> str:
    """A first request, to be pasted into a shell in any folder."""
    file = development_file(settings).absolute()
    key = f"$(grep -o 'ggk_[^\"]*' {shlex.quote(str(file))})"
    mutation = (
        r"mutation { giftcardAdd(giftcard: {physicalCode: \"WELCOME-0001\", "
        r"physicalPin: \"1234\", idempotencyKey: \"first request\"}) "
        r"{ id status balance codes { codeType code } } }"
    )
    return f"""
  A first request, as the client in {file}:

    curl {_base(host, port)}/graphql -H 'Content-Type: application/json' \\
      -H "Authorization: Bearer {key}" \\
      -d '{{"query": "{mutation}"}}'
"""
