"""Movements of money on cards, as tills and shops ask for them: `giftcardTrans…`.

- A card is found by a code, with the secret that its channel asks for, or by its id.
- A transaction is shown as one record: an authorisation and its end are folded together.
- What the rules of money decline is recorded first and refused then, with the same code.
- A repeated request is answered with the facts as they were given first.
- Source: section 3 of the behaviour reference (POS, Voucherify, Mindbox).
"""
