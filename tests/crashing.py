"""A server that kills or freezes itself at a named point of a transaction that moves money.

Run like `giftgql`, by `servers.start(environment, program="tests.crashing")`. `CRASH_AT` names the
point, the how manieth such transaction, and the signal: `before commit:3:SIGKILL`. The ledger's
writing and the session's commit are wrapped here; the program itself knows nothing of it.
"""

import os
import signal
from typing import Any

from sqlalchemy import event
from sqlalchemy.orm import Session

from giftgql import cli
from giftgql.ledger.repository import LedgerRepository

UNDER_LOCKS, BEFORE_COMMIT, AFTER_COMMIT = POINTS = (
    "under locks",
    "before commit",
    "after commit",
)
"""Decided and nothing written; all written, not committed; committed, and nobody answered."""

_MARK = "moves money"


class Crash:
    """Sends a signal to the process when its point is reached for the n-th time."""

    def __init__(self, at: str) -> None:
        self._point, number, name = at.split(":")
        self._left = int(number)
        self._signal = signal.Signals[name]

    def reached(self, point: str) -> None:
        if point == self._point:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), self._signal)

    def install(self) -> None:
        write = LedgerRepository.write

        async def watched(ledger: LedgerRepository, *arguments: Any) -> Any:
            ledger.session.info[_MARK] = True
            self.reached(UNDER_LOCKS)
            return await write(ledger, *arguments)

        LedgerRepository.write = watched  # type: ignore[method-assign, assignment]
        event.listen(Session, "before_commit", self._before)
        event.listen(Session, "after_commit", self._after)

    def _before(self, session: Session) -> None:
        if _MARK in session.info:
            self.reached(BEFORE_COMMIT)

    def _after(self, session: Session) -> None:
        if session.info.pop(_MARK, False):
            self.reached(AFTER_COMMIT)


if __name__ == "__main__":
    Crash(os.environ["CRASH_AT"]).install()
    cli.main()
