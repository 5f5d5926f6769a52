"""Webhooks: the endpoints that are told what happens, and what each was told last."""

from collections.abc import Sequence

from starlette.responses import Response

from giftgql.backoffice import outbox_actions
from giftgql.backoffice.actions import Task, once_by_form, perform
from giftgql.backoffice.forms import Form
from giftgql.backoffice.pages import Problem, Visit, changes, go_to, shows
from giftgql.errors import NotFound
from giftgql.outbox import criteria as messages
from giftgql.outbox import service as outbox
from giftgql.outbox.models import OutboxMessage
from giftgql.permissions import Permission
from giftgql.store import Reading
from giftgql.webhooks import service as webhooks
from giftgql.webhooks.criteria import Criteria
from giftgql.webhooks.models import WebhookEndpoint

DELIVERIES = 20
"""Messages to an endpoint that are shown, the newest first."""


async def _test(visit: Visit, endpoint_id: int, form: Form) -> None:
    await once_by_form(visit, form, "webhookTest", endpoint_id, webhooks.test)


async def _switch_on(visit: Visit, endpoint_id: int, _: Form) -> None:
    async with visit.context.write() as tx:
        await webhooks.edit(tx, endpoint_id, {"is_active": True}, rotates=False)


async def _switch_off(visit: Visit, endpoint_id: int, _: Form) -> None:
    async with visit.context.write() as tx:
        await webhooks.edit(tx, endpoint_id, {"is_active": False}, rotates=False)


def _is_on(endpoint: WebhookEndpoint) -> bool:
    return endpoint.is_active


def _is_off(endpoint: WebhookEndpoint) -> bool:
    return not endpoint.is_active


TEST = Task(
    "test",
    "webhookTest",
    (Permission.MANAGE_WEBHOOKS,),
    _test,
    title="Send a test",
    button="Send a test",
    done="A test is on its way. Load the page again to see how it went.",
    suits=_is_on,
)
SWITCH_ON = Task(
    "switch-on",
    "webhookEdit",
    (Permission.MANAGE_WEBHOOKS,),
    _switch_on,
    title="Switch on",
    button="Switch it on",
    done="It is told what happens from now on.",
    suits=_is_off,
)
SWITCH_OFF = Task(
    "switch-off",
    "webhookEdit",
    (Permission.MANAGE_WEBHOOKS,),
    _switch_off,
    title="Switch off",
    button="Switch it off",
    done="It is told nothing any more.",
    warning="I know that what waits for it is never sent",
    suits=_is_on,
)
ACTIONS = {each.name: each for each in (TEST, SWITCH_ON, SWITCH_OFF)}


@shows(Permission.MANAGE_WEBHOOKS)
async def show_all(visit: Visit) -> Response:
    """`GET /office/webhooks`: all endpoints, of which there are never many."""
    async with visit.read() as reading:
        page = await webhooks.page(
            reading, Criteria(), first=webhooks.MOST_ENDPOINTS, skip=0, since=None
        )
    return visit.page("webhooks.html", rows=page.rows)


@shows(Permission.MANAGE_WEBHOOKS)
async def show(visit: Visit) -> Response:
    """`GET /office/webhooks/{id}`."""
    done = ACTIONS.get(visit.asked("done") or "")
    return await _show(visit, visit.request.path_params["id"], "" if done is None else done.done)


@changes(Permission.MANAGE_WEBHOOKS)
async def act(visit: Visit, form: Form) -> Response:
    """`POST /office/webhooks/{id}/{action}`: done once, then the endpoint as it is by now."""
    endpoint_id = visit.request.path_params["id"]
    done = await perform(visit, ACTIONS, endpoint_id, form)
    if isinstance(done, Problem):
        return await _show(visit, endpoint_id, problem=done)
    return go_to(f"/office/webhooks/{endpoint_id}?done={done.task.name}")


async def _show(
    visit: Visit, endpoint_id: int, notice: str = "", problem: Problem | None = None
) -> Response:
    async with visit.read() as reading:
        of_id = await webhooks.page(reading, Criteria(endpoint_id), first=1, skip=0, since=None)
        if not of_id.rows:
            raise NotFound("id", "endpoint")
        (endpoint,) = of_id.rows
        deliveries = await _deliveries(visit, reading, endpoint_id)
    offered = [each for each in ACTIONS.values() if each.is_offered(visit, endpoint)]
    return visit.page(
        "webhook.html",
        200 if problem is None else problem.status,
        endpoint=endpoint,
        deliveries=deliveries,
        offered=offered,
        is_about_all=problem is not None and problem.of not in {each.name for each in offered},
        offered_for=outbox_actions.offered,
        notice=notice,
        problem=problem,
    )


async def _deliveries(
    visit: Visit, reading: Reading, endpoint_id: int
) -> Sequence[OutboxMessage] | None:
    """What the endpoint was told last, for whoever may see the outbox."""
    if not visit.may(Permission.MANAGE_OUTBOX):
        return None
    criteria = messages.Criteria(endpoint_id=endpoint_id)
    return (await outbox.latest(reading, criteria, first=DELIVERIES)).rows
