"""A ledger's rows in memory, as the database has them, and whether they agree with each other."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from giftgql.ledger.books import Books, End, Entry, Line, Outcome
from giftgql.ledger.decide import AGAINST, decide
from giftgql.ledger.models import HoldEnding, MovementState, MovementType, SystemAccount
from giftgql.ledger.orders import Close, Extend, Funds, Order, Past

POSTED, HELD, DECLINED = MovementState.POSTED, MovementState.HELD, MovementState.DECLINED
COME_BACK = (MovementType.REFUND, MovementType.EXPIRE)


class Rows:
    """All that is kept from one batch to the next; each batch is decided from copies."""

    def __init__(self, accounts: Sequence[Funds], ceiling: int) -> None:
        self.accounts = {account.id: account for account in accounts}
        self.due_at: dict[int, datetime | None] = {each.id: each.due_at for each in accounts}
        self.entries: dict[int, Entry] = {}
        self.lines: dict[tuple[int, int], Line] = {}
        self.ends: dict[int, End] = {}
        self.ceiling = ceiling

    def post(self, now: datetime, orders: Sequence[Order]) -> list[Outcome]:
        books = self._books(now, orders)
        outcomes = decide(books, orders)
        self._write(books)
        return outcomes

    def set_blocked(self, account_id: int, blocked: bool) -> None:
        account = self.accounts[account_id]
        account.blocked = blocked
        self.due_at[account_id] = account.due_at

    def expired(self, account_id: int) -> int:
        """What expired of an account and has not come back."""
        mine = (each for each in self.entries.values() if each.account_id == account_id)
        return -sum(
            each.amount
            for each in mine
            if each.type is MovementType.EXPIRE and each.state is POSTED
        )

    def open_holds(self, account_id: int) -> list[Entry]:
        mine = (each for each in self.entries.values() if each.account_id == account_id)
        return [each for each in mine if each.state is HELD and each.id not in self.ends]

    def refunds(self, movement_id: int) -> Iterator[Entry]:
        for each in self.entries.values():
            is_refund = each.type is MovementType.REFUND and each.state is POSTED
            if each.about_id == movement_id and is_refund:
                yield each

    def refunded(self, movement_id: int) -> int:
        """What was refunded of a movement, less what was undone of that."""
        refunds = self.refunds(movement_id)
        return sum(abs(each.amount) - self.refunded(each.id) for each in refunds)

    def price_refunded(self, movement_id: int) -> int:
        """What was given back of a movement's price, less what was taken again."""
        refunds = self.refunds(movement_id)
        return sum((each.price or 0) - self.price_refunded(each.id) for each in refunds)

    def moved(self, entry: Entry) -> int:
        """What a movement added to its account, or took from it if negative."""
        if entry.state is POSTED:
            return entry.amount
        captured = self.ends[entry.id].captured if entry.id in self.ends else 0
        return captured if entry.amount > 0 else -captured

    def root(self, entry: Entry) -> MovementType:
        if entry.type is MovementType.REFUND and entry.about_id is not None:
            return self.root(self.entries[entry.about_id])
        return entry.type

    def _books(self, now: datetime, orders: Sequence[Order]) -> Books:
        wanted = sorted({each for order in orders for each in order.accounts})
        accounts = {each: replace(self.accounts[each]) for each in wanted}
        past = {order.about: self._past(order.about) for order in orders if order.about is not None}
        for each in [each for each in past.values() if each.type is MovementType.REFUND]:
            if each.about_id is not None and each.about_id not in past:
                past[each.about_id] = self._past(each.about_id)
        with_holds = {order.account_id for order in orders if isinstance(order, Close)}
        with_holds |= {
            each.id
            for each in accounts.values()
            if each.next_hold_end and each.next_hold_end <= now
        }
        holds = {
            each: [past.get(hold.id) or self._past(hold.id) for hold in self.open_holds(each)]
            for each in with_holds
        }
        for order in orders:
            if isinstance(order, Extend):
                order.expired = self.expired(order.account_id)
        return Books(now, accounts, ends_after, past, holds, self.ceiling)

    def _past(self, movement_id: int) -> Past:
        entry, end = self.entries[movement_id], self.ends.get(movement_id)
        about = self.entries.get(entry.about_id or 0)
        return Past(
            entry.id,
            entry.account_id,
            entry.type,
            entry.state,
            entry.amount,
            entry.against,
            entry.hold_until,
            entry.about_id,
            end.ending if end else None,
            end.captured if end else 0,
            self.refunded(movement_id),
            about.type if about else None,
            entry.price,
            self.price_refunded(movement_id) if entry.price is not None else 0,
        )

    def _write(self, books: Books) -> None:
        for entry in books.entries:
            assert self.entries.setdefault(entry.id, entry) is entry, "a movement's id came twice"
        for line in books.lines:
            key = line.movement_id, line.line
            assert self.lines.setdefault(key, line) is line, "a posting came twice"
        for end in books.ends:
            assert self.ends.setdefault(end.hold_id, end) is end, "a hold ended twice"
        for account_id, funds in books.touched.items():
            values = dict(zip(Funds.WRITTEN, funds.written(books.now), strict=True))
            assert values.pop("modified_at") == books.now
            self.due_at[account_id] = values.pop("due_at")
            self.accounts[account_id] = replace(self.accounts[account_id], **values)


def ends_after(begins: datetime, period: str) -> datetime:
    """A calendar that knows seconds only."""
    return begins + timedelta(seconds=int(period))


def faults(rows: Rows) -> list[str]:
    """What is wrong with these rows, in a sentence each."""
    found = [*_of_postings(rows), *_of_holds(rows), *_of_refunds(rows)]
    for account in rows.accounts.values():
        found += [f"account {account.id}: {fault}" for fault in _of_account(rows, account)]
    return found


def _of_postings(rows: Rows) -> Iterator[str]:
    posted: dict[int, int] = defaultdict(int)
    of = {entry.id: entry.account_id for entry in rows.entries.values()}
    for line in rows.lines.values():
        if line.amount <= 0 or line.debit_account == line.credit_account:
            yield f"{line} is no posting"
        if {line.currency} != {
            rows.accounts[each].currency
            for each in (line.debit_account, line.credit_account, of.get(line.movement_id))
            if each in rows.accounts
        }:
            yield f"{line} is in another currency than its accounts"
        posted[line.debit_account] -= line.amount
        posted[line.credit_account] += line.amount
    for account in rows.accounts.values():
        if posted.pop(account.id, 0) != account.posted:
            yield f"account {account.id} has not posted what its postings say"
    if sum(posted.values()) + sum(each.posted for each in rows.accounts.values()):
        yield "the lines do not add up to nothing"
    yield from _of_lines(rows)


def _of_lines(rows: Rows) -> Iterator[str]:
    """Each movement that moved something has its one line, or its twin has it; with a price it
    may have two."""
    lines = {line.movement_id: line for line in rows.lines.values() if line.line == 0}
    priced = {entry.id for entry in rows.entries.values() if entry.price is not None}
    if any(line.line != 0 for line in rows.lines.values() if line.movement_id not in priced):
        yield "a movement without a price has another line"
    for entry in rows.entries.values():
        if entry.price is not None:
            yield from _of_priced(rows, entry, entry.price)
            continue
        line, moved = lines.get(entry.id), rows.moved(entry) if entry.state is not DECLINED else 0
        if line is None and entry.type is MovementType.TRANSFER and moved:
            line = lines.get(entry.about_id or 0)
        if line is None or moved == 0:
            if line is not None or moved != 0:
                yield f"{entry} moved {moved} by {line}"
            continue
        credit, debit = line.credit_account, line.debit_account
        here, there = (credit, debit) if moved > 0 else (debit, credit)
        if (line.amount, here) != (abs(moved), entry.account_id):
            yield f"{entry} moved {moved} by {line}"
        if entry.against is not None and entry.against != there:
            yield f"{entry} is against another account than {line}"
        root = rows.root(entry)
        if root is not MovementType.TRANSFER and entry.against != AGAINST[root]:
            yield f"{entry} is against the wrong account"


def _of_priced(rows: Rows, entry: Entry, price: int) -> Iterator[str]:
    """Tender gives the price or gets it back, and promotion the difference."""
    if rows.root(entry) is not MovementType.ADD or entry.state is not POSTED or price < 0:
        yield f"{entry} can have no price"
    tender, promotion = SystemAccount.TENDER, SystemAccount.PROMOTION
    if entry.against != (tender if price else promotion):
        yield f"{entry} is against the wrong account"
    sign = 1 if entry.amount > 0 else -1
    left = {entry.account_id: entry.amount, tender: -sign * price}
    left[promotion] = sign * price - entry.amount
    for line in (each for each in rows.lines.values() if each.movement_id == entry.id):
        left[line.debit_account] += line.amount
        left[line.credit_account] -= line.amount
    if any(left.values()):
        yield f"{entry} is not what its lines say: {left}"


def _of_holds(rows: Rows) -> Iterator[str]:
    for end in rows.ends.values():
        hold = rows.entries[end.hold_id]
        if hold.state is not HELD or end.captured + end.released != abs(hold.amount):
            yield f"{end} is not of {hold}"
        if end.released < 0 or (end.captured > 0) != (end.ending is HoldEnding.CAPTURED):
            yield f"{end} is wrong"
        is_over = hold.hold_until is not None and hold.hold_until <= end.created_at
        if is_over != (end.ending is HoldEnding.TIMED_OUT):
            yield f"{end} came at the wrong time"
    for entry in rows.entries.values():
        if (entry.hold_until is not None) != (entry.state is HELD):
            yield f"{entry} is held without an end, or has one and is not held"
        if (entry.error is not None) != (entry.state is DECLINED):
            yield f"{entry} has an error and was not declined, or none"


def _of_refunds(rows: Rows) -> Iterator[str]:
    refunded = {each.about_id for each in rows.entries.values() if each.about_id is not None}
    for movement_id in refunded & rows.entries.keys():
        entry = rows.entries[movement_id]
        moved = 0 if entry.state is DECLINED else abs(rows.moved(entry))
        if not 0 <= rows.refunded(movement_id) <= moved:
            yield f"more was refunded of {entry} than {moved}"
        if entry.price is None:
            continue
        size, back = rows.refunded(movement_id), rows.price_refunded(movement_id)
        if not 0 <= back <= entry.price or back != {0: 0, moved: entry.price}.get(size, back):
            yield f"{back} of the price was refunded with {size} of {entry}"


def _of_account(rows: Rows, account: Funds) -> Iterator[str]:
    holds = rows.open_holds(account.id)
    mine = [each for each in rows.entries.values() if each.account_id == account.id]
    moves = [(each, rows.moved(each)) for each in mine if each.state is not DECLINED]
    if account.posted != sum(moved for _, moved in moves):
        yield "its movements do not add up to what is posted"
    if account.held != sum(-each.amount for each in holds if each.amount < 0):
        yield "its open holds do not add up to what is held"
    if account.open_holds != len(holds):
        yield f"it has {len(holds)} open holds, not {account.open_holds}"
    if not 0 <= account.held <= account.posted <= rows.ceiling:
        yield f"{account.held} is held of {account.posted}"
    came = (moved for each, moved in moves if moved > 0 and each.type not in COME_BACK)
    if account.lifetime != sum(came):
        yield "its lifetime total is wrong"
    used = (moved for each, moved in moves if rows.root(each) is MovementType.USE)
    if account.redeemed != -sum(used):
        yield "what it has redeemed is wrong"
    if account.uses != sum(_is_use(rows, each) for each in mine):
        yield f"it was not used {account.uses} times"
    begins = account.valid_from
    if begins is not None and any(_is_taken(each) and each.created_at < begins for each in mine):
        yield "it was used before it was valid"
    first = _first_funds(rows, mine)
    if first and account.opens_with not in (None, *first):
        yield "its first funds were not what it opens with"
    if account.closed and (holds or account.posted):
        yield "it is closed and has holds or money"
    if account.replaced_by is not None:
        yield from _of_replaced(rows, account, holds)
    yield from _of_times(rows, account)


def _of_replaced(rows: Rows, account: Funds, holds: Sequence[Entry]) -> Iterator[str]:
    """What it had went to the one that took its place."""
    successor = rows.accounts.get(account.replaced_by or 0)
    if successor is None or successor.currency != account.currency:
        yield f"there is no account {account.replaced_by} to have replaced it"
    if holds or account.posted:
        yield "it was replaced and has holds or money"
    sides = {(each.debit_account, each.credit_account) for each in rows.lines.values()}
    if (account.id, account.replaced_by) not in sides:
        yield f"nothing went from it to account {account.replaced_by}"


def _is_taken(entry: Entry) -> bool:
    return entry.type is MovementType.USE and entry.state is not DECLINED


def _is_use(rows: Rows, entry: Entry) -> bool:
    is_open = entry.state is HELD and entry.id not in rows.ends
    return _is_taken(entry) and (is_open or abs(rows.moved(entry)) > rows.refunded(entry.id))


def _first_funds(rows: Rows, entries: Sequence[Entry]) -> list[int]:
    """What was added at the moment of the first addition."""
    added: dict[datetime, list[int]] = defaultdict(list)
    for each in entries:
        if each.state is DECLINED or each.type in COME_BACK or rows.moved(each) <= 0:
            continue
        at = rows.ends[each.id].created_at if each.state is HELD else each.created_at
        added[at].append(rows.moved(each))
    return added[min(added)] if added else []


def _of_times(rows: Rows, account: Funds) -> Iterator[str]:
    """The sweep must find whatever has to be done."""
    due_at, ends = rows.due_at[account.id], [e.hold_until for e in rows.open_holds(account.id)]
    first = min((each for each in ends if each), default=None)
    known = account.next_hold_end
    if first is not None and (known is None or known > first):
        yield f"a hold ends at {first}, before {known}"
    is_swept = account.posted > account.held and not account.blocked
    expected = [account.valid_until if is_swept else None, account.next_hold_end]
    if due_at != min((each for each in expected if each), default=None):
        yield f"it is due at {due_at}"
