"""The audit trail: who did what, when, and from where."""

from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from giftgql.audit import service as audit
from giftgql.audit.criteria import Criteria
from giftgql.audit.models import AuditEvent, Event
from giftgql.backoffice import people
from giftgql.backoffice.forms import NOTHING, Form
from giftgql.backoffice.listing import ROWS
from giftgql.backoffice.pages import Problem, Visit, shows
from giftgql.errors import InvalidInput, Refusal
from giftgql.exports.service import FIRST_DAY
from giftgql.permissions import Permission
from giftgql.store import Reading
from giftgql.values import ID, record_id, text

_FILTERS = ("event", "subject", "caller", "source", "from", "to")
_HAVE_PAGES = ("card", "order", "product", "pool", "campaign", "import", "webhook")
"""Of these records the back office has a page each."""


@shows(Permission.VIEW_AUDIT)
async def show(visit: Visit) -> Response:
    """`GET /office/audit`: the newest first."""
    asked = {name: visit.asked(name) or "" for name in _FILTERS}
    known: dict[str, Any] = {"asked": asked, "events": list(Event), "page_of": page_of}
    try:
        before = record_id(ID(visit.asked("before") or ""))
        async with visit.read() as reading:
            criteria = _criteria(reading, asked)
            page = await audit.latest(reading, criteria, first=ROWS, before=before)
            names = await people.named(reading, {each.caller for each in page.rows})
    except Refusal as refusal:
        wrong = Problem(refusal, NOTHING, of="filter")
        return visit.page(
            "audit.html", wrong.status, problem=wrong, rows=[], more=None, names={}, **known
        )
    more = None
    if page.has_more:
        given = {name: value for name, value in asked.items() if value}
        more = urlencode({**given, "before": page.rows[-1].id})
    return visit.page("audit.html", rows=page.rows, more=more, names=names, **known)


def page_of(event: AuditEvent) -> str | None:
    """The address of the page of what an event is about."""
    kind, _, id_ = event.subject.partition(":")
    return f"/office/{kind}s/{id_}" if kind in _HAVE_PAGES and id_.isdecimal() else None


def _criteria(reading: Reading, asked: dict[str, str]) -> Criteria:
    """What the list is narrowed to. Refuses `INVALID_INPUT`."""
    event, days = asked["event"], Form(asked)
    if event and event not in Event.__members__:
        raise InvalidInput("event", "is nothing that is recorded")
    begins, last = days.day("from"), days.day("to")
    named = {
        name: text(asked[name], name, longest) if asked[name] else None
        for name, longest in (("caller", 80), ("subject", 80), ("source", 64))
    }
    return Criteria(
        caller=named["caller"],
        event=Event[event] if event else None,
        subject=named["subject"],
        source_id=named["source"],
        begins=None if begins is None else reading.start_of(max(begins, FIRST_DAY)),
        ends=reading.end_of(last),
    )
