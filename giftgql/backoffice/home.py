"""`GET /office`: the sections that a person may open, and the box in which cards are found."""

from starlette.responses import Response

from giftgql.backoffice.navigation import FINDS_CARDS
from giftgql.backoffice.pages import Visit, shows


@shows()
async def show(visit: Visit) -> Response:
    return visit.page("home.html", finds_cards=visit.may(*FINDS_CARDS))
