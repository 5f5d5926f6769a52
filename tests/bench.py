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
from concurrent.futures import ThreadPoolExecutor
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

CARDS_WITH_PIN = 50
PIN = "4711"
BALANCE = f"""query ($code: String!) {{ giftcardBalance(code: $code, pin: "{PIN}") {{
  balance
}} }}"""

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
    elif what == "pin":
        order |= {"body": _with_code(BALANCE, "PIN{n}"), "modulo": CARDS_WITH_PIN}
        order["tolerated"] = "UNAVAILABLE"
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


def fill(server: servers.Server, cards: int, facts: str) -> None:
    """Add cards, five in a request; `facts` of each, with its number for `{n}`."""
    for start in range(0, cards, 5):
        adds = " ".join(
            f"a{n}: giftcardAdd(giftcard: {{{facts.format(n=n)}}}) {{ id }}"
            for n in range(start, start + 5)
        )
        _post(server, json.dumps({"query": f"mutation {{ {adds} }}"}))


def report(name: str, server: servers.Server, rounds: int, seconds: float) -> None:
    fill(server, CARDS, 'physicalCode: "BENCH{n}"')
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


def report_flood(server: servers.Server, rounds: int, seconds: float) -> None:
    """How look-ups fare while PINs are checked, each by Argon2id, as many as are taken."""
    fill(server, CARDS_WITH_PIN, f'physicalCode: "PIN{{n}}", physicalPin: "{PIN}"')
    print(
        "\n| look-ups at 16 connections | per second | p50 ms | p99 ms | PINs checked per second |"
    )
    print("|---|---|---|---|---|")
    alone = [measure(server, "look-up", 16, seconds) for _ in range(rounds)]
    with ThreadPoolExecutor() as threads:
        pairs = []
        for _ in range(rounds):
            flood = threads.submit(measure, server, "pin", 16, seconds)
            pairs.append((measure(server, "look-up", 16, seconds), flood.result()))
    during, checks = zip(*pairs, strict=True)
    for name, figures, checked in (
        ("alone", alone, 0.0),
        ("with 16 more that check PINs", during, median(each.per_second for each in checks)),
    ):
        rate, p50, p99 = (
            median(getattr(each, figure) for each in figures)
            for figure in ("per_second", "p50", "p99")
        )
        print(f"| {name} | {rate:,.0f} | {p50:.2f} | {p99:.2f} | {checked:.0f} |", flush=True)


def _with_code(query: str, code: str = "BENCH{n}") -> str:
    return json.dumps({"query": query, "variables": {"code": code}})


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
        report_flood(server, rounds, seconds)
    with servers.postgres() as postgres, _server(postgres.create()) as server:
        report("PostgreSQL", server, rounds, seconds)
        report_flood(server, rounds, seconds)
    bench_money.run(rounds, seconds, movements=arguments.movements)
    bench_bulk.run(20_000 if arguments.short else arguments.cards)


if __name__ == "__main__":
    main()
