"""The books of a batch: accounts as they become, and the rows that will say why."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from giftgql.errors import ErrorCode
from giftgql.ledger.models import HoldEnding, MovementState, MovementType, SystemAccount
from giftgql.ledger.orders import Funds, Order, Past
from giftgql.money import CEILING_MINOR


class Entry(NamedTuple):
    """A movement to be written: the columns of its row."""

    id: int
    account_id: int
    type: MovementType
    state: MovementState
    amount: int
    asked: int
    balance: int
    caller: str
    code_id: int | None
    source_id: str | None
    ref_no: str | None
    reason: str | None
    created_at: datetime
    against: int | None = None
    error: ErrorCode | None = None
    hold_until: datetime | None = None
    about_id: int | None = None
    price: int | None = None


class Line(NamedTuple):
    """A posting to be written."""

    movement_id: int
    line: int
    debit_account: int
    credit_account: int
    amount: int
    currency: str
    effective_at: datetime


class End(NamedTuple):
    """The end of a hold to be written."""

    hold_id: int
    ending: HoldEnding
    captured: int
    released: int
    balance: int
    caller: str
    created_at: datetime


@dataclass(slots=True)
class Outcome:
    """What came of an order: a movement written now, or the end of an earlier one, or `past`,
    one that is as it was. `is_stale`: the account can be reached otherwise than was believed;
    nothing was decided."""

    entry: Entry | None = None
    end: End | None = None
    past: Past | None = None
    is_stale: bool = False

    @property
    def error(self) -> ErrorCode | None:
        return self.entry.error if self.entry else None


@dataclass(slots=True)
class Opened:
    """What comes of an opening, not yet written: the account as it becomes, an outcome for each
    movement, and their rows."""

    funds: Funds
    outcomes: list[Outcome]
    entries: list[Entry]
    lines: list[Line]

    @property
    def error(self) -> ErrorCode | None:
        """Why the first movement was declined that was."""
        return next((each.error for each in self.outcomes if each.error), None)


@dataclass(slots=True)
class Books:
    """What a batch works on: accounts and earlier movements, changed as it is decided; of what
    is to be undone also what that undoes. `holds` has the open ones of accounts where one may have
    timed out, or all are to be ended. `ends_after` knows the calendar: when validity ends that
    begins at a moment and lasts for a period, `P6M`."""

    now: datetime
    accounts: Mapping[int, Funds]
    ends_after: Callable[[datetime, str], datetime]
    past: Mapping[int, Past] = field(default_factory=dict)
    holds: Mapping[int, Sequence[Past]] = field(default_factory=dict)
    ceiling: int = CEILING_MINOR
    entries: list[Entry] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    ends: list[End] = field(default_factory=list)
    touched: dict[int, Funds] = field(default_factory=dict)

    def end(self, funds: Funds, hold: Past, how: HoldEnding, captured: int, caller: str) -> Outcome:
        """End a hold; what was not captured is free again."""
        if hold.amount < 0:
            funds.held -= hold.size
        if hold.type is MovementType.USE and how is not HoldEnding.CAPTURED:
            funds.uses -= 1
        funds.open_holds -= 1
        hold.ending, hold.captured = how, captured
        end = End(
            hold.id,
            how,
            captured,
            hold.size - captured,
            funds.available(self.now),
            caller,
            self.now,
        )
        self.ends.append(end)
        self.touched[funds.id] = funds
        return Outcome(end=end, past=hold)

    def post(
        self,
        funds: Funds,
        movement_id: int,
        amount: int,
        against: int,
        *,
        at: datetime | None = None,
        price: int | None = None,
    ) -> int:
        """Enter an amount between an account and one of the system: positive is added to it.
        Returns which one it is against, which goes by the price if there is one."""
        funds.posted += amount
        if price is not None:
            self._post_priced(funds, movement_id, amount, price)
            return SystemAccount.TENDER if price else SystemAccount.PROMOTION
        debit, credit = (against, funds.id) if amount > 0 else (funds.id, against)
        at = at or self.now
        self.lines.append(Line(movement_id, 0, debit, credit, abs(amount), funds.currency, at))
        return against

    def _post_priced(self, funds: Funds, movement_id: int, amount: int, price: int) -> None:
        """Enter an amount that another price was paid for, or, if negative, is given back for.

        Line 0 is what tender gives of the amount, and line 1 the difference: what promotion adds
        to a price below it, or gets of one above it.
        """
        size, tender, promotion = abs(amount), SystemAccount.TENDER, SystemAccount.PROMOTION
        rest = (promotion, funds.id) if price < size else (tender, promotion)
        ways = ((tender, funds.id, min(price, size)), (*rest, abs(price - size)))
        for line, (source, target, part) in enumerate(ways):
            debit, credit = (source, target) if amount > 0 else (target, source)
            if part > 0:
                self.lines.append(
                    Line(movement_id, line, debit, credit, part, funds.currency, self.now)
                )

    def enter(
        self,
        funds: Funds,
        order: Order,
        kind: MovementType,
        amount: int,
        against: int | None,
        *,
        asked: int | None = None,
        hold_until: datetime | None = None,
        about_id: int | None = None,
        price: int | None = None,
        left_on: Funds | None = None,
    ) -> Outcome:
        """Record what happened to an account. `left_on` is the one whose balance is told, where
        that is not its own: its money went on to that."""
        self.touched[funds.id] = funds
        state = MovementState.HELD if hold_until else MovementState.POSTED
        facts = {"against": against, "hold_until": hold_until, "about_id": about_id, "price": price}
        return self._record(
            funds, order, kind, state, amount, asked=asked, left_on=left_on, **facts
        )

    def decline(
        self,
        order: Order,
        kind: MovementType,
        asked: int,
        error: ErrorCode,
        *,
        account: Funds | None = None,
        left_on: Funds | None = None,
    ) -> Outcome:
        """Record what was asked and why it did not happen; it counts for nothing."""
        funds, state = account or self.accounts[order.account_id], MovementState.DECLINED
        facts: dict[str, Any] = {"error": error, "about_id": order.about}
        return self._record(funds, order, kind, state, asked, left_on=left_on, **facts)

    def _record(
        self,
        funds: Funds,
        order: Order,
        kind: MovementType,
        state: MovementState,
        amount: int,
        *,
        asked: int | None = None,
        left_on: Funds | None = None,
        **facts: Any,
    ) -> Outcome:
        by = order.by
        entry = Entry(
            id=order.id,
            account_id=funds.id,
            type=kind,
            state=state,
            amount=amount,
            asked=amount if asked is None else asked,
            balance=(left_on or funds).available(self.now),
            caller=by.caller,
            code_id=by.code_id,
            source_id=by.source_id,
            ref_no=by.ref_no,
            reason=by.reason,
            created_at=self.now,
            **facts,
        )
        self.entries.append(entry)
        return Outcome(entry=entry)
