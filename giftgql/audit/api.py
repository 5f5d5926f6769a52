from datetime import datetime
from typing import Annotated

import strawberry

from giftgql.audit import models, service
from giftgql.audit.criteria import Criteria
from giftgql.audit.models import Event
from giftgql.context import Info
from giftgql.fields import query
from giftgql.permissions import Permission
from giftgql.values import (
    First,
    JSONObject,
    Results,
    Skip,
    argument,
    moment,
    register,
    results,
    text,
)

register("What was done.", name="AuditEventType")(Event)


@strawberry.type(description="What was done to a record, by whom, from where and when.")
class AuditEvent:
    id: strawberry.ID = strawberry.field(description="The event's id; a later one has a higher.")
    event: Event = strawberry.field(description="What was done.")
    subject: str = strawberry.field(description="To what: `card:12`, `client:ggc_…`, `member:C1`.")
    caller: str = strawberry.field(
        description="By whom: `client:ggc_…`, `staff:ggp_…`, `server:cli` for the command line, "
        "`server:giftgql` for the server itself and its jobs."
    )
    facts: JSONObject = strawberry.field(
        description="Reasons and values, such as the names of the fields that were written. "
        "Amounts are in minor units. No code, PIN, CVV or token."
    )
    created_at: datetime = strawberry.field(description="When, UTC.")
    address: str | None = strawberry.field(
        description="The network address that the request came from; null where there was none."
    )
    request_id: str | None = strawberry.field(description="The request's `X-Request-ID`.")
    source_id: str | None = strawberry.field(
        description="The `sourceId` that was given, such as a till's name."
    )

    @classmethod
    def of(cls, event: models.AuditEvent) -> "AuditEvent":
        return cls(
            id=strawberry.ID(str(event.id)),
            event=event.event,
            subject=event.subject,
            caller=event.caller,
            facts=JSONObject(event.facts),
            created_at=event.created_at,
            address=event.address,
            request_id=event.request_id,
            source_id=event.source_id,
        )


@strawberry.type
class AuditQuery:
    @query(
        requires=Permission.VIEW_AUDIT,
        description="The audit trail: every change but movements of money, which are their own "
        "(`giftcardTrans`), and every code shown in clear. Ordered by id.",
    )
    async def audit_event(
        self,
        info: Info,
        caller: Annotated[str | None, argument("By whom, such as `staff:ggp_…`.")] = None,
        event: Annotated[Event | None, argument("What was done.")] = None,
        subject: Annotated[str | None, argument("To what, such as `card:12`.")] = None,
        source_id: Annotated[str | None, argument("The `sourceId` that was given.")] = None,
        begins: Annotated[datetime | None, argument("Done at this moment or later.")] = None,
        ends: Annotated[datetime | None, argument("Done before this moment.")] = None,
        first: First = 100,
        skip: Skip = 0,
    ) -> Results[AuditEvent] | None:
        criteria = Criteria(
            caller=None if caller is None else text(caller, "caller", 80),
            event=event,
            subject=None if subject is None else text(subject, "subject", 80),
            source_id=None if source_id is None else text(source_id, "sourceId", 64),
            begins=moment(begins, "begins"),
            ends=moment(ends, "ends"),
        )
        info.context.ask_rows(first)
        async with info.context.read() as reading:
            page = await service.page(reading, criteria, first=first, skip=skip)
        return results([AuditEvent.of(each) for each in page.rows], page)
