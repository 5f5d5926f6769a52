"""What can be wrong with the books of orders, and how it is put right again.

Order 1 is of goods for 100, paid by card 1 (payment 1, 60) and cash (payment 2, 40), of which 70
were given back. Order 2 bought three cards: of a pool, and two new ones, one of them taken back.
Order 3 is pending and has a hold on card 2 (payment 4), order 4 is and has two pieces, card 4 of
the pool and a new one. Order 5 was cancelled and had taken 5 in cash (payment 5). Order 6 is of
goods for 10 in cash.
"""

from tests.damages import Damage

AWAY = ("movement_id = movement_id + 1000", "movement_id = movement_id - 1000")


def changed(rule: str, row: object, table: str, where: str, fact: str, before: str) -> Damage:
    change = f"UPDATE {table} SET %s WHERE {where}"
    return Damage(rule, row, change % fact, change % before)


def order(rule: str, row: int, fact: str, before: str) -> Damage:
    return changed(rule, row, "customer_order", f"id = {row}", fact, before)


def payment(rule: str, row: int, fact: str, before: str, named: object = None) -> Damage:
    named = row if named is None else named
    return changed(rule, named, "order_payment", f"id = {row}", fact, before)


def line(rule: str, of: int, fact: str, before: str, named: object = None) -> Damage:
    where = f"order_id = {of} AND place = 0"
    return changed(rule, named or of, "order_line", where, fact, before)


def piece(rule: str, row: str, fact: str, before: str, named: object = None) -> Damage:
    of, place = row.split("/")
    where = f"order_id = {of} AND place = {place}"
    return changed(rule, named or row, "order_piece", where, fact, before)


DAMAGES = [
    order("order-sums", 1, "total = total + 1", "total = total - 1"),
    order("order-sums", 1, "tax = tax + 1", "tax = tax - 1"),
    order("order-sums", 1, "discount = discount + 1", "discount = discount - 1"),
    order("order-sums", 2, "subtotal = subtotal + 1", "subtotal = subtotal - 1"),
    order("order-sums", 1, "goods = goods + 1", "goods = goods - 1"),
    line("order-sums", 1, "total = total + 1", "total = total - 1"),
    order("order-paid", 3, "status = 'PAID'", "status = 'PENDING'"),
    order("order-paid", 6, "status = 'PENDING'", "status = 'PAID'"),
    order("order-paid", 3, "status = 'CANCELLED'", "status = 'PENDING'"),
    payment("order-paid", 2, "amount = 3999", "amount = 4000", 1),
    order("order-refunded", 1, "goods_refunded = 7001", "goods_refunded = 7000"),
    payment("order-refunded", 5, "refunded = 499", "refunded = 500", 5),
    order("order-refund-due", 1, "refund_due = 1001", "refund_due = 1000"),
    order("order-refund-due", 5, "refund_due = 0", "refund_due = 500"),
    payment("payment-hold", 1, "status = 'RELEASED'", "status = 'PAID'"),
    payment("payment-hold", 4, "status = 'PAID'", "status = 'HELD'"),
    payment("payment-hold", 4, "status = 'RELEASED', amount = 1", "status = 'HELD', amount = 1000"),
    payment("payment-hold", 4, "amount = 1001", "amount = 1000"),
    payment("payment-hold", 4, "card_id = 1", "card_id = 2"),
    payment("payment-hold", 4, *AWAY),
    payment("payment-refunded", 1, "refunded = 6001", "refunded = 6000"),
    piece("piece-card", "2/0", *AWAY),
    piece("piece-card", "2/0", "card_id = 1", "card_id = 3"),
    piece("order-refunded", "2/1", "taken_back = TRUE", "taken_back = FALSE", 2),
    piece("piece-card", "2/1", "taken_back = TRUE", "taken_back = FALSE"),
    piece("piece-card", "4/0", "card_id = NULL", "card_id = 4"),
    piece("piece-card", "4/1", "card_id = 1", "card_id = NULL"),
    piece("piece-card", "4/1", "taken_back = TRUE", "taken_back = FALSE"),
    line("piece-card", 2, "value = value + 1", "value = value - 1", "2/0"),
    piece("piece-once", "4/0", "card_id = 3", "card_id = 4", 3),
]
