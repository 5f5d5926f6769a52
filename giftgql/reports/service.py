from bisect import bisect_right
from collections import defaultdict
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TypeVar
from zoneinfo import ZoneInfo

from giftgql.errors import InvalidInput
from giftgql.ledger.models import MovementType
from giftgql.money import Money
from giftgql.paging import Cut, Page, cut
from giftgql.reports.checks import RULES
from giftgql.reports.models import LedgerAccount, LiabilityGroup
from giftgql.reports.repository import QUARTER_HOUR
from giftgql.reports.rules import Rule
from giftgql.store import Reading

MOST_FINDINGS = 100
"""How many rows are named that break one rule; the others are counted."""

MOST_DAYS = 366
MOST_LINES = 100_000
FIRST_DAY = date(1970, 1, 1)
LAST_YEAR = 2999

Line = TypeVar("Line")
Sums = dict[tuple[str, LedgerAccount], int]


@dataclass(frozen=True, slots=True)
class Finding:
    """A row against a rule. `more` follows the last one named: how many others there are."""

    rule: Rule
    row_id: str
    expected: str
    found: str
    more: int = 0


@dataclass(frozen=True, slots=True)
class BalanceLine:
    """An account's sums. `balance` is credits less debits: what is owed is above zero."""

    currency: str
    account: LedgerAccount
    debits: Money
    credits: Money

    @property
    def balance(self) -> Money:
        return Money(self.credits.minor - self.debits.minor, self.currency)


@dataclass(frozen=True, slots=True)
class LiabilityLine:
    """What is owed on cards; `month` is "2026-11", None where there is none to group by."""

    month: str | None
    amount: Money
    cards: int


@dataclass(frozen=True, slots=True)
class SummaryLine:
    """What happened at a source on a day."""

    source_id: str | None
    day: date
    type: MovementType
    count: int
    amount: Money
    declined: int


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """A posting, with its accounts by name."""

    effective_at: datetime
    movement_id: int
    line: int
    type: MovementType
    debit: str
    credit: str
    amount: Money
    caller: str
    source_id: str | None
    ref_no: str | None
    reason: str | None


async def check(reading: Reading) -> list[Finding]:
    """Every row against an invariant of the books, up to 100 a rule; none where all is well."""
    findings: list[Finding] = []
    await reading.reports.expect_whole_tables()
    for rule in RULES:
        found = await reading.reports.offences(rule, at_most=MOST_FINDINGS)
        for place, row in enumerate(found, 1):
            is_last = place == len(found)
            findings.append(
                Finding(
                    rule,
                    _shown(row.row_id),
                    _shown(row.expected),
                    _shown(row.found),
                    row.total - place if is_last else 0,
                )
            )
    return findings


async def trial_balance(reading: Reading, as_of: date | None) -> list[BalanceLine]:
    """The sums of each account, by currency; a currency's balances come to zero. Funds that are
    due to expire count as breakage, whether or not a sweep has come by."""
    await reading.reports.expect_whole_tables()
    until = _end(reading, as_of)
    sums: list[Sums] = [defaultdict(int), defaultdict(int)]
    for side, total in zip(await reading.reports.sides(until), sums, strict=True):
        for each in side:
            total[each.currency, LedgerAccount.of(each.account)] += each.amount
    debits, credits = sums
    for currency, due in (await reading.reports.due(reading.now, until)).items():
        debits[currency, LedgerAccount.CARDS] += due
        credits[currency, LedgerAccount.BREAKAGE] += due
    order = list(LedgerAccount)
    keys = sorted({*debits, *credits}, key=lambda key: (key[0], order.index(key[1])))
    return [
        BalanceLine(
            currency,
            account,
            Money(debits[currency, account], currency),
            Money(credits[currency, account], currency),
        )
        for currency, account in keys
    ]


async def liability(
    reading: Reading, as_of: date | None, group: LiabilityGroup, *, first: int, skip: int
) -> Page[LiabilityLine]:
    """What is owed to holders, held money too, and nothing of what is due to expire."""
    where = cut(first, skip)
    return _page(await liability_lines(reading, as_of, group), where)


async def liability_lines(
    reading: Reading, as_of: date | None, group: LiabilityGroup
) -> list[LiabilityLine]:
    """All lines of `liability`, by currency and month."""
    await reading.reports.expect_whole_tables()
    sums: dict[tuple[str, str | None], list[int]] = defaultdict(lambda: [0, 0])
    for each in await reading.reports.owed(reading.now, _end(reading, as_of), group):
        total = sums[each.currency, _month(each.group, reading.settings.zone)]
        total[0] += each.amount
        total[1] += each.cards
    lines = [
        LiabilityLine(month, Money(amount, currency), cards)
        for (currency, month), (amount, cards) in sums.items()
    ]
    return sorted(lines, key=lambda line: (line.amount.currency, line.month or "~"))


async def liability_over_time(reading: Reading, days: Sequence[date]) -> dict[str, list[Money]]:
    """What is owed to holders at the end of each of these days, by currency, as `liability` says;
    what no sweep has taken yet counts as expired since its validity ended. The days rise, to
    today at most.

    The books are read once: from now back to the first day, however many days are asked for.
    """
    await reading.reports.expect_whole_tables()
    ends = [_day_end(reading, day).timestamp() for day in days]
    owed: dict[str, int] = defaultdict(int)
    for each in await reading.reports.owed(reading.now, None, LiabilityGroup.CURRENCY):
        owed[each.currency] += each.amount
    # Back from now: what has come since a day's end was not owed then, what is overdue was.
    since: dict[str, list[int]] = defaultdict(lambda: [0] * (len(ends) + 1))
    changes = await reading.reports.changes(_day_end(reading, days[0]))
    for change in (*changes, *await reading.reports.overdue(reading.now)):
        days_before = bisect_right(ends, change.quarter * QUARTER_HOUR)
        since[change.currency][days_before] += change.amount
    return {
        currency: [
            Money(owed[currency] - sum(since[currency][place:]), currency)
            for place in range(1, len(ends) + 1)
        ]
        for currency in sorted({*owed, *since})
    }


async def summary(
    reading: Reading, days: "Days", source_id: str | None, *, first: int, skip: int
) -> Page[SummaryLine]:
    """What happened at each source on each day, so that a till's day can be balanced."""
    where = cut(first, skip)
    return _page(await summary_lines(reading, days, source_id), where)


async def summary_lines(reading: Reading, days: "Days", source_id: str | None) -> list[SummaryLine]:
    """All lines of `summary`, by day, source, currency and type."""
    sums: dict[tuple[date, str, str, MovementType], list[int]] = defaultdict(lambda: [0, 0, 0])
    for start, length in _stretches(days, reading.settings.zone):
        end = start + timedelta(days=length)
        rows = await reading.reports.activity(
            _midnight(start, reading.settings.zone),
            _midnight(end, reading.settings.zone),
            source_id,
            at_most=MOST_LINES,
        )
        for row in rows:
            day = start + timedelta(days=min(row.day, length - 1))
            total = sums[day, row.source_id or "", row.currency, row.type]
            total[0] += row.moved
            total[1] += row.amount
            total[2] += row.declined
        if len(rows) == MOST_LINES or len(sums) > MOST_LINES:
            raise InvalidInput("to", f"gives more than {MOST_LINES} lines: name a source")
    return [
        SummaryLine(source or None, day, kind, count, Money(amount, currency), declined)
        for (day, source, currency, kind), (count, amount, declined) in sorted(sums.items())
    ]


async def journal(reading: Reading, days: "Days") -> AsyncGenerator[JournalEntry, None]:
    """The postings of these days in the order of time, one after the other."""
    zone = reading.settings.zone
    start, end = _midnight(days.first, zone), _midnight(days.last + timedelta(days=1), zone)
    async with aclosing(reading.reports.journal(start, end)) as lines:
        async for line in lines:
            yield JournalEntry(
                line.effective_at,
                line.movement_id,
                line.line,
                line.type,
                _account_name(line.debit_account),
                _account_name(line.credit_account),
                Money(line.amount, line.currency),
                line.caller,
                line.source_id,
                line.ref_no,
                line.reason,
            )


@dataclass(frozen=True, slots=True)
class Days:
    """The days from one to another, both included."""

    first: date
    last: date

    @classmethod
    def parsed(cls, first: date, last: date) -> "Days":
        """Refuses a period that ends before it begins, or that is longer than a year."""
        if first < FIRST_DAY:
            raise InvalidInput("from", f"lies before {FIRST_DAY}")
        if last < first:
            raise InvalidInput("to", "lies before from")
        if (last - first).days >= MOST_DAYS:
            raise InvalidInput("to", f"makes it more than {MOST_DAYS} days")
        if last.year > LAST_YEAR:
            raise InvalidInput("to", f"lies after {LAST_YEAR}")
        return cls(first, last)


def _stretches(days: Days, zone: ZoneInfo) -> list[tuple[date, int]]:
    """The days as stretches of so many days of 24 hours from a first one; a day on which clocks
    change is a stretch by itself."""
    found: list[tuple[date, int]] = []
    goes_on = False
    day = days.first
    while day <= days.last:
        after = day + timedelta(days=1)
        is_whole = _midnight(after, zone) - _midnight(day, zone) == timedelta(days=1)
        if goes_on and is_whole:
            start, length = found[-1]
            found[-1] = (start, length + 1)
        else:
            found.append((day, 1))
        goes_on, day = is_whole, after
    return found


def _end(reading: Reading, as_of: date | None) -> datetime | None:
    """The end of a day; None for now."""
    return None if as_of is None else _day_end(reading, as_of)


def _day_end(reading: Reading, as_of: date) -> datetime:
    if not FIRST_DAY <= as_of <= reading.today:
        raise InvalidInput("asOf", f"must be a day from {FIRST_DAY} to today")
    return _midnight(as_of + timedelta(days=1), reading.settings.zone)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)


def _month(quarter: int | None, zone: ZoneInfo) -> str | None:
    if quarter is None:
        return None
    return f"{datetime.fromtimestamp(quarter * QUARTER_HOUR, zone):%Y-%m}"


def _account_name(account: int) -> str:
    return f"CARD:{account}" if account >= 0 else LedgerAccount.of(account).value


def _page(lines: Sequence[Line], where: Cut) -> Page[Line]:
    end = where.skip + where.first
    return Page(lines[where.skip : end], len(lines) > end)


def _shown(value: object) -> str:
    match value:
        case None:
            return "none"
        case datetime():
            return value.isoformat()
    return str(value)
