"""Imports: pools and cards taken over from files of the retailer's own.

- Every good row lands; every bad one is reported with its line, column, value and reason.
- Only a file that cannot be read at all, or whose header is wrong, is refused whole.
- Cvv and Pin stand in no report, reason or file of failures.
- Bytes go in, rows come out, with a place to go on from: `csv_rows`; what a row means: `card_rows`,
  `pool_rows`; the failures as a file to correct and import again: `failures`.
- Source: the Mindbox document, and section 5 of the behaviour reference.
"""
