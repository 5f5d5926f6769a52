"""Cards that nobody has yet: taken to be sold or published, removed, counted; and their PINs."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from giftgql.cards.bulk import PIN
from giftgql.cards.criteria import Sums
from giftgql.cards.models import Code, CodeEnding, GiftCard
from giftgql.cards.views import unseal
from giftgql.choices import RedemptionStrategy
from giftgql.codes import CodeText, CodeType
from giftgql.errors import HasTransactions, NotFound
from giftgql.ledger import service as ledger
from giftgql.ledger.models import Account
from giftgql.store import Reading, Transaction


@dataclass(frozen=True, slots=True)
class PrintedCode:
    """A code to be printed or mailed, in clear; its PIN where that is given out as well."""

    card_id: int
    code: CodeText
    expires_on: date | None
    pin: str | None = field(default=None, repr=False)


async def take_free(
    tx: Transaction,
    *,
    pool_id: int | None = None,
    campaign_id: int | None = None,
    value: int | None = None,
    has_funds: bool = False,
) -> int | None:
    """A card of a pool or campaign that nobody has, of a face value if one is given; it is locked
    until the transaction ends, and no two get the same. None if there is none left. `has_funds`:
    the cards are made with their value on them.

    One that others hold locked is passed over; only when there is no other it is waited for.
    """
    wanted = {"pool_id": pool_id, "campaign_id": campaign_id, "value": value}
    skip_locked = True
    while True:
        card_id = await tx.cards.lock_free(**wanted, now=tx.now, skip_locked=skip_locked)
        if card_id is None:
            if not skip_locked:
                return None
            skip_locked = False
            continue
        await tx.read_clock()
        # What was seen before the lock may have changed while it was waited for.
        card = await tx.cards.fresh(card_id)
        account = (await ledger.accounts(tx, [card_id]))[card_id]
        assert card is not None
        is_good = _is_free(card, account, has_funds=has_funds)
        is_good &= not ledger.is_expired_at(account, tx.now)
        if is_good and has_funds:  # what was used and wholly refunded looks untouched
            is_good = not await ledger.has_moved(tx, card_id, besides=1)
        if is_good and await _has_code(tx, card_id):
            return card_id
        if card.is_free:
            await tx.cards.update(card, {"is_free": False})


async def take(tx: Transaction, card_id: int) -> Account | None:
    """One given card of a pool that nobody has and that can be sold, locked until the transaction
    ends; None if it is not that."""
    await ledger.lock(tx, card_id)
    card = await tx.cards.fresh(card_id)
    account = (await ledger.accounts(tx, [card_id])).get(card_id)
    if card is None or account is None or card.pool_id is None:
        return None
    is_stopped = account.blocked or ledger.is_expired_at(account, tx.now)
    if is_stopped or not _is_free(card, account, has_funds=False):
        return None
    return account if await _has_code(tx, card_id) else None


async def can_be_sold(tx: Transaction, card_id: int) -> bool:
    """Whether a card that was taken can still be given to whom it was taken for."""
    card, account = await tx.cards.fresh(card_id), (await ledger.accounts(tx, [card_id]))[card_id]
    is_stopped = account.blocked or account.closed or ledger.is_expired_at(account, tx.now)
    is_somebodys = card is None or card.removed_at is not None or card.member_id is not None
    return not (is_somebodys or is_stopped or account.lifetime) and await _has_code(tx, card_id)


async def give_back(tx: Transaction, card_ids: Collection[int]) -> None:
    """Let cards that were taken and never funded be sold to others again."""
    accounts = await ledger.lock_all(tx, card_ids)
    for card in await tx.cards.by_ids(card_ids):
        assert card.id is not None
        if accounts[card.id].lifetime == 0 and card.removed_at is None:
            await tx.cards.update(card, {"is_free": True})


def _is_free(card: GiftCard, account: Account, *, has_funds: bool) -> bool:
    """Whether nobody has it: never funded; or, where cards are made with funds, as it was made,
    and nobody's. One that a till has sold meanwhile has funds as well."""
    if not card.is_free or card.member_id is not None or card.removed_at is not None:
        return False
    if account.closed or account.open_holds:
        return False
    if has_funds:
        return account.posted == account.lifetime == account.opens_with
    return account.lifetime == 0


async def _has_code(tx: Transaction, card_id: int) -> bool:
    """Whether there is a code by which who gets the card can use it."""
    live = await tx.cards.live_codes([card_id])
    return any(code.expires_on is None or code.expires_on >= tx.today for code in live)


async def hand_over(
    tx: Transaction,
    card_id: int,
    facts: Mapping[str, Any],
    *,
    strategy: RedemptionStrategy | None = None,
) -> None:
    """Give a card that was taken to whom `facts` name; it gets the strategy it is sold with, if
    that is told."""
    card = await tx.cards.get(card_id)
    assert card is not None
    await tx.cards.update(card, {**facts, "is_free": False})
    await ledger.touch(tx, card_id)
    if strategy is not None:
        is_replaced = strategy is RedemptionStrategy.REPLACEMENT
        await ledger.set_replaced_on_use(tx, card_id, is_replaced)


async def remove(tx: Transaction, card_id: int) -> GiftCard:
    """Take an untouched card out of the lists for good; its codes are never used again. Refuses
    `NOT_FOUND`, `HAS_TRANSACTIONS`."""
    funds = await ledger.lock(tx, card_id)
    card = await tx.cards.get(card_id)
    if funds is None or card is None or card.removed_at is not None:
        raise NotFound("id", "gift card")
    if await ledger.has_moved(tx, card_id):
        raise HasTransactions
    for code in await tx.cards.live_codes([card_id]):
        assert code.id is not None
        await tx.cards.end_code(code.id, CodeEnding.REMOVED, at=tx.now)
    await tx.cards.forget_pins_of(card_id)
    await tx.cards.update(card, {"removed_at": tx.now, "is_free": False})
    await ledger.retire(tx, funds)
    return card


async def sums(reading: Reading, column: str, ids: Sequence[int]) -> dict[int, Sums]:
    """What all cards of each pool or campaign come to; `column` is `pool_id` or `campaign_id`."""
    return await reading.cards.sums(column, ids, reading.now)


# PINs


async def quick_pins(reading: Reading, *, at_most: int) -> dict[int, str]:
    """Verifiers that are to be hardened, by their codes' ids."""
    return await reading.cards.quick_pins(at_most=at_most)


async def harden(tx: Transaction, quick: Mapping[int, str], hard: Mapping[int, str]) -> None:
    """Store hardened verifiers in place of quick ones, unless a PIN was replaced meanwhile."""
    for code_id, verifier in hard.items():
        before = {"pin_verifier": quick[code_id]}
        await tx.cards.set_verifiers(code_id, before, {"pin_verifier": verifier})
    await tx.cards.forget_quick_pins(quick.keys())


async def codes_to_print(
    reading: Reading,
    campaign_id: int,
    kind: CodeType,
    *,
    after: int,
    at_most: int,
    with_pins: bool,
) -> list[PrintedCode]:
    """The live codes of a campaign's cards after one, by card."""
    found = await reading.cards.printed_codes(campaign_id, kind, after=after, at_most=at_most)
    return [
        PrintedCode(
            code.card_id,
            unseal(reading, code),
            reading.last_day(valid_until),
            _pin(reading, code, pin.ciphertext, pin.cipher_key) if with_pins and pin else None,
        )
        for code, valid_until, pin in found
    ]


async def has_pins_to_print(reading: Reading, campaign_id: int) -> bool:
    return await reading.cards.has_printed_pins(campaign_id)


async def forget_printed_pins(tx: Transaction, campaign_id: int, *, up_to: int) -> None:
    """Keep the PINs of a campaign's cards up to an id nowhere but hashed, now that they are out."""
    await tx.cards.forget_printed_pins(campaign_id, up_to=up_to)


def _pin(reading: Reading, code: Code, sealed: bytes, key: int) -> str:
    return reading.vault.unseal_bytes(PIN, sealed, key, bound_to=code.fingerprint).decode()
