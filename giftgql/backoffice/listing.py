"""Lists in pages: where one begins, and where the ones before and after are."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from giftgql.backoffice.pages import Visit
from giftgql.paging import Page
from giftgql.values import ID, record_id

ROWS = 50


@dataclass(frozen=True)
class Listing:
    """A page of a list, with the addresses of its neighbours, if it has them."""

    rows: Any
    earlier: str | None
    further: str | None


def skipped(visit: Visit) -> int:
    """How many rows the address passes over."""
    return record_id(ID(visit.asked("skip") or "0")) or 0


def listing(visit: Visit, page: Page[Any], *asked: str) -> Listing:
    """A page of `ROWS`; what the address asks for by these names goes along."""
    skip = skipped(visit)
    kept = {name: value for name in asked if (value := visit.asked(name))}

    def at(skip: int) -> str:
        query = urlencode({**kept, "skip": skip} if skip else kept)
        return f"{visit.request.url.path}?{query}".rstrip("?")

    return Listing(
        page.rows,
        at(max(skip - ROWS, 0)) if skip else None,
        at(skip + ROWS) if page.has_more else None,
    )
