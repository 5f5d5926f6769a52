"""Exports: cards, transactions and campaigns' codes as CSV, for printers, mailings, spreadsheets.

- Each is read in short pages in one snapshot of the database, with its own time limit, while tills
  go on.
- Who takes codes needs `ExportGiftCardCodes`; without it they are masked. Each export is in the
  audit trail before its first byte is sent.
- The PINs of a campaign are given out by one export: when that has come to its end, they are
  nowhere but hashed.
- Source: section 6 of the behaviour reference (Voucherify); security reference, section 3.11.
"""
