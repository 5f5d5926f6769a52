from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import and_, func, or_, select, tuple_, union_all
from sqlalchemy.orm import aliased
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from giftgql.cards.models import GiftCard
from giftgql.ledger.models import (
    REFUNDED,
    Account,
    HoldEnd,
    HoldEnding,
    Movement,
    MovementState,
)
from giftgql.movements.criteria import Criteria, TransStatus
from giftgql.paging import Cut


@dataclass(frozen=True)
class Recorded:
    """A movement with its end, what was refunded of it, and of its account the currency, whether it
    is replaced on use, and by which it was replaced."""

    movement: Movement
    end: HoldEnd | None
    refunded: int
    currency: str
    replaced_on_use: bool
    replaced_by: int | None
    changed_in: int | None = None
    """The number of the transaction by which it takes part in a synchronisation."""

    @property
    def id(self) -> int:
        return self.movement.id


class MovementRepository:
    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def by_ids(self, movement_ids: Collection[int]) -> list[Recorded]:
        query = _RECORDED.where(col(Movement.id).in_(movement_ids))
        return [_recorded(row) for row in (await self.session.exec(query)).all()]

    async def page(self, cut: Cut, criteria: Criteria, now: datetime) -> list[Recorded]:
        """One row more than the page shows. In a synchronisation an authorisation comes once
        when it is made and again when it ends."""
        wanted = _conditions(criteria, now)
        if cut.window is None:
            query = _RECORDED.where(*wanted).order_by(col(Movement.id))
            found = await self.session.exec(query.offset(cut.skip).limit(cut.first + 1))
            return [_recorded(row) for row in found.all()]
        events = (await self.session.exec(_events(cut, wanted))).all()
        known = {each.id: each for each in await self.by_ids({row[1] for row in events})}
        return [replace(known[row[1]], changed_in=row[0]) for row in events]

    async def latest(self, card_id: int, *, before: int | None, many: int) -> list[Recorded]:
        """A card's transactions, the newest first, from those before one."""
        query = _RECORDED.where(col(Movement.account_id) == card_id)
        if before is not None:
            query = query.where(col(Movement.id) < before)
        query = query.order_by(col(Movement.id).desc()).limit(many)
        return [_recorded(row) for row in (await self.session.exec(query)).all()]

    async def page_of_each(self, cut: Cut, card_ids: Collection[int]) -> list[Recorded]:
        """The same page of each card's transactions, with one row more than it shows."""
        place = func.row_number().over(
            partition_by=col(Movement.account_id), order_by=col(Movement.id)
        )
        ranked = (
            select(col(Movement.id).label("id"), place.label("place"))
            .where(col(Movement.account_id).in_(card_ids))
            .subquery()
        )
        shown = select(ranked.c.id).where(
            ranked.c.place.between(cut.skip + 1, cut.skip + cut.first + 1)
        )
        query = _RECORDED.where(col(Movement.id).in_(shown)).order_by(col(Movement.id))
        return [_recorded(row) for row in (await self.session.exec(query)).all()]


_OF_ACCOUNT: list[Any] = [Account.currency, Account.replaced_on_use, Account.replaced_by]
_RECORDED: Any = (
    select(Movement, HoldEnd, REFUNDED, *_OF_ACCOUNT)
    .join(Account, col(Account.id) == Movement.account_id)
    .outerjoin(HoldEnd, col(HoldEnd.hold_id) == Movement.id)
)


def _recorded(row: Any) -> Recorded:
    movement, end, refunded, *of_account = row
    return Recorded(movement, end, int(refunded), *of_account)


def _events(cut: Cut, wanted: Sequence[Any]) -> Any:
    """(changed_in, id) of movements and of ends, merged; each arm reads no more than is shown."""
    assert cut.window is not None
    ended = aliased(HoldEnd)
    arms = []
    for changed_in, query in (
        (col(Movement.changed_in), _joined()),
        (col(ended.changed_in), _joined().join(ended, col(ended.hold_id) == Movement.id)),
    ):
        place = tuple_(changed_in, col(Movement.id))
        arm = query.where(changed_in < cut.window.horizon, *wanted)
        if cut.window.after is not None:
            arm = arm.where(place > tuple_(*cut.window.after))
        arm = arm.with_only_columns(changed_in.label("changed_in"), col(Movement.id).label("id"))
        arm = arm.order_by(changed_in, col(Movement.id)).limit(cut.skip + cut.first + 1)
        arms.append(select(arm.subquery()))
    both = union_all(*arms).subquery()
    merged = select(both.c.changed_in, both.c.id).order_by(both.c.changed_in, both.c.id)
    return merged.offset(cut.skip).limit(cut.first + 1)


def _joined() -> Any:
    return (
        select(col(Movement.id))
        .select_from(Movement)
        .outerjoin(HoldEnd, col(HoldEnd.hold_id) == Movement.id)
    )


def _conditions(criteria: Criteria, now: datetime) -> list[Any]:
    wanted: list[Any] = []
    if criteria.movement_id is not None:
        wanted.append(col(Movement.id) == criteria.movement_id)
    if criteria.card_ids is not None:
        wanted.append(col(Movement.account_id).in_(criteria.card_ids))
    if criteria.member_id is not None:
        cards = select(col(GiftCard.id)).where(col(GiftCard.member_id) == criteria.member_id)
        wanted.append(col(Movement.account_id).in_(cards))
    if criteria.status is not None:
        wanted.append(_has_status(criteria.status, now))
    for column, value in (
        (Movement.type, criteria.type),
        (Movement.source_id, criteria.source_id),
        (Movement.ref_no, criteria.ref_no),
    ):
        if value is not None:
            wanted.append(column == value)
    if criteria.after_id is not None:
        wanted.append(col(Movement.id) > criteria.after_id)
    if criteria.begins is not None:
        wanted.append(col(Movement.created_at) >= criteria.begins)
    if criteria.ends is not None:
        wanted.append(col(Movement.created_at) < criteria.ends)
    return wanted


def _has_status(status: TransStatus, now: datetime) -> Any:
    held, is_open = col(Movement.state) == MovementState.HELD, col(HoldEnd.hold_id).is_(None)
    captured = col(HoldEnd.ending) == HoldEnding.CAPTURED
    match status:
        case TransStatus.AUTHORIZED:
            return and_(held, is_open, col(Movement.hold_until) > now)
        case TransStatus.COMPLETED:
            return or_(col(Movement.state) == MovementState.POSTED, captured)
        case TransStatus.CANCELLED:
            timed_out = and_(is_open, col(Movement.hold_until) <= now)
            released = and_(~is_open, col(HoldEnd.ending) != HoldEnding.CAPTURED)
            return and_(held, or_(timed_out, released))
        case TransStatus.DECLINED:
            return col(Movement.state) == MovementState.DECLINED
