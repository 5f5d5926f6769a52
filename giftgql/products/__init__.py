"""Products: what a gift card that can be bought looks like, what it costs, and when it expires.

- A product has variants: presets with a price and a value, and at most one range to choose from.
- Cards already sold keep what they were sold with, whatever becomes of the product.
- A relative expiry is counted from the purchase, in whole months that end where the month does.
- Source: the Wix document, and section 4 of the behaviour reference.
"""
