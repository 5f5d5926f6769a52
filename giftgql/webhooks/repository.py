from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import and_, case, delete, func, or_, union_all, update
from sqlalchemy import select as sql_select
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from giftgql.ledger.models import (
    Account,
    HoldEnd,
    HoldEnding,
    Movement,
    MovementState,
    MovementType,
)
from giftgql.orders.models import Order
from giftgql.paging import Cut
from giftgql.rows import Columns, Rows, Write, insert_unless_there, page_query, write_rows
from giftgql.webhooks.criteria import Criteria
from giftgql.webhooks.models import (
    WebhookCard,
    WebhookCursor,
    WebhookEndpoint,
    WebhookOrder,
    WebhookSecret,
)

_IS_ON = (col(WebhookEndpoint.is_active), col(WebhookEndpoint.removed_at).is_(None))


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the books say of a card as it was before a transaction, and of what came then."""

    was_funded: bool = False
    has_moved: bool = False
    used: int = 0


@dataclass(frozen=True, slots=True)
class Told:
    """What cards or orders were told to be: rows of a model, of which the first column is the id;
    those that are new, and those that are known."""

    model: type[WebhookCard | WebhookOrder]
    columns: Columns
    new: Rows
    known: Rows


class WebhookRepository:
    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    # Endpoints and their secrets

    async def add(self, endpoint: WebhookEndpoint) -> int:
        self.session.add(endpoint)
        await self.session.flush()
        assert endpoint.id is not None
        return endpoint.id

    async def get(self, endpoint_id: int) -> WebhookEndpoint | None:
        query = select(WebhookEndpoint).where(WebhookEndpoint.id == endpoint_id)
        fresh = query.execution_options(populate_existing=True)
        return (await self.session.exec(fresh)).first()

    async def lock(self, endpoint_id: int) -> WebhookEndpoint | None:
        query = select(WebhookEndpoint).where(WebhookEndpoint.id == endpoint_id).with_for_update()
        fresh = query.execution_options(populate_existing=True)
        return (await self.session.exec(fresh)).first()

    async def update(self, endpoint: WebhookEndpoint, facts: dict[str, Any]) -> None:
        for name, value in facts.items():
            setattr(endpoint, name, value)
        await self.session.flush()

    async def count(self) -> int:
        query = select(func.count()).where(col(WebhookEndpoint.removed_at).is_(None))
        return (await self.session.exec(query)).one()

    async def active(self) -> Sequence[WebhookEndpoint]:
        query = select(WebhookEndpoint).where(*_IS_ON).order_by(col(WebhookEndpoint.id))
        return (await self.session.exec(query)).all()

    async def ids(self) -> Sequence[int]:
        """Of all endpoints that are there or ever were."""
        return [each for each in (await self.session.exec(select(WebhookEndpoint.id))) if each]

    async def page(self, cut: Cut, criteria: Criteria) -> Sequence[WebhookEndpoint]:
        """One row more than the page shows; removed ones only in a synchronisation."""
        query = select(WebhookEndpoint)
        if criteria.id is not None:
            query = query.where(WebhookEndpoint.id == criteria.id)
        if criteria.is_active is not None:
            query = query.where(WebhookEndpoint.is_active == criteria.is_active)
        if cut.window is None:
            query = query.where(col(WebhookEndpoint.removed_at).is_(None))
        return (await self.session.exec(page_query(query, WebhookEndpoint, cut))).all()

    async def add_secret(self, secret: WebhookSecret) -> None:
        self.session.add(secret)
        await self.session.flush()

    async def replace_secrets(self, endpoint_id: int, *, ends_at: datetime) -> None:
        """Let the present secret end then, and forget those that were replaced before."""
        mine = col(WebhookSecret.endpoint_id) == endpoint_id
        is_replaced = col(WebhookSecret.ends_at).is_not(None)
        await self.session.exec(delete(WebhookSecret).where(mine, is_replaced))
        await self.session.exec(update(WebhookSecret).where(mine).values(ends_at=ends_at))

    async def secrets(self, endpoint_id: int, now: datetime) -> Sequence[WebhookSecret]:
        """Those that sign, the newest first."""
        ends_at = col(WebhookSecret.ends_at)
        query = select(WebhookSecret).where(
            WebhookSecret.endpoint_id == endpoint_id, or_(ends_at.is_(None), ends_at > now)
        )
        return (await self.session.exec(query.order_by(col(WebhookSecret.id).desc()))).all()

    async def delete_secrets(self, ended_until: datetime) -> None:
        ended = col(WebhookSecret.ends_at) <= ended_until
        await self.session.exec(delete(WebhookSecret).where(ended))

    async def secrets_sealed_otherwise(
        self, cipher_key: int, *, at_most: int
    ) -> Sequence[WebhookSecret]:
        """Secrets sealed with any other key, locked against another rotation."""
        query = select(WebhookSecret).where(WebhookSecret.cipher_key != cipher_key)
        query = query.order_by(col(WebhookSecret.id)).limit(at_most).with_for_update()
        return (await self.session.exec(query)).all()

    async def set_seal(self, secret: WebhookSecret, ciphertext: bytes, cipher_key: int) -> None:
        secret.ciphertext, secret.cipher_key = ciphertext, cipher_key
        await self.session.flush()

    # Where the books have been followed to

    async def cursor(self) -> WebhookCursor | None:
        query = select(WebhookCursor).execution_options(populate_existing=True)
        return (await self.session.exec(query)).first()

    async def add_cursor(self, cursor: WebhookCursor) -> None:
        """Add it where there is none."""
        insert = insert_unless_there(self.session, WebhookCursor)
        await self.session.exec(insert.values(cursor.model_dump()))

    async def set_cursor(self, facts: Mapping[str, Any]) -> None:
        await self.session.exec(update(WebhookCursor).values(**facts))

    async def begin_all(self, number: int) -> None:
        """Have endpoints told what transactions from this one on do, and no earlier ones."""
        await self.session.exec(update(WebhookEndpoint).values(active_in=number))

    async def numbers(self, after: int, horizon: int, *, at_most: int) -> list[int]:
        """Of each change between two transactions the number of its transaction, in order."""
        arms = []
        for source in (Movement, HoldEnd, Account, Order):
            number = col(source.changed_in)
            arm: Any = sql_select(number.label("number")).where(number > after, number < horizon)
            arms.append(sql_select(arm.order_by(number).limit(at_most).subquery()))
        both = union_all(*arms).subquery()
        query = sql_select(both.c.number).order_by(both.c.number).limit(at_most)
        return list((await self.session.exec(query)).scalars())  # type: ignore[call-overload]

    async def movements(self, after: int, upto: int) -> list[tuple[int, int, bool]]:
        """(transaction, id, whether it is its end) of the movements that were made or ended."""
        made, ended = col(Movement.changed_in), col(HoldEnd.changed_in)
        found = list[Any]()
        for query, is_end in (
            (select(made, col(Movement.id)).where(made > after, made <= upto), False),
            (select(ended, col(HoldEnd.hold_id)).where(ended > after, ended <= upto), True),
        ):
            found += [(*row, is_end) for row in (await self.session.exec(query)).all()]
        return sorted(found, key=lambda each: (each[0], each[1], each[2]))

    async def changed_cards(self, after: int, upto: int) -> Sequence[int]:
        number = col(Account.changed_in)
        query = select(Account.id).where(number > after, number <= upto)
        return (await self.session.exec(query)).all()

    async def changed_orders(self, after: int, upto: int) -> Sequence[int]:
        number = col(Order.changed_in)
        query = select(Order.id).where(number > after, number <= upto)
        return [each for each in (await self.session.exec(query)).all() if each]

    # What was told of cards and orders

    async def cards(self, card_ids: Collection[int]) -> Sequence[WebhookCard]:
        query = select(WebhookCard).where(col(WebhookCard.card_id).in_(card_ids))
        fresh = query.execution_options(populate_existing=True)
        return (await self.session.exec(fresh)).all()

    async def orders(self, order_ids: Collection[int]) -> Sequence[WebhookOrder]:
        query = select(WebhookOrder).where(col(WebhookOrder.order_id).in_(order_ids))
        fresh = query.execution_options(populate_existing=True)
        return (await self.session.exec(fresh)).all()

    async def write_told(self, told: Sequence[Told]) -> None:
        new = [Write(each.model, each.columns, each.new) for each in told]
        known = [Write(each.model, each.columns, each.known, is_update=True) for each in told]
        await write_rows(self.session, [*new, *known])

    async def evidence(self, card_ids: Collection[int], number: int) -> dict[int, Evidence]:
        """What the books say of cards as they were before a transaction, and of what came then."""
        posted = col(Movement.state) == MovementState.POSTED
        captured = col(HoldEnd.ending) == HoldEnding.CAPTURED
        made, ended = col(Movement.changed_in), col(HoldEnd.changed_in)
        before = or_(and_(posted, made < number), and_(captured, ended < number))
        since = or_(and_(posted, made >= number), and_(captured, ended >= number))
        is_use = col(Movement.type) == MovementType.USE
        moved = case((posted, -col(Movement.amount)), else_=col(HoldEnd.captured))
        query = (
            sql_select(
                col(Movement.account_id),
                func.max(case((and_(before, col(Movement.amount) > 0), 1), else_=0)),
                func.max(case((since, 1), else_=0)),
                func.sum(case((and_(since, is_use), moved), else_=0)),
            )
            .outerjoin(HoldEnd, col(HoldEnd.hold_id) == Movement.id)
            .where(col(Movement.account_id).in_(card_ids))
            .group_by(col(Movement.account_id))
        )
        found = await self.session.exec(query)  # type: ignore[call-overload]
        return {row[0]: Evidence(bool(row[1]), bool(row[2]), int(row[3])) for row in found.all()}
