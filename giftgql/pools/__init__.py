"""Pools: ready-made cards that are sold and paid with under common rules.

- All cards of a pool have its currency; either one face value, or each its own.
- Making a pool makes its product. Once it holds cards, only its name can be changed.
- Cards come by import; whoever adds or removes them holds the pool's row, so that its rules and
  its count are true at every moment.
- Source: section 5 of the behaviour reference (Mindbox).
"""
