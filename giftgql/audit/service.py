from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from giftgql.audit.criteria import Criteria
from giftgql.audit.models import AuditEvent, Event
from giftgql.money import Money
from giftgql.paging import Page, cut
from giftgql.store import Reading, Transaction


async def record(
    tx: Transaction, event: Event, subject: str, *, source_id: str | None = None, **facts: Any
) -> None:
    """Write down what this transaction does to a subject, e.g. `card:12`. Facts hold no secret,
    and nothing of a person but ids; amounts have their currency."""
    said = {
        name: f"{value} {value.currency}" if isinstance(value, Money) else value
        for name, value in facts.items()
    }
    await tx.audit.add(
        AuditEvent(
            event=event,
            subject=subject,
            caller=tx.caller.name,
            facts=said,
            created_at=tx.now,
            address=tx.caller.origin.address,
            request_id=tx.caller.origin.request_id,
            source_id=source_id,
        )
    )


async def since(
    reading: Reading, subjects: Collection[str], events: Collection[Event], at: datetime
) -> Sequence[AuditEvent]:
    """What of this was done to subjects from a moment on, the first event first."""
    return await reading.audit.since(subjects, events, at)


async def revealed(tx: Transaction, at: datetime) -> dict[str, datetime]:
    """The subjects of which the caller saw codes in clear from a moment on, and when last."""
    return await tx.audit.revealed(tx.caller.name, at)


async def page(
    reading: Reading, criteria: Criteria, *, first: int, skip: int = 0
) -> Page[AuditEvent]:
    """Events by id."""
    found = await reading.audit.page(cut(first, skip), criteria)
    return Page(found[:first], len(found) > first)


async def latest(
    reading: Reading, criteria: Criteria, *, first: int, before: int | None = None
) -> Page[AuditEvent]:
    """Events, the newest first, from those before one."""
    cut(first, 0)
    found = await reading.audit.latest(criteria, before=before, many=first + 1)
    return Page(found[:first], len(found) > first)
