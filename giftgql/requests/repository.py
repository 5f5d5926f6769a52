from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from giftgql.requests.models import Request
from giftgql.rows import Rows, Write, insert_unless_there, rows_by


class RequestRepository:
    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def add(self, request: Request) -> bool:
        """Claim a key; False if it is taken. Waits for a transaction that is just claiming it."""
        values = request.model_dump(exclude={"outcome"})
        claim = insert_unless_there(self.session, Request, "caller", "key").values(values)
        claimed = await self.session.exec(claim.returning(col(Request.key)))
        return claimed.first() is not None

    @staticmethod
    def claims(requests: Rows) -> Write:
        """Keys to be claimed with the outcomes they will have, if nobody has claimed them."""
        columns = ("caller", "key", "mutation", "fingerprint", "outcome", "created_at")
        return Write(Request, columns, requests, unless_there=True)

    async def by_keys(self, keys: Rows) -> Rows:
        """Caller, key, fingerprint and outcome of those of (caller, key) that are claimed."""
        columns = ("caller", "key", "fingerprint", "outcome")
        return await rows_by(self.session, Request, columns, ("caller", "key"), keys)

    async def get(self, caller: str, key: str) -> Request | None:
        return await self.session.get(Request, (caller, key))

    async def set_outcome(self, caller: str, key: str, outcome: dict[str, Any]) -> None:
        mine = (col(Request.caller) == caller) & (col(Request.key) == key)
        values = {"outcome": outcome, "card_id": outcome.get("card")}
        await self.session.exec(update(Request).where(mine).values(**values))

    async def lock_by_cards(self, card_ids: Collection[int]) -> Sequence[Request]:
        """Those whose answers hold what was said of cards."""
        query = select(Request).where(col(Request.card_id).in_(card_ids))
        query = query.order_by(col(Request.caller), col(Request.key)).with_for_update()
        return (await self.session.exec(query)).all()

    async def update(self) -> None:
        """Write what was changed of locked rows."""
        await self.session.flush()
