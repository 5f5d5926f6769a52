from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import or_
from sqlalchemy.orm.attributes import flag_modified
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from giftgql.orders.criteria import Criteria
from giftgql.orders.models import Order, OrderLine, OrderPayment, OrderPiece, OrderStatus
from giftgql.paging import Cut
from giftgql.rows import page_query


class OrderRepository:
    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def add(self, order: Order) -> int:
        self.session.add(order)
        await self.session.flush()
        assert order.id is not None
        return order.id

    async def add_parts(self, parts: Sequence[OrderLine | OrderPiece | OrderPayment]) -> None:
        """Add lines, pieces and payments of an order that is there."""
        self.session.add_all(parts)
        await self.session.flush()

    async def get(self, order_id: int) -> Order | None:
        return await self.session.get(Order, order_id)

    async def lock(self, order_id: int) -> Order | None:
        query = select(Order).where(Order.id == order_id).with_for_update()
        fresh = query.execution_options(populate_existing=True)
        return (await self.session.exec(fresh)).first()

    async def by_ids(self, order_ids: Collection[int]) -> Sequence[Order]:
        query = select(Order).where(col(Order.id).in_(order_ids)).order_by(col(Order.id))
        return (await self.session.exec(query)).all()

    async def update(self, order: Order, facts: Mapping[str, Any]) -> None:
        """Write facts of an order, which has changed even if nothing is different."""
        _set(order, facts)
        flag_modified(order, "modified_at")
        await self.session.flush()

    async def update_part(
        self, part: OrderLine | OrderPiece | OrderPayment, facts: Mapping[str, Any]
    ) -> None:
        _set(part, facts)
        await self.session.flush()

    async def of_member(self, member_id: str) -> Sequence[Order]:
        """The orders that a member placed, or that buy cards for it."""
        bought = select(OrderLine.order_id).where(OrderLine.member_id == member_id)
        mine = or_(col(Order.member_id) == member_id, col(Order.id).in_(bought))
        return (await self.session.exec(select(Order).where(mine).order_by(col(Order.id)))).all()

    async def lines(self, order_ids: Collection[int]) -> Sequence[OrderLine]:
        query = select(OrderLine).where(col(OrderLine.order_id).in_(order_ids))
        query = query.order_by(col(OrderLine.order_id), col(OrderLine.place))
        return (await self.session.exec(query)).all()

    async def pieces(self, order_ids: Collection[int]) -> Sequence[OrderPiece]:
        query = select(OrderPiece).where(col(OrderPiece.order_id).in_(order_ids))
        query = query.order_by(col(OrderPiece.order_id), col(OrderPiece.place))
        query = query.execution_options(populate_existing=True)
        return (await self.session.exec(query)).all()

    async def payments(self, order_ids: Collection[int]) -> Sequence[OrderPayment]:
        query = select(OrderPayment).where(col(OrderPayment.order_id).in_(order_ids))
        query = query.order_by(col(OrderPayment.id)).execution_options(populate_existing=True)
        return (await self.session.exec(query)).all()

    async def of_movements(self, movement_ids: Collection[int]) -> dict[int, int]:
        """The orders that these movements were made for: payments, and what issued its cards."""
        paid = select(OrderPayment.movement_id, OrderPayment.order_id)
        issued = select(OrderPiece.movement_id, OrderPiece.order_id)
        found = dict[int, int]()
        for query, column in (
            (paid, col(OrderPayment.movement_id)),
            (issued, col(OrderPiece.movement_id)),
        ):
            for movement_id, order_id in (
                await self.session.exec(query.where(column.in_(movement_ids)))
            ).all():
                assert movement_id is not None
                found[movement_id] = order_id
        return found

    async def overdue(self, now: datetime, *, at_most: int) -> Sequence[int]:
        """Pending orders whose time is up, the longest ago first."""
        query = select(Order.id).where(
            Order.status == OrderStatus.PENDING, col(Order.hold_until) <= now
        )
        query = query.order_by(col(Order.hold_until)).limit(at_most)
        return [order_id for order_id in (await self.session.exec(query)).all() if order_id]

    async def page(self, cut: Cut, criteria: Criteria, now: datetime) -> Sequence[Order]:
        """One row more than the page shows."""
        query = _fitting(criteria, now)
        return (await self.session.exec(page_query(query, Order, cut))).all()

    async def latest(
        self, criteria: Criteria, now: datetime, *, before: int | None, many: int
    ) -> Sequence[Order]:
        """The newest first, from those before one."""
        query = _fitting(criteria, now)
        if before is not None:
            query = query.where(col(Order.id) < before)
        return (await self.session.exec(query.order_by(col(Order.id).desc()).limit(many))).all()


def _fitting(criteria: Criteria, now: datetime) -> SelectOfScalar[Order]:
    query = select(Order)
    if criteria.order_id is not None:
        query = query.where(Order.id == criteria.order_id)
    if criteria.status is not None:
        query = query.where(_has_status(criteria.status, now))
    if criteria.ref_no is not None:
        query = query.where(Order.ref_no == criteria.ref_no)
    if criteria.member_id is not None:
        query = query.where(Order.member_id == criteria.member_id)
    if criteria.caller is not None:
        query = query.where(Order.caller == criteria.caller)
    if criteria.card_id is not None:
        paid = select(OrderPayment.order_id).where(OrderPayment.card_id == criteria.card_id)
        bought = select(OrderPiece.order_id).where(OrderPiece.card_id == criteria.card_id)
        query = query.where(or_(col(Order.id).in_(paid), col(Order.id).in_(bought)))
    return query


def _has_status(status: OrderStatus, now: datetime) -> Any:
    """A pending order whose time is up is cancelled, whether or not a job has written that."""
    is_over = (col(Order.status) == OrderStatus.PENDING) & (col(Order.hold_until) <= now)
    match status:
        case OrderStatus.PENDING:
            return (col(Order.status) == OrderStatus.PENDING) & (col(Order.hold_until) > now)
        case OrderStatus.CANCELLED:
            return or_(col(Order.status) == OrderStatus.CANCELLED, is_over)
        case OrderStatus.PAID:
            return col(Order.status) == OrderStatus.PAID


def _set(row: Any, facts: Mapping[str, Any]) -> None:
    for name, value in facts.items():
        setattr(row, name, value)
