from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    CompoundSelect,
    Executable,
    Select,
    Subquery,
    and_,
    case,
    cast,
    func,
    literal,
    null,
    or_,
    select,
    text,
    true,
    union_all,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from giftgql.cards.models import GiftCard
from giftgql.ledger.models import (
    Account,
    HoldEnd,
    Movement,
    MovementState,
    MovementType,
    Posting,
    SystemAccount,
)
from giftgql.reports.models import LiabilityGroup
from giftgql.reports.rules import Rule
from giftgql.rows import expect_whole_tables

Rows = Sequence[Any]

QUARTER_HOUR, DAY = 900, 86_400
JOURNAL_BATCH = 1_000


class Offence(NamedTuple):
    """A row against a rule; `total` is how many there are."""

    row_id: Any
    expected: Any
    found: Any
    total: int


class Side(NamedTuple):
    """What went to one side of an account in one currency; 0 is all cards' accounts together."""

    currency: str
    account: int
    amount: int


class Owed(NamedTuple):
    """What is owed on the cards of a group: of a quarter hour since 1970."""

    currency: str
    group: int | None
    amount: int
    cards: int


class Change(NamedTuple):
    """What came to all cards within a quarter hour since 1970, less what left them."""

    currency: str
    quarter: int
    amount: int


class Activity(NamedTuple):
    """What happened at a source within 24 hours, `day` counted from the beginning asked for."""

    source_id: str | None
    day: int
    type: MovementType
    currency: str
    moved: int
    amount: int
    declined: int


class JournalLine(NamedTuple):
    """A posting with who made it and why."""

    effective_at: datetime
    movement_id: int
    line: int
    type: MovementType
    debit_account: int
    credit_account: int
    amount: int
    currency: str
    caller: str
    source_id: str | None
    ref_no: str | None
    reason: str | None


class ReportRepository:
    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def _rows(self, query: Executable, given: dict[str, Any] | None = None) -> Rows:
        return (await (await self.session.connection()).execute(query, given)).all()

    async def expect_whole_tables(self) -> None:
        """Have what follows in this snapshot planned for tables of any size."""
        await expect_whole_tables(self.session)

    async def offences(self, rule: Rule, *, at_most: int) -> list[Offence]:
        """The first rows that break a rule."""
        given = ", ".join((*rule.given, f"offence(row_id, expected, found) AS ({rule.statement})"))
        query = text(
            f"WITH RECURSIVE {given} "  # noqa: S608  texts of our own
            "SELECT row_id, expected, found, COUNT(*) OVER () FROM offence "
            "ORDER BY row_id LIMIT :at_most"
        )
        return [Offence._make(row) for row in await self._rows(query, {"at_most": at_most})]

    async def count_movements(self) -> int:
        [(count,)] = await self._rows(select(func.count()).select_from(Movement))
        return int(count)

    async def sides(self, until: datetime | None) -> tuple[list[Side], list[Side]]:
        """Debits and credits of every account until a moment; None is without end."""
        return (
            await self._side(col(Posting.debit_account), until),
            await self._side(col(Posting.credit_account), until),
        )

    async def _side(self, side: Any, until: datetime | None) -> list[Side]:
        place = case((side > 0, 0), else_=side).label("place")
        query = select(col(Posting.currency), place, func.sum(Posting.amount))
        query = query.where(_within(None, until)).group_by(col(Posting.currency), text("place"))
        rows = await self._rows(query)
        return [Side(currency, account, int(amount)) for currency, account, amount in rows]

    async def due(self, now: datetime, until: datetime | None) -> dict[str, int]:
        """Funds past their validity that no sweep has taken yet, by currency."""
        standing = _standing(now, until)
        query = (
            select(standing.c.currency, func.sum(standing.c.due))
            .where(standing.c.due > 0)
            .group_by(standing.c.currency)
        )
        return {currency: int(due) for currency, due in await self._rows(query)}

    async def owed(
        self, now: datetime, until: datetime | None, group: LiabilityGroup
    ) -> list[Owed]:
        """What is owed to holders, by currency and by the number that stands for a group."""
        standing = _standing(now, until)
        owed = standing.c.balance - standing.c.due
        number = _number(group, standing).label("of")
        rows = select(standing.c.currency, number, owed.label("owed"))
        if group is LiabilityGroup.ISSUE_MONTH:
            rows = rows.join(GiftCard, col(GiftCard.id) == standing.c.id)
        each = rows.where(owed != 0).subquery()
        query = select(each.c.currency, each.c.of, func.sum(each.c.owed), func.count())
        found = await self._rows(query.group_by(each.c.currency, each.c.of))
        return [
            Owed(currency, None if of is None else int(of), int(amount), cards)
            for currency, of, amount, cards in found
        ]

    async def changes(self, since: datetime) -> list[Change]:
        """What all cards together came by after a moment, by currency and quarter hour; what was
        taken from one card and given to another is no change."""
        at, debit, credit = (
            col(each)
            for each in (Posting.effective_at, Posting.debit_account, Posting.credit_account)
        )
        breakage = SystemAccount.BREAKAGE.value
        is_breakage = or_(debit == breakage, credit == breakage)
        quarter = (unix_seconds(at) - case((is_breakage, 1), else_=0)) // QUARTER_HOUR
        moved = case((credit > 0, 1), else_=0) - case((debit > 0, 1), else_=0)
        query = (
            select(
                col(Posting.currency), quarter.label("of"), func.sum(col(Posting.amount) * moved)
            )
            .where(_within(since, None), moved != 0)
            .group_by(col(Posting.currency), text("of"))
        )
        return [
            Change(currency, int(of), int(sum_)) for currency, of, sum_ in await self._rows(query)
        ]

    async def overdue(self, now: datetime) -> list[Change]:
        """Funds past their validity that no sweep has taken yet, by the quarter hour in which it
        ended."""
        standing = _standing(now, None)
        quarter = _number(LiabilityGroup.EXPIRY_MONTH, standing).label("of")
        each = select(standing.c.currency, quarter, standing.c.due).where(standing.c.due > 0)
        rows = each.subquery()
        query = select(rows.c.currency, rows.c.of, func.sum(rows.c.due))
        found = await self._rows(query.group_by(rows.c.currency, rows.c.of))
        return [Change(currency, int(of), -int(due)) for currency, of, due in found]

    async def activity(
        self, start: datetime, end: datetime, source_id: str | None, *, at_most: int
    ) -> list[Activity]:
        """What moved and what was declined, by source, 24 hours, type and currency."""
        each = _happened(start, end, source_id).subquery()
        query = (
            select(
                each.c.source_id,
                each.c.day,
                each.c.type,
                col(Account.currency),
                func.sum(1 - each.c.declined),
                func.sum(each.c.amount),
                func.sum(each.c.declined),
            )
            .join(Account, col(Account.id) == each.c.account_id)
            .group_by(each.c.source_id, each.c.day, each.c.type, col(Account.currency))
            .limit(at_most)
        )
        return [
            Activity(source, day, kind, currency, int(moved), int(amount), int(declined))
            for source, day, kind, currency, moved, amount, declined in (await self._rows(query))
        ]

    async def journal(self, start: datetime, end: datetime) -> AsyncGenerator[JournalLine, None]:
        """The postings of a period in the order of time, never many of them in memory."""
        query = (
            select(
                col(Posting.effective_at),
                col(Posting.movement_id),
                col(Posting.line),
                col(Movement.type),
                col(Posting.debit_account),
                col(Posting.credit_account),
                col(Posting.amount),
                col(Posting.currency),
                func.coalesce(HoldEnd.caller, Movement.caller),
                col(Movement.source_id),
                col(Movement.ref_no),
                col(Movement.reason),
            )
            .join(Movement, col(Movement.id) == col(Posting.movement_id))
            .outerjoin(HoldEnd, col(HoldEnd.hold_id) == col(Posting.movement_id))
            .where(_within(start, end))
            .order_by(col(Posting.effective_at), col(Posting.movement_id), col(Posting.line))
            .execution_options(yield_per=JOURNAL_BATCH)
        )
        connection = await self.session.connection()
        async with connection.stream(query) as rows:
            async for row in rows:
                yield JournalLine._make(row)


def _number(group: LiabilityGroup, standing: Subquery) -> ColumnElement[Any]:
    """No time zone cuts through a quarter hour; of validity it is the last one."""
    match group:
        case LiabilityGroup.CURRENCY:
            return null()
        case LiabilityGroup.EXPIRY_MONTH:
            return (unix_seconds(standing.c.valid_until) - 1) // QUARTER_HOUR
        case LiabilityGroup.ISSUE_MONTH:
            return unix_seconds(col(GiftCard.created_at)) // QUARTER_HOUR


class unix_seconds(FunctionElement[int]):  # noqa: N801  it reads as SQL
    """Whole seconds since 1970 of a moment."""

    type = BigInteger()
    inherit_cache = True


@compiles(unix_seconds, "postgresql")
def _epoch(element: Any, compiler: Any, **options: Any) -> str:
    moment = compiler.process(element.clauses, **options)
    return f"CAST(FLOOR(EXTRACT(EPOCH FROM {moment})) AS BIGINT)"


@compiles(unix_seconds, "sqlite")
def _strftime(element: Any, compiler: Any, **options: Any) -> str:
    return f"CAST(STRFTIME('%s', {compiler.process(element.clauses, **options)}) AS INTEGER)"


def _within(start: datetime | None, end: datetime | None) -> ColumnElement[bool]:
    """Postings from a moment until another one. Funds that expire at midnight do so at the end
    of the day before, so a posting of breakage at the very moment is before it."""
    at = col(Posting.effective_at)
    sides = (col(Posting.debit_account), col(Posting.credit_account))
    of_breakage = or_(*(side == SystemAccount.BREAKAGE.value for side in sides))

    def before(moment: datetime) -> ColumnElement[bool]:
        return or_(at < moment, and_(at == moment, of_breakage))

    return and_(
        true(),
        *([] if start is None else [at >= start, ~before(start)]),
        *([] if end is None else [at <= end, before(end)]),
    )


def _standing(now: datetime, until: datetime | None) -> Subquery:
    """Each account's balance at a moment, and what of it was due to expire. None is now, which
    the accounts themselves know; at another moment it was less by the postings since."""
    balance: Any
    held: Any
    if until is None:
        balance, held = Account.posted, Account.held
        accounts = select(Account)
    else:
        since, reserved = _posted_since(until), _reserved(until)
        balance = col(Account.posted) - func.coalesce(since.c.amount, 0)
        held = func.coalesce(reserved.c.amount, 0)
        accounts = (
            select(Account)
            .outerjoin(since, since.c.account_id == col(Account.id))
            .outerjoin(reserved, reserved.c.account_id == col(Account.id))
        )
    is_due = and_(
        col(Account.valid_until) <= (until or now),
        ~col(Account.blocked),
        ~col(Account.closed),
        balance > held,
    )
    return accounts.with_only_columns(
        col(Account.id),
        col(Account.currency),
        col(Account.valid_until),
        balance.label("balance"),
        case((is_due, balance - held), else_=0).label("due"),
    ).subquery()


def _posted_since(moment: datetime) -> Subquery:
    """What came to each card's account after a moment, less what left it."""
    debit, credit = col(Posting.debit_account), col(Posting.credit_account)
    amount, since = col(Posting.amount), _within(moment, None)
    entries = union_all(
        select(credit.label("account_id"), amount.label("amount")).where(credit > 0, since),
        select(debit, -amount).where(debit > 0, since),
    ).subquery()
    total = func.sum(entries.c.amount).label("amount")
    return select(entries.c.account_id, total).group_by(entries.c.account_id).subquery()


def _reserved(until: datetime) -> Subquery:
    """What was held on each account."""
    account_id = cast(col(Movement.account_id), BigInteger).label("account_id")  # see `rules`
    held = (
        select(account_id, col(Movement.amount))
        .outerjoin(HoldEnd, col(HoldEnd.hold_id) == col(Movement.id))
        .where(
            col(Movement.state) == MovementState.HELD,
            col(Movement.amount) < 0,
            col(Movement.created_at) < until,
            or_(col(HoldEnd.hold_id).is_(None), col(HoldEnd.created_at) >= until),
        )
        .subquery()
    )
    total = func.sum(-held.c.amount).label("amount")
    return select(held.c.account_id, total).group_by(held.c.account_id).subquery()


def _happened(start: datetime, end: datetime, source_id: str | None) -> CompoundSelect[Any]:
    """Movements that were posted or declined and holds that were captured, each in its day."""

    def within(at: Any, *where: ColumnElement[bool]) -> Select[Any]:
        days = (unix_seconds(at) - int(start.timestamp())) // DAY
        about: list[Any] = [Movement.source_id, Movement.account_id, Movement.type]
        query: Select[Any] = select(*about, days.label("day"))
        query = query.where(at >= start, at < end, *where)
        if source_id is not None:
            query = query.where(col(Movement.source_id) == source_id)
        return query

    amount, state = col(Movement.amount), col(Movement.state)
    is_declined = state == MovementState.DECLINED
    captured = case((amount < 0, -col(HoldEnd.captured)), else_=col(HoldEnd.captured))
    posted = within(col(Movement.created_at), state != MovementState.HELD).add_columns(
        case((is_declined, 0), else_=amount).label("amount"),
        case((is_declined, 1), else_=0).label("declined"),
    )
    captures = (
        within(col(HoldEnd.created_at), col(HoldEnd.captured) > 0)
        .add_columns(captured, literal(0))
        .join(HoldEnd, col(HoldEnd.hold_id) == col(Movement.id))
    )
    return union_all(posted, captures)
