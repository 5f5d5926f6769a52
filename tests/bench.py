"""What a request costs, as ratios to `{ __typename }` on the same server in the same run.

One server process on each database, driven by a process of its own with 1, 16 and 64 connections;
medians of three rounds. PostgreSQL runs with fsync. Absolute figures are of the machine it runs
on; the ratios are what to compare. `--short` measures once and briefly. Movements of money are
measured in `bench_money`, against the same mutation answered without a database.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from statistics import median

from tests import bench_bulk, bench_money, servers
from tests.load import Figures

CARDS = 2_000
CONNECTIONS = (1, 16, 64)

TRIVIAL = "{ __typename }"
LOOK_UP = """query ($code: String) { giftcard(code: $code, codeType: PHYSICAL) {
  limitedByPermission results { id memberId balance codes { id codeType code expiresOn isMasked } }
} }"""
ADD = """mutation ($code: String) { giftcardAdd(giftcard: {physicalCode: $code}) {
  id codes { codeType code expiresOn }
} }"""

_starts = count(1_000_000_000, 10_000_000)


def measure(server: servers.Server, what: str, connections: int, seconds: float) -> Figures:
    order = {
        "port": server.port,
        "token": server.development_key,
        "connections": connections,
        "seconds": seconds,
        "body": json.dumps({"query": TRIVIAL}),
    }
    if what == "look-up":
        order |= {"body": _with_code(LOOK_UP), "modulo": CARDS, "wanted": '"BENCH'}
    elif what == "add":
        order |= {"body": _with_code(ADD), "start": next(_starts), "wanted": '"BENCH'}
    done = subprocess.run(
        [sys.executable, "-m", "tests.load"],
        input=json.dumps(order),
        capture_output=True,
        text=True,
        timeout=seconds + 30,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-2_000:])
    return Figures(**json.loads(done.stdout))


def fill(server: servers.Server) -> None:
    """Add the cards that look-ups look for."""
    order = {
        "port": server.port,
        "token": server.development_key,
        "connections": 1,
        "seconds": 0.0,
        "body": _with_code(ADD),
    }
    aliases = 10
    for start in range(0, CARDS, aliases):
        adds = " ".join(
            f'a{n}: giftcardAdd(giftcard: {{physicalCode: "BENCH{n}"}}) {{ id }}'
            for n in range(start, start + aliases)
        )
        order["body"] = json.dumps({"query": f"mutation {{ {adds} }}"})
        _post(server, str(order["body"]))


def report(name: str, server: servers.Server, rounds: int, seconds: float) -> None:
    fill(server)
    print(f"\n{name}")
    print("| connections | request | per second | p50 ms | p99 ms | cost of one, trivial = 1 |")
    print("|---|---|---|---|---|---|")
    for connections in CONNECTIONS:
        kinds = ("trivial", "look-up", "add")
        all_rounds = [
            {kind: measure(server, kind, connections, seconds) for kind in kinds}
            for _ in range(rounds)
        ]
        for kind in kinds:
            rate = median(each[kind].per_second for each in all_rounds)
            p50 = median(each[kind].p50 for each in all_rounds)
            p99 = median(each[kind].p99 for each in all_rounds)
            ratio = median(
                each["trivial"].per_second / each[kind].per_second for each in all_rounds
            )
            print(
                f"| {connections} | {kind} | {rate:,.0f} | {p50:.2f} | {p99:.2f} | {ratio:.2f} |",
                flush=True,
            )


def _with_code(query: str) -> str:
    return json.dumps({"query": query, "variables": {"code": "BENCH{n}"}})


def _post(server: servers.Server, body: str) -> None:
    import httpx

    headers = {
        "Authorization": f"Bearer {server.development_key}",
        "Content-Type": "application/json",
    }
    answer = httpx.post(f"{server.url}/graphql", content=body, headers=headers)
    if "errors" in answer.json():
        raise RuntimeError(answer.text[:300])


@contextmanager
def _server(database_url: str = "") -> Iterator[servers.Server]:
    with (
        tempfile.TemporaryDirectory() as folder,
        servers.serving(servers.environment(Path(folder), database_url)) as server,
    ):
        yield server


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--short", action="store_true", help="one round of half a second each")
    parser.add_argument(
        "--cards", type=int, default=100_000, help="how many cards are made and imported"
    )
    parser.add_argument(
        "--movements", type=int, default=0, help="also with so many movements on the books"
    )
    arguments = parser.parse_args()
    rounds, seconds = (1, 0.5) if arguments.short else (3, 3.0)
    with _server() as server:
        report("SQLite", server, rounds, seconds)
    with servers.postgres() as postgres, _server(postgres.create()) as server:
        report("PostgreSQL", server, rounds, seconds)
    bench_money.run(rounds, seconds, movements=arguments.movements)
    bench_bulk.run(20_000 if arguments.short else arguments.cards)


if __name__ == "__main__":
    main()
