"""Campaigns: many cards made at once, with codes of one form.

- A code is random where its form says so, by the system's secure generator, and never used again.
- There are a million possible codes for each card, or the campaign is refused: see `code_config`.
- Source: the Voucherify document, and section 6 of the behaviour reference.
"""
