"""Issuing: how a card comes into somebody's hands with money on it, outside of an order.

- `giftcardIssue` sells or gives away one card of a product: a new one, or a free one of the
  product's pool. What it is worth beyond its price is booked to promotion.
- `giftcardPublish` gives a free card of a campaign to a member; the same source id gives the same
  card again.
- Two callers never get the same free card.
- Source: sections 4, 5 and 6 of the behaviour reference (Wix, Mindbox, Voucherify).
"""
