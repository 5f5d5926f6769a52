"""The invariants of the books, each a statement that finds the rows against it.

A statement gives `row_id`, `expected` and `found`, runs on both databases, and trusts nothing that
it can recompute. Here stand those of cards and accounts; the others in `movement_checks` and
`order_checks`.
"""

from giftgql.reports.movement_checks import HOLD_ENDS, MOVEMENTS, POSTINGS, REQUESTS
from giftgql.reports.order_checks import ORDERS
from giftgql.reports.rules import HEIRS, MOVED, OPEN_HOLDS, ROOT, UNDOING, Rule

CARDS = (
    Rule(
        "card-account",
        "gift_card",
        "Each card has its account, in its currency.",
        """
        SELECT c.id, c.currency, a.currency
        FROM gift_card c LEFT JOIN account a ON a.id = c.id
        WHERE a.id IS NULL OR a.currency <> c.currency
        """,
    ),
    Rule(
        "account-card",
        "account",
        "Each account has its card.",
        """
        SELECT a.id, 'a card', NULL
        FROM account a LEFT JOIN gift_card c ON c.id = a.id
        WHERE c.id IS NULL
        """,
    ),
    Rule(
        "code-replaced",
        "code",
        "A card that was replaced has no live code; only such a card's codes have ended with it.",
        """
        SELECT c.id, CASE WHEN a.replaced_by IS NULL THEN 'no CARD_REPLACED' ELSE 'an end' END,
               COALESCE(c.ending, 'live')
        FROM code c JOIN account a ON a.id = c.card_id
        WHERE a.replaced_by IS NOT NULL AND c.ended_at IS NULL
           OR a.replaced_by IS NULL AND c.ending = 'CARD_REPLACED'
        """,
    ),
)

ACCOUNTS = (
    Rule(
        "account-posted",
        "account",
        "What is on the books is the sum of the account's postings.",
        """
        SELECT a.id, COALESCE(s.amount, 0), a.posted
        FROM account a LEFT JOIN (
            SELECT id, SUM(amount) AS amount FROM (
                SELECT credit_account AS id, amount FROM posting WHERE credit_account > 0
                UNION ALL
                SELECT debit_account, -amount FROM posting WHERE debit_account > 0
            ) AS entry GROUP BY id
        ) AS s ON s.id = a.id
        WHERE a.posted <> COALESCE(s.amount, 0)
        """,
    ),
    Rule(
        "account-held",
        "account",
        "What is held is the sum of the account's open holds that take funds.",
        """
        SELECT a.id, COALESCE(s.amount, 0), a.held
        FROM account a LEFT JOIN (
            SELECT account_id, SUM(-amount) AS amount FROM open_hold
            WHERE amount < 0 GROUP BY account_id
        ) AS s ON s.account_id = a.id
        WHERE a.held <> COALESCE(s.amount, 0)
        """,
        (OPEN_HOLDS,),
    ),
    Rule(
        "account-open-holds",
        "account",
        "As many holds are counted as are open.",
        """
        SELECT a.id, COALESCE(s.holds, 0), a.open_holds
        FROM account a LEFT JOIN (
            SELECT account_id, COUNT(*) AS holds FROM open_hold GROUP BY account_id
        ) AS s ON s.account_id = a.id
        WHERE a.open_holds <> COALESCE(s.holds, 0)
        """,
        (OPEN_HOLDS,),
    ),
    Rule(
        "account-available",
        "account",
        "No account has less than nothing available, and none holds less than nothing.",
        """
        SELECT id, 'posted >= held >= 0',
               CAST(posted AS VARCHAR(20)) || ' posted, ' || CAST(held AS VARCHAR(20)) || ' held'
        FROM account WHERE held < 0 OR posted - held < 0
        """,
    ),
    Rule(
        "account-lifetime",
        "account",
        "The lifetime total is the sum of what was ever added.",
        """
        SELECT a.id, COALESCE(s.amount, 0), a.lifetime
        FROM account a LEFT JOIN (
            SELECT account_id, SUM(amount) AS amount FROM moved
            WHERE amount > 0 AND type IN ('ADD', 'ADJUST', 'EXTERNAL', 'IMPORT', 'TRANSFER')
            GROUP BY account_id
        ) AS s ON s.account_id = a.id
        WHERE a.lifetime <> COALESCE(s.amount, 0)
        """,
        (MOVED,),
    ),
    Rule(
        "account-redeemed",
        "account",
        "What is redeemed is what was used, less what of that was refunded.",
        """
        SELECT a.id, COALESCE(s.amount, 0), a.redeemed
        FROM account a LEFT JOIN (
            SELECT account_id, SUM(-amount) AS amount FROM (
                SELECT account_id, amount FROM moved WHERE type = 'USE'
                UNION ALL
                SELECT account_id, amount FROM root WHERE type = 'USE'
            ) AS used GROUP BY account_id
        ) AS s ON s.account_id = a.id
        WHERE a.redeemed <> COALESCE(s.amount, 0)
        """,
        (MOVED, UNDOING, ROOT),
    ),
    Rule(
        "account-uses",
        "account",
        "As many uses are counted as are held or have moved more than was refunded of them.",
        """
        SELECT a.id, COALESCE(s.uses, 0), a.uses
        FROM account a LEFT JOIN (
            SELECT account_id, COUNT(*) AS uses FROM (
                SELECT account_id FROM (
                    SELECT id, account_id, amount, 1 AS uses FROM moved WHERE type = 'USE'
                    UNION ALL
                    SELECT id, account_id, amount, 1 FROM open_hold WHERE type = 'USE'
                    UNION ALL
                    SELECT undone, account_id, amount, 0 FROM undoing
                ) AS part GROUP BY id, account_id HAVING SUM(uses) > 0 AND SUM(amount) <> 0
            ) AS used GROUP BY account_id
        ) AS s ON s.account_id = a.id
        WHERE a.uses <> COALESCE(s.uses, 0)
        """,
        (MOVED, UNDOING, OPEN_HOLDS),
    ),
    Rule(
        "account-opened",
        "account",
        "The first funds of an account that has a face value were just that.",
        """
        SELECT a.id, a.opens_with, MAX(f.amount)
        FROM account a JOIN (
            SELECT m.account_id, m.amount,
                   RANK() OVER (PARTITION BY m.account_id ORDER BY m.moved_at) AS place
            FROM moved m JOIN account o ON o.id = m.account_id
            WHERE o.opens_with IS NOT NULL AND m.amount > 0
              AND m.type IN ('ADD', 'ADJUST', 'EXTERNAL', 'IMPORT', 'TRANSFER')
        ) AS f ON f.account_id = a.id AND f.place = 1
        GROUP BY a.id, a.opens_with
        HAVING MAX(CASE WHEN f.amount = a.opens_with THEN 1 ELSE 0 END) = 0
        """,
        (MOVED,),
    ),
    Rule(
        "account-totals",
        "account",
        "Neither the lifetime total nor what is redeemed or subtracted of it is below zero.",
        """
        SELECT id, 'none below 0',
               CAST(lifetime AS VARCHAR(20)) || ' - ' || CAST(redeemed AS VARCHAR(20)) || ' - '
               || CAST(lifetime - redeemed - posted AS VARCHAR(20))
        FROM account WHERE lifetime < 0 OR redeemed < 0 OR lifetime - redeemed < posted
        """,
    ),
    Rule(
        "account-revived",
        "account",
        "No more funds are revived than had expired.",
        """
        SELECT account_id, '0 or less', SUM(amount) FROM moved
        WHERE type = 'EXPIRE' GROUP BY account_id HAVING SUM(amount) > 0
        """,
        (MOVED,),
    ),
    Rule(
        "account-next-hold-end",
        "account",
        "An account with an open hold knows a moment before which none ends.",
        """
        SELECT a.id, s.ends_at, a.next_hold_end
        FROM account a JOIN (
            SELECT account_id, MIN(hold_until) AS ends_at FROM open_hold GROUP BY account_id
        ) AS s ON s.account_id = a.id
        WHERE a.next_hold_end IS NULL OR a.next_hold_end > s.ends_at
        """,
        (OPEN_HOLDS,),
    ),
    Rule(
        "account-due",
        "account",
        "The sweep knows of every account where a hold may end or funds expire.",
        """
        SELECT id, COALESCE(next_hold_end, valid_until), due_at FROM account
        WHERE COALESCE(due_at > next_hold_end, next_hold_end IS NOT NULL)
           OR posted > held AND NOT blocked
              AND COALESCE(due_at > valid_until, valid_until IS NOT NULL)
        """,
    ),
    Rule(
        "account-closed",
        "account",
        "A closed account has no money and no open hold.",
        """
        SELECT a.id, '0 posted, 0 open',
               CAST(a.posted AS VARCHAR(20)) || ' posted, '
               || CAST(COUNT(h.id) AS VARCHAR(20)) || ' open'
        FROM account a LEFT JOIN open_hold h ON h.account_id = a.id
        WHERE a.closed GROUP BY a.id, a.posted HAVING a.posted <> 0 OR COUNT(h.id) > 0
        """,
        (OPEN_HOLDS,),
    ),
    Rule(
        "account-replaced",
        "account",
        "An account that was replaced has no money and no open hold.",
        """
        SELECT a.id, '0 posted, 0 open',
               CAST(a.posted AS VARCHAR(20)) || ' posted, '
               || CAST(COUNT(h.id) AS VARCHAR(20)) || ' open'
        FROM account a LEFT JOIN open_hold h ON h.account_id = a.id
        WHERE a.replaced_by IS NOT NULL
        GROUP BY a.id, a.posted HAVING a.posted <> 0 OR COUNT(h.id) > 0
        """,
        (OPEN_HOLDS,),
    ),
    Rule(
        "account-successor",
        "account",
        "An account was replaced by a later one of its currency, which took the place of no other, "
        "and to which something went from it.",
        """
        SELECT a.id, 'a later account in ' || a.currency || ' with a transfer from it alone',
               COALESCE(CAST(b.id AS VARCHAR(20)) || ' in ' || b.currency, 'none')
        FROM account a LEFT JOIN account b ON b.id = a.replaced_by
        LEFT JOIN account o ON o.replaced_by = a.replaced_by AND o.id <> a.id
        LEFT JOIN movement m ON m.account_id = a.id AND m.type = 'TRANSFER' AND m.state = 'POSTED'
        LEFT JOIN posting p ON p.movement_id = m.id AND p.credit_account = a.replaced_by
        WHERE a.replaced_by IS NOT NULL
        GROUP BY a.id, a.currency, b.id, b.currency
        HAVING b.id IS NULL OR b.id <= a.id OR b.currency <> a.currency
            OR COUNT(o.id) > 0 OR COUNT(p.movement_id) = 0
        """,
    ),
    Rule(
        "account-succession",
        "account",
        "It is known which use led to the replacement of an account.",
        """
        SELECT a.id, 'a use that led to account ' || CAST(a.replaced_by AS VARCHAR(20)),
               COUNT(m.id)
        FROM account a LEFT JOIN succession s ON s.successor_id = a.replaced_by
        LEFT JOIN movement m ON m.id = s.movement_id AND m.account_id = a.id
        WHERE a.replaced_by IS NOT NULL
        GROUP BY a.id, a.replaced_by HAVING COUNT(m.id) <> 1
        """,
    ),
    Rule(
        "currency-zero",
        "account",
        "All accounts of a currency together come to zero; the row is the currency.",
        """
        SELECT currency, 0, SUM(amount) FROM (
            SELECT currency, SUM(posted) AS amount FROM account GROUP BY currency
            UNION ALL
            SELECT currency, SUM(amount) FROM posting WHERE credit_account < 0 GROUP BY currency
            UNION ALL
            SELECT currency, -SUM(amount) FROM posting WHERE debit_account < 0 GROUP BY currency
        ) AS part GROUP BY currency HAVING SUM(amount) <> 0
        """,
    ),
)

SUCCESSIONS = (
    Rule(
        "succession-use",
        "succession",
        "What a use left went to the account that replaced its own, or else stayed.",
        """
        SELECT s.movement_id, 'a use of what is replaced on use'
               || COALESCE(', by ' || CAST(s.successor_id AS VARCHAR(20)), ''),
               CASE WHEN m.id IS NULL THEN 'nothing that moved'
                    WHEN m.type <> 'USE' THEN m.type
                    WHEN NOT a.replaced_on_use THEN 'a use of what is not'
                    ELSE COALESCE('replaced by ' || CAST(a.replaced_by AS VARCHAR(20)), 'kept') END
        FROM succession s LEFT JOIN moved m ON m.id = s.movement_id
        LEFT JOIN account a ON a.id = m.account_id
        WHERE a.id IS NULL OR m.type <> 'USE' OR NOT a.replaced_on_use
           OR COALESCE(a.replaced_by, 0) <> COALESCE(s.successor_id, a.replaced_by, 0)
        """,
        (MOVED,),
    ),
    Rule(
        "succession-moved",
        "movement",
        "Since an account was replaced nothing has happened to its money but refunds, which go on "
        "to those that took its place one after the other, or come from there.",
        """
        SELECT m.id, 'a refund that goes on', m.type
               || COALESCE(' from ' || CAST(p.debit_account AS VARCHAR(20))
                           || ' to ' || CAST(p.credit_account AS VARCHAR(20)), '')
        FROM moved m JOIN account a ON a.id = m.account_id
        JOIN (
            SELECT t.account_id, MIN(t.moved_at) AS moved_at
            FROM moved t JOIN account o ON o.id = t.account_id
            JOIN posting q ON q.movement_id = t.id AND q.credit_account = o.replaced_by
            WHERE t.type = 'TRANSFER' GROUP BY t.account_id
        ) AS r ON r.account_id = a.id AND m.moved_at > r.moved_at
        LEFT JOIN movement i ON i.id = m.id AND m.amount > 0
        LEFT JOIN posting p ON p.movement_id = COALESCE(i.about_id, m.id) AND m.type = 'TRANSFER'
        LEFT JOIN heir h ON h.account_id = a.id
                        AND h.id = CASE p.debit_account WHEN a.id THEN p.credit_account
                                                        ELSE p.debit_account END
        WHERE m.type <> 'REFUND' AND (m.type <> 'TRANSFER' OR h.id IS NULL)
        """,
        (MOVED, HEIRS),
    ),
)

RULES = (
    *(*CARDS, *ACCOUNTS, *SUCCESSIONS),
    *(*POSTINGS, *MOVEMENTS, *HOLD_ENDS, *REQUESTS, *ORDERS),
)
