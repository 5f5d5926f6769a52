"""Checking the books and reporting on them, each in one snapshot with its own time limit.

- `checks` lists every invariant of the books as one statement that finds the rows against it; a
  test sees each of them fail. A clean book gives nothing.
- A report as of a day counts postings by the moment at which they are effective. A day ends at
  midnight in the settings' time zone, and expiry at that midnight belongs to it.
- Funds whose validity has ended are breakage from that moment, swept or not.
- Every report balances: the accounts of a currency sum to zero, liability is the cards' balance.
- Reports and exports are bounded in rows or stream in bounded memory.
"""
