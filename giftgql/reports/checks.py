"""The invariants of the books, each a statement that finds the rows against it.

A statement gives `row_id`, `expected` and `found`, runs on both databases, and trusts nothing that
it can recompute. Here stand those of cards and accounts; the others in `movement_checks`.
"""

from giftgql.reports.movement_checks import HOLD_ENDS, MOVEMENTS, POSTINGS, REQUESTS
from giftgql.reports.rules import MOVED, OPEN_HOLDS, ROOT, UNDOING, Rule

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

RULES = (*CARDS, *ACCOUNTS, *POSTINGS, *MOVEMENTS, *HOLD_ENDS, *REQUESTS)
