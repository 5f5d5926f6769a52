"""Clients: the tills, shops and back ends that call the server, and how they prove it.

- A client's rights are the union of its roles and single permissions, read anew within seconds:
  disabling a client or changing its rights does not wait for a token to expire.
- Keys and tokens are stored as SHA-256 and shown once. A key is a client secret for `/oauth/token`
  and a bearer token in itself. Two keys live at a time, so that they can be rotated.
- Revoking a key ends the tokens that were got with it; disabling a client ends all, the member
  tokens it minted too.
- A client may be bound to trusted documents; so are then the member tokens it minted.
"""
