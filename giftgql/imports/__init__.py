"""Imports: pools and cards from CSV files, however large, row by row.

- A file is taken in whole first, compressed and sealed: then any server process can go on with it.
- Good rows land, bad ones are reported with line, column, value and reason; secrets are blanked.
- A row never changes a card that is there: sent again, a file changes nothing and says so.
- A piece of rows, its failures and how far the file is are one transaction: a kill loses and
  repeats nothing. The same file sent again while it is under way is the same import.
- Balances are movements of the ledger. PINs and CVVs land only hashed.
- Source: section 5 of the behaviour reference (Mindbox).
"""
