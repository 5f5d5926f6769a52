"""What a request that makes or changes a card is answered; and once more, when it is repeated."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from giftgql.cards.models import Code, GiftCard
from giftgql.cards.views import CardView, ids, views
from giftgql.ledger import service as ledger
from giftgql.ledger.models import Account
from giftgql.requests import service as requests
from giftgql.requests.service import Once
from giftgql.store import Transaction


async def of_rows(
    tx: Transaction,
    request: Once | None,
    card: GiftCard,
    account: Account,
    *,
    live: Sequence[Code],
    just_set: Sequence[int],
    with_history: bool = False,
) -> CardView:
    """A card as it is now, which is kept as the answer to the request."""
    await requests.settle(tx, request, _outcome(card, account, live, just_set))
    [shown] = await views(
        tx, [(card, account)], live=live, just_set=just_set, with_history=with_history
    )
    return shown


async def of_card(
    tx: Transaction, request: Once | None, card_id: int, *, is_new: bool = True
) -> CardView:
    """A card that this transaction has made, with its codes just set, or given out; keeps it as
    the answer to the request."""
    card = await tx.cards.get(card_id)
    account = (await ledger.accounts(tx, [card_id]))[card_id]
    assert card is not None
    live = await tx.cards.live_codes([card_id])
    just_set = ids(live) if is_new else []
    return await of_rows(tx, request, card, account, live=live, just_set=just_set)


async def replayed(
    tx: Transaction, outcome: Mapping[str, Any], *, with_history: bool = False
) -> CardView:
    """The first answer again: card and codes as they were then, seen with today's rights."""
    now = await tx.cards.get(outcome["card"])
    assert now is not None
    account = Account.model_validate(outcome["account"])
    then = {
        **now.model_dump(),
        "member_id": outcome["member_id"],
        "note": outcome["note"],
        "details": outcome["details"],
    }
    live = await tx.cards.codes_by_ids(outcome["codes"])
    pairs = [(GiftCard(**then), account)]
    shown = await views(tx, pairs, live=live, just_set=outcome["set"], with_history=with_history)
    answered_at = account.modified_at
    ended = [code for code in shown[0].history if code.ended_at and code.ended_at <= answered_at]
    return replace(shown[0], history=ended, is_replayed=True)


def _outcome(
    card: GiftCard, account: Account, live: Sequence[Code], just_set: Sequence[int]
) -> dict[str, Any]:
    """What a repeated request is answered from: no code, but which ones they were."""
    return {
        "card": card.id,
        "account": account.model_dump(mode="json"),
        "codes": ids(live),
        "set": just_set,
        "member_id": card.member_id,
        "note": card.note,
        "details": card.details,
    }
