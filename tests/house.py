"""The plan of the house, in tables: features, layers, and who may know whom and what."""

FEATURES = (
    *("openid", "installation", "audit", "requests", "clients", "members", "tries"),
    *("staff", "jobs"),
    *(
        "ledger",
        "seals",
        "products",
        "pools",
        "campaigns",
        "cards",
        "outbox",
        "succession",
        "standing",
    ),
    *(
        "movements",
        "issuing",
        "mail",
        "orders",
        "erasure",
        "webhooks",
        "imports",
        "generation",
        "exports",
        "reports",
    ),
)
"""In their order: each may know those before it."""

LAYERS = {"models": 0, "repository": 10, "service": 20, "inputs": 30, "api": 40}
NOUNS = {
    ("openid", "tokens"): 1,
    ("openid", "calls"): 1,
    ("openid", "provider"): 2,
    ("audit", "criteria"): 1,
    ("ledger", "orders"): 1,
    ("ledger", "books"): 2,
    ("ledger", "reasons"): 3,
    ("ledger", "decide"): 4,
    ("ledger", "coalesce"): 21,
    ("products", "expiration"): 1,
    ("campaigns", "code_config"): 1,
    ("jobs", "ahead"): 1,
    ("jobs", "pace"): 1,
    ("jobs", "runner"): 21,
    ("imports", "card_batch"): 15,
    ("imports", "pool_batch"): 16,
    ("imports", "receiving"): 17,
    ("tries", "rates"): 1,
    ("tries", "gates"): 2,
    ("tries", "failures"): 21,
    ("cards", "criteria"): 1,
    ("cards", "visibility"): 1,
    ("cards", "bulk"): 21,
    ("cards", "stock"): 22,
    ("cards", "found"): 22,
    ("cards", "owners"): 22,
    ("outbox", "mails"): 1,
    ("outbox", "webhooks"): 1,
    ("movements", "criteria"): 1,
    ("webhooks", "addresses"): 1,
    ("webhooks", "calls"): 2,
    ("webhooks", "events"): 3,
    ("webhooks", "of_cards"): 12,
    ("webhooks", "of_orders"): 12,
    ("webhooks", "following"): 21,
    ("webhooks", "delivery"): 21,
    ("mail", "rendering"): 1,
    ("mail", "letters"): 2,
    ("mail", "transports"): 3,
    ("cards", "mentions"): 12,
    ("cards", "presented"): 12,
    ("cards", "views"): 11,
    ("cards", "answers"): 12,
    ("cards", "reveals"): 12,
    ("cards", "inputs"): LAYERS["inputs"],
    ("cards", "shown"): 35,
    ("movements", "inputs"): LAYERS["inputs"],
    ("movements", "admission"): 31,
    ("movements", "commands"): 32,
    ("movements", "shown"): 35,
    ("imports", "headers"): 1,
    ("imports", "csv_rows"): 2,
    ("imports", "failures"): 3,
    ("imports", "cells"): 4,
    ("imports", "card_rows"): 5,
    ("imports", "pool_rows"): 5,
    ("orders", "criteria"): 1,
    ("outbox", "criteria"): 1,
    ("webhooks", "criteria"): 1,
    ("orders", "calculation"): 1,
    ("orders", "asked"): 2,
    ("orders", "refusals"): 1,
    ("orders", "views"): 11,
    ("orders", "pricing"): 12,
    ("orders", "quoting"): 13,
    ("orders", "mails"): 14,
    ("orders", "settling"): 15,
    ("orders", "refunds"): 21,
    ("orders", "basket"): 29,
    ("orders", "inputs"): LAYERS["inputs"],
    ("orders", "commands"): 32,
    ("orders", "shown"): 35,
    ("exports", "pages"): 1,
    ("reports", "rules"): 1,
    ("reports", "movement_checks"): 2,
    ("reports", "order_checks"): 2,
    ("reports", "checks"): 3,
}
"""Modules beside the four, with their layer."""

TYPES = {
    *("models", "ledger.orders", "ledger.books", "products.expiration", "audit.criteria"),
    *("cards.criteria", "cards.views", "cards.presented", "cards.mentions", "movements.criteria"),
    *("outbox.mails", "outbox.webhooks"),
}
"""Where a feature keeps what later ones name; all else of it they do through its service."""

OF_EARLIER_FEATURES = {
    "tokens": set(),
    "provider": set(),
    "models": {"models"},
    "visibility": set(),
    "repository": {"models"},
    "presented": set(),
    "coalesce": {"service"},
    "views": {*TYPES, "service"},
    "answers": {*TYPES, "service"},
    "shown": {*TYPES, "service", "api", "cards.shown"},
    "runner": {"service"},
    "reveals": {"models", "service"},
    "pool_rows": {"products.expiration"},
    "card_batch": {*TYPES, "service", "cards.bulk"},
    "pool_batch": {*TYPES, "service"},
    "receiving": {*TYPES, "service"},
    "events": {*TYPES, "service", "orders.views"},
    "of_cards": {*TYPES, "service"},
    "of_orders": {*TYPES, "service", "orders.views"},
    "following": {*TYPES, "service"},
    "delivery": {*TYPES, "service"},
    "rendering": {"outbox.mails"},
    "letters": {"service"},
    "transports": {"service"},
    "criteria": {"models"},
    "rates": set(),
    "gates": set(),
    "failures": {*TYPES, "service"},
    "found": {*TYPES, "service", "tries.failures"},
    "bulk": {*TYPES, "service"},
    "stock": {*TYPES, "service"},
    "owners": {"service"},
    "calculation": set(),
    "refusals": set(),
    "asked": {"cards.presented", "service"},
    "pricing": {*TYPES, "service"},
    "quoting": {*TYPES, "service"},
    "mails": {*TYPES, "service"},
    "settling": {*TYPES, "service", "cards.stock"},
    "refunds": {*TYPES, "service"},
    "basket": {*TYPES, "service", "api", "movements.inputs"},
    "service": {
        *TYPES,
        *("service", "campaigns.code_config", "cards.bulk", "cards.stock", "jobs.ahead"),
        *("cards.owners", "cards.answers"),
    },
    "inputs": {*TYPES, "service", "api", "movements.inputs"},
    "admission": {*TYPES, "service", "cards.visibility", "tries.failures"},
    "commands": {*TYPES, "service", "movements.admission"},
    "api": {
        *TYPES,
        *("service", "api", "campaigns.code_config", "cards.stock", "cards.shown", "cards.found"),
        "movements.shown",
    },
}
PURE = {"ledger.orders", "ledger.books", "ledger.reasons", "ledger.decide"}
PURE_KNOWS = {"giftgql.errors", "giftgql.money", "giftgql.permissions", "giftgql.ledger.models"}
"""What the rules of money stand on, beside each other."""

TEXTS = {"codes", "durations", "money", "spreadsheets", "campaigns.code_config"}
TEXTS |= {"products.expiration", "imports.headers", "imports.csv_rows", "imports.failures"}
TEXTS |= {"orders.calculation"}
TEXTS |= {"imports.cells", "imports.card_rows", "imports.pool_rows"}
"""They read and make text: no database, no clock, no files of their own."""

ABOVE = {
    *("store", "startup", "doctor", "examination", "server", "schema", "work", "app"),
    *("cli", "cli_audit", "cli_reports", "cli_bulk", "cli_staff", "web", "backoffice"),
    *("condition", "exposition", "backups", "cli_operations"),
}
"""They put features together. Of these a feature knows only the store."""

NAMES_REPOSITORIES = {"store", "startup", "examination", "migrations"}
SQL = {"sqlalchemy", "sqlmodel", "asyncpg", "aiosqlite", "alembic"}
GRAPHQL = {"strawberry", "graphql"}
HTTP = {"starlette", "uvicorn"}
CALLS_OTHERS = {"webhooks.calls", "openid.calls", "network"}
MAY_SQL = {
    *("models", "repository", "columns", "rows"),
    *("database", "examination", "sqlite", "postgres", "outages", "statements", "store"),
    *("startup", "migrations"),
}
MAY_GRAPHQL = {
    "api",
    "basket",
    "inputs",
    "shown",
    "fields",
    "values",
    "context",
    "guard",
    "documents",
    "schema",
}
NO_NAMES = {"utils", "util", "helpers", "helper", "common", "core", "base", "manager", "misc"}
