"""What stops a card as a whole: blocked, disabled, expired; and what lifts it again.

- All of it stands on the card's account and changes under its lock: an acknowledged block
  precedes every later movement.
- Blocking can be undone, disabling cannot. Expiry waits while a card is blocked.
- Each change has a reason and is in the audit trail.
- A secret is unlocked here too; wrong tries never stop a card.
"""
