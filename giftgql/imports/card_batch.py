"""A piece of a file of cards: what is worked out before its transaction, and what is done in it.

Only a row's own pool and the cards that are there decide what becomes of it. Pools are held in the
transaction: what was worked out by their rules is written only if these are still the same.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from giftgql.cards import bulk
from giftgql.cards.bulk import NewCard, Prepared
from giftgql.choices import RedemptionStrategy
from giftgql.codes import CodeType
from giftgql.errors import ErrorCode, InvalidInput, Unavailable
from giftgql.imports.card_rows import CardReader, CardRow, ImportedStatus, PoolFacts, check
from giftgql.imports.csv_rows import Row
from giftgql.imports.failures import Failure
from giftgql.imports.headers import Header
from giftgql.ledger.models import MovementType
from giftgql.ledger.orders import By, Funds, Move
from giftgql.members import service as members
from giftgql.money import Money
from giftgql.pools import service as pools
from giftgql.pools.models import Pool
from giftgql.products import service as products
from giftgql.products.expiration import Expiration
from giftgql.store import Reading, Store, Transaction

KIND = CodeType.PHYSICAL


@dataclass
class Landed:
    """What became of a piece: how many rows are there now, how many were there before, and which
    ones failed."""

    imported: int = 0
    unchanged: int = 0
    failures: list[tuple[Row, Failure]] = field(default_factory=list)


@dataclass
class CardBatch:
    """Rows that are good so far, with the cards they will be, and those that are not."""

    rows: Mapping[int, Row]
    cards: list[tuple[CardRow, Prepared]]
    failures: list[Failure]
    pools: Mapping[str, Pool]

    async def write(self, tx: Transaction) -> Landed:
        """Write the cards that are not there yet. Refuses `UNAVAILABLE` where a pool was changed
        meanwhile: the piece is to be read again."""
        held = await pools.held(tx, self.pools.keys())
        for name, pool in self.pools.items():
            if name not in held or not _is_same(held[name], pool):
                raise Unavailable("A pool has just changed.")
        landed, counts, waiting = Landed(), Counter[int](), self.cards
        owners = dict(await bulk.pools_of(tx, [ready.fingerprint for _, ready in self.cards]))
        while waiting:
            fresh, waiting = self._fresh(waiting, owners, landed)
            errors = await bulk.add(tx, [ready for _, ready in fresh])
            for (card, ready), error in zip(fresh, errors, strict=True):
                if error is not None:
                    self.failures.append(_declined(card, error))
                    continue
                assert ready.new.pool_id is not None
                owners[ready.fingerprint] = ready.new.pool_id
                counts[ready.new.pool_id] += 1
        landed.imported = counts.total()
        for pool_id in sorted(counts):
            await pools.count(tx, pool_id, counts[pool_id])
        landed.failures = _in_order(self.rows, self.failures)
        return landed

    def _fresh(
        self,
        waiting: Sequence[tuple[CardRow, Prepared]],
        owners: Mapping[bytes, int | None],
        landed: Landed,
    ) -> tuple[list[tuple[CardRow, Prepared]], list[tuple[CardRow, Prepared]]]:
        """Of the cards that wait those to be written, and those with the code of one of these: it
        may be declined."""
        fresh, again = list[tuple[CardRow, Prepared]](), list[tuple[CardRow, Prepared]]()
        tried = set[bytes]()
        for card, ready in waiting:
            if ready.fingerprint in tried:
                again.append((card, ready))
            elif ready.fingerprint not in owners:
                tried.add(ready.fingerprint)
                fresh.append((card, ready))
            elif owners[ready.fingerprint] == ready.new.pool_id:
                landed.unchanged += 1
            else:
                self.failures.append(_taken(card))
        return fresh, again


async def read(store: Store, header: Header, rows: Sequence[Row], by: By) -> CardBatch:
    """Work out what the rows of a piece are to become."""
    cards, failures = _parsed(header, rows)
    async with store.read() as reading:
        known, cards = await _with_pools(reading, cards, failures)
        cards = await _with_members(reading, cards, failures)
        new = _new_cards(reading, cards, known, failures, by)
        await _set_strategies(reading, [made for _, made in new])
    async with store.write() as tx:
        card_ids, code_ids = await bulk.reserve(tx, len(new))
    made = [each for _, each in new]
    ready = await asyncio.to_thread(bulk.prepared, store.vault, made, card_ids, code_ids)
    pairs = list(zip((card for card, _ in new), ready, strict=True))
    return CardBatch({row.line: row for row in rows}, pairs, failures, known)


async def tried(
    store: Store, header: Header, rows: Sequence[Row], seen: dict[bytes, int | None]
) -> Landed:
    """What would become of the rows of a piece; `seen` has the codes of the pieces before."""
    cards, failures = _parsed(header, rows)
    landed = Landed()
    async with store.read() as reading:
        known, cards = await _with_pools(reading, cards, failures)
        cards = await _with_members(reading, cards, failures)
        new = _new_cards(reading, cards, known, failures, By(""))
        prints = [store.vault.fingerprint(KIND, card.number) or b"" for card, _ in new]
        owners = await bulk.pools_of(reading, prints)
    for (card, made), print_ in zip(new, prints, strict=True):
        short = print_[:8]  # a million of them are kept
        owner = owners.get(print_, seen.get(short, _NOBODY))
        if owner == _NOBODY:
            if error := bulk.declined(reading, made):
                failures.append(_declined(card, error))
                continue
            seen[short] = made.pool_id
            landed.imported += 1
        elif owner == made.pool_id:
            landed.unchanged += 1
        else:
            failures.append(_taken(card))
    landed.failures = _in_order({row.line: row for row in rows}, failures)
    return landed


_NOBODY = -1


def _parsed(header: Header, rows: Sequence[Row]) -> tuple[list[CardRow], list[Failure]]:
    reader, cards, failures = CardReader(header), list[CardRow](), list[Failure]()
    for row in rows:
        found = reader.read(row)
        if isinstance(found, Failure):
            failures.append(found)
        else:
            cards.append(found)
    return cards, failures


async def _with_pools(
    reading: Reading, cards: Sequence[CardRow], failures: list[Failure]
) -> tuple[dict[str, Pool], list[CardRow]]:
    """The pools that the cards name, and those of the cards whose pool is there."""
    known: dict[str, Pool] = {}
    for name in {card.pool for card in cards}:
        if (pool := await pools.find(reading, name)) is not None:
            known[name] = pool
    for card in cards:
        if card.pool not in known:
            refusal = InvalidInput("PoolSystemName", "names no pool that is there")
            failures.append(Failure.of(card.line, "PoolSystemName", card.pool, refusal))
    return known, [card for card in cards if card.pool in known]


async def _with_members(
    reading: Reading, cards: Sequence[CardRow], failures: list[Failure]
) -> list[CardRow]:
    named = {card.member_id for card in cards if card.member_id is not None}
    known = await members.known(reading, sorted(named)) if named else frozenset()
    for card in cards:
        if card.member_id is not None and card.member_id not in known:
            refusal = InvalidInput("MemberId", "names no member that is there")
            failures.append(Failure.of(card.line, "MemberId", card.member_id, refusal))
    return [card for card in cards if card.member_id is None or card.member_id in known]


def _new_cards(
    reading: Reading,
    cards: Sequence[CardRow],
    known: Mapping[str, Pool],
    failures: list[Failure],
    by: By,
) -> list[tuple[CardRow, NewCard]]:
    facts = {name: _facts(pool) for name, pool in known.items()}
    new = []
    for card in cards:
        pool = known[card.pool]
        worth = check(card, facts[card.pool])
        if isinstance(worth, Failure):
            failures.append(worth)
            continue
        try:
            valid_until, validity = _validity(reading, card, pool)
        except InvalidInput as refused:
            value = str(card.purchased_on or "")
            failures.append(Failure.of(card.line, "PurchaseDate", value, refused))
            continue
        new.append((card, _new_card(card, pool, worth.minor, valid_until, validity, by)))
    return new


def _new_card(
    card: CardRow,
    pool: Pool,
    worth: int,
    valid_until: datetime | None,
    validity: str | None,
    by: By,
) -> NewCard:
    is_free = card.status is ImportedStatus.INACTIVE
    moves = [] if is_free else [Move(account_id=0, type=MovementType.IMPORT, amount=worth, by=by)]
    return NewCard(
        code=card.number,
        kind=KIND,
        funds=Funds(
            id=0,
            currency=pool.currency,
            whole_only=not pool.partial_redemption,
            valid_until=valid_until,
            validity=validity,
            opens_with=worth,
        ),
        moves=moves,
        is_blocked=card.status is ImportedStatus.BLOCKED,
        pin=card.pin,
        cvv=card.cvv,
        needs_pin=True,
        needs_cvv=pool.is_cvv_required,
        is_free=is_free and card.member_id is None,
        member_id=card.member_id,
        product_id=pool.product_id,
        pool_id=pool.id,
        purchased_on=card.purchased_on,
        point_of_contact=card.point_of_contact,
    )


async def _set_strategies(reading: Reading, new: Sequence[NewCard]) -> None:
    """Let cards be replaced on use whose pools' products say so."""
    ids = {each.product_id for each in new if each.product_id is not None}
    sold_as = await products.by_ids(reading, sorted(ids))
    replaced = {
        product_id
        for product_id, view in sold_as.items()
        if view.product.strategy is RedemptionStrategy.REPLACEMENT
    }
    for each in new:
        each.funds.replaced_on_use = each.product_id in replaced


def _validity(reading: Reading, card: CardRow, pool: Pool) -> tuple[datetime | None, str | None]:
    """Until when the card's funds are valid, or for how long from its sale. A relative expiry
    counts from the purchase, never from the import."""
    if card.expires_on is not None:
        return reading.end_of(card.expires_on), None
    expiration = Expiration.of(pool.expires_on, pool.expires_after)
    if expiration.after is None or card.status is ImportedStatus.INACTIVE:
        return reading.end_of(expiration.on), expiration.after
    if card.purchased_on is None:
        raise InvalidInput("PurchaseDate", _NEEDS_PURCHASE)
    return reading.end_of(expiration.last_day(card.purchased_on, "PurchaseDate")), None


_NEEDS_PURCHASE = (
    "is missing: the pool's cards expire a time after their purchase, and this one can be used"
)


def _is_same(held: Pool, pool: Pool) -> bool:
    """Whether a pool is the one that was read, with the same rules: not one of the same name."""
    return held.id == pool.id and pools.rules(held) == pools.rules(pool)


def _facts(pool: Pool) -> PoolFacts:
    face = None if pool.face_value is None else Money(pool.face_value, pool.currency)
    return PoolFacts(pool.currency, face, pool.is_cvv_required)


def _taken(card: CardRow) -> Failure:
    refusal = InvalidInput("Number", "is or was in use; a code is never used again")
    return Failure.of(card.line, "Number", card.number.clear, refusal)


def _declined(card: CardRow, error: ErrorCode) -> Failure:
    if error is ErrorCode.CARD_EXPIRED:
        refusal = InvalidInput("ExpiresOn", "or the pool's expiry has passed: no funds can come in")
    else:
        refusal = InvalidInput("Balance", f"cannot come in: {error.description}")
    value = str(card.expires_on or "") if error is ErrorCode.CARD_EXPIRED else card.balance or ""
    return Failure.of(card.line, str(refusal.field), value, refusal)


def _in_order(rows: Mapping[int, Row], failures: Sequence[Failure]) -> list[tuple[Row, Failure]]:
    return [(rows[each.line], each) for each in sorted(failures, key=lambda each: each.line)]
