"""Money that is asked for while a transaction is under way moves together in the next one.

No timer: when nothing is under way a movement is posted at once. Who goes away before its
movement is taken takes it along; after that nothing changes its outcome any more.
"""

import asyncio
import secrets
from collections import deque
from collections.abc import Sequence
from contextvars import Context
from dataclasses import dataclass, field

import structlog

from giftgql import metrics
from giftgql.errors import Refusal, Unavailable
from giftgql.ledger import service
from giftgql.ledger.orders import movement_id
from giftgql.ledger.service import Asked, Result
from giftgql.requests.service import JustClaimed
from giftgql.store import Store

log = structlog.get_logger("giftgql.ledger")

MOST_AT_ONCE = 200
ATTEMPTS = 4

FEW = 4
"""Of so few orders it is expected that none is a repeated one: if one is, they are tried again,
with the keys read first. Of many at once one will be; and a reversal, whose declines claim no key
that would tell, is expected to be."""

SKIPS, PAUSE = 2, 0.01
"""How often an order whose account is locked by another transaction is put off, and for how
long, before somebody waits for that lock."""

WAITERS = 4
"""Locks that are waited for at once, each on a connection of its own."""


@dataclass(eq=False, slots=True)
class _Ticket:
    asked: Asked
    asked_at: float
    deadline: float
    skips: int = 0
    is_taken: bool = False
    answer: "asyncio.Future[Result]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    def give(self, given: Result | Refusal | BaseException) -> None:
        if self.answer.done():
            return  # whoever asked has gone away
        if isinstance(given, Result):
            self.answer.set_result(given)
        else:
            self.answer.set_exception(given)

    def expire(self) -> None:
        """It has waited too long, be it behind a transaction that never ends."""
        if not self.is_taken:
            self.give(Unavailable())


class Coalescer:
    """Posts orders in batches, one transaction after the other."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: deque[_Ticket] = deque()
        self._batches: asyncio.Task[None] | None = None
        self._put_off = 0
        self._waiters: dict[int, list[_Ticket]] = {}
        self._waits: set[asyncio.Task[None]] = set()
        self._lanes = asyncio.Semaphore(WAITERS)
        self._is_closing = False
        self.unanswered = 0
        """Callers who wait for what comes of their orders."""

    async def post(self, asked: Asked) -> Result:
        """Post an order. Refuses: `UNAVAILABLE` when too many wait, or for too long."""
        settings = self._store.settings
        if self._is_closing or len(self._waiting) >= settings.max_waiting_movements:
            raise Unavailable
        loop = asyncio.get_running_loop()
        now = loop.time()
        ticket = _Ticket(asked, now, now + settings.lock_seconds)
        expiry = loop.call_at(ticket.deadline, ticket.expire)
        self._queue(ticket)
        self.unanswered += 1
        metrics.MOVEMENTS_WAITING.inc()
        try:
            return await ticket.answer
        finally:
            expiry.cancel()
            self.unanswered -= 1
            metrics.MOVEMENTS_WAITING.dec()

    async def close(self) -> None:
        """Take no more orders, and finish those that were taken."""
        self._is_closing = True
        while self._batches or self._put_off or self._waits:  # noqa: ASYNC110  three ends to wait for
            await asyncio.sleep(PAUSE)

    def _queue(self, ticket: _Ticket) -> None:
        self._waiting.append(ticket)
        if self._batches is None:
            self._batches = asyncio.create_task(self._work(), context=Context())

    async def _work(self) -> None:
        try:
            while self._waiting:
                taken = min(len(self._waiting), MOST_AT_ONCE)
                batch = self._still_wanted([self._waiting.popleft() for _ in range(taken)])
                if batch:
                    await self._post(batch)
        finally:
            self._batches = None

    @staticmethod
    def _still_wanted(tickets: list[_Ticket]) -> list[_Ticket]:
        """Without those whose callers have gone away, and those that have waited too long."""
        now, wanted = asyncio.get_running_loop().time(), list[_Ticket]()
        for ticket in tickets:
            if ticket.deadline < now:
                ticket.give(Unavailable())
            elif not ticket.answer.done():
                ticket.is_taken = True
                wanted.append(ticket)
                if not ticket.skips:
                    metrics.MOVEMENT_WAIT_SECONDS.observe(now - ticket.asked_at)
        return wanted

    async def _post(self, batch: list[_Ticket], *, alone: bool = False) -> None:
        """Post a batch. One that fails is halved until the culprit is alone."""
        metrics.BATCH_MOVEMENTS.observe(len(batch))
        try:
            with metrics.BATCH_SECONDS.time():
                results = await self._attempts([each.asked for each in batch], alone=alone)
        except Unavailable as refusal:
            for ticket in batch:
                ticket.give(refusal)
        except Exception as error:
            if len(batch) == 1:
                batch[0].give(error)
                return
            log.error("batch failed", size=len(batch), exc_info=error)
            middle = len(batch) // 2
            await self._post(batch[:middle], alone=alone)
            await self._post(batch[middle:], alone=alone)
        else:
            for ticket, result in zip(batch, results, strict=True):
                if result is None:
                    self._skip(ticket)
                else:
                    ticket.give(result)

    def _skip(self, ticket: _Ticket) -> None:
        """Another transaction has locked its account: try again, then wait for that."""
        ticket.skips += 1
        ticket.is_taken = False
        if ticket.skips <= SKIPS:
            self._put_off += 1
            asyncio.get_running_loop().call_later(PAUSE, self._try_again, ticket)
            return
        account_id = ticket.asked.order.account_id
        if account_id in self._waiters:
            self._waiters[account_id].append(ticket)
            return
        self._waiters[account_id] = [ticket]
        task = asyncio.create_task(self._wait(account_id))
        self._waits.add(task)
        task.add_done_callback(self._waits.discard)

    def _try_again(self, ticket: _Ticket) -> None:
        self._put_off -= 1
        self._queue(ticket)

    async def _wait(self, account_id: int) -> None:
        """Wait for an account, for all who want it meanwhile, without holding up any others."""
        waiting = self._waiters[account_id]
        async with self._lanes:
            while waiting:
                batch = self._still_wanted(waiting[:MOST_AT_ONCE])
                del waiting[:MOST_AT_ONCE]
                if batch:
                    await self._post(batch, alone=True)
            del self._waiters[account_id]

    async def _attempts(
        self, asked: Sequence[Asked], *, alone: bool
    ) -> Sequence[Result | Refusal | None]:
        """Run the transaction, and run it again after what passes: deadlocks, a busy database,
        a key that another has just claimed. What may have been committed is looked up first."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + self._store.settings.lock_seconds
        is_likely_new = len(asked) <= FEW and not any(one.keys_of for one in asked)
        for attempt in range(ATTEMPTS):
            number, results = 0, None
            expects_new = attempt == 0 and is_likely_new
            try:
                async with self._store.write(reads_clock=False) as tx:
                    posted = await service.post(
                        tx, asked, skip_locked=not alone, expects_new=expects_new
                    )
                    number, results = tx.number, posted
                return posted
            except Unavailable as refusal:
                if expects_new and isinstance(refusal, JustClaimed):
                    continue
                if results is not None and await self._is_made(number, results):
                    return results
                is_last = attempt == ATTEMPTS - 1 or clock() > deadline
                if is_last:
                    raise
            except Exception as error:
                if attempt == ATTEMPTS - 1 or not self._store.database.is_taken(error):
                    raise
                for one in asked:  # two servers made up one id
                    one.order.id = movement_id()
            await asyncio.sleep((secrets.randbelow(20) + 1) / 1_000 * 2**attempt)
        raise AssertionError("unreachable")

    async def _is_made(self, number: int, results: Sequence[Result | Refusal | None]) -> bool:
        """Whether the transaction was committed whose COMMIT had no answer. Its number alone does
        not tell: after a crash, or on a replica that took over, another one may have it. Refuses
        `UNAVAILABLE` where that cannot be found out, whatever is in the way."""
        try:
            if not await self._store.database.has_committed(number):
                return False
            async with self._store.read() as reading:
                return await service.is_written(reading, results)
        except Exception as error:
            if not isinstance(error, Unavailable):
                log.error("outcome unknown", exc_info=error)
            raise Unavailable("The database cannot be reached.") from error
