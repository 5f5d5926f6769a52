"""Members erased: nothing is left of them but their id, and all the books.

- Gone are name, address, number and metadata; notes, metadata and recipients of their cards; who
  their orders were for; names and words of mails; what repeated requests would answer of these.
- What stays: cards with their money and codes, orders with their amounts, movements, and the audit
  trail, with the reasons that staff gave. A card bought for somebody else is that person's, and
  keeps its recipient.
- Whoever has been erased has no token, gets none, and can be named by nothing new.
- Source: section 8 of the behaviour reference.
"""
