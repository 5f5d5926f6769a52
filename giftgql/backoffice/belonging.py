"""The product, pool and campaign of cards, each with its page for whoever may open it."""

from dataclasses import dataclass
from typing import Protocol

from giftgql.backoffice.pages import Visit
from giftgql.campaigns import service as campaigns
from giftgql.permissions import Permission
from giftgql.pools import service as pools
from giftgql.products import service as products
from giftgql.store import Reading


@dataclass(frozen=True)
class Belonging:
    """`path` is empty for who may not open the page."""

    title: str
    name: str
    path: str


class Belongs(Protocol):
    """A card, or what a list of cards is narrowed to."""

    @property
    def product_id(self) -> int | None: ...

    @property
    def pool_id(self) -> int | None: ...

    @property
    def campaign_id(self) -> int | None: ...


async def of(visit: Visit, reading: Reading, what: Belongs) -> list[Belonging]:
    """What a card belongs to; what is not there is left out."""
    found = list[Belonging]()

    def add(title: str, name: str, id_: int, needed: Permission) -> None:
        path = f"/office/{title.lower()}s/{id_}" if visit.may(needed) else ""
        found.append(Belonging(title, name, path))

    if (id_ := what.product_id) and (view := (await products.by_ids(reading, [id_])).get(id_)):
        add("Product", view.product.name, id_, Permission.MANAGE_PRODUCTS)
    if (id_ := what.pool_id) and (pool := (await pools.by_ids(reading, [id_])).get(id_)):
        add("Pool", pool.name, id_, Permission.MANAGE_POOLS)
    if (id_ := what.campaign_id) and (one := (await campaigns.by_ids(reading, [id_])).get(id_)):
        add("Campaign", one.name, id_, Permission.MANAGE_CAMPAIGNS)
    return found
