"""What must hold of postings, movements, the ends of holds, and requests."""

from giftgql.reports.rules import (
    ALLOWED,
    LINE,
    MOVED,
    NAMED,
    NET,
    ROOT,
    UNDOING,
    Rule,
)

POSTINGS = (
    Rule(
        "posting-amount",
        "posting",
        "A posting moves more than nothing, from one account to another.",
        """
        SELECT row_id, 'more than 0, between two accounts',
               CAST(amount AS VARCHAR(20)) || ', ' || sides
        FROM line WHERE amount <= 0 OR debit_account = credit_account
        """,
        (LINE,),
    ),
    Rule(
        "posting-account",
        "posting",
        "A posting is between accounts that there are.",
        """
        SELECT l.row_id, 'two known accounts', l.sides
        FROM line l LEFT JOIN account d ON d.id = l.debit_account
        LEFT JOIN account c ON c.id = l.credit_account
        WHERE d.id IS NULL AND l.debit_account NOT BETWEEN -7 AND -1
           OR c.id IS NULL AND l.credit_account NOT BETWEEN -7 AND -1
        """,
        (LINE,),
    ),
    Rule(
        "posting-currency",
        "posting",
        "A posting is in the currency of the accounts on both sides, or else of its movement's.",
        """
        SELECT l.row_id, COALESCE(d.currency, a.currency, '?') || ' to '
               || COALESCE(c.currency, a.currency, '?'), l.currency
        FROM line l LEFT JOIN account d ON d.id = l.debit_account
        LEFT JOIN account c ON c.id = l.credit_account
        LEFT JOIN movement m
            ON m.id = l.movement_id AND l.debit_account < 0 AND l.credit_account < 0
        LEFT JOIN account a ON a.id = m.account_id
        WHERE d.currency <> l.currency OR c.currency <> l.currency OR a.currency <> l.currency
        """,
        (LINE,),
    ),
    Rule(
        "posting-movement",
        "posting",
        "A posting is of a movement that there is.",
        """
        SELECT l.row_id, 'a movement', NULL
        FROM line l LEFT JOIN movement m ON m.id = l.movement_id WHERE m.id IS NULL
        """,
        (LINE,),
    ),
    Rule(
        "posting-against",
        "posting",
        "A posting is between its movement's account and what its type stands against; with a "
        "price, that is tender, and in line 1 promotion.",
        """
        SELECT l.row_id, COALESCE(r.type, m.type) || ' of account '
               || CAST(m.account_id AS VARCHAR(20))
               || COALESCE(' against ' || CAST(m.against AS VARCHAR(20)), ''), l.sides
        FROM line l JOIN movement m ON m.id = l.movement_id
        LEFT JOIN root r ON r.id = m.id
        LEFT JOIN allowed a ON a.type = COALESCE(r.type, m.type)
        WHERE CASE
            WHEN m.price IS NOT NULL AND l.line = 1
                THEN -4 NOT IN (l.debit_account, l.credit_account)
                     OR NOT (m.account_id IN (l.debit_account, l.credit_account)
                             OR -1 IN (l.debit_account, l.credit_account))
            WHEN l.line <> 0 THEN TRUE
            WHEN m.type = 'TRANSFER'
                THEN l.debit_account <> m.account_id OR l.credit_account <= 0
            ELSE m.account_id NOT IN (l.debit_account, l.credit_account)
                 OR COALESCE(a.account, 0) NOT IN (l.debit_account, l.credit_account)
                 OR m.price IS NULL
                    AND COALESCE(m.against NOT IN (l.debit_account, l.credit_account), FALSE)
        END
        """,
        (UNDOING, ROOT, ALLOWED, LINE),
    ),
)

MOVEMENTS = (
    Rule(
        "movement-refers",
        "movement",
        "The account, the code and the other movement that a movement names are there.",
        """
        SELECT m.id, 'account, code and other movement',
               CASE WHEN a.id IS NULL THEN 'no account ' || CAST(m.account_id AS VARCHAR(20))
                    WHEN m.about_id IS NOT NULL AND o.id IS NULL
                        THEN 'no movement ' || CAST(m.about_id AS VARCHAR(20))
                    ELSE 'no code ' || CAST(m.code_id AS VARCHAR(20)) END
        FROM movement m LEFT JOIN account a ON a.id = m.account_id
        LEFT JOIN movement o ON o.id = m.about_id
        LEFT JOIN code c ON c.id = m.code_id
        WHERE a.id IS NULL OR m.about_id IS NOT NULL AND o.id IS NULL
           OR m.code_id IS NOT NULL AND c.id IS NULL
        """,
    ),
    Rule(
        "movement-state",
        "movement",
        "Only a declined movement has an error; only a hold has an end of its time.",
        """
        SELECT id, state || ' ' || type,
               COALESCE(error, 'no error') || ', '
               || CASE WHEN hold_until IS NULL THEN 'no end' ELSE 'an end' END
        FROM movement WHERE CASE state
            WHEN 'DECLINED' THEN error IS NULL
            WHEN 'POSTED' THEN error IS NOT NULL OR hold_until IS NOT NULL
            WHEN 'HELD' THEN error IS NOT NULL OR hold_until IS NULL
                             OR type IN ('REFUND', 'TRANSFER', 'EXPIRE')
            ELSE TRUE
        END
        """,
    ),
    Rule(
        "movement-amount",
        "movement",
        "What counts has an amount of its type's sign, and a use takes no more than was asked.",
        """
        SELECT id, type || ' of ' || CAST(asked AS VARCHAR(20)), amount
        FROM movement WHERE state IN ('POSTED', 'HELD') AND CASE type
            WHEN 'ADD' THEN amount <= 0
            WHEN 'USE' THEN amount >= 0 OR -amount > ABS(asked)
            ELSE amount = 0
        END
        """,
    ),
    Rule(
        "movement-price",
        "movement",
        "Only what was added has a price, and refunds of that; against promotion if it is nothing.",
        """
        SELECT m.id, COALESCE(r.type, m.type) || ' ' || m.state || CASE
                   WHEN m.type <> 'REFUND' THEN ''
                   WHEN u.price IS NULL THEN ' of what has no price'
                   ELSE ' of what cost ' || CAST(u.price AS VARCHAR(20)) END,
               COALESCE(CAST(m.price AS VARCHAR(20)), 'no price')
               || COALESCE(' against ' || CAST(m.against AS VARCHAR(20)), '')
        FROM movement m LEFT JOIN root r ON r.id = m.id
        LEFT JOIN movement u ON u.id = m.about_id AND m.type = 'REFUND' AND m.state = 'POSTED'
        WHERE CASE
            WHEN m.type = 'REFUND' AND m.state = 'POSTED' AND (m.price IS NULL) <> (u.price IS NULL)
                THEN TRUE
            WHEN m.price IS NULL THEN FALSE
            ELSE m.price < 0 OR m.state <> 'POSTED' OR COALESCE(r.type, m.type) <> 'ADD'
                 OR m.against IS NULL OR m.against <> CASE m.price WHEN 0 THEN -4 ELSE -1 END
        END
        """,
        (UNDOING, ROOT),
    ),
    Rule(
        "movement-paid",
        "movement",
        "What tender gave for an addition, or got back of it, is the movement's price.",
        """
        SELECT m.id, CASE WHEN m.amount > 0 THEN m.price ELSE -m.price END,
               COALESCE(SUM(p.amount), 0)
        FROM movement m LEFT JOIN (
            SELECT movement_id, amount FROM posting WHERE debit_account = -1
            UNION ALL
            SELECT movement_id, -amount FROM posting WHERE credit_account = -1
        ) AS p ON p.movement_id = m.id
        WHERE m.price IS NOT NULL
        GROUP BY m.id, m.amount, m.price
        HAVING COALESCE(SUM(p.amount), 0) <> CASE WHEN m.amount > 0 THEN m.price ELSE -m.price END
        """,
    ),
    Rule(
        "movement-balance",
        "movement",
        "No movement leaves less than nothing available.",
        "SELECT id, '0 or more', balance FROM movement WHERE balance < 0",
    ),
    Rule(
        "movement-lines",
        "movement",
        "What was posted or captured has postings of its own; nothing else has.",
        """
        SELECT m.id, CASE WHEN m.must THEN 'postings' ELSE 'no posting' END,
               CASE WHEN m.must THEN 'no posting' ELSE 'postings' END
        FROM (
            SELECT m.id, CASE m.state
                WHEN 'POSTED' THEN m.type <> 'TRANSFER' OR m.amount < 0
                WHEN 'HELD' THEN COALESCE(e.captured > 0, FALSE)
                ELSE FALSE
            END AS must
            FROM movement m LEFT JOIN hold_end e ON e.hold_id = m.id
        ) AS m
        WHERE m.must <> EXISTS (SELECT 1 FROM posting p WHERE p.movement_id = m.id)
        """,
    ),
    Rule(
        "movement-posted",
        "movement",
        "The postings of a movement come to its amount, those of a hold to what was captured.",
        """
        SELECT m.id, CASE WHEN m.state = 'POSTED' THEN m.amount
                          WHEN m.amount < 0 THEN -e.captured ELSE e.captured END, n.amount
        FROM net n JOIN movement m ON m.id = n.id LEFT JOIN hold_end e ON e.hold_id = m.id
        WHERE m.state IN ('POSTED', 'HELD')
          AND n.amount <> CASE WHEN m.state = 'POSTED' THEN m.amount
                               WHEN m.amount < 0 THEN -e.captured ELSE e.captured END
        """,
        (NET,),
    ),
    Rule(
        "transfer-incoming",
        "movement",
        "The incoming half of a transfer is about the outgoing one, which posted just that to it.",
        """
        SELECT i.id,
               CAST(-i.amount AS VARCHAR(20)) || ' to ' || CAST(i.account_id AS VARCHAR(20)),
               CAST(o.amount AS VARCHAR(20)) || ' to ' || CAST(p.credit_account AS VARCHAR(20))
        FROM movement i LEFT JOIN movement o
            ON o.id = i.about_id AND o.type = 'TRANSFER' AND o.state = 'POSTED'
        LEFT JOIN posting p ON p.movement_id = o.id AND p.line = 0
        WHERE i.type = 'TRANSFER' AND i.state = 'POSTED' AND i.amount > 0
          AND (o.id IS NULL OR o.amount <> -i.amount OR p.credit_account IS NULL
               OR p.credit_account <> i.account_id)
        """,
    ),
    Rule(
        "transfer-outgoing",
        "movement",
        "The outgoing half of a transfer has one incoming half.",
        """
        SELECT o.id, 1, COUNT(i.id)
        FROM movement o LEFT JOIN movement i
            ON i.about_id = o.id AND i.type = 'TRANSFER' AND i.state = 'POSTED' AND i.amount > 0
        WHERE o.type = 'TRANSFER' AND o.state = 'POSTED' AND o.amount < 0
        GROUP BY o.id HAVING COUNT(i.id) <> 1
        """,
    ),
    Rule(
        "refund-about",
        "movement",
        "A refund undoes what moved on the same account, with the opposite sign.",
        """
        SELECT r.id, 'the opposite of what moved', CASE
                WHEN r.about_id IS NULL THEN 'about nothing'
                WHEN m.id IS NULL THEN 'about what did not move'
                WHEN m.account_id <> r.account_id THEN 'on another account'
                ELSE 'of the same sign' END
        FROM movement r LEFT JOIN moved m ON m.id = r.about_id
        WHERE r.type = 'REFUND' AND r.state = 'POSTED'
          AND (m.id IS NULL OR m.account_id <> r.account_id OR (m.amount > 0) = (r.amount > 0))
        """,
        (MOVED,),
    ),
    Rule(
        "refund-sum",
        "movement",
        "Refunds of a movement, less what of them was undone, are no more than it moved.",
        """
        SELECT m.id, m.amount, -r.amount
        FROM (SELECT undone, SUM(amount) AS amount FROM undoing GROUP BY undone) AS r
        JOIN moved m ON m.id = r.undone
        WHERE CASE WHEN m.amount > 0 THEN -r.amount NOT BETWEEN 0 AND m.amount
                   ELSE -r.amount NOT BETWEEN m.amount AND 0 END
        """,
        (MOVED, UNDOING),
    ),
    Rule(
        "refund-price",
        "movement",
        "Refunds give back no more than the price, nothing of it where they are undone, and all "
        "of it with the whole amount.",
        """
        SELECT id, SUM(price), SUM(back) FROM (
            SELECT id, amount, price, 0 AS refunded, 0 AS back FROM movement
            WHERE type = 'ADD' AND price IS NOT NULL
            UNION ALL
            SELECT undone, 0, NULL, -amount, CASE WHEN amount < 0 THEN price ELSE -price END
            FROM undoing WHERE price IS NOT NULL
        ) AS part GROUP BY id
        HAVING SUM(price) IS NOT NULL AND (
            SUM(back) NOT BETWEEN 0 AND SUM(price) OR SUM(refunded) = 0 AND SUM(back) <> 0
            OR SUM(refunded) = SUM(amount) AND SUM(back) <> SUM(price)
        )
        """,
        (UNDOING,),
    ),
)

HOLD_ENDS = (
    Rule(
        "hold-end-hold",
        "hold_end",
        "What ended was a hold.",
        """
        SELECT e.hold_id, 'HELD', m.state
        FROM hold_end e LEFT JOIN movement m ON m.id = e.hold_id
        WHERE m.id IS NULL OR m.state <> 'HELD'
        """,
    ),
    Rule(
        "hold-end-sum",
        "hold_end",
        "Captured and released together are what was held.",
        """
        SELECT e.hold_id, ABS(m.amount), CAST(e.captured AS VARCHAR(20)) || ' captured, '
               || CAST(e.released AS VARCHAR(20)) || ' released'
        FROM hold_end e JOIN movement m ON m.id = e.hold_id
        WHERE e.captured + e.released <> ABS(m.amount) OR e.captured < 0 OR e.released < 0
        """,
    ),
    Rule(
        "hold-end-captured",
        "hold_end",
        "A capture takes something; a hold that was cancelled or timed out gave nothing.",
        """
        SELECT hold_id, ending, CAST(captured AS VARCHAR(20)) || ' captured'
        FROM hold_end
        WHERE CASE ending WHEN 'CAPTURED' THEN captured <= 0
                          WHEN 'CANCELLED' THEN captured <> 0
                          WHEN 'TIMED_OUT' THEN captured <> 0 ELSE TRUE END
        """,
    ),
    Rule(
        "hold-end-time",
        "hold_end",
        "No hold is captured after its time, and none times out before.",
        """
        SELECT e.hold_id, m.hold_until, e.created_at
        FROM hold_end e JOIN movement m ON m.id = e.hold_id
        WHERE e.ending = 'CAPTURED' AND e.created_at > m.hold_until
           OR e.ending = 'TIMED_OUT' AND e.created_at < m.hold_until
        """,
    ),
    Rule(
        "hold-end-balance",
        "hold_end",
        "No end of a hold leaves less than nothing available.",
        "SELECT hold_id, '0 or more', balance FROM hold_end WHERE balance < 0",
    ),
)

REQUESTS = (
    Rule(
        "request-movement",
        "request",
        "The movement that a repeated request is answered from is there.",
        """
        SELECT n.row_id, 'movement ' || n.movement, NULL
        FROM named n LEFT JOIN movement m ON m.id = CASE
            WHEN LTRIM(n.movement, '0123456789') = '' AND LENGTH(n.movement) < 20
            THEN CAST(n.movement AS BIGINT) END
        WHERE n.movement IS NOT NULL AND m.id IS NULL
        """,
        (NAMED,),
    ),
    Rule(
        "request-end",
        "request",
        "The end of a hold that a repeated request is answered from is there.",
        """
        SELECT n.row_id, 'end of hold ' || n.ended, NULL
        FROM named n LEFT JOIN hold_end e ON e.hold_id = CASE
            WHEN LTRIM(n.ended, '0123456789') = '' AND LENGTH(n.ended) < 20
            THEN CAST(n.ended AS BIGINT) END
        WHERE n.ended IS NOT NULL AND e.hold_id IS NULL
        """,
        (NAMED,),
    ),
)
