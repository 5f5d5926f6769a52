"""Products: templates of gift cards that can be bought.

- Presets with a price and a value, which may differ, and a range to choose a value from.
- A strategy says what becomes of what a use leaves on a card: same code, or a new card and code.
- Cards expire on a day, a time after their purchase, or not at all.
- A change needs the revision that was read. Cards already sold keep what they were sold with;
  removing a product does not touch them.
- A pool's product is made, changed and removed with the pool.
- Source: section 4 of the behaviour reference (Wix).
"""
