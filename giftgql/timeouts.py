"""How long things may take, as the settings say: times that make no sense without each other."""

from collections.abc import Mapping
from typing import Any

NO_LESS_THAN = {
    "statement_seconds": (("lock_seconds",),),
    "request_seconds": (
        ("body_seconds",),
        ("silence_seconds",),
        ("pool_seconds", "connect_seconds", "statement_seconds"),
    ),
}
"""Each is no less than any of these sums. Else a lock would be waited for longer than the
statement may run, and a request would end before what it waits for has been given up."""


def check(name: str, seconds: int, others: Mapping[str, Any]) -> None:
    """Raises ValueError where a time is less than what it has to outlast."""
    for names in NO_LESS_THAN[name]:
        if seconds < sum(others.get(each, 0) for each in names):
            listed = " + ".join(f"GIFTGQL_{each.upper()}" for each in names)
            raise ValueError(f"must not be less than {listed}")
