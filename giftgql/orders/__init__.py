"""Orders: buying gift cards, and paying with them.

- `calculation` says what an order comes to; it is pure, and its sums agree to the minor unit.
- An order holds what its paying cards are to pay, and the pool cards that it buys, until it is
  paid, is cancelled, or its time is up. A failure of any part leaves nothing behind.
- Once all is paid, in one transaction, holds are captured and each piece becomes a card, once.
- No gift card pays for a gift card. What a card paid comes back to the card, never more.
- Money that was taken elsewhere is never refused: what there is no use for becomes `refundDue`.
- Source: section 7 of the behaviour reference (Spryker, Mindbox, Wix).
"""
