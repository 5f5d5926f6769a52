"""Wrong tries of PINs and CVVs: counted in the database, for all processes and over restarts.

- A try counts as a failure before the secret is looked at, and is given back after a success. So
  guesses at the same time, on any number of processes, are counted one by one.
- Counted per code and caller, per code over all callers that are not in a store, and per caller.
  What is locked is the secret for these callers, never the card: a thief freezes nobody's till.
- A code counts as it was presented, existing or not, under a keyed hash: a lock is no oracle, and
  mistyped codes do not pile up in clear.
- Delay is refusal with `retryAfter`, never sleeping.
"""
