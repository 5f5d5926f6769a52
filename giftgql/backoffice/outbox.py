"""The outbox: what was said, or is to be said, to people and systems outside."""

from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from giftgql.backoffice.actions import perform
from giftgql.backoffice.forms import NOTHING, Form
from giftgql.backoffice.outbox_actions import ACTIONS, offered
from giftgql.backoffice.pages import Problem, Visit, changes, go_to, shows
from giftgql.errors import InvalidInput, Refusal
from giftgql.outbox import service as outbox
from giftgql.outbox.criteria import Criteria
from giftgql.outbox.models import OutboxChannel, OutboxState
from giftgql.permissions import Permission
from giftgql.values import ID, record_id

ROWS = 50

_FILTERS = ("state", "channel", "order", "card", "endpoint")


@shows(Permission.MANAGE_OUTBOX)
async def show_all(visit: Visit) -> Response:
    """`GET /office/outbox`: the newest first."""
    asked = {name: visit.asked(name) or "" for name in _FILTERS}
    done = ACTIONS.get(visit.asked("done") or "")
    return await _show(visit, asked, "" if done is None else done.done)


@changes(Permission.MANAGE_OUTBOX)
async def act(visit: Visit, form: Form) -> Response:
    """`POST /office/outbox/{action}`: done once, then the list that the form was on."""
    asked = {name: form.text(name) or "" for name in _FILTERS}
    done = await perform(visit, ACTIONS, None, form)
    if isinstance(done, Problem):
        return await _show(visit, asked, problem=done)
    return go_to("/office/outbox?" + urlencode({**_given(asked), "done": done.task.name}))


async def _show(
    visit: Visit, asked: dict[str, str], notice: str = "", problem: Problem | None = None
) -> Response:
    known: dict[str, Any] = {
        "asked": asked,
        "notice": notice,
        "states": list(OutboxState),
        "channels": list(OutboxChannel),
        "offered_for": offered,
    }
    try:
        criteria, before = _criteria(asked), record_id(ID(visit.asked("before") or ""))
    except Refusal as refusal:
        wrong = Problem(refusal, NOTHING, of="filter")
        known |= {"rows": [], "more": None, "is_about_all": False}
        return visit.page("outbox.html", wrong.status, problem=wrong, **known)
    async with visit.read() as reading:
        page = await outbox.latest(reading, criteria, first=ROWS, before=before)
    more = None
    if page.has_more:
        more = urlencode({**_given(asked), "before": page.rows[-1].id})
    forms = {offered(each).form_id(each.id) for each in page.rows}
    known |= {"rows": page.rows, "more": more}
    known |= {"is_about_all": problem is not None and problem.of not in forms}
    status = 200 if problem is None else problem.status
    return visit.page("outbox.html", status, problem=problem, **known)


def _criteria(asked: dict[str, str]) -> Criteria:
    """What the list is narrowed to. Refuses `INVALID_INPUT`."""
    state, channel = asked["state"], asked["channel"]
    if state and state not in OutboxState.__members__:
        raise InvalidInput("state", "is none that a message can have")
    if channel and channel not in OutboxChannel.__members__:
        raise InvalidInput("channel", "is none that messages take")
    return Criteria(
        state=OutboxState[state] if state else None,
        channel=OutboxChannel[channel] if channel else None,
        order_id=_wanted_id(asked["order"]),
        card_id=_wanted_id(asked["card"]),
        endpoint_id=_wanted_id(asked["endpoint"]),
    )


def _wanted_id(typed: str) -> int | None:
    """The number of a record; one that nothing has where there can be none."""
    return record_id(ID(typed)) or 0 if typed else None


def _given(asked: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in asked.items() if value}
