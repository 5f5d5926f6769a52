"""The audit trail: what was done to cards, secrets and staff, by whom and why.

- An event is written in the transaction that does the thing: both are there or neither is.
- Events are never changed and never removed; triggers hold the database to it.
- Facts carry reasons and values. Never a code, a PIN, a CVV or a token.
"""
