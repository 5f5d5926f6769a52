"""Running the server: what is made ready before, what is said when it is up."""

import ipaddress
import json
import os
import socket
from pathlib import Path

import uvicorn
from uvicorn.supervisors import Multiprocess

from giftgql import __version__, log
from giftgql.app import create_app
from giftgql.clients import service as clients
from giftgql.permissions import Channel, Permission
from giftgql.settings import LogTo, Settings
from giftgql.startup import open_store

DEVELOPMENT_LACKS = frozenset(
    {
        Permission.VIEW_UNMASKED_GIFT_CARD_CODES,
        Permission.EXPORT_GIFT_CARD_CODES,
        Permission.INTROSPECT_SCHEMA,
    }
)
KEEP_ALIVE_SECONDS = 75
MOST_CONNECTIONS = 512


async def prepare(settings: Settings, host: str) -> None:
    """Migrate, make keys, and on the very first start a client to try the server with."""
    log.configure(settings, plain=True)
    store = await open_store(settings, serving=True)
    try:
        file = development_file(settings)
        if settings.production or not is_loopback(host) or file.exists():
            return
        async with store.write() as tx:
            if await tx.clients.page():
                return
            names = [each.value for each in Permission if each not in DEVELOPMENT_LACKS]
            credential = await clients.add(
                tx, "development", permissions=names, channel=Channel.IN_STORE
            )
            content = {
                "client_id": credential.client_id,
                "client_secret": credential.client_secret,
            }
            _write_secret(file, json.dumps(content, indent=2))
    finally:
        await store.close()


def _write_secret(file: Path, content: str) -> None:
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
        opened.write(content)


class PortTaken(Exception):
    """The address cannot be listened on. The sentence says which and why."""


def run(settings: Settings, host: str, port: int, workers: int) -> None:
    """Serve until stopped; what is under way is finished first. Raises PortTaken."""
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
        limit_concurrency=MOST_CONNECTIONS,
    )
    log.configure(settings, file_name=None if several else log_name(port))
    welcome = _welcome(settings, host, port, in_file=not several)
    if several:
        print(welcome, flush=True)
        Multiprocess(config, sockets=[listener]).run()
    else:
        _Server(config, welcome).run(sockets=[listener])


class _Server(uvicorn.Server):
    """Says where it is as soon as it answers there, not before."""

    def __init__(self, config: uvicorn.Config, welcome: str) -> None:
        super().__init__(config)
        self._welcome = welcome

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
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


def _welcome(settings: Settings, host: str, port: int, *, in_file: bool) -> str:
    base = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    log_file = log.log_folder(settings) / log_name(port)
    log_place = log_file if in_file and settings.log_to is LogTo.FILE else "here"
    lines = [
        f"giftgql {__version__} is up.",
        "",
        f"  API       {base}/graphql",
        f"  Explorer  {base}/graphql in a browser",
        f"  Health    {base}/healthz",
        f"  Database  {settings.sqlite_file or 'PostgreSQL'}",
        f"  Log       {log_place}",
    ]
    file = development_file(settings)
    if file.exists() and is_loopback(host) and not settings.production:
        mutation = (
            r"mutation { giftcardAdd(giftcard: {physicalCode: \"WELCOME-0001\", "
            r"physicalPin: \"1234\", idempotencyKey: \"first request\"}) "
            r"{ id status balance codes { codeType code } } }"
        )
        key = f"$(grep -o 'ggk_[^\"]*' {file})"
        lines += [
            "",
            f"  A first request, as the client in {file}:",
            "",
            f"    curl {base}/graphql -H 'Content-Type: application/json' \\",
            f'      -H "Authorization: Bearer {key}" \\',
            f"""      -d '{{"query": "{mutation}"}}'""",
        ]
    return "\n".join([*lines, ""])
