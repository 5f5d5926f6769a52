"""The server with each movement in a transaction of its own: what coalescing is measured by."""

from giftgql import cli
from giftgql.ledger import coalesce

coalesce.MOST_AT_ONCE = 1

if __name__ == "__main__":
    cli.main()
