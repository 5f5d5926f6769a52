"""Where the back office begins, and ends."""

from starlette.responses import Response

from giftgql.backoffice.navigation import FINDS_CARDS
from giftgql.backoffice.pages import Visit, shows
from giftgql.errors import NotFound


@shows()
async def show(visit: Visit) -> Response:
    """`GET /office`: the sections that a person may open, and the box in which cards are found."""
    return visit.page("home.html", finds_cards=visit.may(*FINDS_CARDS))


@shows()
async def missing(_: Visit) -> Response:
    """Any other address under `/office`."""
    raise NotFound("path", "page")
