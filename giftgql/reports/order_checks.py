"""What must hold of orders: of their sums, payments, and the cards that they buy."""

from giftgql.reports.rules import Rule

KEPT = """kept AS (
    SELECT p.order_id, SUM(CASE WHEN p.status = 'PAID' THEN p.amount ELSE 0 END) AS paid,
           SUM(CASE WHEN p.status <> 'RELEASED' THEN p.amount ELSE 0 END) AS amount,
           SUM(CASE WHEN g.amount > p.refunded THEN g.amount ELSE p.refunded END) AS refunded,
           SUM(CASE WHEN g.amount IS NULL THEN p.refunded
                    WHEN p.refunded > g.amount THEN p.refunded - g.amount ELSE 0 END) AS due
    FROM order_payment p LEFT JOIN given g ON g.id = p.movement_id
    GROUP BY p.order_id
)"""
"""What is paid and held of an order; what of that was refunded, by the order or past it; and what
of that went back to no gift card, so that the shop is to give it."""

GIVEN = """given AS (
    SELECT about_id AS id, SUM(amount) AS amount FROM movement
    WHERE type = 'REFUND' AND state = 'POSTED' GROUP BY about_id
)"""
"""What was given back of each movement."""

RETURNED = """returned AS (
    SELECT order_id, SUM(cost) AS cost FROM order_piece WHERE taken_back GROUP BY order_id
)"""
"""What the pieces cost that were never issued, or were taken back."""

ENDED = """ended AS (
    SELECT m.id, m.account_id, m.type, m.amount, COALESCE(e.captured, 0) AS captured
    FROM movement m LEFT JOIN hold_end e ON e.hold_id = m.id WHERE m.state = 'HELD'
)"""
"""Holds with what was captured of them."""

ORDERS = (
    Rule(
        "order-sums",
        "customer_order",
        "An order comes to what its lines come to, and each of them to its parts.",
        """
        SELECT o.id, COALESCE(l.total, 0),
               CAST(o.total AS VARCHAR(20)) || ', of it goods ' || CAST(o.goods AS VARCHAR(20))
        FROM customer_order o LEFT JOIN (
            SELECT order_id, SUM(subtotal) AS subtotal, SUM(discount) AS discount,
                   SUM(tax) AS tax, SUM(total) AS total,
                   SUM(CASE WHEN kind = 'GOODS' THEN total ELSE 0 END) AS goods
            FROM order_line GROUP BY order_id
        ) AS l ON l.order_id = o.id
        WHERE l.order_id IS NULL OR o.subtotal <> l.subtotal OR o.discount <> l.discount
           OR o.tax <> l.tax OR o.total <> l.total OR o.goods <> l.goods
           OR o.total <> o.subtotal - o.discount
                         + CASE WHEN o.prices_include_tax THEN 0 ELSE o.tax END
        """,
    ),
    Rule(
        "order-paid",
        "customer_order",
        "An order is paid when all that it comes to is, and not before.",
        """
        SELECT o.id, CASE o.status WHEN 'PENDING' THEN 'less than ' WHEN 'PAID' THEN 'at least '
                                   ELSE 'nothing held of ' END || CAST(o.total AS VARCHAR(20)),
               COALESCE(k.amount, 0)
        FROM customer_order o LEFT JOIN kept k ON k.order_id = o.id
        WHERE o.status = 'PENDING' AND COALESCE(k.amount - k.refunded, 0) >= o.total
           OR o.status = 'PAID' AND COALESCE(k.paid, 0) < o.total
           OR o.status <> 'PENDING' AND COALESCE(k.paid, 0) <> COALESCE(k.amount, 0)
        """,
        (GIVEN, KEPT),
    ),
    Rule(
        "order-refunded",
        "customer_order",
        "What an order gave back for goods and for cards was given back of its payments, and of a "
        "cancelled one all.",
        """
        SELECT o.id, CASE o.status WHEN 'CANCELLED' THEN COALESCE(k.paid, 0)
                     ELSE o.goods_refunded + COALESCE(r.cost, 0) END,
               COALESCE(k.refunded, 0)
        FROM customer_order o LEFT JOIN kept k ON k.order_id = o.id
        LEFT JOIN returned r ON r.order_id = o.id
        WHERE COALESCE(k.refunded, 0) < CASE o.status WHEN 'CANCELLED' THEN COALESCE(k.paid, 0)
                                        ELSE o.goods_refunded + COALESCE(r.cost, 0) END
        """,
        (GIVEN, KEPT, RETURNED),
    ),
    Rule(
        "order-refund-due",
        "customer_order",
        "The shop is to give back what was refunded of payments and went to no gift card.",
        """
        SELECT o.id, COALESCE(k.due, 0), o.refund_due
        FROM customer_order o LEFT JOIN kept k ON k.order_id = o.id
        WHERE o.refund_due <> COALESCE(k.due, 0)
        """,
        (GIVEN, KEPT),
    ),
    Rule(
        "payment-hold",
        "order_payment",
        "What a gift card pays is held on it, captured once it is paid, and not captured where it "
        "was given back.",
        """
        SELECT p.id, p.status || ' ' || CAST(p.amount AS VARCHAR(20)),
               COALESCE('captured ' || CAST(h.captured AS VARCHAR(20)) || ' of '
                        || CAST(-h.amount AS VARCHAR(20)), 'no hold')
        FROM order_payment p LEFT JOIN ended h
            ON h.id = p.movement_id AND h.account_id = p.card_id AND h.type = 'USE'
        WHERE p.card_id IS NOT NULL AND (
            h.id IS NULL OR p.status = 'PAID' AND h.captured <> p.amount
            OR p.status = 'RELEASED' AND h.captured <> 0
            OR p.status <> 'PAID' AND h.amount <> -p.amount)
        """,
        (ENDED,),
    ),
    Rule(
        "payment-refunded",
        "order_payment",
        "What a paid order gave back to a gift card was given back to it.",
        """
        SELECT p.id, p.refunded, COALESCE(g.amount, 0)
        FROM order_payment p JOIN customer_order o ON o.id = p.order_id
        LEFT JOIN given g ON g.id = p.movement_id
        WHERE o.status = 'PAID' AND p.card_id IS NOT NULL AND COALESCE(g.amount, 0) < p.refunded
        """,
        (GIVEN,),
    ),
    Rule(
        "piece-card",
        "order_piece",
        "Each piece of a paid order is a card with its value on it; of others it is none or, until "
        "they are paid, a pool's; the value of one that was taken back was refunded.",
        """
        SELECT CAST(p.order_id AS VARCHAR(20)) || '/' || CAST(p.place AS VARCHAR(5)),
               CASE WHEN p.taken_back THEN 'taken back ' ELSE '' END || o.status,
               COALESCE('card ' || CAST(p.card_id AS VARCHAR(20)), 'no card') || ', '
               || COALESCE(CAST(m.amount AS VARCHAR(20)), 'nothing') || ' on it'
        FROM order_piece p JOIN customer_order o ON o.id = p.order_id
        LEFT JOIN order_line l ON l.order_id = p.order_id AND l.place = p.line
        LEFT JOIN movement m ON m.id = p.movement_id AND m.account_id = p.card_id
                            AND m.state = 'POSTED' AND m.amount = l.value
        LEFT JOIN movement r ON r.about_id = m.id AND r.type = 'REFUND' AND r.amount = -m.amount
        WHERE l.value IS NULL
           OR o.status <> 'PAID' AND (p.movement_id IS NOT NULL OR p.taken_back)
           OR o.status = 'CANCELLED' AND p.card_id IS NOT NULL
           OR o.status = 'PENDING' AND (p.card_id IS NULL) <> (l.pool_id IS NULL)
           OR o.status = 'PAID' AND NOT p.taken_back AND m.id IS NULL
           OR p.taken_back AND p.movement_id IS NOT NULL AND r.id IS NULL
           OR p.taken_back AND p.movement_id IS NULL AND p.card_id IS NOT NULL
        """,
    ),
    Rule(
        "piece-once",
        "order_piece",
        "A card is bought by one order at a time; the row is the card.",
        """
        SELECT card_id, 1, COUNT(*) FROM order_piece
        WHERE card_id IS NOT NULL AND NOT taken_back GROUP BY card_id HAVING COUNT(*) > 1
        """,
    ),
)
