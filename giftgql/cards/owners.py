"""All cards of a member, and what was said of them."""

from collections.abc import Collection, Sequence

from giftgql.ledger import service as ledger
from giftgql.requests import service as requests
from giftgql.store import Reading, Transaction


async def ids_of_member(reading: Reading, member_id: str) -> Sequence[int]:
    return await reading.cards.ids_of_member(member_id)


async def forget_words(tx: Transaction, card_ids: Collection[int]) -> None:
    """Leave no note, metadata or recipient of cards whose accounts are locked, nor what a repeated
    request would answer of these."""
    await requests.forget_words(tx, card_ids)
    await tx.cards.forget_words(card_ids)
    for card_id in card_ids:
        await ledger.touch(tx, card_id)
