"""giftgql: the gift card server that any shop, till or app can call.

Cards are money: never lost, never invented, never spent twice, never shown to the wrong eyes.
`README.md` has the map of the code.
"""

__version__ = "0.1.0"
