"""Wrong tries and failed look-ups: counted in the database, for all processes and over restarts.

- A try of a PIN or CVV counts as a failure on its code before it is looked at, for this caller and
  over all callers that are not in a store, and is given back after a success. So guesses at the
  same time, on any number of processes, are counted one by one. What is locked is the secret for
  these callers, never the card: a thief freezes nobody's till.
- What a caller fails on whatever codes is counted after it failed and before it is answered, by
  caller and by its source. Who is out of failures is answered `RATE_LIMITED`, right or wrong; who
  is right is never counted. A client that goes on is suspended.
- Codes, callers and sources are counted under keyed hashes, codes as they were presented, existing
  or not: a lock is no oracle, and mistyped codes do not pile up in clear.
- Delay is refusal with `retryAfter`, never sleeping.
"""
