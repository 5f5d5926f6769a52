"""What a process counts and times, for Prometheus: its own, since it started.

Whoever does something says so here, in half a microsecond. Labels have few values, all of our own
making: never a code, a member, a client, or a text that somebody sent. What the database knows is
asked for when somebody looks, see `condition`.
"""

import platform
from functools import cache

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)

from giftgql import __version__

disable_created_metrics()  # type: ignore[no-untyped-call]
REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
AT_ONCE = (1, 2, 4, 8, 16, 32, 64, 128, 200)

BUILD = Gauge(
    "giftgql_build_info",
    "Always 1; which version runs, on which Python.",
    ["version", "python"],
    registry=REGISTRY,
)
BUILD.labels(__version__, platform.python_version()).set(1)
_REQUESTS = Counter(
    "giftgql_requests",
    "Requests answered, by kind and by how they ended: `OK`, the code of their first error, `4xx` "
    "or `5xx` without one, or `GONE` where nobody was left to answer.",
    ["kind", "outcome"],
    registry=REGISTRY,
)
_REQUEST_SECONDS = Histogram(
    "giftgql_request_seconds",
    "Time from the first byte of a request to the last of its answer, by kind.",
    ["kind"],
    buckets=SECONDS,
    registry=REGISTRY,
)
READ_TOGETHER = Histogram(
    "giftgql_reads_together",
    "Look-ups that one statement has answered.",
    buckets=AT_ONCE,
    registry=REGISTRY,
)
BATCH_MOVEMENTS = Histogram(
    "giftgql_batch_movements",
    "Movements of money that one transaction was asked for.",
    buckets=AT_ONCE,
    registry=REGISTRY,
)
BATCH_SECONDS = Histogram(
    "giftgql_batch_seconds",
    "Time that a transaction of movements took, with all its attempts.",
    buckets=SECONDS,
    registry=REGISTRY,
)
MOVEMENT_WAIT_SECONDS = Histogram(
    "giftgql_movement_wait_seconds",
    "Time that a movement waited until a transaction took it.",
    buckets=SECONDS,
    registry=REGISTRY,
)
MOVEMENTS_WAITING = Gauge(
    "giftgql_movements_waiting",
    "Movements of money that are asked for and not answered.",
    registry=REGISTRY,
)
PINS = Counter(
    "giftgql_pins",
    "PINs and CVVs that were checked, or set and hardened.",
    ["work"],
    registry=REGISTRY,
)
PINS_REFUSED = Counter(
    "giftgql_pins_refused",
    "PINs and CVVs refused with `UNAVAILABLE`, since too many waited, or for too long.",
    ["work"],
    registry=REGISTRY,
)
PINS_WAITING = Gauge(
    "giftgql_pins_waiting",
    "PINs and CVVs that wait for a thread.",
    ["work"],
    registry=REGISTRY,
)
JOBS_FAILED = Counter(
    "giftgql_jobs_failed",
    "Pieces of jobs that failed and are tried again, by kind.",
    ["kind"],
    registry=REGISTRY,
)
JOBS_DEAD = Counter(
    "giftgql_jobs_dead",
    "Jobs that were given up, by kind.",
    ["kind"],
    registry=REGISTRY,
)
DATABASE_UNAVAILABLE = Counter(
    "giftgql_database_unavailable",
    "Times that the database was gone, busy or too slow for something.",
    registry=REGISTRY,
)
SLOW_STATEMENTS = Counter(
    "giftgql_slow_statements",
    "Statements that took longer than GIFTGQL_SLOW_MS.",
    registry=REGISTRY,
)
LOOP_LAG_SECONDS = Histogram(
    "giftgql_loop_lag_seconds",
    "How much later than asked for the event loop came back to a timer, twice a second.",
    buckets=SECONDS,
    registry=REGISTRY,
)


@cache  # both have few values
def _of_requests(kind: str, outcome: str) -> tuple[Counter, Histogram]:
    return _REQUESTS.labels(kind, outcome), _REQUEST_SECONDS.labels(kind)


KINDS = (
    *("query", "mutation", "graphql", "office", "import", "export", "token", "sign-in"),
    *("health", "metrics", "other"),
)
for _kind in KINDS:
    for _fault in ("INTERNAL", "5xx"):  # told as 0: an alarm sees a counter only grow
        _REQUESTS.labels(_kind, _fault)


def request_ended(kind: str, outcome: str, seconds: float) -> None:
    count, took = _of_requests(kind, outcome)
    count.inc()
    took.observe(seconds)
