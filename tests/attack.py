"""The long form of `test_throttle` and `test_hostile_bodies`: `scripts/attack`.

Servers of each database, two processes on PostgreSQL, are guessed at, sent what is hostile, flooded
with PINs to be checked, and asked whether time tells an unknown code from a wrong PIN.
"""

import argparse
import asyncio
import json
import math
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from statistics import fmean, variance
from typing import Any

import httpx

from tests import bench, servers
from tests.hostile import ADDRESSES, DOCUMENTS, JSON_BODIES, METHODS, NAME, TYPES, q

GRAPHQL_JSON = "application/graphql-response+json"
AT_ONCE = 64
GUESSED = 5
"""Of this many cards the codes are among the guesses, the PINs are right and come last."""

MOST_CHECKED = 5
T_MOST = 4.5
"""Welch's t beyond which times differ (security reference, section 1, T12)."""

FIND = "query ($c: String!) { giftcard(code: $c) { results { id } } }"
BALANCE = "query ($c: String!, $p: String!) { giftcardBalance(code: $c, pin: $p) { balance } }"
UNTHROTTLED = {"GIFTGQL_MAX_FAILURES": "1000000", "GIFTGQL_MAX_UNKNOWN_CODES": "1000000"}
BLIND = ("CheckGiftCardBalance", "UsePhysicalGiftCardCodes")


@dataclass
class Attack:
    """Servers over one database, and what was not as it should be."""

    running: Sequence[servers.Server]
    wrong: list[str] = field(default_factory=list)

    @property
    def one(self) -> servers.Server:
        return self.running[0]

    def say(self, sentence: str, *, is_right: bool) -> None:
        print(f"  {sentence}{'' if is_right else ': WRONG'}", flush=True)
        if not is_right:
            self.wrong.append(sentence)

    def client(self, *rights: str) -> str:
        """A new client's key; it is ONLINE."""
        options = [word for each in rights for word in ("--permission", each)]
        options = ["--role", "shop"] if not rights else options
        added = servers.giftgql(
            self.one.environment, "client", "add", "x", *options, "--channel", "ONLINE", "--json"
        )
        return str(json.loads(added.stdout)["client_secret"])


@contextmanager
def attacked(folder: Path, url: str, **settings: str) -> Iterator[Attack]:
    environment = servers.environment(folder, url, GIFTGQL_ALLOW_GET="true", **settings)
    with ExitStack() as stack:
        yield Attack(
            [stack.enter_context(servers.serving(environment)) for _ in range(2 if url else 1)]
        )


async def at_once(
    attack: Attack, key: str, asked: Sequence[tuple[str, dict[str, str]]], connections: int
) -> list[str | None]:
    """Ask all of these, in turns of each process; the codes of their errors, in order."""
    found: list[str | None] = [None] * len(asked)
    numbers, urls = iter(range(len(asked))), cycle(each.url for each in attack.running)
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(timeout=60, headers=headers, limits=httpx.Limits()) as http:

        async def ask() -> None:
            for number in numbers:
                query, variables = asked[number]
                body = {"query": query, "variables": variables}
                answer = (await http.post(f"{next(urls)}/graphql", json=body)).json()
                errors = answer.get("errors") or [{"extensions": {"code": None}}]
                found[number] = errors[0]["extensions"]["code"]

        await asyncio.gather(*(ask() for _ in range(connections)))
    return found


async def guess_codes(attack: Attack, guesses: int) -> None:
    """Codes that there are not, and at last some that there are."""
    codes = [f"GUESS{number:06}" for number in range(guesses - GUESSED)]
    codes += [f"BENCH{number}" for number in range(GUESSED)]
    begun = time.perf_counter()
    found = await at_once(attack, attack.client(), [(FIND, {"c": c}) for c in codes], AT_ONCE)
    told = len(found) - found.count("RATE_LIMITED")
    attack.say(
        f"guesses of codes: {told:,} evaluated of {guesses:,} made in "
        f"{time.perf_counter() - begun:.1f} s; of the {GUESSED} right ones "
        f"{found[-GUESSED:].count(None)}",
        is_right=told <= most_told(begun),
    )


def most_told(begun: float) -> float:
    """How many failures a client may have had since then."""
    return 20 + 1 + (time.perf_counter() - begun) / 20


async def guess_pins(attack: Attack, guesses: int = 200) -> None:
    """All at once on one card, and then one on each of many."""
    code = {"c": "PIN0"}
    asked = [(BALANCE, {**code, "p": f"{number:04}"}) for number in range(guesses)]
    shop = attack.client("GiftCardTransUse", "FindGiftCardByCode", *BLIND)
    use = """mutation ($c: String!, $p: String!) {
      giftcardTransAdd(trans: {code: $c, pin: $p, transType: USE, amount: "-1"}) { id } }"""
    found = Counter(await at_once(attack, shop, [(use, given) for _, given in asked], guesses))
    attack.say(
        f"wrong PINs at once on one card: {found['SECRET_INVALID']} evaluated of {guesses} made "
        f"({dict(found)})",
        is_right=found["SECRET_INVALID"] <= MOST_CHECKED and None not in found,
    )
    thief = attack.client(*BLIND)
    asked = [(BALANCE, {"c": f"PIN{number}", "p": "0000"}) for number in range(1, 50)] * 4
    begun = time.perf_counter()
    found = Counter(await at_once(attack, thief, asked, guesses))
    attack.say(
        f"wrong PINs on many cards: {found['SECRET_INVALID']} evaluated of {len(asked)} made "
        f"({dict(found)})",
        is_right=found["SECRET_INVALID"] <= most_told(begun) and None not in found,
    )


async def hostile(attack: Attack) -> None:
    """Each body, document, address, method and type of content by itself."""
    key = attack.client("FindGiftCardByCode", "UsePhysicalGiftCardCodes")
    url, taken = f"{attack.one.url}/graphql", dict[str, float]()
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    async with httpx.AsyncClient(timeout=60, headers=headers) as http:

        async def send(name: str, method: str, status: int, **sent: Any) -> None:
            address, begun = sent.pop("address", url), time.perf_counter()
            try:
                answered = (await http.request(method, address, **sent)).status_code
            except httpx.TransportError:  # it was still being sent
                answered = 413
            taken[name] = time.perf_counter() - begun
            if answered != status:
                attack.say(f"{name}: {answered}, not {status}", is_right=False)

        await send("nothing hostile", "POST", 200, content=q("{ __typename }"))
        for name, (body, status, _) in JSON_BODIES.items():
            await send(f"body: {name}", "POST", status, content=body)
        for name, (document, _) in DOCUMENTS.items():
            operation = NAME if f"query {NAME} " in document else None
            body = q(document, operationName=operation)
            await send(
                f"document: {name}", "POST", 413 if len(body) > 65_536 else 200, content=body
            )
        for name, (address, status) in ADDRESSES.items():
            sent = {"address": f"{url}?{address}", "headers": {"Accept": GRAPHQL_JSON}}
            await send(f"address: {name}", "GET", status, **sent)
        for method in METHODS:
            await send(f"method: {method}", method, 405)
        for kind, body in TYPES.items():
            await send(f"type: {kind}", "POST", 415, content=body, headers={"Content-Type": kind})
    usual = taken.pop("nothing hostile")
    worst = max(taken, key=taken.__getitem__)
    attack.say(
        f"hostile requests: {len(taken)} sent, the slowest took {taken[worst] * 1000:.0f} ms "
        f"({worst}); one that is not hostile {usual * 1000:.0f} ms",
        is_right=True,
    )


async def compare_times(attack: Attack, samples: int) -> None:
    """Whether an unknown code and a wrong PIN can be told apart by the time they take."""
    key = attack.client(*BLIND)
    times: dict[str, list[float]] = {"TIMED": [], "GUESS": []}
    async with httpx.AsyncClient(timeout=60, headers={"Authorization": f"Bearer {key}"}) as http:
        for number in range(samples):
            for prefix in ("TIMED", "GUESS") if number % 2 else ("GUESS", "TIMED"):
                body = {"query": BALANCE, "variables": {"c": f"{prefix}{number}", "p": "0000"}}
                begun = time.perf_counter()
                answer = (await http.post(f"{attack.one.url}/graphql", json=body)).json()
                times[prefix].append((time.perf_counter() - begun) * 1000)
                assert answer["errors"][0]["extensions"]["code"] == "SECRET_INVALID", answer
    wrong, unknown = (trimmed(times[prefix]) for prefix in ("TIMED", "GUESS"))
    error = math.sqrt(variance(wrong) / len(wrong) + variance(unknown) / len(unknown))
    t = (fmean(wrong) - fmean(unknown)) / error
    attack.say(
        f"time of a wrong PIN {fmean(wrong):.2f} ms, of an unknown code {fmean(unknown):.2f} ms: "
        f"t = {t:.2f} with twice {samples:,}",
        is_right=abs(t) < T_MOST,
    )


def trimmed(times: list[float]) -> list[float]:
    """Without the slowest twentieth, in which the machine did something else."""
    return sorted(times)[: max(len(times) * 19 // 20, 2)]


def attack_on(name: str, folder: Path, url: str, given: argparse.Namespace) -> list[str]:
    print(f"\n{name}", flush=True)
    with attacked(folder, url) as attack:
        bench.fill(attack.one, bench.CARDS, 'physicalCode: "BENCH{n}"')
        bench.report_flood(attack.one, 3, given.seconds)
        steps: Sequence[Callable[[Attack], Awaitable[None]]] = (hostile, guess_pins)
        for step in steps:
            asyncio.run(step(attack))  # type: ignore[arg-type]
        asyncio.run(guess_codes(attack, given.guesses))
        wrong = attack.wrong
    with attacked(folder, url, **UNTHROTTLED, GIFTGQL_MAX_FAILED_PERCENT="100") as attack:
        pin = 'physicalCode: "TIMED{n}", physicalPin: "4711"'
        bench.fill(attack.one, given.samples, pin)
        asyncio.run(compare_times(attack, given.samples))
        return wrong + attack.wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--guesses", type=int, default=10_000, help="of codes")
    parser.add_argument("--samples", type=int, default=2_000, help="of each time compared")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each flood")
    given, wrong = parser.parse_args(), list[str]()
    with tempfile.TemporaryDirectory() as folder:
        wrong += attack_on("SQLite", Path(folder), "", given)
    with servers.postgres() as postgres, tempfile.TemporaryDirectory() as folder:
        url = postgres.create()
        wrong += attack_on("PostgreSQL, two processes", Path(folder), url, given)
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    main()
