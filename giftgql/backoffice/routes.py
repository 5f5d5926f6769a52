"""All pages of the back office and what is done from them."""

from starlette.routing import Route

from giftgql.backoffice import cards, home, liability, orders, outbox, webhooks

ROUTES = [
    Route("/office", home.show, methods=["GET"]),
    Route("/office/cards", cards.show_all, methods=["GET"]),
    Route("/office/cards/find", cards.find, methods=["POST"]),
    Route("/office/cards/{id:int}", cards.show, methods=["GET"]),
    Route("/office/cards/{id:int}/{action}", cards.act, methods=["POST"]),
    Route("/office/orders", orders.show_all, methods=["GET"]),
    Route("/office/orders/{id:int}", orders.show, methods=["GET"]),
    Route("/office/orders/{id:int}/{action}", orders.act, methods=["POST"]),
    Route("/office/liability", liability.show, methods=["GET"]),
    Route("/office/outbox", outbox.show_all, methods=["GET"]),
    Route("/office/outbox/{action}", outbox.act, methods=["POST"]),
    Route("/office/webhooks", webhooks.show_all, methods=["GET"]),
    Route("/office/webhooks/{id:int}", webhooks.show, methods=["GET"]),
    Route("/office/webhooks/{id:int}/{action}", webhooks.act, methods=["POST"]),
    Route("/office/{path:path}", home.missing, methods=["GET"]),  # the last: it takes all
]
