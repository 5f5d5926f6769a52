"""PINs and CVVs against argon2id: in few threads of low priority, behind bounded queues.

What argon2 sees is a keyed pre-hash that the vault makes: four digits have no entropy of their
own. Setting and checking have a queue each, so that an import does not keep a till waiting.
"""

import asyncio
import os
import re
import sys
import threading
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

import argon2
from argon2.exceptions import VerifyMismatchError

from giftgql import metrics
from giftgql.errors import InvalidInput, Unavailable

Made = TypeVar("Made")

MEMORY_KIB = 19_456
ROUNDS = 2
"""OWASP's least for argon2id: 19 MiB, two rounds (security reference, section 3.3)."""

HASHING_THREADS = 2
HASHES_WAITING = 1_000
CHECKING_THREADS = 2
CHECKS_WAITING = 32
CHECK_PATIENCE = 2.0
"""Seconds that a check may wait for a thread (security reference, section 3.3)."""

NICENESS = 10
"""By how much these threads step back behind the event loop, where the system lets them."""

_PIN = re.compile(r"[0-9]{4,12}")
_CVV = re.compile(r"[0-9]{3,8}")


def valid_pin(pin: str, field: str) -> str:
    """A PIN: 4 to 12 digits."""
    if not _PIN.fullmatch(pin):
        raise InvalidInput(field, "must be 4 to 12 digits")
    return pin


def valid_cvv(cvv: str, field: str) -> str:
    """A CVV: 3 to 8 digits."""
    if not _CVV.fullmatch(cvv):
        raise InvalidInput(field, "must be 3 to 8 digits")
    return cvv


class Queue:
    """Threads of low priority and a bounded queue before them.

    Refuses `UNAVAILABLE` where too many wait, or after `patience` seconds without a thread. Who
    goes away while waiting frees its place at once; a thread is free when its work is done.
    """

    def __init__(
        self,
        threads: int,
        *,
        work: str,
        waiting: int,
        patience: float | None,
        why: str,
        retry_after: int,
    ) -> None:
        self._executor = ThreadPoolExecutor(
            threads, thread_name_prefix="pin", initializer=_step_back
        )
        self._free = asyncio.Semaphore(threads)
        self._most_waiting = waiting
        self._patience = patience
        self._refusal = (why, retry_after)
        self.waiting = 0
        self._done = metrics.PINS.labels(work)
        self._refused = metrics.PINS_REFUSED.labels(work)
        self._shown_waiting = metrics.PINS_WAITING.labels(work)

    async def run(self, work: Callable[..., Made], *arguments: object) -> Made:
        await self._thread()
        self._done.inc()
        running = asyncio.get_running_loop().run_in_executor(self._executor, work, *arguments)
        running.add_done_callback(lambda _: self._free.release())
        return await asyncio.shield(running)

    async def _thread(self) -> None:
        """Wait for a free thread and take it."""
        if self._free.locked() and self.waiting >= self._most_waiting:
            raise self._refuse()
        self.waiting += 1
        self._shown_waiting.inc()
        try:
            async with asyncio.timeout(self._patience):
                await self._free.acquire()
        except TimeoutError:
            raise self._refuse() from None
        finally:
            self.waiting -= 1
            self._shown_waiting.dec()

    def _refuse(self) -> Unavailable:
        self._refused.inc()
        why, retry_after = self._refusal
        return Unavailable(why, retry_after=retry_after)

    def close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)


class Pins:
    """Hashes and checks pre-hashed secrets; verifiers are argon2's own text, `$argon2id$…`."""

    def __init__(self) -> None:
        self._argon2 = argon2.PasswordHasher(
            time_cost=ROUNDS, memory_cost=MEMORY_KIB, parallelism=1
        )
        self._nobodys = _verifier_of_nothing()
        self._hashing = Queue(
            HASHING_THREADS,
            work="set",
            waiting=HASHES_WAITING,
            patience=None,
            why="Too many PINs are being set.",
            retry_after=5,
        )
        self._checking = Queue(
            CHECKING_THREADS,
            work="check",
            waiting=CHECKS_WAITING,
            patience=CHECK_PATIENCE,
            why="Too many PINs are being checked.",
            retry_after=1,
        )

    async def hash(self, prepared: bytes) -> str:
        return await self._hashing.run(self._argon2.hash, prepared)

    async def matches(self, prepared: bytes, verifier: str | None) -> bool:
        """One run of argon2, also where there is no verifier: time tells nothing."""
        return await self._checking.run(self._matches, prepared, verifier or self._nobodys)

    def _matches(self, prepared: bytes, verifier: str) -> bool:
        try:
            return self._argon2.verify(verifier, prepared)
        except VerifyMismatchError:
            return False

    def close(self) -> None:
        self._hashing.close()
        self._checking.close()


def _verifier_of_nothing() -> str:
    """A verifier that costs what any other does and that nothing matches."""
    salt, tag = (b64encode(os.urandom(size)).decode().rstrip("=") for size in (16, 32))
    return f"$argon2id$v=19$m={MEMORY_KIB},t={ROUNDS},p=1${salt}${tag}"


def _step_back() -> None:
    """Lower the priority of this thread alone, which only Linux knows how to do."""
    if sys.platform == "linux":
        me = threading.get_native_id()
        with suppress(OSError):
            now = os.getpriority(os.PRIO_PROCESS, me)
            os.setpriority(os.PRIO_PROCESS, me, max(now, NICENESS))
