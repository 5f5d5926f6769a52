from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func
from sqlalchemy.orm.attributes import flag_modified
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from giftgql.paging import Cut
from giftgql.products.models import Product, ProductSort, Variant
from giftgql.rows import page_query


@dataclass(frozen=True)
class Criteria:
    """What a list of products is narrowed to; None narrows nothing. `name` is a part of it, in
    whatever case."""

    product_id: int | None = None
    name: str | None = None
    is_active: bool | None = None
    currency: str | None = None
    sort: ProductSort = ProductSort.ID
    descending: bool = False


_SORTED_BY: Mapping[ProductSort, Any] = {
    ProductSort.NAME: Product.name,
    ProductSort.CREATED_AT: Product.created_at,
    ProductSort.MODIFIED_AT: Product.modified_at,
}


class ProductRepository:
    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def add(self, product: Product) -> int:
        self.session.add(product)
        await self.session.flush()
        assert product.id is not None
        return product.id

    async def lock(self, product_id: int) -> Product | None:
        query = select(Product).where(Product.id == product_id).with_for_update()
        return (await self.session.exec(query)).first()

    async def lock_shared(self, product_id: int) -> Product | None:
        """A product that nobody may change until the transaction ends."""
        query = select(Product).where(Product.id == product_id).with_for_update(read=True)
        return (await self.session.exec(query)).first()

    async def update(self, product: Product, facts: Mapping[str, Any]) -> None:
        """Write facts of a product, which has changed even if nothing is different."""
        for name, value in facts.items():
            setattr(product, name, value)
        flag_modified(product, "modified_at")
        await self.session.flush()

    async def by_ids(self, product_ids: Collection[int]) -> Sequence[Product]:
        query = select(Product).where(col(Product.id).in_(product_ids))
        return (await self.session.exec(query)).all()

    async def variants(self, product_ids: Collection[int]) -> Sequence[Variant]:
        """The variants of these products, each product's in their order."""
        query = select(Variant).where(col(Variant.product_id).in_(product_ids))
        query = query.order_by(col(Variant.product_id), col(Variant.place))
        return (await self.session.exec(query)).all()

    async def add_variants(self, variants: Sequence[Variant]) -> None:
        self.session.add_all(variants)
        await self.session.flush()

    async def set_place(self, variant: Variant, place: int) -> None:
        variant.place = place
        await self.session.flush()

    async def delete_variants(self, variant_ids: Collection[int]) -> None:
        await self.session.exec(delete(Variant).where(col(Variant.id).in_(variant_ids)))

    async def page(self, cut: Cut, criteria: Criteria) -> Sequence[Product]:
        """One row more than the page shows; removed ones only in a synchronisation."""
        query = select(Product)
        if criteria.product_id is not None:
            query = query.where(Product.id == criteria.product_id)
        if criteria.name is not None:
            part = criteria.name.lower()
            query = query.where(func.lower(Product.name).contains(part, autoescape=True))
        if criteria.is_active is not None:
            query = query.where(Product.is_active == criteria.is_active)
        if criteria.currency is not None:
            query = query.where(Product.currency == criteria.currency)
        if cut.window is None:
            query = query.where(col(Product.removed_at).is_(None))
            if (by := _SORTED_BY.get(criteria.sort)) is not None:
                query = query.order_by(by.desc() if criteria.descending else by)
            if criteria.descending:
                query = query.order_by(col(Product.id).desc())
        return (await self.session.exec(page_query(query, Product, cut))).all()
