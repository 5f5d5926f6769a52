"""The ledger: accounts, the movements of money between them, holds. It knows nothing of cards.

- Money is whole minor units. A posting moves an amount from one account to another, so that the
  books balance by their form; a movement is why, by whom, and with what result.
- `decide` and `reasons` hold all rules of money and are pure. `service.post` is the only way money
  moves: lock the accounts in order, read the clock, read what the decision needs, decide, write.
- Movements, postings and the ends of holds are never changed; triggers hold the database to it.
- What stops money stands on the account and changes under its lock only.
- An account may be replaced by another, for good: it has nothing then, and what is refunded of its
  movements goes on to the last that took its place.
- `coalesce` puts movements that arrive at the same time into one transaction.
- `posted >= held >= 0` on every account, always. `check` recomputes everything from the rows.
"""
