"""Checking the books of cards that were replaced: clean ones give nothing, and every rule of
theirs has been seen to fail."""

from giftgql.store import Store
from tests import heir_books, heirs
from tests.client import Client
from tests.conftest import SetClock
from tests.damages import are_named
from tests.factories import done, funded, hold, movements, refund, undo


async def replaced_cards(admin: Client, store: Store, clock: SetClock) -> None:
    """Cards 1 to 3, each replaced by the next one; a refund that went on from the first to the
    last, and another of which a part came back; a card that keeps its code; one that has a hold."""
    heirs.replace_on_use(store)
    first = await heirs.owned(admin, "100.00")
    one, second = await heirs.replaced(admin, store, first, "-60.00")
    await heirs.replaced(admin, store, second, "-10.00")
    kept = await funded(admin, "10.00")
    assert done(await heirs.use(admin, kept, "-1.00"))["keptWithoutAddress"]
    await hold(admin, await funded(admin, "5.00"), "-1.00")
    clock.forward(seconds=1)
    done(await refund(admin, one["id"], "20.00"))
    done(await refund(admin, one["id"], "5.00", idempotencyKey="back"))
    done(await undo(admin, "back"))
    assert len(await movements(admin)) == 20


async def test_each_row_of_a_replaced_card_that_is_wrong_is_named(
    admin: Client, store: Store, clock: SetClock
) -> None:
    await replaced_cards(admin, store, clock)
    await are_named(store, heir_books.DAMAGES)
