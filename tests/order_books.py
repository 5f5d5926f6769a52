"""What can be wrong with the books of orders.

Order 1 is of goods for 100, paid by card 1 (payment 1, 60) and cash (payment 2, 40), of which 70
were given back. Order 2 bought three cards: of a pool, and two new ones, one of them taken back.
Order 3 is pending and has a hold on card 2 (payment 4), order 4 is and has two pieces, card 4 of
the pool and a new one. Order 5 was cancelled and had taken 5 in cash (payment 5). Order 6 is of
goods for 10 in cash.
"""

from tests.damages import Damage

AWAY = "movement_id = movement_id + 1000"


def changed(rule: str, row: object, table: str, where: str, fact: str) -> Damage:
    return Damage(rule, row, f"UPDATE {table} SET {fact} WHERE {where}")


def order(rule: str, row: int, fact: str) -> Damage:
    return changed(rule, row, "customer_order", f"id = {row}", fact)


def payment(rule: str, row: int, fact: str, named: object = None) -> Damage:
    named = row if named is None else named
    return changed(rule, named, "order_payment", f"id = {row}", fact)


def line(rule: str, of: int, fact: str, named: object = None) -> Damage:
    where = f"order_id = {of} AND place = 0"
    return changed(rule, named or of, "order_line", where, fact)


def piece(rule: str, row: str, fact: str, named: object = None) -> Damage:
    of, place = row.split("/")
    where = f"order_id = {of} AND place = {place}"
    return changed(rule, named or row, "order_piece", where, fact)


DAMAGES = [
    order("order-sums", 1, "total = total + 1"),
    order("order-sums", 1, "tax = tax + 1"),
    order("order-sums", 1, "discount = discount + 1"),
    order("order-sums", 2, "subtotal = subtotal + 1"),
    order("order-sums", 1, "goods = goods + 1"),
    line("order-sums", 1, "total = total + 1"),
    order("order-paid", 3, "status = 'PAID'"),
    order("order-paid", 6, "status = 'PENDING'"),
    order("order-paid", 3, "status = 'CANCELLED'"),
    payment("order-paid", 2, "amount = 3999", 1),
    order("order-refunded", 1, "goods_refunded = 7001"),
    payment("order-refunded", 5, "refunded = 499", 5),
    order("order-refund-due", 1, "refund_due = 1001"),
    order("order-refund-due", 5, "refund_due = 0"),
    payment("payment-hold", 1, "status = 'RELEASED'"),
    payment("payment-hold", 4, "status = 'PAID'"),
    payment("payment-hold", 4, "status = 'RELEASED', amount = 1"),
    payment("payment-hold", 4, "amount = 1001"),
    payment("payment-hold", 4, "card_id = 1"),
    payment("payment-hold", 4, AWAY),
    payment("payment-refunded", 1, "refunded = 6001"),
    piece("piece-card", "2/0", AWAY),
    piece("piece-card", "2/0", "card_id = 1"),
    piece("order-refunded", "2/1", "taken_back = TRUE", 2),
    piece("piece-card", "2/1", "taken_back = TRUE"),
    piece("piece-card", "4/0", "card_id = NULL"),
    piece("piece-card", "4/1", "card_id = 1"),
    piece("piece-card", "4/1", "taken_back = TRUE"),
    line("piece-card", 2, "value = value + 1", "2/0"),
    piece("piece-once", "4/0", "card_id = 3", 3),
]
