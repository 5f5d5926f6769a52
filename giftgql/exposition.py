"""Telling Prometheus: what this process has counted, and how the database stands.

Each process is looked at by itself: on a port of its own, answered by a thread, so that one whose
event loop is stuck answers as well; or at `/metrics` of the server, where that is one process.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext, suppress
from itertools import product
from wsgiref.simple_server import WSGIServer

import structlog
from prometheus_client import CollectorRegistry, generate_latest, start_http_server
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from giftgql import condition, metrics, migrations
from giftgql.condition import Condition
from giftgql.outbox.models import OutboxChannel, OutboxState
from giftgql.settings import Settings
from giftgql.store import Store

log = structlog.get_logger("giftgql.metrics")

TICK = 0.5
"""Seconds of the timer by which the lag of the event loop is measured."""

PORTS = 64
"""So many ports are tried, from the first on: processes of one machine take one each."""

_OUTBOX: list[tuple[str, ...]] = list(
    product(OutboxChannel, (OutboxState.WAITING, OutboxState.DEAD))
)

Sample = tuple[tuple[str, ...], float]
Listening = tuple[WSGIServer, threading.Thread]


async def text(store: Store) -> bytes:
    """All metrics in Prometheus's format."""
    return generate_latest(_Found(await condition.look(store)))


@asynccontextmanager
async def told(store: Store) -> AsyncIterator[None]:
    """Measure the event loop, and tell metrics on their port if there is one, for as long as the
    block lasts."""
    lag = asyncio.create_task(_measure_lag())
    port = store.settings.metrics_port
    try:
        with _port(store, port) if port else nullcontext():
            yield
    finally:
        lag.cancel()
        with suppress(asyncio.CancelledError):
            await lag


async def _measure_lag() -> None:
    clock = asyncio.get_running_loop().time
    while True:
        due = clock() + TICK
        await asyncio.sleep(TICK)
        metrics.LOOP_LAG_SECONDS.observe(max(clock() - due, 0.0))


@contextmanager
def _port(store: Store, first: int) -> Iterator[None]:
    registry = CollectorRegistry()
    registry.register(_Live(store))
    found = _listen(store.settings, first, registry)
    if found is None:
        yield
        return
    server, thread = found
    try:
        yield
    finally:
        # It ends by itself: who is just being answered waits for this event loop.
        threading.Thread(target=server.shutdown, daemon=True).start()
        thread.join(TICK * 4)
        server.server_close()


def _listen(settings: Settings, first: int, registry: CollectorRegistry) -> Listening | None:
    """Listen on the first port that is free. Without one the server goes on, and says so."""
    host = settings.metrics_host
    for port in range(first, first + PORTS):
        try:
            found = start_http_server(port, host, registry)
        except OSError:
            continue
        log.info("metrics are told", host=host, port=port)
        return found
    log.error("metrics are not told: no port is free", host=host, first=first, ports=PORTS)
    return None


class _Found(Collector):
    """What is told: of this process, and of what was found; None where its event loop is stuck."""

    def __init__(self, found: Condition | None) -> None:
        self._found = found

    def collect(self) -> Iterator[Metric]:
        yield from metrics.REGISTRY.collect()
        yield _gauge(
            "loop_answers",
            "1 where the event loop of this process answers, 0 where it is stuck.",
            [((), self._found is not None)],
        )
        if self._found is not None:
            yield from _families(self._found)


class _Live(Collector):
    """What is told to whoever asks by a thread: it is looked up in the event loop then."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._loop = asyncio.get_running_loop()

    def collect(self) -> Iterator[Metric]:
        looking = asyncio.run_coroutine_threadsafe(condition.look(self._store), self._loop)
        found = None
        try:
            found = looking.result(condition.PATIENCE + 1)
        except TimeoutError:
            looking.cancel()
        return _Found(found).collect()


def _families(found: Condition) -> Iterator[Metric]:
    yield _gauge(
        "database_up", "1 where the database has answered, within 2 s.", [((), found.is_up)]
    )
    pools = [((each.name,), each) for each in found.pools]
    yield _gauge(
        "pool_in_use",
        "Connections to the database that are in use, for reading and for writing.",
        [(name, pool.in_use) for name, pool in pools],
        "pool",
    )
    yield _gauge(
        "pool_size",
        "Most connections to the database that may be in use.",
        [(name, pool.size) for name, pool in pools],
        "pool",
    )
    if found.is_up:
        yield from _of_the_database(found)


def _of_the_database(found: Condition) -> Iterator[Metric]:
    yield _gauge(
        "migration",
        "Always 1; the newest migration of the database, and of this program.",
        [((found.form, migrations.newest()), 1)],
        *("database", "program"),
    )
    yield _gauge(
        "jobs",
        "Jobs that have not ended, of the 10,000 due first, by kind and state: `due`, `running`, "
        "`failing` and tried again, or to be done `later`.",
        [((each.kind, each.state), each.jobs) for each in found.jobs],
        *("kind", "state"),
    )
    late = dict[str, float]()
    for job in found.jobs:
        late[job.kind] = max(late.get(job.kind, 0.0), job.overdue.total_seconds())
    yield _gauge(
        "jobs_overdue_seconds",
        "By how long the first job of a kind is late that nobody does.",
        [((kind,), seconds) for kind, seconds in late.items()],
        "kind",
    )
    messages = dict.fromkeys(_OUTBOX, 0)  # told as 0 as well: an alarm sees a number only grow
    messages |= {(each.channel, each.state): each.messages for each in found.messages}
    yield _gauge(
        "outbox_messages",
        "Mails and webhook messages that wait or are dead, 10,000 of each at most.",
        messages.items(),
        *("channel", "state"),
    )
    yield _gauge(
        "outbox_overdue_seconds",
        "By how long the first message of a channel is late.",
        [
            ((each.channel,), each.overdue.total_seconds())
            for each in found.messages
            if each.state == "WAITING"
        ],
        "channel",
    )
    yield _gauge(
        "webhooks_failing",
        "Endpoints that rest, since they did not take what they were told.",
        [((), found.failing_webhooks)],
    )


def _gauge(name: str, says: str, samples: Iterable[Sample], *labels: str) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"giftgql_{name}", says, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family
