"""The ledger's pure core under random orders: see `ledger_fuzz`, and `scripts/fuzz-ledger`."""

from collections import Counter

import pytest

from giftgql.errors import ErrorCode
from giftgql.ledger.models import HoldEnding
from tests.ledger_fuzz import Run

SEEDS = 500
DECLINES = (
    *(ErrorCode.INVALID_AMOUNT, ErrorCode.INSUFFICIENT_FUNDS, ErrorCode.CODE_EXPIRED),
    *(ErrorCode.CARD_DISABLED, ErrorCode.CARD_BLOCKED, ErrorCode.CARD_EXPIRED),
    *(ErrorCode.CARD_NOT_ACTIVATED, ErrorCode.PARTIAL_REDEMPTION_NOT_SUPPORTED),
    *(ErrorCode.ALREADY_CAPTURED, ErrorCode.ALREADY_CANCELLED, ErrorCode.AUTHORIZATION_EXPIRED),
    *(ErrorCode.REFUND_EXCEEDS_CAPTURED, ErrorCode.CONFLICT, ErrorCode.CARD_NOT_YET_VALID),
    *(ErrorCode.REDEMPTION_LIMIT_REACHED, ErrorCode.CARD_REPLACED),
)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_random_orders_do_what_the_model_says_and_keep_the_books_right(seed: int) -> None:
    Run(seed).go()


def test_the_random_orders_reach_every_rule() -> None:
    seen: Counter[str] = Counter()
    for seed in range(100):
        seen += Run(seed).go()
    moved = {f"POSTED {kind}" for kind in ("ADD", "USE", "ADJUST", "EXTERNAL", "IMPORT", "EXPIRE")}
    moved |= {"POSTED REFUND", "POSTED TRANSFER", "HELD ADD", "HELD USE", "stale", "nothing"}
    moved |= {"POSTED ADD priced", "POSTED REFUND priced", "replaced", "passed on"}
    assert moved | set(DECLINES) | set(HoldEnding) <= set(seen)
