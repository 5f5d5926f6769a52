"""Checking the books of orders: clean ones give nothing, and every rule of theirs has been seen to
fail."""

from giftgql.reports.checks import RULES
from giftgql.store import Store
from tests import heir_books, order_books, ordering, test_verify
from tests.client import Client
from tests.damages import are_named
from tests.factories import done, funded
from tests.ordering import bought, cash, gift, goods, paying, placed
from tests.stock import pool, product, stocked


async def orders(admin: Client, store: Store) -> None:
    """The orders that `order_books` says."""
    payer, held = await funded(admin, "60.00"), await funded(admin, "50.00")
    boxes = await pool(admin)
    await stocked(store, boxes, 2)
    tax = {"tax": {"rate": "7"}, "discount": {"amount": "7.54"}}
    first = await placed(
        *(admin, goods("101.00", **tax)), giftcards=paying(payer), payments=[cash("40.00")]
    )
    assert first["grandTotal"] == "100.00"
    done(await ordering.refund(admin, first, amount="70.00"))
    made, box = gift(await product(admin), quantity=2), {"giftcard": {"poolId": boxes["id"]}}
    second = await placed(admin, box, made, payments=[cash("150.00")])
    _, _, returned = bought(second)
    done(await ordering.refund(admin, second, giftcards=[returned]))
    await placed(admin, goods("20.00"), giftcards=paying(held, amount="10.00"))
    await placed(admin, box, gift(await product(admin)))
    fifth = await placed(admin, goods("10.00"), payments=[cash("5.00")])
    done(await ordering.cancel(admin, fifth))
    await placed(admin, goods("10.00"), payments=[cash("10.00")])


async def test_each_row_of_an_order_that_is_wrong_is_named(admin: Client, store: Store) -> None:
    await orders(admin, store)
    await are_named(store, order_books.DAMAGES)


def test_every_rule_of_the_books_has_been_seen_to_fail() -> None:
    damages = (*test_verify.DAMAGES, *heir_books.DAMAGES, *order_books.DAMAGES)
    assert {rule for rule, *_ in damages} == {rule.name for rule in RULES}
    assert len({rule.name for rule in RULES}) == len(RULES)
