"""Seals on the audit trail and on the journal of money: what was done to either is found.

- A seal is a keyed digest of the next events, the next movements, and the seal before. Who has the
  database without the keys can make none.
- Sealed is what no transaction can put anything before any more, whatever the order of commits.
- A tail that was cut together with its seals is found by a seal that was kept elsewhere.
- Movements are found again by the transactions that wrote them; where those were numbered anew, in
  another PostgreSQL cluster, they are sealed anew, and only as from then on.
- Source: security reference, section 3.10.
"""
