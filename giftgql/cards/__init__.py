"""Gift cards, and the codes through which their balance is reached.

- A card has at most one live code of each type; the database holds it to that.
- A code's text is unique within its type for ever, ended codes included: none is used again.
- Codes are stored sealed; what a caller sees of them is decided in `visibility`, nowhere else.
- A card's owner never changes. A personal code always has an owner.
- Edits lock the card first, so that of two at once the second sees what the first did.
- Source: the POS document, and section 2 of the behaviour reference.
"""
