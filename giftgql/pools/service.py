from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from giftgql.audit import service as audit
from giftgql.audit.models import Event
from giftgql.errors import Conflict, ErrorCode, NotFound, Refusal
from giftgql.installation import service as installation
from giftgql.paging import Page, cut, page_of
from giftgql.pools.models import Pool
from giftgql.pools.repository import Criteria
from giftgql.products import service as products
from giftgql.products.expiration import NEVER, Expiration
from giftgql.products.service import NewProduct, Preset, Range
from giftgql.store import Reading, Transaction

_IS_TAKEN = "A pool with this system name is there already."


class PoolFrozen(Refusal):
    code, field = ErrorCode.POOL_FROZEN, "id"

    def __init__(self) -> None:
        super().__init__("The pool holds cards: of it only the name can be changed.")


class PoolNotEmpty(Refusal):
    code, field = ErrorCode.POOL_NOT_EMPTY, "id"

    def __init__(self, cards: int) -> None:
        super().__init__("The pool holds cards; only an empty one can be removed.", cards=cards)


@dataclass(frozen=True)
class PoolRules:
    """What holds for all cards of a pool. `face_value` None: each card has its own."""

    name: str
    system_name: str
    currency: str
    face_value: int | None
    partial_redemption: bool = True
    is_cvv_required: bool = False
    expiration: Expiration = NEVER

    @property
    def columns(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "system_name": self.system_name,
            "currency": self.currency,
            "face_value": self.face_value,
            "partial_redemption": self.partial_redemption,
            "is_cvv_required": self.is_cvv_required,
            "expires_on": self.expiration.on,
            "expires_after": self.expiration.after,
        }

    def product(self, ceiling: int) -> NewProduct:
        """The product with which its cards are sold."""
        value = self.face_value
        return NewProduct(
            name=self.name,
            currency=self.currency,
            presets=[] if value is None else [Preset(value, value)],
            custom=Range(1, ceiling) if value is None else None,
            expiration=self.expiration,
            is_automatic=True,
        )


def rules(pool: Pool) -> PoolRules:
    return PoolRules(
        name=pool.name,
        system_name=pool.system_name,
        currency=pool.currency,
        face_value=pool.face_value,
        partial_redemption=pool.partial_redemption,
        is_cvv_required=pool.is_cvv_required,
        expiration=Expiration.of(pool.expires_on, pool.expires_after),
    )


async def add(tx: Transaction, wanted: PoolRules) -> Pool:
    """Make a pool and its product. Refuses `CONFLICT` where the system name is taken."""
    await _refuse_taken(tx, wanted.system_name)
    view = await products.add(tx, wanted.product(tx.settings.ceiling_minor))
    assert view.product.id is not None
    pool = Pool(product_id=view.product.id, **wanted.columns, created_at=tx.now, modified_at=tx.now)
    pool_id = await tx.pools.add(pool)
    if pool_id is None:
        raise Conflict("systemName", _IS_TAKEN)
    await audit.record(tx, Event.POOL_ADDED, f"pool:{pool_id}", system_name=wanted.system_name)
    return await _locked(tx, pool_id)


async def edit(tx: Transaction, pool_id: int, given: Mapping[str, Any]) -> Pool:
    """Write what is given of a pool's rules, and its product with them. Refuses `POOL_FROZEN`
    where it holds cards and more than its name would change."""
    pool = await _locked(tx, pool_id)
    before = rules(pool)
    after = replace(before, **given)
    if pool.cards and replace(after, name=before.name) != before:
        raise PoolFrozen
    if after == before:
        return pool
    if after.system_name != before.system_name:
        await _refuse_taken(tx, after.system_name)
        if not await tx.pools.rename(pool_id, after.system_name):
            raise Conflict("systemName", _IS_TAKEN)
    await products.set_automatic(tx, pool.product_id, after.product(tx.settings.ceiling_minor))
    await tx.pools.update(pool, {**after.columns, "modified_at": tx.now})
    changed = sorted(name for name, value in after.columns.items() if before.columns[name] != value)
    await audit.record(tx, Event.POOL_EDITED, f"pool:{pool_id}", changed=changed)
    return pool


async def remove(tx: Transaction, pool_id: int) -> Pool:
    """Remove an empty pool, and its product. Refuses `POOL_NOT_EMPTY`."""
    pool = await _locked(tx, pool_id)
    if pool.cards:
        raise PoolNotEmpty(pool.cards)
    await products.remove_automatic(tx, pool.product_id)
    await tx.pools.update(pool, {"removed_at": tx.now, "modified_at": tx.now})
    await audit.record(tx, Event.POOL_REMOVED, f"pool:{pool_id}")
    return pool


async def of_product(reading: Reading, product_id: int) -> Pool | None:
    """The pool whose product this is."""
    return await reading.pools.by_product(product_id)


async def find(reading: Reading, system_name: str) -> Pool | None:
    return await reading.pools.by_system_name(system_name)


async def by_ids(reading: Reading, pool_ids: Sequence[int]) -> dict[int, Pool]:
    return {pool.id: pool for pool in await reading.pools.by_ids(pool_ids) if pool.id is not None}


async def held(tx: Transaction, system_names: Collection[str]) -> dict[str, Pool]:
    """Pools by system name, as they stay until the transaction ends."""
    return {pool.system_name: pool for pool in await tx.pools.lock_all(system_names)}


async def count(tx: Transaction, pool_id: int, more: int) -> None:
    """Count cards that this transaction adds to a pool, or takes from it."""
    await tx.pools.count(pool_id, more, at=tx.now)


async def page(
    reading: Reading, criteria: Criteria, *, first: int, skip: int, since: str | None
) -> Page[Pool]:
    where = cut(first, skip, await installation.window(reading, since, Pool, int))
    return page_of(await reading.pools.page(where, criteria), where)


async def newest(reading: Reading, *, first: int, skip: int) -> Page[Pool]:
    """All pools that are there, the newest first."""
    where = cut(first, skip)
    return page_of(await reading.pools.page(where, Criteria(newest_first=True)), where)


async def _locked(tx: Transaction, pool_id: int) -> Pool:
    pool = await tx.pools.lock(pool_id)
    if pool is None or pool.removed_at is not None:
        raise NotFound("id", "pool")
    return pool


async def _refuse_taken(tx: Transaction, system_name: str) -> None:
    if await tx.pools.by_system_name(system_name) is not None:
        raise Conflict("systemName", _IS_TAKEN)
