"""Campaigns: many cards of one value that are made by the server, with codes of its own.

- Adding one answers at once; a job makes the cards in pieces, which any server process does.
- A code space that is too small for the count is refused at once, and how many it has room for.
- More cards can be added; making can be paused, resumed, and cancelled for good. Cards that are
  made stay.
- Codes come from the operating system's secure generator and are unique among all ever issued.
- Source: section 6 of the behaviour reference (Voucherify).
"""
