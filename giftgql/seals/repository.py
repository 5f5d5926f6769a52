from collections import defaultdict
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import orjson
from sqlalchemy import Enum, Select, String, Table, func, tuple_, type_coerce
from sqlalchemy import select as select_columns
from sqlmodel import SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from giftgql.audit.models import AuditEvent
from giftgql.columns import this_transaction
from giftgql.ledger.models import HoldEnd, Movement, Posting
from giftgql.seals.models import Seal

PAGE = 1_000

SEALED: dict[type[SQLModel], str] = {
    AuditEvent: "id event subject caller facts created_at address request_id source_id",
    Movement: "id account_id type state amount asked balance price against error hold_until "
    "about_id caller code_id source_id ref_no reason created_at",
    Posting: "movement_id line debit_account credit_account amount currency effective_at",
    HoldEnd: "hold_id ending captured released balance caller created_at",
}
"""The columns that seals are on. They stay as they are: with one more no older seal would fit."""

Canonical = tuple[int, bytes]
"""A row's id, and all that never changes of it, in one form on both databases."""


def _table(model: type[SQLModel]) -> Table:
    found: Table = model.__table__  # type: ignore[attr-defined]
    return found


class SealRepository:
    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def add(self, seal: Seal) -> None:
        self.session.add(seal)
        await self.session.flush()

    async def last(self) -> Seal | None:
        query = select(Seal).order_by(col(Seal.number).desc()).limit(1)
        return (await self.session.exec(query)).first()

    async def page(self, after: int) -> Sequence[Seal]:
        """The next seals after a number."""
        query = select(Seal).where(col(Seal.number) > after).order_by(col(Seal.number))
        return (await self.session.exec(query.limit(PAGE))).all()

    async def newest_event(self) -> int:
        """The id of the newest event; 0 where there is none."""
        return (await self.session.exec(select(func.max(AuditEvent.id)))).one() or 0

    async def this_transaction(self) -> int:
        """The number of a transaction that begins now."""
        return (await self.session.exec(select(this_transaction()))).one()

    async def events(self, after: int, up_to: int, *, at_most: int) -> list[Canonical]:
        """Events in the order of their ids."""
        ids = _table(AuditEvent).c.id
        query = _all_of(AuditEvent).where(ids > after, ids <= up_to).order_by(ids).limit(at_most)
        return [_canonical(row) for row in await self._rows(query)]

    async def count_events(self, after: int, up_to: int | None = None) -> int:
        query = select(func.count()).select_from(AuditEvent).where(col(AuditEvent.id) > after)
        if up_to is not None:
            query = query.where(col(AuditEvent.id) <= up_to)
        return (await self.session.exec(query)).one()

    async def horizon_of(self, begins: int, ends: int, *, at_most: int) -> int:
        """Below which number transactions from `begins` on have written about so many movements;
        `ends` where there are fewer. All of a transaction are together."""
        changed = col(Movement.changed_in)
        query = select(changed).where(changed >= begins, changed < ends).order_by(changed)
        beyond = (await self.session.exec(query.offset(at_most).limit(1))).first()
        if beyond is None:
            return ends
        first = (await self.session.exec(query.limit(1))).one()
        return max(beyond, (first or 0) + 1)  # which may have written more than so many by itself

    async def journal(self, begins: int, ends: int) -> AsyncGenerator[list[Canonical], None]:
        """What transactions in a range of numbers wrote: movements with their postings, then ends
        of holds, in pages."""
        async for rows in self._written(Movement, "id", begins, ends):
            lines = defaultdict[int, list[Any]](list)
            of = _table(Posting).c.movement_id
            postings = _all_of(Posting).where(of.in_([row[0] for row in rows]))
            for each in await self._rows(postings.order_by(of, _table(Posting).c.line)):
                lines[each[0]].append(tuple(each))
            yield [_canonical(row, lines[row[0]]) for row in rows]
        async for rows in self._written(HoldEnd, "hold_id", begins, ends):
            yield [_canonical(row) for row in rows]

    async def count_movements(self, begins: int) -> int:
        """Rows of the journal that transactions from a number on wrote."""
        counts = [
            (await self.session.exec(select(func.count()).where(changed >= begins))).one()
            for changed in (col(Movement.changed_in), col(HoldEnd.changed_in))
        ]
        return sum(counts)

    async def count_outside(self) -> int:
        """Rows with numbers that are never given out, before those that the first seal is on."""
        outside = (
            col(AuditEvent.id) < 1,
            col(Movement.changed_in) < 0,
            col(HoldEnd.changed_in) < 0,
        )
        counts = [
            (await self.session.exec(select(func.count()).where(each))).one() for each in outside
        ]
        return sum(counts)

    async def _written(
        self, model: type[SQLModel], key: str, begins: int, ends: int
    ) -> AsyncGenerator[Sequence[Any], None]:
        """Rows in the order of the transactions that wrote them, in pages."""
        changed, id_ = _table(model).c.changed_in, _table(model).c[key]
        after: tuple[int, int] | None = None
        while True:
            query = _all_of(model).add_columns(changed).where(changed >= begins, changed < ends)
            if after is not None:
                query = query.where(tuple_(changed, id_) > tuple_(*after))
            rows = await self._rows(query.order_by(changed, id_).limit(PAGE))
            if not rows:
                return
            after = rows[-1][-1], rows[-1][0]
            yield [row[:-1] for row in rows]

    async def _rows(self, query: Any) -> Sequence[Any]:
        return (await (await self.session.connection()).execute(query)).all()


def _all_of(model: type[SQLModel]) -> Select[Any]:
    """What is sealed of rows, the key first. Members of enums are texts: servers of this version
    read what later ones write."""
    columns = (_table(model).c[name] for name in SEALED[model].split())
    return select_columns(
        *(type_coerce(each, String()) if isinstance(each.type, Enum) else each for each in columns)
    )


def _canonical(row: Any, *more: Any) -> Canonical:
    return row[0], orjson.dumps([*row, *more], option=orjson.OPT_SORT_KEYS)
