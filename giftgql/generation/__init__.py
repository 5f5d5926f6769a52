"""Generation: a campaign's cards are made in pieces, and the PINs of many cards are hardened.

- A piece is up to 1,000 cards, counted on the campaign in the transaction that makes them: a kill
  loses and repeats nothing.
- A code that was ever issued is passed over, and another one made.
- PINs that come in bulk are stored as keyed hashes at once, and hardened with argon2id by a job of
  its own. Online a card's PIN is of use only after that.
- Source: section 6 of the behaviour reference; security reference, section 3.3.
"""
