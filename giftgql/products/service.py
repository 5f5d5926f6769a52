from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from giftgql.audit import service as audit
from giftgql.audit.models import Event
from giftgql.choices import RedemptionStrategy
from giftgql.errors import AboveCeiling, Conflict, InvalidInput, NotFound, NoVariants, StaleRevision
from giftgql.installation import service as installation
from giftgql.paging import Page, cut, page_of
from giftgql.products.expiration import NEVER, Expiration
from giftgql.products.models import Product, Variant
from giftgql.products.repository import Criteria
from giftgql.store import Reading, Transaction

_IS_AUTOMATIC = "This is a pool's product: what it sells for and when it expires is the pool's."


@dataclass(frozen=True)
class Preset:
    """A price and the value that is sold for it, in minor units."""

    price: int
    value: int


@dataclass(frozen=True)
class Range:
    """What a buyer may choose from, in minor units; the price is the value."""

    minimum: int
    maximum: int


@dataclass(frozen=True)
class NewProduct:
    name: str
    currency: str
    presets: Sequence[Preset] = ()
    custom: Range | None = None
    expiration: Expiration = NEVER
    description: str | None = None
    image_url: str | None = None
    is_active: bool = True
    is_automatic: bool = False
    strategy: RedemptionStrategy | None = None


@dataclass(frozen=True)
class ProductChange:
    """What is to be written of a product, if it is still at `revision`. `presets` and `custom`
    are those it shall have, `None` in place of presets leaves them."""

    product_id: int
    revision: int
    facts: Mapping[str, Any]
    expiration: Expiration | None = None
    presets: Sequence[Preset] | None = None
    custom: Range | None = None
    sets_custom: bool = False

    @property
    def is_of_money(self) -> bool:
        return self.expiration is not None or self.presets is not None or self.sets_custom

    @property
    def names(self) -> list[str]:
        """Of what is to be written."""
        given = {"expiration": self.expiration, "presets": self.presets}
        others = [name for name, value in given.items() if value is not None]
        return sorted([*self.facts, *others, *(["custom"] if self.sets_custom else [])])


@dataclass(frozen=True)
class ProductView:
    product: Product
    variants: Sequence[Variant]

    @property
    def expiration(self) -> Expiration:
        return Expiration.of(self.product.expires_on, self.product.expires_after)


async def add(tx: Transaction, new: NewProduct) -> ProductView:
    """Make a product. Refuses `NO_VARIANTS`."""
    if not new.presets and new.custom is None:
        raise NoVariants
    _refuse_too_much(tx, new.presets, new.custom)
    product = Product(
        name=new.name,
        description=new.description,
        image_url=new.image_url,
        currency=new.currency,
        expires_on=new.expiration.on,
        expires_after=new.expiration.after,
        is_active=new.is_active,
        is_automatic=new.is_automatic,
        strategy=new.strategy or tx.settings.strategy,
        created_at=tx.now,
        modified_at=tx.now,
    )
    product_id = await tx.products.add(product)
    variants = _variants(product_id, new.presets, new.custom)
    await tx.products.add_variants(variants)
    if not new.is_automatic:  # what becomes of a pool's product is said of the pool
        await _record(tx, Event.PRODUCT_ADDED, product)
    return ProductView(product, variants)


async def edit(tx: Transaction, change: ProductChange) -> ProductView:
    """Write what is given, if nobody has changed the product since. Cards already sold keep what
    they were sold with. Refuses `STALE_REVISION`, `NO_VARIANTS`."""
    product = await _locked(tx, change.product_id)
    if product.revision != change.revision:
        raise StaleRevision(product.revision)
    if product.is_automatic and change.is_of_money:
        raise Conflict("id", _IS_AUTOMATIC)
    facts = {**change.facts, "revision": product.revision + 1, "modified_at": tx.now}
    if change.expiration is not None:
        facts |= {"expires_on": change.expiration.on, "expires_after": change.expiration.after}
    await tx.products.update(product, facts)
    variants = await tx.products.variants([change.product_id])
    if change.presets is not None or change.sets_custom:
        variants = await _replace_variants(tx, change, variants)
    await _record(tx, Event.PRODUCT_EDITED, product, changed=change.names)
    return ProductView(product, variants)


async def remove(tx: Transaction, product_id: int) -> ProductView:
    """Take a product off the list. Its cards stay as they are."""
    product = await _locked(tx, product_id)
    if product.is_automatic:
        raise Conflict("id", "This is a pool's product; it goes with the pool.")
    await _record(tx, Event.PRODUCT_REMOVED, product)
    return await _removed(tx, product)


async def remove_automatic(tx: Transaction, product_id: int) -> None:
    """Take a pool's product off the list, with the pool."""
    await _removed(tx, await _locked(tx, product_id))


async def set_automatic(tx: Transaction, product_id: int, new: NewProduct) -> None:
    """Let a pool's product sell what the pool says now."""
    product = await _locked(tx, product_id)
    facts = {
        "name": new.name,
        "currency": new.currency,
        "expires_on": new.expiration.on,
        "expires_after": new.expiration.after,
        "revision": product.revision + 1,
        "modified_at": tx.now,
    }
    await tx.products.update(product, facts)
    before = await tx.products.variants([product_id])
    change = ProductChange(
        product_id, product.revision, {}, presets=new.presets, custom=new.custom, sets_custom=True
    )
    await _replace_variants(tx, change, before)


async def sellable(tx: Transaction, product_id: int | None) -> ProductView:
    """A product that can be sold, as it stays until the transaction ends. Refuses `NOT_FOUND`,
    `CONFLICT` where it is not active."""
    return await _for_sale(tx, await tx.products.lock_shared(product_id) if product_id else None)


async def for_sale(reading: Reading, product_id: int) -> ProductView:
    """A product that could be sold now. Refuses as `sellable` does."""
    found = await reading.products.by_ids([product_id])
    return await _for_sale(reading, found[0] if found else None)


def priced(view: ProductView, variant_id: int | None, value: int | None) -> Preset:
    """Price and value of what a buyer chose: a variant, or a value within the custom one."""
    if value is None:
        found = [each for each in view.variants if each.id == variant_id]
        if not found or found[0].price is None or found[0].value is None:
            what = "needs value" if found else "is no variant of the product"
            raise InvalidInput("variantId", what)
        return Preset(found[0].price, found[0].value)
    for each in view.variants:
        if each.minimum is None or each.maximum is None or variant_id not in (None, each.id):
            continue
        if not each.minimum <= value <= each.maximum:
            raise InvalidInput("value", "is not within the product's range")
        return Preset(value, value)
    raise InvalidInput("value", "cannot be chosen: the product has no custom variant")


async def by_ids(reading: Reading, product_ids: Sequence[int]) -> dict[int, ProductView]:
    return {
        view.product.id: view
        for view in await _views(reading, await reading.products.by_ids(product_ids))
        if view.product.id is not None
    }


async def page(
    reading: Reading, criteria: Criteria, *, first: int, skip: int, since: str | None
) -> Page[ProductView]:
    where = cut(first, skip, await installation.window(reading, since, Product, int))
    found = page_of(await reading.products.page(where, criteria), where)
    return Page(await _views(reading, found.rows), found.has_more, found.until)


async def newest(
    reading: Reading, *, name: str | None = None, first: int, skip: int
) -> Page[ProductView]:
    """Products that are there, the newest first; with `name`, those in whose name it is."""
    criteria = Criteria(name=name, descending=True)
    return await page(reading, criteria, first=first, skip=skip, since=None)


async def _views(reading: Reading, products: Sequence[Product]) -> list[ProductView]:
    ids = [product.id for product in products if product.id is not None]
    variants: dict[int, list[Variant]] = {product_id: [] for product_id in ids}
    for variant in await reading.products.variants(ids) if ids else ():
        variants[variant.product_id].append(variant)
    return [ProductView(product, variants[product.id or 0]) for product in products]


async def _for_sale(reading: Reading, product: Product | None) -> ProductView:
    if product is None or product.id is None or product.removed_at is not None:
        raise NotFound("productId", "product")
    if not product.is_active:
        raise Conflict("productId", "The product is not active.")
    return ProductView(product, await reading.products.variants([product.id]))


async def _locked(tx: Transaction, product_id: int) -> Product:
    product = await tx.products.lock(product_id)
    if product is None or product.removed_at is not None:
        raise NotFound("id", "product")
    return product


async def _removed(tx: Transaction, product: Product) -> ProductView:
    assert product.id is not None
    facts = {"removed_at": tx.now, "modified_at": tx.now, "revision": product.revision + 1}
    await tx.products.update(product, facts)
    return ProductView(product, await tx.products.variants([product.id]))


def _refuse_too_much(tx: Transaction, presets: Sequence[Preset], custom: Range | None) -> None:
    """No card can hold more than the ceiling of the settings."""
    ceiling = tx.settings.ceiling_minor
    if any(max(each.price, each.value) > ceiling for each in presets):
        raise AboveCeiling("presets")
    if custom is not None and custom.maximum > ceiling:
        raise AboveCeiling("custom")


def _variants(product_id: int, presets: Sequence[Preset], custom: Range | None) -> list[Variant]:
    variants = [
        Variant(product_id=product_id, place=place, price=each.price, value=each.value)
        for place, each in enumerate(presets)
    ]
    if custom is not None:
        last = len(variants)
        variants.append(
            Variant(
                product_id=product_id, place=last, minimum=custom.minimum, maximum=custom.maximum
            )
        )
    return variants


async def _replace_variants(
    tx: Transaction, change: ProductChange, before: Sequence[Variant]
) -> list[Variant]:
    """Give a product other variants; one that is the same as before keeps its id."""
    presets, custom = change.presets, change.custom
    if presets is None:
        presets = [
            Preset(each.price, each.value)
            for each in before
            if each.price is not None and each.value is not None
        ]
    if not change.sets_custom:
        kept = next((each for each in before if each.is_custom), None)
        custom = Range(kept.minimum or 0, kept.maximum or 0) if kept else None
    if not presets and custom is None:
        raise NoVariants
    _refuse_too_much(tx, presets, custom)
    old, after = {_terms(each): each for each in before}, list[Variant]()
    for each in _variants(change.product_id, presets, custom):
        same = old.pop(_terms(each), None)
        if same is None:
            await tx.products.add_variants([each])
        else:
            await tx.products.set_place(same, each.place)
        after.append(same or each)
    await tx.products.delete_variants([each.id for each in old.values() if each.id is not None])
    return after


def _terms(variant: Variant) -> tuple[int | None, ...]:
    return variant.price, variant.value, variant.minimum, variant.maximum


async def _record(tx: Transaction, event: Event, product: Product, **facts: Any) -> None:
    await audit.record(tx, event, f"product:{product.id}", **facts)
