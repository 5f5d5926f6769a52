"""Succession: cards that are replaced on use. What a use leaves goes to a new card.

- In the transaction of the use a new card is made, with a digital code of the old one's pattern
  and all else of the old card; the rest moves to it, and all codes of the old card end.
- The new code is mailed to the owner, else to the recipient, never to who paid. Where neither has
  an address the old code keeps the rest, and the answer says so.
- Who uses an old code is told that its card was replaced, by the rules of money.
- Which use led to what is kept for ever: a repeated request gets the same answer.
- Source: section 7 of the behaviour reference (Spryker).
"""
