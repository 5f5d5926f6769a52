"""What a resolver finds: who is asking, and ways to open a transaction. It holds no session."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import strawberry
from strawberry.dataloader import DataLoader

from giftgql.errors import OperationTooComplex, Unavailable
from giftgql.permissions import Caller
from giftgql.store import Reading, Store, Transaction

Key = TypeVar("Key")
Value = TypeVar("Value")


@dataclass(eq=False)
class Context:
    """One request's. `replayed` becomes true when an idempotency key gave an earlier answer;
    `fields` are the root fields of its document, and `kind` is `query` or `mutation`, once that is
    known to be valid; `revealed` are the cards whose codes it shows in clear, as the audit trail
    says. When it `ends_at` a time of the event loop, and is not done, nothing more is begun:
    `UNAVAILABLE`."""

    caller: Caller
    store: Store
    request_id: str = ""
    operation_name: str | None = None
    replayed: bool = False
    fields: Sequence[str] = ()
    kind: str = "graphql"
    ends_at: float = math.inf
    revealed: set[int] = field(default_factory=set, repr=False)
    _rows_asked: int = 0
    _loaders: dict[Any, DataLoader[Any, Any]] = field(default_factory=dict, repr=False)

    def read(self) -> AbstractAsyncContextManager[Reading]:
        self._check_time()
        return self.store.read(self.caller)

    def snapshot(self) -> AbstractAsyncContextManager[Reading]:
        """A reading of one state of the database, as long as the request may take."""
        self._check_time()
        left = self.ends_at - asyncio.get_running_loop().time()
        return self.store.snapshot(self.caller, at_most=left)

    def reading(self) -> Reading:
        """One that reads nothing: who is asking, when, and the settings."""
        return Reading(self.store, self.caller, self.store.now)

    def write(self) -> AbstractAsyncContextManager[Transaction]:
        self._check_time()
        self._loaders.clear()  # what was read before is not to be shown after
        return self.store.write(self.caller)

    async def post(self, asked: Any) -> Any:
        """Move money: an `Asked` of the ledger, in one transaction with those of other requests.

        Gives its `Result`. Refuses `UNAVAILABLE`, `IDEMPOTENCY_CONFLICT`.
        """
        self._check_time()
        self._loaders.clear()
        assert self.store.poster is not None
        return await self.store.poster.post(asked)

    def _check_time(self) -> None:
        if asyncio.get_running_loop().time() > self.ends_at:
            raise Unavailable("It was not done in time.")

    def ask_rows(self, rows: int) -> None:
        """Count the rows that lists of this request may give. Refuses more than the limit."""
        self._rows_asked += max(rows, 0)  # what is out of bounds is refused by its list
        if self._rows_asked > self.store.settings.max_rows:
            raise OperationTooComplex("rows in all its lists", self.store.settings.max_rows)

    async def load(
        self, batch: "Callable[[Context, Sequence[Key]], Awaitable[list[Value]]]", key: Key
    ) -> Value:
        """The value of `key`, read together with all others that this request needs of `batch`."""
        if batch not in self._loaders:
            self._loaders[batch] = DataLoader(load_fn=lambda keys: batch(self, keys))
        value: Value = await self._loaders[batch].load(key)
        return value


Info = strawberry.Info[Context, None]
