from collections.abc import Sequence
from datetime import datetime

import strawberry

from giftgql.context import Context, Info
from giftgql.fields import resolved
from giftgql.jobs import service
from giftgql.jobs.pace import Pace
from giftgql.jobs.service import Subject


@strawberry.type(description="How many are done, of how many, and how fast it goes.")
class Progress:
    done: int = strawberry.field(description="Done until now.")
    total: int | None = strawberry.field(description="All there are; null if not yet known.")
    subject: strawberry.Private[Subject | None] = None
    """What the job is about, where one may be open."""

    @resolved(
        description="How many are done in a minute, by what was done of late, pauses left out. "
        "Null where nobody is at it, or too little was done to tell."
    )
    async def per_minute(self, info: Info) -> int | None:
        pace = await self._pace(info)
        rate = None if pace is None else pace.per_second(info.context.store.now)
        return None if rate is None else round(rate * 60)

    @resolved(
        description="When all will be done if it goes on like this, UTC; null if not known. It "
        "moves: others may have their turns."
    )
    async def expected_end(self, info: Info) -> datetime | None:
        pace = await self._pace(info)
        if pace is None or self.total is None:
            return None
        return pace.end(self.total - self.done, info.context.store.now)

    async def _pace(self, info: Info) -> Pace | None:
        return await info.context.load(_paces, self.subject) if self.subject else None


async def _paces(context: Context, subjects: Sequence[Subject]) -> list[Pace | None]:
    """A batch for `Context.load`."""
    async with context.read() as reading:
        found = await service.paces(reading, subjects)
    return [found.get(each) for each in subjects]
