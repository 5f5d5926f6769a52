"""Campaigns and imports of many cards, killed twice on the way, as a long form of the suite's.

Each on SQLite and PostgreSQL: a server is started, killed with SIGKILL after a third and after two
thirds of the cards, started again, and must come to its end with each card once and clean books.
"""

import argparse
import asyncio
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx

from tests import servers
from tests.bench_bulk import write_file
from tests.client import Client
from tests.stock import campaign, pool

PATIENCE = 3_600.0

COUNTS = """{ giftcardCampaign { results { status progress { done } summary { cards balance } } }
    giftcardImport { results { status progress { done } imported unchanged failed } }
    giftcardPool { results { cardCount counts { status count } } } }"""

Begin = Callable[[Client, Path], Awaitable[str]]


async def begin_campaign(admin: Client, file: Path) -> str:
    cards = sum(1 for _ in file.open()) - 1
    config = {"length": 12}
    await campaign(admin, count=cards, startActivated=True, codeConfig=config)
    return "giftcardCampaign"


async def begin_import(admin: Client, file: Path) -> str:
    await pool(admin, name="bench", systemName="bench", isCvvRequired=True)

    async def content() -> AsyncIterator[bytes]:
        with file.open("rb") as source:
            while chunk := source.read(1 << 17):
                yield chunk

    headers = {"Authorization": f"Bearer {admin.token}", "Content-Type": "text/csv"}
    answer = await admin.http.post("/imports/cards", content=content(), headers=headers)
    assert answer.status_code == 202, answer.text
    return "giftcardImport"


async def seen_to(admin: Client, field: str, wanted: int) -> dict[str, Any]:
    """Wait until so many cards are done; returns what is said then."""
    async with asyncio.timeout(PATIENCE):
        while True:
            [now] = (await admin.run(COUNTS.replace("summary { cards balance }", "")))[field][
                "results"
            ]
            if now["progress"]["done"] >= wanted or now["status"] == "DONE":
                return dict(now)
            await asyncio.sleep(0.05)


async def survive(name: str, begin: Begin, environment: dict[str, str], file: Path) -> None:
    cards = sum(1 for _ in file.open()) - 1
    began, field, killed_at = time.monotonic(), "", list[int]()
    for wanted in (cards // 3, cards * 2 // 3, cards):
        server = servers.start(environment)
        try:
            async with httpx.AsyncClient(base_url=server.url, timeout=600) as http:
                admin = Client(http, server.development_key)
                field = field or await begin(admin, file)
                now = await seen_to(admin, field, wanted)
                if wanted < cards:
                    killed_at.append(now["progress"]["done"])
                else:
                    shown = (await admin.run(COUNTS)).body["data"]
        finally:
            server.stop(signal.SIGKILL if wanted < cards else signal.SIGTERM)
    seconds = time.monotonic() - began
    verified = await asyncio.to_thread(servers.giftgql, environment, "verify")
    print(f"{name}: {cards:,} cards in {seconds:,.0f} s, killed at {killed_at}")
    print(f"  {shown}")
    print(f"  {verified.stdout.strip()}", flush=True)
    assert verified.returncode == 0
    assert now["status"] == "DONE"


def run(cards: int, postgres: servers.PostgresServer | None, name: str) -> None:
    for what, begin in (("campaign", begin_campaign), ("import", begin_import)):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "cards.csv"
            write_file(file, cards)
            url = postgres.create() if postgres else ""
            environment = servers.environment(Path(folder) / "data", url)
            asyncio.run(survive(f"{name}, {what}", begin, environment, file))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cards", type=int, default=1_000_000)
    arguments = parser.parse_args()
    run(arguments.cards, None, "SQLite")
    with servers.postgres() as postgres:
        run(arguments.cards, postgres, "PostgreSQL")


if __name__ == "__main__":
    main()
