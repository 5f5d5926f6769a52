"""All pages of the back office and what is done from them."""

from starlette.routing import Route

from giftgql.backoffice import cards, home, liability

ROUTES = [
    Route("/office", home.show, methods=["GET"]),
    Route("/office/cards", cards.show_all, methods=["GET"]),
    Route("/office/cards/find", cards.find, methods=["POST"]),
    Route("/office/cards/{id:int}", cards.show, methods=["GET"]),
    Route("/office/cards/{id:int}/{action}", cards.act, methods=["POST"]),
    Route("/office/liability", liability.show, methods=["GET"]),
    Route("/office/{path:path}", home.missing, methods=["GET"]),  # the last: it takes all
]
