"""Codes as they are spoken of: hidden but for their end; and the one that a mail brings."""

from collections import defaultdict
from collections.abc import Sequence

from giftgql.cards.views import unseal
from giftgql.cards.visibility import hidden
from giftgql.codes import CodeText, CodeType
from giftgql.store import Reading


async def codes_hidden(reading: Reading, code_ids: Sequence[int]) -> dict[int, str]:
    """Codes masked, live or ended ones."""
    found = await reading.cards.codes_by_ids(code_ids)
    return {code.id: hidden(code) for code in found if code.id is not None}


async def live_codes_hidden(
    reading: Reading, card_ids: Sequence[int]
) -> dict[int, list[tuple[CodeType, str]]]:
    """The live codes of each card, masked, by type."""
    of_card: dict[int, list[tuple[CodeType, str]]] = defaultdict(list)
    live = await reading.cards.live_codes(card_ids)
    for kind in CodeType:
        for code in live:
            if code.kind is kind:
                of_card[code.card_id].append((kind, hidden(code)))
    return of_card


async def last_four(reading: Reading, code_id: int | None) -> str:
    """The end of a code, live or ended; nothing of none."""
    found = await reading.cards.codes_by_ids([code_id]) if code_id else []
    return found[0].last_four if found else ""


async def code_to_send(reading: Reading, card_id: int) -> CodeText | None:
    """The code in clear with which the holder of a card is to be reached by mail: its digital
    one, else the printed or the external one. A personal one is for its owner's app alone. None
    where it has none of these that can be used today."""
    live = {code.kind: code for code in await reading.cards.live_codes([card_id])}
    for kind in (CodeType.DIGITAL, CodeType.PHYSICAL, CodeType.EXTERNAL):
        code = live.get(kind)
        if code and (code.expires_on is None or code.expires_on >= reading.today):
            return unseal(reading, code)
    return None
