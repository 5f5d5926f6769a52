"""Tills that move money on a few cards and repeat, with its key, whatever was not answered.

Each request is made up once, with a key and a number of its own; servers come and go under it.
What was answered is kept, so that it can be looked for in the ledger afterwards.
"""

import asyncio
import json
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import Any

import httpx

TILLS = 8
SHOWN = "id status amount balance capturedAmount releasedAmount relatedId error refNo"
AGAIN = frozenset({"UNAVAILABLE"})
DECLINES = frozenset({"INSUFFICIENT_FUNDS", "REFUND_EXCEEDS_CAPTURED", "ALREADY_CAPTURED"})


@dataclass
class Wish:
    """Something a till wants done once. `tries` are those that had no answer."""

    key: str
    mutation: str
    given: dict[str, Any]
    card: str
    tries: int = 0
    is_replayed: bool = False
    code: str | None = None
    answer: dict[str, Any] = field(default_factory=dict)

    @property
    def movement_id(self) -> int:
        """The movement that records it, or, of a capture, the hold that it ended."""
        return int(self.answer["id"] if self.code is None else self.answer["transactionId"])

    @property
    def effect(self) -> int:
        """What it added to what is posted on the card, in cents."""
        if self.code is not None or self.answer["status"] != "COMPLETED":
            return 0
        return cents(self.answer["amount"])


def cents(amount: str) -> int:
    return round(float(amount) * 100)


class NoAnswer(Exception):
    """Nobody knows what became of a request."""


class Tills:
    """Several tills at work at once. `urls` are the servers that are up; None stands for one that
    is not."""

    def __init__(self, key: str, cards: Sequence[dict[str, str]], random: Random) -> None:
        self.urls: list[str | None] = []
        self.acknowledged: list[Wish] = []
        self.unexpected: list[str] = []
        self.unanswered: deque[Wish] = deque()
        self.is_closing = False
        self._headers = {"Authorization": f"Bearer {key}"}
        self._cards = cards
        self._random = random
        self._numbers = count(1)
        self._awaited: list[tuple[int, asyncio.Event]] = []
        self._holds: list[tuple[str, dict[str, Any]]] = []
        self._spent: list[tuple[str, dict[str, Any]]] = []

    async def work(self) -> None:
        """Work until told to close; then until nothing is unanswered."""
        await asyncio.gather(*(self._till() for _ in range(TILLS)))

    async def answers(self, number: int) -> None:
        """Wait for so many more answers."""
        enough = asyncio.Event()
        self._awaited.append((len(self.acknowledged) + number, enough))
        await enough.wait()

    def wait_no_more(self) -> None:
        """End every wait for answers."""
        for _, enough in self._awaited:
            enough.set()

    async def replay(self, wishes: Sequence[Wish]) -> list[str]:
        """Ask for what was done once more; returns which answers were not the first ones."""
        different = list[str]()
        todo = deque(wishes)

        async def till() -> None:
            async with httpx.AsyncClient(headers=self._headers, timeout=20) as http:
                while todo:
                    wish = todo.popleft()
                    body = await self._ask(http, wish)
                    code, answer = _read(body, wish.mutation)
                    is_replayed = body.get("extensions", {}).get("replayed")
                    if (code, answer, is_replayed) != (wish.code, wish.answer, True):
                        different.append(f"{wish}: {body}")

        await asyncio.gather(*(till() for _ in range(TILLS)))
        return different

    async def _till(self) -> None:
        async with httpx.AsyncClient(headers=self._headers, timeout=20) as http:
            while self.unanswered or not self.is_closing:
                wish = self.unanswered.popleft() if self.unanswered else self._wish()
                try:
                    body = await self._ask(http, wish)
                except NoAnswer:
                    wish.tries += 1
                    self.unanswered.append(wish)
                    await asyncio.sleep(0.01)
                else:
                    self._acknowledge(wish, body)

    async def _ask(self, http: httpx.AsyncClient, wish: Wish) -> dict[str, Any]:
        up = [url for url in self.urls if url is not None]
        if not up:
            raise NoAnswer
        kind = f"{wish.mutation[0].upper()}{wish.mutation[1:]}Input"
        query = f"mutation ($t: {kind}!) {{ {wish.mutation}(trans: $t) {{ {SHOWN} }} }}"
        given = {**wish.given, "idempotencyKey": wish.key}
        try:
            content = {"query": query, "variables": {"t": given}}
            answer = await http.post(f"{self._random.choice(up)}/graphql", json=content)
            body = dict(answer.json())
        except (httpx.HTTPError, json.JSONDecodeError):
            raise NoAnswer from None
        if _read(body, wish.mutation)[0] in AGAIN:
            raise NoAnswer
        return body

    def _acknowledge(self, wish: Wish, body: dict[str, Any]) -> None:
        wish.code, wish.answer = _read(body, wish.mutation)
        wish.is_replayed = "extensions" in body
        if wish.code is not None and wish.code not in DECLINES:
            self.unexpected.append(f"{wish}: {body}")
            return
        self.acknowledged.append(wish)
        for wanted, enough in self._awaited:
            if len(self.acknowledged) >= wanted:
                enough.set()
        if wish.answer.get("status") == "AUTHORIZED":
            self._holds.append((wish.card, wish.answer))
        elif wish.code is None and wish.given.get("transType") == "USE":
            self._spent.append((wish.card, wish.answer))

    def _wish(self) -> Wish:
        random, number = self._random, next(self._numbers)
        key = f"wish {number}"
        what = random.choices(["ADD", "USE", "hold", "capture", "refund"], [4, 6, 3, 3, 2])[0]
        if what == "capture" and self._holds:
            of, hold = self._holds.pop(random.randrange(len(self._holds)))
            part = random.choice([None, "0.01"])
            return Wish(key, "giftcardTransCapture", {"id": hold["id"], "amount": part}, of)
        if what == "refund" and self._spent:
            of, spent = random.choice(self._spent)
            part = random.choice([None, "0.01", "0.50"])
            undo: dict[str, Any] = {"id": spent["id"], "amount": part, "refNo": key}
            return Wish(key, "giftcardTransRefund", undo, of)
        is_add = what == "ADD"
        card = random.choice(self._cards)
        amount = f"{'' if is_add else '-'}{random.randint(1, 250) / 100:.2f}"
        given: dict[str, Any] = {"code": card["code"], "amount": amount, "refNo": key}
        given |= {"transType": "ADD" if is_add else "USE", "authorizeOnly": what == "hold"}
        return Wish(key, "giftcardTransAdd", given, card["id"])


def _read(body: dict[str, Any], mutation: str) -> tuple[str | None, dict[str, Any]]:
    """The error's code, if there is one, and the transaction or the error's facts."""
    if "errors" not in body:
        return None, dict(body["data"][mutation])
    facts = dict(body["errors"][0]["extensions"])
    return str(facts["code"]), facts


@dataclass(frozen=True)
class Sums:
    """What came of it all, by what was answered."""

    acknowledged: int
    repeated: int
    found_done: int
    declined: int
    captures: int

    @classmethod
    def of(cls, wishes: Sequence[Wish]) -> "Sums":
        return cls(
            len(wishes),
            sum(wish.tries > 0 for wish in wishes),
            sum(wish.is_replayed for wish in wishes),
            sum(wish.code is not None for wish in wishes),
            sum(_is_capture(wish) for wish in wishes),
        )


def _is_capture(wish: Wish) -> bool:
    return wish.mutation == "giftcardTransCapture" and wish.code is None


def posted(wishes: Sequence[Wish]) -> Counter[str]:
    """What the wishes together posted on each card, in cents."""
    total = Counter[str]()
    for wish in wishes:
        total[wish.card] += wish.effect
    return total
