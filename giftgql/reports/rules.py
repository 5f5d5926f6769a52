"""What a rule of the books is, and the named queries that several of them use.

The numbers below zero are those of `ledger.models.SystemAccount`. The cast of `m.account_id` keeps
SQLite from grouping movements by its index: looking each row up by it takes ten times as long as
sorting them. (`+m.account_id` does so too, but has no type by which accounts could then be found.)
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    """What must hold of a table's rows; `given` are the named queries that its statement uses."""

    name: str
    table: str
    promise: str
    statement: str
    given: tuple[str, ...] = ()


MOVED = """moved AS (
    SELECT m.id, CAST(m.account_id AS BIGINT) AS account_id, m.type,
           CASE WHEN m.state = 'POSTED' THEN m.amount
                WHEN m.amount < 0 THEN -e.captured ELSE e.captured END AS amount,
           COALESCE(e.created_at, m.created_at) AS moved_at
    FROM movement m LEFT JOIN hold_end e ON e.hold_id = m.id
    WHERE m.state = 'POSTED' OR m.state = 'HELD' AND e.captured > 0
)"""
"""What movements moved, signed: posted amounts, and of holds what was captured; and when."""

UNDOING = """undoing(id, account_id, amount, price, undone) AS (
    SELECT id, account_id, amount, price, about_id FROM movement
    WHERE type = 'REFUND' AND state = 'POSTED' AND about_id IS NOT NULL
    UNION
    SELECT u.id, u.account_id, u.amount, u.price, m.about_id
    FROM undoing u JOIN movement m ON m.id = u.undone
    WHERE m.type = 'REFUND' AND m.state = 'POSTED' AND m.about_id IS NOT NULL
)"""
"""Each refund with what it undoes, with what that undoes if it is a refund itself, and so on. A
refund and its own undoing have opposite signs: all amounts under a movement are its net refund."""

ROOT = """root AS (
    SELECT u.id, u.account_id, u.amount, m.type
    FROM undoing u JOIN movement m ON m.id = u.undone
    WHERE m.type <> 'REFUND'
)"""
"""Each refund with the type of the movement that it undoes in the end."""

NET = """net AS (
    SELECT p.movement_id AS id,
           SUM(CASE WHEN p.credit_account = m.account_id THEN p.amount
                    WHEN p.debit_account = m.account_id THEN -p.amount ELSE 0 END) AS amount
    FROM posting p JOIN movement m ON m.id = p.movement_id
    GROUP BY p.movement_id
)"""
"""What the postings of a movement did to its own account."""

OPEN_HOLDS = """open_hold AS (
    SELECT m.id, CAST(m.account_id AS BIGINT) AS account_id, m.type, m.amount, m.hold_until
    FROM movement m LEFT JOIN hold_end e ON e.hold_id = m.id
    WHERE m.state = 'HELD' AND e.hold_id IS NULL
)"""

HEIRS = """heir(account_id, id) AS (
    SELECT id, replaced_by FROM account WHERE replaced_by IS NOT NULL
    UNION
    SELECT h.account_id, a.replaced_by FROM heir h JOIN account a ON a.id = h.id
    WHERE a.replaced_by IS NOT NULL
)"""
"""All accounts that have taken an account's place, one after the other."""

LINE = """line AS (
    SELECT CAST(movement_id AS VARCHAR(20)) || '/' || CAST(line AS VARCHAR(5)) AS row_id,
           movement_id, line, debit_account, credit_account, amount, currency,
           CAST(debit_account AS VARCHAR(20)) || ' to ' || CAST(credit_account AS VARCHAR(20))
               AS sides
    FROM posting
)"""
"""Postings, named as `movement/line`."""

ALLOWED = """allowed(type, account) AS (
    VALUES ('ADD', -1), ('USE', -2), ('ADJUST', -3), ('EXPIRE', -5), ('IMPORT', -6),
           ('EXTERNAL', -7)
)"""
"""The system account that a movement of a type stands against, unless it has a price."""

NAMED = """named AS (
    SELECT caller || ' ' || key AS row_id, outcome ->> 'movement' AS movement,
           outcome ->> 'end' AS ended
    FROM request
)"""
"""What requests were answered from;"""
