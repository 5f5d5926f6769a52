from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from hashlib import sha256
from typing import Any

from giftgql.audit import service as audit
from giftgql.audit.models import Event
from giftgql.campaigns.code_config import CodeConfig
from giftgql.campaigns.models import Campaign, CampaignStatus
from giftgql.campaigns.repository import Criteria
from giftgql.codes import CodeType
from giftgql.errors import AboveCeiling, Conflict, InvalidInput, NotFound
from giftgql.installation import service as installation
from giftgql.jobs import service as jobs
from giftgql.money import Money
from giftgql.paging import Page, cut, page_of
from giftgql.products.expiration import NEVER, Expiration
from giftgql.store import Reading, Transaction

JOB = "campaign"
"""The kind of the job that makes a campaign's cards."""

MOST_CARDS = 10_000_000


@dataclass(frozen=True)
class NewCampaign:
    name: str
    count: int
    value: int
    currency: str
    code_type: CodeType
    config: CodeConfig
    starts_on: date | None = None
    expiration: Expiration = NEVER
    is_activated: bool = False
    pin_length: int | None = None
    redemption_limit: int | None = None


async def add(tx: Transaction, new: NewCampaign) -> Campaign:
    """Have a campaign's cards made. Refuses `CONFLICT` where the name is taken,
    `CODE_SPACE_EXHAUSTED`."""
    if new.value > tx.settings.ceiling_minor:
        raise AboveCeiling("value")
    space = _space(new.config, new.code_type)
    new.config.require_room(new.count + await tx.campaigns.cards_in(space), new.code_type)
    if new.starts_on and new.expiration.on and new.expiration.on < new.starts_on:
        raise InvalidInput("startsOn", "is after the day on which the cards expire")
    campaign = Campaign(
        name=new.name,
        count=new.count,
        value=new.value,
        currency=new.currency,
        code_type=new.code_type,
        code_config=asdict(new.config),
        code_space=space,
        starts_on=new.starts_on,
        expires_on=new.expiration.on,
        expires_after=new.expiration.after,
        is_activated=new.is_activated,
        pin_length=new.pin_length,
        redemption_limit=new.redemption_limit,
        created_by=tx.caller.name,
        created_at=tx.now,
        modified_at=tx.now,
    )
    campaign_id = await tx.campaigns.add(campaign)
    if campaign_id is None:
        raise Conflict("name", "A campaign with this name is there already.")
    await jobs.add(tx, JOB, campaign_id)
    made = await _locked(tx, campaign_id)
    value = Money(made.value, made.currency)
    await _record(tx, Event.CAMPAIGN_ADDED, made, count=new.count, value=value)
    return made


async def extend(tx: Transaction, campaign_id: int, more: int) -> Campaign:
    """Have more cards made. Refuses `CODE_SPACE_EXHAUSTED`, `CONFLICT` where it is cancelled."""
    campaign = await _locked(tx, campaign_id)
    if campaign.status is CampaignStatus.CANCELLED:
        raise Conflict("id", "The campaign is cancelled.")
    count = campaign.count + more
    if count > MOST_CARDS:
        raise InvalidInput("count", f"would be more than {MOST_CARDS} in all")
    in_space = await tx.campaigns.cards_in(campaign.code_space)
    config(campaign).require_room(in_space + more, campaign.code_type)
    is_paused = campaign.status is CampaignStatus.PAUSED
    status = CampaignStatus.PAUSED if is_paused else CampaignStatus.IN_PROGRESS
    await tx.campaigns.update(campaign, {"count": count, "status": status, "modified_at": tx.now})
    if not is_paused:
        await jobs.add(tx, JOB, campaign_id)
    await _record(tx, Event.CAMPAIGN_EXTENDED, campaign, more=more)
    return campaign


async def pause(tx: Transaction, campaign_id: int) -> Campaign:
    """Stop making cards for now; paused once more it stays so. Refuses `CONFLICT`."""
    campaign = await _locked(tx, campaign_id)
    if campaign.status is CampaignStatus.IN_PROGRESS:
        await jobs.cancel(tx, JOB, campaign_id)
        await _record(tx, Event.CAMPAIGN_PAUSED, campaign)
        return await _set_status(tx, campaign, CampaignStatus.PAUSED)
    if campaign.status is not CampaignStatus.PAUSED:
        raise Conflict("id", "No cards of the campaign are being made.")
    return campaign


async def resume(tx: Transaction, campaign_id: int) -> Campaign:
    """Go on making cards; of one that goes on already it is nothing new. Refuses `CONFLICT`."""
    campaign = await _locked(tx, campaign_id)
    if campaign.status in (CampaignStatus.PAUSED, CampaignStatus.FAILED):
        await jobs.add(tx, JOB, campaign_id)
        await _record(tx, Event.CAMPAIGN_RESUMED, campaign)
        return await _set_status(tx, campaign, CampaignStatus.IN_PROGRESS)
    if campaign.status is not CampaignStatus.IN_PROGRESS:
        raise Conflict("id", "The campaign is done or cancelled.")
    return campaign


async def cancel(tx: Transaction, campaign_id: int) -> Campaign:
    """Make no more cards, for good; cancelled once more it stays so."""
    campaign = await _locked(tx, campaign_id)
    if campaign.status is CampaignStatus.CANCELLED:
        return campaign
    await jobs.cancel(tx, JOB, campaign_id)
    await _record(tx, Event.CAMPAIGN_CANCELLED, campaign)
    return await _set_status(tx, campaign, CampaignStatus.CANCELLED)


async def fail(tx: Transaction, campaign_id: int) -> None:
    """Say that the cards could not be made."""
    await _set_status(tx, await _locked(tx, campaign_id), CampaignStatus.FAILED)


async def held(tx: Transaction, campaign_id: int) -> Campaign:
    """A campaign as it stays until the transaction ends. Refuses `NOT_FOUND`."""
    return await _locked(tx, campaign_id)


async def count(tx: Transaction, campaign: Campaign, more: int) -> None:
    """Count cards that this transaction makes; with the last one the campaign is done."""
    made = campaign.made + more
    status = CampaignStatus.DONE if made >= campaign.count else campaign.status
    facts = {"made": made, "status": status, "modified_at": tx.now}
    await tx.campaigns.update(campaign, facts)


async def get(reading: Reading, campaign_id: int, field: str = "id") -> Campaign:
    """Refuses `NOT_FOUND`."""
    campaign = await reading.campaigns.get(campaign_id)
    if campaign is None:
        raise NotFound(field, "campaign")
    return campaign


async def by_ids(reading: Reading, campaign_ids: Sequence[int]) -> dict[int, Campaign]:
    found = await reading.campaigns.by_ids(campaign_ids)
    return {campaign.id: campaign for campaign in found if campaign.id is not None}


async def page(
    reading: Reading, criteria: Criteria, *, first: int, skip: int, since: str | None
) -> Page[Campaign]:
    where = cut(first, skip, await installation.window(reading, since, Campaign, int))
    return page_of(await reading.campaigns.page(where, criteria), where)


async def newest(reading: Reading, *, first: int, skip: int) -> Page[Campaign]:
    """All campaigns, the newest first."""
    where = cut(first, skip)
    return page_of(await reading.campaigns.page(where, Criteria(newest_first=True)), where)


def config(campaign: Campaign) -> CodeConfig:
    return CodeConfig(**campaign.code_config)


def subject(campaign: Campaign) -> jobs.Subject | None:
    """What the job that makes its cards is about, while it is to go on."""
    is_going_on = campaign.status is CampaignStatus.IN_PROGRESS
    return (JOB, campaign.id) if is_going_on and campaign.id is not None else None


def needs_pin(campaign: Campaign) -> bool:
    """Whether its codes can be used online only together with a PIN: all printed ones, and those
    that can be guessed."""
    is_printed = campaign.code_type is CodeType.PHYSICAL
    return is_printed or config(campaign).is_guessable(campaign.code_type)


def expiration(campaign: Campaign) -> Expiration:
    return Expiration.of(campaign.expires_on, campaign.expires_after)


def _space(wanted: CodeConfig, kind: CodeType) -> bytes:
    """The same for campaigns whose codes come out of one and the same space."""
    return sha256(f"{kind} {wanted.space(kind)}".encode()).digest()


async def _locked(tx: Transaction, campaign_id: int) -> Campaign:
    campaign = await tx.campaigns.lock(campaign_id)
    if campaign is None:
        raise NotFound("id", "campaign")
    return campaign


async def _set_status(tx: Transaction, campaign: Campaign, status: CampaignStatus) -> Campaign:
    await tx.campaigns.update(campaign, {"status": status, "modified_at": tx.now})
    return campaign


async def _record(tx: Transaction, event: Event, campaign: Campaign, **facts: Any) -> None:
    await audit.record(tx, event, f"campaign:{campaign.id}", **facts)
