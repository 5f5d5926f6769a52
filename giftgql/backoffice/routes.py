"""All pages of the back office and what is done from them."""

from starlette.routing import Route

from giftgql.backoffice import (
    audit,
    campaigns,
    cards,
    home,
    imports,
    liability,
    orders,
    outbox,
    pools,
    products,
    webhooks,
)

ROUTES = [
    Route("/office", home.show, methods=["GET"]),
    Route("/office/cards", cards.show_all, methods=["GET"]),
    Route("/office/cards/find", cards.find, methods=["POST"]),
    Route("/office/cards/{id:int}", cards.show, methods=["GET"]),
    Route("/office/cards/{id:int}/{action}", cards.act, methods=["POST"]),
    Route("/office/orders", orders.show_all, methods=["GET"]),
    Route("/office/orders/{id:int}", orders.show, methods=["GET"]),
    Route("/office/orders/{id:int}/{action}", orders.act, methods=["POST"]),
    Route("/office/products", products.show_all, methods=["GET"]),
    Route("/office/products/{id:int}", products.show, methods=["GET"]),
    Route("/office/pools", pools.show_all, methods=["GET"]),
    Route("/office/pools/{id:int}", pools.show, methods=["GET"]),
    Route("/office/campaigns", campaigns.show_all, methods=["GET"]),
    Route("/office/campaigns", campaigns.add, methods=["POST"]),
    Route("/office/campaigns/new", campaigns.new, methods=["GET"]),
    Route("/office/campaigns/new/sample", campaigns.sample, methods=["POST"]),
    Route("/office/campaigns/{id:int}", campaigns.show, methods=["GET"]),
    Route("/office/campaigns/{id:int}/progress", campaigns.progress, methods=["GET"]),
    Route("/office/campaigns/{id:int}/{action}", campaigns.act, methods=["POST"]),
    Route("/office/imports", imports.show_all, methods=["GET"]),
    Route("/office/imports", imports.add, methods=["POST"]),
    Route("/office/imports/{id:int}", imports.show, methods=["GET"]),
    Route("/office/imports/{id:int}/progress", imports.progress, methods=["GET"]),
    Route("/office/liability", liability.show, methods=["GET"]),
    Route("/office/outbox", outbox.show_all, methods=["GET"]),
    Route("/office/outbox/{action}", outbox.act, methods=["POST"]),
    Route("/office/webhooks", webhooks.show_all, methods=["GET"]),
    Route("/office/webhooks/{id:int}", webhooks.show, methods=["GET"]),
    Route("/office/webhooks/{id:int}/{action}", webhooks.act, methods=["POST"]),
    Route("/office/audit", audit.show, methods=["GET"]),
    Route("/office/{path:path}", home.missing, methods=["GET"]),  # the last: it takes all
]
