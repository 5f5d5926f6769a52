"""Cards looked up by a code: what finds nothing counts as a failure of whoever asks."""

from giftgql.cards import service
from giftgql.cards.views import CardView
from giftgql.codes import CodeText, CodeType
from giftgql.permissions import Caller
from giftgql.store import Store
from giftgql.tries import failures


async def by_code(
    store: Store,
    caller: Caller,
    code: CodeText,
    kind: CodeType | None,
    *,
    with_history: bool = False,
) -> list[CardView]:
    """The cards that `service.find` finds. Refuses `RATE_LIMITED` who has failed too often."""

    async def read() -> list[CardView]:
        async with store.read(caller) as reading:
            return await service.find(reading, code, kind, with_history=with_history)

    return await failures.look_up(store, caller, code, read)
