"""Exactly once: the idempotency keys that callers gave, and what each one did.

- One space of keys per caller, over all mutations; a key is kept for ever.
- A key is claimed in the transaction that does the work: both are there or neither is. A refusal
  rolls the claim back, so a corrected request may use the same key.
- A concurrent duplicate waits for the first and then gets its answer.
- The fingerprint is keyed and leaves PINs out: it gives away neither.
"""
