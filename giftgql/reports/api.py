from datetime import date, datetime
from typing import Annotated

import strawberry

from giftgql.context import Info
from giftgql.fields import query
from giftgql.ledger.models import MovementType
from giftgql.money import Money
from giftgql.permissions import Permission
from giftgql.reports import service
from giftgql.reports.models import LedgerAccount, LiabilityGroup
from giftgql.reports.service import BalanceLine, Days, Finding, LiabilityLine, SummaryLine
from giftgql.values import First, Results, Skip, argument, register, results, text

register("An account of the ledger.")(LedgerAccount)
register("What the lines of a liability report are.")(LiabilityGroup)

AsOf = Annotated[
    date | None,
    argument("The end of this day, in the server's time zone; not after today. Null: now."),
]


@strawberry.type(description="A row that breaks an invariant of the books.")
class LedgerFinding:
    rule: str = strawberry.field(description="The invariant's name.")
    promise: str = strawberry.field(description="What the invariant says.")
    table: str = strawberry.field(description="The table the row is in.")
    row_id: str = strawberry.field(description="The row's key.")
    expected: str = strawberry.field(description="What the other rows say it must be.")
    found: str = strawberry.field(description="What it is.")

    @classmethod
    def of(cls, finding: Finding) -> "LedgerFinding":
        return cls(
            rule=finding.rule.name,
            promise=finding.rule.promise,
            table=finding.rule.table,
            row_id=finding.row_id,
            expected=finding.expected,
            found=finding.found,
        )


@strawberry.type(description="What a check of all the books found.")
class LedgerCheck:
    is_clean: bool = strawberry.field(description="Whether every invariant holds.")
    checked_at: datetime = strawberry.field(description="When the books were as checked, UTC.")
    movements: int = strawberry.field(description="How many movements were checked.")
    findings: list[LedgerFinding] = strawberry.field(
        description=f"Rows that break an invariant, at most {service.MOST_FINDINGS} of each."
    )
    unlisted: int = strawberry.field(description="How many more there are than are listed.")


@strawberry.type(description="An account's sums in one currency.")
class TrialBalanceLine:
    currency: str = strawberry.field(description="ISO 4217 code.")
    account: LedgerAccount = strawberry.field(description="The account.")
    debits: Money = strawberry.field(description="The sum of what left the account.")
    credits: Money = strawberry.field(description="The sum of what came to the account.")
    balance: Money = strawberry.field(
        description="Credits less debits. What is owed is positive; a currency sums to zero."
    )

    @classmethod
    def of(cls, line: BalanceLine) -> "TrialBalanceLine":
        return cls(
            currency=line.currency,
            account=line.account,
            debits=line.debits,
            credits=line.credits,
            balance=line.balance,
        )


@strawberry.type(description="What is owed to the holders of a group of cards.")
class Liability:
    currency: str = strawberry.field(description="ISO 4217 code.")
    month: str | None = strawberry.field(
        description="The group's month as `2026-11`; null in groups by currency, and for funds "
        "that do not expire."
    )
    amount: Money = strawberry.field(description="What is owed, held money too.")
    cards: int = strawberry.field(description="On how many cards.")

    @classmethod
    def of(cls, line: LiabilityLine) -> "Liability":
        return cls(
            currency=line.amount.currency, month=line.month, amount=line.amount, cards=line.cards
        )


@strawberry.type(description="What happened at a source on a day, of one type and currency.")
class TransSummary:
    source_id: str | None = strawberry.field(description="The source that callers named.")
    day: date = strawberry.field(description="The day, in the server's time zone.")
    trans_type: MovementType = strawberry.field(description="The type of the movements.")
    currency: str = strawberry.field(description="ISO 4217 code.")
    count: int = strawberry.field(description="How many moved money; a capture when it was made.")
    amount: Money = strawberry.field(description="The signed sum of what they moved.")
    declined: int = strawberry.field(description="How many were declined.")

    @classmethod
    def of(cls, line: SummaryLine) -> "TransSummary":
        return cls(
            source_id=line.source_id,
            day=line.day,
            trans_type=line.type,
            currency=line.amount.currency,
            count=line.count,
            amount=line.amount,
            declined=line.declined,
        )


@strawberry.type
class ReportQuery:
    @query(
        requires=Permission.VIEW_REPORTS,
        description="Check every invariant of the books against every row: double entry, balances, "
        "holds, refunds, and what they refer to. Takes seconds for a million movements.",
    )
    async def ledger_check(self, info: Info) -> LedgerCheck | None:
        async with info.context.snapshot() as reading:
            findings = await service.check(reading)
            movements = await reading.reports.count_movements()
        return LedgerCheck(
            is_clean=not findings,
            checked_at=reading.now,
            movements=movements,
            findings=[LedgerFinding.of(finding) for finding in findings],
            unlisted=sum(finding.more for finding in findings),
        )

    @query(
        requires=Permission.VIEW_REPORTS,
        description="The sums of each account by currency. Funds past their validity count as "
        "breakage, whether or not the server has moved them there yet.",
    )
    async def ledger_trial_balance(
        self, info: Info, as_of: AsOf = None
    ) -> list[TrialBalanceLine] | None:
        async with info.context.snapshot() as reading:
            lines = await service.trial_balance(reading, as_of)
        return [TrialBalanceLine.of(line) for line in lines]

    @query(
        requires=Permission.VIEW_REPORTS,
        description="What is owed to the holders of cards: the balance of `CARDS` in the trial "
        "balance, by groups of cards. Cards to which nothing is owed are left out.",
    )
    async def giftcard_liability(
        self,
        info: Info,
        as_of: AsOf = None,
        group_by: Annotated[
            LiabilityGroup, argument("What the lines are.")
        ] = LiabilityGroup.CURRENCY,
        first: First = 100,
        skip: Skip = 0,
    ) -> Results[Liability] | None:
        info.context.ask_rows(first)
        async with info.context.snapshot() as reading:
            page = await service.liability(reading, as_of, group_by, first=first, skip=skip)
        return results([Liability.of(line) for line in page.rows], page)

    @query(
        requires=(Permission.VIEW_REPORTS, Permission.LIST_GIFT_CARD_TRANS),
        description="What happened at each source on each day, by type and currency, so that a "
        "till's day can be balanced. Authorisations count when they are captured.",
    )
    async def giftcard_trans_summary(
        self,
        info: Info,
        from_: Annotated[
            date,
            strawberry.argument(name="from", description="The first day, in the server's zone."),
        ],
        to: Annotated[
            date,
            argument(f"The last day; with it at most {service.MOST_DAYS} days are summed up."),
        ],
        source_id: Annotated[str | None, argument("Only of this source.")] = None,
        first: First = 100,
        skip: Skip = 0,
    ) -> Results[TransSummary] | None:
        days = Days.parsed(from_, to)
        source = None if source_id is None else text(source_id, "sourceId", 64)
        info.context.ask_rows(first)
        async with info.context.snapshot() as reading:
            page = await service.summary(reading, days, source, first=first, skip=skip)
        return results([TransSummary.of(line) for line in page.rows], page)
