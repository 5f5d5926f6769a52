"""Products: what is sold, and the page of one."""

from starlette.responses import Response

from giftgql.backoffice import terms
from giftgql.backoffice.listing import ROWS, listing, skipped
from giftgql.backoffice.pages import Visit, shows
from giftgql.errors import NotFound
from giftgql.permissions import Permission
from giftgql.pools import service as pools
from giftgql.products import service as products
from giftgql.values import text

NEEDED = Permission.MANAGE_PRODUCTS


@shows(NEEDED)
async def show_all(visit: Visit) -> Response:
    """`GET /office/products`: the newest first, or those with a part of a name."""
    name = visit.asked("name")
    part = None if name is None else text(name, "name", 55)
    async with visit.read() as reading:
        page = await products.newest(reading, name=part, first=ROWS, skip=skipped(visit))
    return visit.page(
        "products.html",
        listed=listing(visit, page, "name"),
        name=name or "",
        expiry=lambda view: terms.expiry(view.expiration, visit.wording),
    )


@shows(NEEDED)
async def show(visit: Visit) -> Response:
    """`GET /office/products/{id}`."""
    product_id = visit.request.path_params["id"]
    async with visit.read() as reading:
        view = (await products.by_ids(reading, [product_id])).get(product_id)
        if view is None:
            raise NotFound("id", "product")
        pool = await pools.of_product(reading, product_id) if view.product.is_automatic else None
    return visit.page(
        "product.html", view=view, pool=pool, expires=terms.expiry(view.expiration, visit.wording)
    )
