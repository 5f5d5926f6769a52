"""Pools: ready-made cards, and the page of one with what is left of them."""

from starlette.responses import Response

from giftgql.backoffice import stock, terms
from giftgql.backoffice.listing import ROWS, listing, skipped
from giftgql.backoffice.pages import Visit, shows
from giftgql.errors import NotFound
from giftgql.permissions import Permission
from giftgql.pools import service as pools

NEEDED = Permission.MANAGE_POOLS


@shows(NEEDED)
async def show_all(visit: Visit) -> Response:
    """`GET /office/pools`: the newest first."""
    async with visit.read() as reading:
        page = await pools.newest(reading, first=ROWS, skip=skipped(visit))
    return visit.page("pools.html", listed=listing(visit, page))


@shows(NEEDED)
async def show(visit: Visit) -> Response:
    """`GET /office/pools/{id}`."""
    pool_id = visit.request.path_params["id"]
    async with visit.read() as reading:
        pool = (await pools.by_ids(reading, [pool_id])).get(pool_id)
        if pool is None:
            raise NotFound("id", "pool")
        sums = await stock.sums(visit, reading, "pool_id", pool_id, pool.cards)
    expires = terms.expiry(pools.rules(pool).expiration, visit.wording)
    return visit.page("pool.html", pool=pool, sums=sums, expires=expires)
