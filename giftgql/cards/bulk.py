"""Many cards made at once, for campaigns and imports: a thousand in a handful of statements.

What can be worked out before the transaction is: `prepared` seals codes in whatever thread it is
called in, with ids that were reserved for it. `add` then writes all that are new.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from giftgql.codes import CodeText, CodeType
from giftgql.errors import ErrorCode
from giftgql.ledger import service as ledger
from giftgql.ledger.orders import Funds, Move, Opening
from giftgql.store import Reading, Transaction
from giftgql.vault import Vault

PIN = "printed pin"
"""What a PIN is sealed for until it is printed."""

CARD = (
    *("id", "member_id", "currency", "product_id", "pool_id", "campaign_id", "purchased_on"),
    *("point_of_contact", "is_free", "created_at"),
)
CODE = (
    *("id", "card_id", "kind", "fingerprint", "index_key", "ciphertext", "cipher_key"),
    *("last_four", "pin_verifier", "cvv_verifier", "needs_pin", "needs_cvv", "created_at"),
)


@dataclass(slots=True)
class NewCard:
    """A card with one code. `funds` is its account, of whatever id; `moves` are its first ones,
    and it is blocked after them. `prints_pin`: the PIN is to be given out once."""

    code: CodeText
    kind: CodeType
    funds: Funds
    moves: Sequence[Move] = ()
    is_blocked: bool = False
    pin: str | None = field(default=None, repr=False)
    cvv: str | None = field(default=None, repr=False)
    prints_pin: bool = False
    needs_pin: bool = False
    needs_cvv: bool = False
    is_free: bool = False
    member_id: str | None = None
    product_id: int | None = None
    pool_id: int | None = None
    campaign_id: int | None = None
    purchased_on: date | None = None
    point_of_contact: str | None = None


@dataclass(slots=True)
class Prepared:
    """A card ready to be written, but for when that is."""

    new: NewCard
    card_id: int
    code_id: int
    fingerprint: bytes
    sealed: tuple[Any, ...]
    pin: str | None = None
    cvv: str | None = None
    printed_pin: tuple[bytes, int] | None = None

    def card(self, at: datetime) -> tuple[Any, ...]:
        new = self.new
        return (
            *(self.card_id, new.member_id, new.funds.currency, new.product_id, new.pool_id),
            *(new.campaign_id, new.purchased_on, new.point_of_contact, new.is_free, at),
        )

    def code(self, at: datetime) -> tuple[Any, ...]:
        new = self.new
        return (
            *(self.code_id, self.card_id, new.kind.value, *self.sealed, self.pin, self.cvv),
            *(new.needs_pin, new.needs_cvv, at),
        )


async def reserve(tx: Transaction, many: int) -> tuple[Sequence[int], Sequence[int]]:
    """Ids for so many cards and their codes that nobody else will get."""
    return await tx.cards.reserve_ids(many), await tx.cards.reserve_code_ids(many)


def prepared(
    vault: Vault, new: Sequence[NewCard], card_ids: Sequence[int], code_ids: Sequence[int]
) -> list[Prepared]:
    """Seal the codes and hash the secrets. Takes about 20 µs a card."""
    return [
        _prepared(vault, each, card_id, code_id)
        for each, card_id, code_id in zip(new, card_ids, code_ids, strict=False)
    ]


async def pools_of(reading: Reading, fingerprints: Sequence[bytes]) -> Mapping[bytes, int | None]:
    """Of those of the fingerprints that are of a code, the pool of its card; None where it has no
    pool or the code has ended."""
    return await reading.cards.pools_of(fingerprints)


async def unknown(tx: Transaction, cards: Sequence[Prepared]) -> list[Prepared]:
    """Those of the cards whose codes were never issued, and of several with one code the first."""
    known = set(await tx.cards.known_fingerprints([each.fingerprint for each in cards]))
    fresh = list[Prepared]()
    for each in cards:
        if each.fingerprint not in known:
            known.add(each.fingerprint)
            fresh.append(each)
    return fresh


async def add(tx: Transaction, cards: Sequence[Prepared]) -> list[ErrorCode | None]:
    """Write cards whose codes are new; of each why it was not, where the rules of money decline
    its first movement. A code that is not new is the end of the transaction."""
    opened = ledger.opened(tx, [_opening(each.new, each.card_id) for each in cards])
    good = [each for each, of in zip(cards, opened, strict=True) if of.error is None]
    pins = [each for each in good if each.pin is not None]
    printed = [(each.code_id, *each.printed_pin) for each in pins if each.printed_pin]
    await ledger.open_these(
        tx,
        [of for of in opened if of.error is None],
        tx.cards.cards_to_add(CARD, [each.card(tx.now) for each in good]),
        tx.cards.codes_to_add(CODE, [each.code(tx.now) for each in good]),
        tx.cards.quick_pins_to_add([(each.code_id,) for each in pins]),
        tx.cards.printed_pins_to_add(printed),
    )
    return [of.error for of in opened]


def declined(reading: Reading, new: NewCard) -> ErrorCode | None:
    """Why the rules of money would decline a card's first movement, if they do; nothing is
    written."""
    return ledger.opened(reading, [_opening(new, 0)])[0].error


def _opening(new: NewCard, card_id: int) -> Opening:
    new.funds.id = card_id
    for move in new.moves:
        move.account_id = card_id
    return Opening(new.funds, new.moves, blocked=new.is_blocked)


def _prepared(vault: Vault, new: NewCard, card_id: int, code_id: int) -> Prepared:
    sealed = vault.seal(new.kind, new.code, card_id=card_id)
    pin = cvv = printed = None
    if new.pin is not None:
        pin = vault.quick_pin(new.kind, new.code, new.pin)
        if new.prints_pin:
            printed = vault.seal_bytes(PIN, new.pin.encode(), bound_to=sealed.fingerprint)
    if new.cvv is not None:
        cvv = vault.hash_cvv(new.kind, new.code, new.cvv)
    columns = (
        *(sealed.fingerprint, sealed.index_key, sealed.ciphertext, sealed.cipher_key),
        sealed.last_four,
    )
    return Prepared(new, card_id, code_id, sealed.fingerprint, columns, pin, cvv, printed)
