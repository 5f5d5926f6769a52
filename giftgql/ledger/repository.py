from collections.abc import Collection, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any

from sqlalchemy import case, func, tuple_, update
from sqlalchemy import select as sql_select
from sqlalchemy.orm import aliased
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from giftgql.ledger.books import Books, End, Entry, Line, Opened
from giftgql.ledger.models import (
    PRICE_REFUNDED,
    REFUNDED,
    Account,
    HoldEnd,
    Movement,
    MovementState,
    MovementType,
    Posting,
)
from giftgql.ledger.orders import FACTS, Funds, Past
from giftgql.rows import Clock, Write, copy_rows, lock_rows, write_rows

_values = attrgetter(*FACTS)


class LedgerRepository:
    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def add(self, account: Account) -> None:
        self.session.add(account)
        await self.session.flush()

    async def lock(
        self, account_ids: Sequence[int], *, skip_locked: bool = False
    ) -> tuple[dict[int, Funds], Clock | None]:
        """Accounts by id, locked in that order until the transaction ends; the time after that."""
        rows, clock = await lock_rows(
            self.session, Account, FACTS, sorted(account_ids), skip_locked=skip_locked
        )
        return {row[0]: Funds(*row) for row in rows}, clock

    async def past(self, movement_ids: Collection[int]) -> list[Past]:
        """Movements by id with what became of them; what must not change meanwhile is locked."""
        query = _PAST.where(col(Movement.id).in_(movement_ids))
        return [_as_past(row) for row in (await self.session.exec(query)).all()]

    async def open_holds(self, account_ids: Collection[int]) -> list[Past]:
        """Holds of these accounts that nothing has ended, though their time may be up."""
        query = _PAST.where(
            col(Movement.account_id).in_(account_ids),
            col(Movement.hold_until).is_not(None),
            col(HoldEnd.hold_id).is_(None),
        )
        return [_as_past(row) for row in (await self.session.exec(query)).all()]

    async def write(self, books: Books, *more: Write) -> list[int]:
        """Write all that a batch has decided, and more with it; how many rows of each of those."""
        touched = [funds.written(books.now) for funds in books.touched.values()]
        writes = (
            *more,
            Write(Movement, Entry._fields, books.entries),
            Write(Posting, Line._fields, books.lines),
            Write(HoldEnd, End._fields, books.ends),
            Write(Account, Funds.WRITTEN, touched, is_update=True),
        )
        return (await write_rows(self.session, writes))[: len(more)]

    async def write_opened(self, opened: Sequence[Opened], at: datetime, *more: Write) -> None:
        """Write new accounts with their first movements, and more before them."""
        accounts = [(*_values(each.funds), each.funds.due_at, at) for each in opened]
        entries = [entry for each in opened for entry in each.entries]
        lines = [line for each in opened for line in each.lines]
        writes = (
            *more,
            Write(Account, (*FACTS, "due_at", "modified_at"), accounts),
            Write(Movement, Entry._fields, entries),
            Write(Posting, Line._fields, lines),
        )
        await copy_rows(self.session, writes)

    async def set_facts(
        self, account_id: int, *, at: datetime, is_reached_otherwise: bool = False, **facts: Any
    ) -> None:
        """Write facts of an account that is locked; it has changed even if there are none."""
        if is_reached_otherwise:
            facts["revision"] = Account.revision + 1
        change = update(Account).where(col(Account.id) == account_id)
        await self.session.exec(change.values(modified_at=at, **facts))

    async def due(self, now: datetime, *, at_most: int) -> Sequence[int]:
        """Accounts that the sweep has to look at, locked but for those that others hold."""
        query = (
            select(Account.id)
            .where(col(Account.due_at) <= now)
            .order_by(col(Account.due_at), col(Account.id))
            .limit(at_most)
            .with_for_update(skip_locked=True)
        )
        return (await self.session.exec(query)).all()

    async def expired_funds(self, account_id: int) -> int:
        """What expired of an account and has not come back."""
        query = select(func.coalesce(-func.sum(Movement.amount), 0)).where(
            Movement.account_id == account_id,
            Movement.type == MovementType.EXPIRE,
            Movement.state == MovementState.POSTED,
        )
        return int((await self.session.exec(query)).one())

    async def has_moved(self, account_id: int, *, besides: int) -> bool:
        query = select(Movement.id).where(
            Movement.account_id == account_id, Movement.state != MovementState.DECLINED
        )
        found = await self.session.exec(query.offset(besides).limit(1))
        return found.first() is not None

    async def is_written(self, entries: Collection[Entry], ends: Collection[End]) -> bool:
        """Whether any of these movements or ends of holds is on the books."""
        ids = [each.id for each in entries]
        movements = select(Movement.id).where(col(Movement.id).in_(ids)).limit(1)
        if (await self.session.exec(movements)).first() is not None:
            return True
        known = tuple_(col(HoldEnd.hold_id), col(HoldEnd.created_at))
        own = [(each.hold_id, each.created_at) for each in ends]
        found = await self.session.exec(select(HoldEnd.hold_id).where(known.in_(own)).limit(1))
        return found.first() is not None

    async def accounts(self, account_ids: Collection[int]) -> Sequence[Account]:
        """As they are in the database now, whatever this session has seen of them before."""
        query = select(Account).where(col(Account.id).in_(account_ids))
        fresh = query.execution_options(populate_existing=True)
        return (await self.session.exec(fresh)).all()

    async def timed_out(
        self, account_ids: Collection[int], now: datetime
    ) -> dict[int, tuple[int, int, int]]:
        """What of each account's held money is held no longer, though no row says so yet, how many
        uses were to be made of it, and how many holds that are."""
        is_use = case((col(Movement.type) == MovementType.USE, 1), else_=0)
        held = case((col(Movement.amount) < 0, -Movement.amount), else_=0)
        query = (
            select(Movement.account_id, func.sum(held), func.sum(is_use), func.count())
            .outerjoin(HoldEnd, col(HoldEnd.hold_id) == Movement.id)
            .where(
                col(Movement.account_id).in_(account_ids),
                col(Movement.hold_until) <= now,
                col(HoldEnd.hold_id).is_(None),
            )
            .group_by(col(Movement.account_id))
        )
        rows = (await self.session.exec(query)).all()
        return {row[0]: (int(row[1]), row[2], row[3]) for row in rows}

    async def last_of(self, account_ids: Collection[int]) -> dict[int, int]:
        """The account by which each, and whatever replaced it, was replaced in the end."""
        number: Any = col(Account.id)
        those = select(number.label("first"), number, col(Account.replaced_by))
        chain = those.where(number.in_(account_ids)).cte("chain", recursive=True)
        later = aliased(Account)
        on = col(later.id) == chain.c.replaced_by
        more = select(chain.c.first, col(later.id), col(later.replaced_by)).join(chain, on)
        chain = chain.union(more)
        query = select(chain.c.first, chain.c.id).where(chain.c.replaced_by.is_(None))
        return dict((await self.session.exec(query)).all())


_about = aliased(Movement, name="about")
_PAST_COLUMNS: list[Any] = [
    Movement.id,
    Movement.account_id,
    Movement.type,
    Movement.state,
    Movement.amount,
    Movement.against,
    Movement.hold_until,
    Movement.about_id,
    HoldEnd.ending,
    func.coalesce(HoldEnd.captured, 0),
    REFUNDED,
    _about.type,
    Movement.price,
    PRICE_REFUNDED,
]
_PAST: Any = (
    sql_select(*_PAST_COLUMNS)
    .select_from(Movement)
    .outerjoin(HoldEnd, col(HoldEnd.hold_id) == Movement.id)
    .outerjoin(_about, col(_about.id) == Movement.about_id)
)


def _as_past(row: Any) -> Past:
    past = Past(*row)
    past.refunded, past.price_refunded = int(past.refunded), int(past.price_refunded)
    return past
