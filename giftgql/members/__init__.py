"""Members: the retailer's customers, under the retailer's own ids.

- A member's token is short-lived, minted by a trusted client, and ends with that client.
- A member sees itself and its own cards; nobody else's anything.
- `changed_in` orders members for synchronisation, as in cards.
"""
