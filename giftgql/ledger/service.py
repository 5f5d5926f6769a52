from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from giftgql.errors import CurrencyMismatch, ErrorCode, NotFound, Refusal
from giftgql.ledger.books import Books, Opened, Outcome
from giftgql.ledger.decide import decide_one, end_timed_out
from giftgql.ledger.models import Account, MovementType
from giftgql.ledger.orders import (
    FACTS,
    SERVER,
    Capture,
    Close,
    Extend,
    Funds,
    Opening,
    Order,
    Sweep,
    movement_ids,
)
from giftgql.ledger.reasons import why_not_capture, why_not_use
from giftgql.requests import service as requests
from giftgql.requests.service import Keys, Once
from giftgql.rows import Write
from giftgql.store import Reading, Transaction

SWEEP_BATCH = 200
MOST_AT_ONCE = 1_000


@dataclass(slots=True)
class Asked:
    """An order, and the idempotency key that it came with. The key is one of the caller's own,
    unless `keys_of` names another space of keys, in which a decline claims none."""

    order: Order
    request: Once | None = None
    keys_of: str = ""

    @property
    def caller(self) -> str:
        return self.keys_of or self.order.by.caller


@dataclass(slots=True)
class Result:
    """What came of an order, or what had come of it when it was first asked."""

    outcome: Outcome
    currency: str
    replayed: requests.Outcome | None = None


async def open_account(
    tx: Transaction,
    account_id: int,
    currency: str,
    *,
    valid_until: datetime | None = None,
    valid_from: datetime | None = None,
    validity: str | None = None,
    opens_with: int | None = None,
    most_uses: int | None = None,
    whole_only: bool = False,
    replaced_on_use: bool = False,
) -> Account:
    account = Account(
        id=account_id,
        currency=currency,
        whole_only=whole_only,
        valid_from=valid_from,
        valid_until=valid_until,
        validity=validity,
        opens_with=opens_with,
        most_uses=most_uses,
        replaced_on_use=replaced_on_use,
        modified_at=tx.now,
    )
    await tx.ledger.add(account)
    return account


def opened(reading: Reading, openings: Sequence[Opening]) -> list[Opened]:
    """What comes of these openings by the rules of money. Their movements get new ids. Nothing is
    written: `open_these` does that with those that the caller finds good."""
    found, ids = [], iter(movement_ids(sum(len(each.moves) for each in openings)))
    accounts = {each.funds.id: each.funds for each in openings}
    books = Books(reading.now, accounts, reading.end_after, ceiling=reading.settings.ceiling_minor)
    for each in openings:
        entries, lines = len(books.entries), len(books.lines)
        for move in each.moves:
            move.id = next(ids)
        outcomes = [decide_one(books, move) for move in each.moves]
        each.funds.blocked |= each.blocked
        found.append(Opened(each.funds, outcomes, books.entries[entries:], books.lines[lines:]))
    return found


async def open_these(tx: Transaction, those: Sequence[Opened], *more: Write) -> None:
    """Write accounts that are new, with their first movements, none of which was declined; the
    rows of `more`, that they may be about, before them. Up to 1,000 at once."""
    assert len(those) <= MOST_AT_ONCE
    assert not any(each.error for each in those)
    await tx.ledger.write_opened(those, tx.now, *more)


async def open_many(
    tx: Transaction, openings: Sequence[Opening], *more: Write
) -> list[list[Outcome]]:
    """Open accounts with their first movements: all of them, or none if one was declined. What
    came of each is told in either case."""
    found = opened(tx, openings)
    if not any(each.error for each in found):
        await open_these(tx, found, *more)
    return [each.outcomes for each in found]


async def accounts(reading: Reading, account_ids: Sequence[int]) -> dict[int, Account]:
    return {each.id: each for each in await reading.ledger.accounts(account_ids)}


async def currencies(reading: Reading, account_ids: Mapping[str, int]) -> str:
    """The one currency of these accounts, given with the input each came from. Refuses
    `NOT_FOUND` and `CURRENCY_MISMATCH`."""
    found = await accounts(reading, list(account_ids.values()))
    for field, account_id in account_ids.items():
        if account_id not in found:
            raise NotFound(field, "gift card")
    currency, *others = {account.currency for account in found.values()}
    if others:
        raise CurrencyMismatch(currency)
    return currency


async def post(
    tx: Transaction,
    asked: Sequence[Asked],
    *,
    skip_locked: bool = False,
    expects_new: bool = False,
) -> list[Result | Refusal | None]:
    """Move money: the only way. For each order its result, or why it was refused before the
    ledger was asked; None for one whose account another transaction has locked.

    The clock is read under the locks, and what is decided from is read after it. With
    `expects_new` the keys are not read, which saves a statement; where one was used before,
    the database refuses its claim, nothing is done, and JustClaimed is raised.
    """
    wanted = sorted({each for one in asked for each in one.order.accounts})
    accounts, clock = await tx.ledger.lock(wanted, skip_locked=skip_locked)
    await tx.read_clock(clock)
    mine = [one for one in asked if all(each in accounts for each in one.order.accounts)]
    wanted_keys = [] if expects_new else [(one.caller, one.request) for one in mine]
    keys = await requests.keys_of(tx, wanted_keys)
    books = await _books(tx, accounts, [one.order for one in mine])
    end_timed_out(books)
    taken = {id(one): _posted(tx, keys, books, one) for one in mine}
    claimed = await tx.ledger.write(books, keys.writing(tx))
    keys.check(claimed[0])
    absent = None if skip_locked else NotFound("id", "account")
    return [taken.get(id(one), absent) for one in asked]


def _posted(tx: Transaction, keys: Keys, books: Books, one: Asked) -> Result | Refusal:
    caller, currency = one.caller, books.accounts[one.order.account_id].currency
    try:
        done = keys.done(tx, caller, one.request)
    except Refusal as refusal:
        return refusal
    if done is not None:
        return Result(Outcome(), currency, done)
    outcome = decide_one(books, one.order)
    is_kept = not outcome.is_stale and not (one.keys_of and outcome.error)
    if one.request is not None and is_kept:
        keys.claim(tx, caller, one.request, _reference(outcome))
    return Result(outcome, currency)


async def is_written(reading: Reading, results: Sequence[Result | Refusal | None]) -> bool:
    """Whether the rows of these results are on the books, of which a transaction writes all or
    none; where they have none, there is nothing to be missed."""
    outcomes = [each.outcome for each in results if isinstance(each, Result)]
    entries = [each.entry for each in outcomes if each.entry is not None]
    ends = [each.end for each in outcomes if each.end is not None]
    return not (entries or ends) or await reading.ledger.is_written(entries, ends)


def _reference(outcome: Outcome) -> dict[str, Any]:
    """What a repeated request is answered from."""
    if outcome.entry is not None:
        return {"movement": outcome.entry.id}
    if outcome.end is not None:
        return {"end": outcome.end.hold_id}
    assert outcome.past is not None
    return {"movement": outcome.past.id}


async def post_one(tx: Transaction, order: Order) -> Outcome:
    """Move money in a transaction that does other things as well."""
    result = (await post(tx, [Asked(order)]))[0]
    if not isinstance(result, Result):
        raise NotFound("id", "account")
    return result.outcome


async def _books(tx: Transaction, accounts: dict[int, Funds], orders: Sequence[Order]) -> Books:
    """The accounts, and of earlier movements those that these orders depend on: of what is to
    be undone also what that undoes."""
    about = {order.about for order in orders if order.about is not None}
    with_holds = {order.account_id for order in orders if isinstance(order, Close)}
    with_holds |= {
        funds.id
        for funds in accounts.values()
        if funds.next_hold_end is not None and funds.next_hold_end <= tx.now
    }
    past = {each.id: each for each in await tx.ledger.past(about)} if about else {}
    refunded = {e.about_id for e in past.values() if e.type is MovementType.REFUND and e.about_id}
    if more := refunded - past.keys():
        past |= {each.id: each for each in await tx.ledger.past(more)}
    holds: dict[int, list[Any]] = {account_id: [] for account_id in with_holds}
    for hold in await tx.ledger.open_holds(with_holds) if with_holds else ():
        # One object each: what ends a hold ends it for all who look at it.
        holds[hold.account_id].append(past.get(hold.id, hold))
    return Books(tx.now, accounts, tx.end_after, past, holds, tx.settings.ceiling_minor)


async def lock(tx: Transaction, account_id: int) -> Funds | None:
    """Lock an account: nothing happens to its money until the transaction ends. Reads the clock
    after it."""
    return (await lock_all(tx, [account_id])).get(account_id)


async def lock_all(tx: Transaction, account_ids: Collection[int]) -> dict[int, Funds]:
    """Lock accounts, in the order in which all lock them. Reads the clock after it."""
    found, clock = await tx.ledger.lock(sorted(account_ids))
    await tx.read_clock(clock)
    return found


async def touch(tx: Transaction, account_id: int, *, is_reached_otherwise: bool = False) -> None:
    """Say that what stands on a locked account has changed, or how it can be reached."""
    await tx.ledger.set_facts(account_id, at=tx.now, is_reached_otherwise=is_reached_otherwise)


async def set_replaced_on_use(tx: Transaction, account_id: int, replaced_on_use: bool) -> None:
    """Say what becomes of what a use leaves on a locked account. Whoever has looked at it looks
    again."""
    facts = {"replaced_on_use": replaced_on_use}
    await tx.ledger.set_facts(account_id, at=tx.now, is_reached_otherwise=True, **facts)


async def last_of(reading: Reading, account_ids: Collection[int]) -> dict[int, int]:
    """Where each account's money is: the last of those by which it was replaced, one after the
    other; where it was not, the account itself."""
    return await reading.ledger.last_of(account_ids) if account_ids else {}


async def is_funded(reading: Reading, account_id: int) -> bool:
    """Whether an account ever had funds."""
    return (await accounts(reading, [account_id]))[account_id].lifetime > 0


async def has_moved(reading: Reading, account_id: int, *, besides: int = 0) -> bool:
    """Whether an account has a movement that counts, be it a hold that has ended, besides so many
    that are known of."""
    return await reading.ledger.has_moved(account_id, besides=besides)


async def retire(tx: Transaction, funds: Funds) -> None:
    """End a locked account that never had a movement."""
    facts = {"closed": True, "due_at": None}
    await tx.ledger.set_facts(funds.id, at=tx.now, is_reached_otherwise=True, **facts)


async def block(tx: Transaction, funds: Funds) -> None:
    """Stop a locked account: nothing is taken or added, and nothing expires."""
    funds.blocked = True
    await tx.ledger.set_facts(funds.id, at=tx.now, blocked=True, due_at=funds.due_at)


async def unblock(tx: Transaction, funds: Funds) -> None:
    """Let a locked account's money move again; what was to expire meanwhile expires now."""
    funds.blocked = False
    await tx.ledger.set_facts(funds.id, at=tx.now, blocked=False, due_at=funds.due_at)
    if funds.is_expired(tx.now):
        await post_one(tx, Sweep(account_id=funds.id, by=SERVER, effective_at=tx.now))


async def close(tx: Transaction, order: Close) -> Outcome:
    """End an account for good: its holds are cancelled, the rest goes off the books."""
    return await post_one(tx, order)


async def extend(tx: Transaction, order: Extend) -> Outcome:
    """Let funds be valid longer, and bring back what has expired of them."""
    order.expired = await tx.ledger.expired_funds(order.account_id)
    return await post_one(tx, order)


async def sweep(tx: Transaction) -> int:
    """End holds whose time is up and expire funds, of the accounts that are due next; returns
    of how many. Accounts that another transaction holds are left to it, or to the next time."""
    due = await tx.ledger.due(tx.now, at_most=SWEEP_BATCH)
    if due:
        await post(tx, [Asked(Sweep(account_id=each, by=SERVER)) for each in due])
    return len(due)


class Figures(NamedTuple):
    """What is available and what is held of an account, how often it was used, and how many holds
    stand on it."""

    available: int
    held: int
    uses: int
    open_holds: int


async def available(reading: Reading, accounts: Sequence[Account]) -> dict[int, Figures]:
    """The figures of each account, counting what no row says yet: holds whose time is up are none,
    and expired funds are not there."""
    now = reading.now
    due = [a.id for a in accounts if a.next_hold_end is not None and a.next_hold_end <= now]
    freed = await reading.ledger.timed_out(due, now) if due else {}
    figures = {}
    for account in accounts:
        released, unused, ended = freed.get(account.id, (0, 0, 0))
        held = account.held - released
        there = 0 if is_expired_at(account, now) else account.posted - held
        uses, open_holds = account.uses - unused, account.open_holds - ended
        figures[account.id] = Figures(there, held, uses, open_holds)
    return figures


@dataclass(frozen=True, slots=True)
class Payable:
    """What of an account can pay; or why nothing can."""

    available: int
    whole_only: bool
    refused: ErrorCode | None


async def payable(reading: Reading, account_ids: Collection[int]) -> dict[int, Payable]:
    """What each account could pay now."""
    found = await reading.ledger.accounts(account_ids)
    figures, payables = await available(reading, found), dict[int, Payable]()
    for account in found:
        there, _, uses, open_holds = figures[account.id]
        standing = {name: getattr(account, name) for name in FACTS}
        standing |= {"posted": there, "held": 0, "uses": uses, "open_holds": open_holds}
        funds = Funds(**standing)
        refused = why_not_use(reading.now, funds, max(there, 1))
        payables[account.id] = Payable(there, account.whole_only, refused)
    return payables


async def refunded(reading: Reading, movement_ids: Collection[int]) -> dict[int, int]:
    """What was given back of each of these movements, whoever did that."""
    return {each.id: each.refunded for each in await reading.ledger.past(movement_ids)}


@dataclass(frozen=True, slots=True)
class HoldNow:
    """A hold as it stands: whether it is open, how much of it was captured, and why it cannot be
    captured now."""

    is_open: bool
    captured: int
    refused: ErrorCode | None


async def holds_now(tx: Transaction, captures: Sequence[Capture]) -> dict[int, HoldNow]:
    """What captures would find, by the ids of the holds; their accounts get locked. Nothing is
    written."""
    books = await _books(tx, await lock_all(tx, {each.account_id for each in captures}), captures)
    end_timed_out(books)
    found = dict[int, HoldNow]()
    for each in captures:
        hold = books.past[each.movement_id]
        why = why_not_capture(books, each)
        found[hold.id] = HoldNow(hold.ending is None, hold.captured, why)
    return found


def is_expired_at(account: Account, now: datetime) -> bool:
    """Expiry waits while an account is blocked."""
    return account.valid_until is not None and account.valid_until <= now and not account.blocked
