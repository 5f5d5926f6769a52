"""Campaigns: the list, a new one, and the page of one with its progress."""

from collections.abc import Callable, Mapping
from datetime import datetime

from starlette.responses import Response

from giftgql.backoffice import campaign_form, people, stock, terms
from giftgql.backoffice.actions import Task, perform
from giftgql.backoffice.forms import NOTHING, Field, Form
from giftgql.backoffice.listing import ROWS, listing, skipped
from giftgql.backoffice.pages import Problem, Visit, changes, go_to, shows
from giftgql.backoffice.progress import Progress, paces_of
from giftgql.campaigns import service as campaigns
from giftgql.campaigns.models import Campaign, CampaignStatus
from giftgql.campaigns.service import MOST_CARDS
from giftgql.errors import Conflict, InvalidInput, Refusal
from giftgql.jobs.pace import Pace
from giftgql.jobs.service import Subject
from giftgql.permissions import Permission

NEEDED = Permission.MANAGE_CAMPAIGNS

HAD = "had"
"""The field with the number of cards that a form for more was rendered with."""

_IS_TAKEN = "Take another name, or look at the list: it may have been added a moment ago."

MORE = Field("count", "How many more cards", "number", longest=8)


async def _pause(visit: Visit, campaign_id: int, _: Form) -> None:
    async with visit.context.write() as tx:
        await campaigns.pause(tx, campaign_id)


async def _resume(visit: Visit, campaign_id: int, _: Form) -> None:
    async with visit.context.write() as tx:
        await campaigns.resume(tx, campaign_id)


async def _extend(visit: Visit, campaign_id: int, form: Form) -> None:
    """Have more made, once for each form that was rendered: it says how many there were."""
    more = form.needed_number(MORE.name)
    if not 1 <= more <= MOST_CARDS:
        raise InvalidInput(MORE.name, f"must be 1 to {MOST_CARDS}")
    async with visit.context.write() as tx:
        count = (await campaigns.held(tx, campaign_id)).count
        if count != form.number(HAD):
            raise Conflict("id", f"The campaign has been extended meanwhile, to {count} cards.")
        await campaigns.extend(tx, campaign_id, more)


async def _cancel(visit: Visit, campaign_id: int, _: Form) -> None:
    async with visit.context.write() as tx:
        await campaigns.cancel(tx, campaign_id)


_GOING, _PAUSED = CampaignStatus.IN_PROGRESS, CampaignStatus.PAUSED
_FAILED, _DONE = CampaignStatus.FAILED, CampaignStatus.DONE


def _of(*statuses: CampaignStatus) -> Callable[[Campaign], bool]:
    return lambda campaign: campaign.status in statuses


PAUSE = Task(
    "pause",
    "giftcardCampaignPause",
    (NEEDED,),
    _pause,
    title="Pause",
    button="Pause",
    done="Paused. Cards that are made stay.",
    suits=_of(_GOING),
)
RESUME = Task(
    "resume",
    "giftcardCampaignResume",
    (NEEDED,),
    _resume,
    title="Resume",
    button="Resume",
    done="It goes on.",
    suits=_of(_PAUSED, _FAILED),
)
EXTEND = Task(
    "extend",
    "giftcardCampaignExtend",
    (NEEDED,),
    _extend,
    title="Make more cards",
    button="Make more cards",
    done="More cards are being made.",
    fields=(MORE,),
    suits=_of(_GOING, _PAUSED, _FAILED, _DONE),
)
CANCEL = Task(
    "cancel",
    "giftcardCampaignCancel",
    (NEEDED,),
    _cancel,
    title="Cancel the rest",
    button="Cancel the rest",
    done="Cancelled. Cards that are made stay.",
    warning="No more cards of it will ever be made. Those there are stay as they are.",
    suits=_of(_GOING, _PAUSED, _FAILED),
)
ACTIONS = {each.name: each for each in (PAUSE, RESUME, EXTEND, CANCEL)}


@shows(NEEDED)
async def show_all(visit: Visit) -> Response:
    """`GET /office/campaigns`: the newest first."""
    async with visit.read() as reading:
        page = await campaigns.newest(reading, first=ROWS, skip=skipped(visit))
        paces = await paces_of(reading, map(campaigns.subject, page.rows))
        shown = [(each, _progress(each, paces, reading.now)) for each in page.rows]
    return visit.page("campaigns.html", listed=listing(visit, page), shown=shown)


@shows(NEEDED)
async def new(visit: Visit) -> Response:
    """`GET /office/campaigns/new`."""
    return _form(visit, campaign_form.blank(visit))


@changes(NEEDED)
async def sample(visit: Visit, form: Form) -> Response:
    """`POST /office/campaigns/new/sample`: the form as it was filled in, with codes as they
    would be."""
    return _form(visit, form)


@changes(NEEDED)
async def add(visit: Visit, form: Form) -> Response:
    """`POST /office/campaigns`."""
    try:
        wanted = campaign_form.read(visit, form)
        async with visit.context.write() as tx:
            campaign = await campaigns.add(tx, wanted)
    except Refusal as refusal:
        advice = _IS_TAKEN if isinstance(refusal, Conflict) else ""
        return _form(visit, form, Problem(refusal, form, of="new", advice=advice))
    return go_to(f"/office/campaigns/{campaign.id}")


@shows(NEEDED)
async def show(visit: Visit) -> Response:
    """`GET /office/campaigns/{id}`."""
    done = ACTIONS.get(visit.asked("done") or "")
    return await _shown(visit, notice=done.done if done else "")


@shows(NEEDED)
async def progress(visit: Visit) -> Response:
    """`GET /office/campaigns/{id}/progress`: that part of the page, for scripts."""
    async with visit.read() as reading:
        campaign = await campaigns.get(reading, visit.request.path_params["id"])
        paces = await paces_of(reading, [campaigns.subject(campaign)])
    return visit.page("live.html", progress=_progress(campaign, paces, reading.now))


@changes(NEEDED)
async def act(visit: Visit, form: Form) -> Response:
    """`POST /office/campaigns/{id}/{action}`."""
    campaign_id = visit.request.path_params["id"]
    done = await perform(visit, ACTIONS, campaign_id, form)
    if isinstance(done, Problem):
        return await _shown(visit, problem=done)
    return go_to(f"/office/campaigns/{campaign_id}?done={done.task.name}")


def _form(visit: Visit, form: Form, problem: Problem | None = None) -> Response:
    """The form for a new campaign, with samples as far as the codes are right."""
    made, unclear = None, ""
    try:
        made = campaign_form.sample(form)
    except Refusal as refusal:
        unclear = Problem(refusal, NOTHING).sentence(campaign_form.LABELS)
    return visit.page(
        "campaign_new.html",
        200 if problem is None else problem.status,
        fieldsets=campaign_form.FIELDSETS,
        labels=campaign_form.LABELS,
        filled=form,
        problem=problem,
        sample=made,
        unclear=unclear,
    )


async def _shown(visit: Visit, notice: str = "", problem: Problem | None = None) -> Response:
    campaign_id = visit.request.path_params["id"]
    async with visit.read() as reading:
        campaign = await campaigns.get(reading, campaign_id)
        paces = await paces_of(reading, [campaigns.subject(campaign)])
        sums = await stock.sums(visit, reading, "campaign_id", campaign_id, campaign.made)
        names = await people.named(reading, {campaign.created_by})
    actions = [each for each in ACTIONS.values() if each.is_offered(visit, campaign)]
    is_offered = problem is not None and problem.of in {each.name for each in actions}
    return visit.page(
        "campaign.html",
        200 if problem is None else problem.status,
        campaign=campaign,
        config=campaigns.config(campaign),
        expires=terms.expiry(campaigns.expiration(campaign), visit.wording),
        needs_pin=campaigns.needs_pin(campaign) and campaign.pin_length is None,
        progress=_progress(campaign, paces, reading.now),
        sums=sums,
        made_by=names[campaign.created_by],
        actions=actions,
        kept={HAD: campaign.count},
        notice=notice,
        problem=problem,
        is_about_all=problem is not None and not is_offered,
    )


def _progress(campaign: Campaign, paces: Mapping[Subject, Pace], now: datetime) -> Progress:
    subject = campaigns.subject(campaign)
    return Progress(
        f"/office/campaigns/{campaign.id}",
        "cards",
        campaign.status,
        campaign.made,
        campaign.count,
        subject is not None,
        paces.get(subject) if subject else None,
        now,
    )
