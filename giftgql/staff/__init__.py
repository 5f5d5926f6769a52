"""Staff: the people who work for the retailer, how they sign in, and what they may do.

- A staff member's rights are the union of roles and single permissions, as a client's are. They are
  read anew at every request of a session: whoever is disabled or loses a right has lost it at once.
- One signs in with a personal access key, or by the retailer's OpenID provider, whose roles are
  taken over at each sign-in. There are no passwords.
- Keys and sessions are stored as SHA-256. A session ends when it was idle, when its time is up,
  when its key is revoked or its owner disabled, and by signing out: for all processes at once.
- What staff do is recorded as theirs (`staff:ggp_…`). They act `IN_STORE`: the card is at hand, so
  no PIN is asked for, and what strangers failed online does not stop them.
"""
