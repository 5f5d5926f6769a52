"""Exports: cards, transactions and campaigns' codes as CSV, for printers, mailings, spreadsheets.

- They are read in short pages while tills go on: what changes meanwhile is in one page or another.
- Who takes codes needs `ExportGiftCardCodes`; without it they are masked. Each export is in the
  audit trail before its first byte is sent.
- The PINs of a campaign are given out by one export: when that has come to its end, they are
  nowhere but hashed.
- Source: section 6 of the behaviour reference (Voucherify); security reference, section 3.11.
"""
