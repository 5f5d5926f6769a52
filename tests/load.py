"""A driver that costs little beside the server it drives: keep-alive HTTP/1.1 on bare sockets.

Run as a process of its own: it reads a JSON order from standard input and prints figures.
"""

import asyncio
import json
import sys
import time
from dataclasses import asdict, dataclass
from itertools import count
from statistics import quantiles
from typing import cast

import uvloop

_SCATTER = 2_654_435_761
"""Knuth's multiplier: successive numbers land all over the cards."""


@dataclass
class Order:
    """What to send: `body` with `{n}` counted up from `start`, over `connections` at once; `{card}`
    is a number below `cards`, another one each time."""

    port: int
    token: str
    body: str
    connections: int
    seconds: float
    start: int = 0
    modulo: int = 0
    cards: int = 1
    first_card: int = 0
    wanted: str = '"data"'
    tolerated: str = "nothing"
    """A code of refusals that are not counted: whoever floods is refused now and then."""


@dataclass
class Figures:
    """Requests per second, and how long one took, in milliseconds."""

    per_second: float
    p50: float
    p99: float
    done: int


class _Connection(asyncio.Protocol):
    def __init__(self, order: Order, numbers: "count[int]", taken: list[float]) -> None:
        self._order, self._numbers, self._taken = order, numbers, taken
        self._received = bytearray()
        self._sent_at = 0.0
        self._deadline = 0.0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def begin(self) -> None:
        self._deadline = time.perf_counter() + self._order.seconds
        self._send()

    def _send(self) -> None:
        order = self._order
        number = next(self._numbers)
        body = order.body.replace("{n}", str(number % order.modulo if order.modulo else number))
        card = order.first_card + number * _SCATTER % order.cards
        body = body.replace("{card}", f"{card:08}")
        head = (
            f"POST /graphql HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {order.token}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self._sent_at = time.perf_counter()
        self._transport.write((head + body).encode())

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end:
            return
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(body) < length:
            return
        now = time.perf_counter()
        is_refused = f'"{self._order.tolerated}"'.encode() in body
        if not is_refused:
            self._taken.append(now - self._sent_at)
        if not is_refused and (b"errors" in body or self._order.wanted.encode() not in body):
            self.done.set_exception(RuntimeError(f"unwanted answer: {body.decode()[:300]}"))
            self._transport.close()
            return
        self._received.clear()
        if now < self._deadline:
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)


async def drive(order: Order) -> Figures:
    loop = asyncio.get_running_loop()
    taken: list[float] = []
    numbers = count(order.start)
    made = [
        await loop.create_connection(
            lambda: _Connection(order, numbers, taken), "127.0.0.1", order.port
        )
        for _ in range(order.connections)
    ]
    began = time.perf_counter()
    for _, protocol in made:
        protocol.begin()
    async with asyncio.timeout(order.seconds + 20):
        await asyncio.gather(*(protocol.done for _, protocol in made))
    seconds = time.perf_counter() - began
    percentiles = quantiles(taken, n=100)
    return Figures(len(taken) / seconds, percentiles[49] * 1e3, percentiles[98] * 1e3, len(taken))


if __name__ == "__main__":
    print(json.dumps(asdict(uvloop.run(drive(Order(**json.load(sys.stdin)))))))
