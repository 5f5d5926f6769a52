from typing import Any

from giftgql.audit.models import AuditEvent, Event
from giftgql.store import Transaction


async def record(tx: Transaction, event: Event, subject: str, **facts: Any) -> None:
    """Write down what this transaction does to a subject, e.g. `card:12`. Facts hold no secret."""
    await tx.audit.add(
        AuditEvent(
            event=event,
            subject=subject,
            caller=tx.caller.name,
            facts=facts,
            created_at=tx.now,
        )
    )
