import asyncio
import secrets
import string
from collections.abc import Sequence
from dataclasses import replace

from giftgql.campaigns import service as campaigns
from giftgql.campaigns.models import Campaign, CampaignStatus
from giftgql.cards import bulk, stock
from giftgql.cards.bulk import NewCard, Prepared
from giftgql.codes import CodeText
from giftgql.jobs import service as jobs
from giftgql.jobs.service import Lease, LeaseLost
from giftgql.ledger.models import MovementType
from giftgql.ledger.orders import By, Funds, Move
from giftgql.store import Store, Transaction

PIECE = 1_000
"""Cards of a piece: the work of about a tenth of a second."""

PINS_PIECE = 64
"""PINs that are hardened in a piece: the work of one to two seconds of two threads."""

PINS = "pins"
"""The kind of the job that hardens PINs that came in bulk."""


class NotMade(Exception):
    """The rules of money decline what the campaign's cards are to begin with."""


async def make_cards(store: Store, lease: Lease) -> bool:
    """Make the next cards of a campaign; a step of its job."""
    async with store.write() as tx:
        campaign = await campaigns.get(tx, lease.subject_id)
        wanted = min(campaign.count - campaign.made, PIECE)
        if wanted <= 0 or campaign.status is not CampaignStatus.IN_PROGRESS:
            return False
        card_ids, code_ids = await bulk.reserve(tx, wanted)
        pattern = _funds(tx, campaign)

    def prepared() -> list[Prepared]:
        new = _new_cards(campaign, wanted, pattern)
        return bulk.prepared(store.vault, new, card_ids, code_ids)

    ready = await asyncio.to_thread(prepared)
    async with store.write() as tx:
        # The campaign first, as whoever pauses or cancels it does: they cannot wait for each other.
        campaign = await campaigns.held(tx, lease.subject_id)
        await jobs.hold(tx, lease)
        if campaign.status is not CampaignStatus.IN_PROGRESS:
            raise LeaseLost
        fresh = await bulk.unknown(tx, ready)
        declined = [error for error in await bulk.add(tx, fresh) if error]
        if declined:
            raise NotMade(declined[0])
        await campaigns.count(tx, campaign, len(fresh))
        if campaign.pin_length is not None:
            await jobs.add(tx, PINS)
        return campaign.made < campaign.count


async def harden_pins(store: Store, lease: Lease) -> bool:
    """Hash the next PINs that came in bulk the slow way; a step of their job.

    It is done by the threads that set PINs, not by those that check them: tills do not wait.
    """
    async with store.read() as reading:
        quick = await stock.quick_pins(reading, at_most=PINS_PIECE)
    if not quick:
        return False
    hardened = await asyncio.gather(*(store.vault.harden(each) for each in quick.values()))
    async with store.write() as tx:
        await jobs.hold(tx, lease)
        await stock.harden(tx, quick, dict(zip(quick, hardened, strict=True)))
    return True


def _funds(tx: Transaction, campaign: Campaign) -> Funds:
    """What all cards of a campaign have in common."""
    starts_on = campaign.starts_on
    return Funds(
        id=0,
        currency=campaign.currency,
        valid_from=tx.start_of(starts_on) if starts_on else None,
        valid_until=tx.end_of(campaign.expires_on),
        validity=campaign.expires_after,
        opens_with=campaign.value,
        most_uses=campaign.redemption_limit,
    )


def _new_cards(campaign: Campaign, many: int, pattern: Funds) -> Sequence[NewCard]:
    kind, digits = campaign.code_type, campaign.pin_length
    by = By(campaign.created_by, reason=f"campaign {campaign.id}")
    needs_pin = campaigns.needs_pin(campaign)
    return [
        NewCard(
            code=CodeText(text),
            kind=kind,
            funds=replace(pattern),
            moves=[_given_away(campaign, by)] if campaign.is_activated else (),
            pin=None if digits is None else _pin(digits),
            prints_pin=digits is not None,
            needs_pin=needs_pin,
            is_free=True,
            campaign_id=campaign.id,
        )
        for text in dict.fromkeys(campaigns.config(campaign).make(many, kind))
    ]


def _given_away(campaign: Campaign, by: By) -> Move:
    return Move(account_id=0, type=MovementType.ADD, amount=campaign.value, by=by)


def _pin(digits: int) -> str:
    return "".join(secrets.choice(string.digits) for _ in range(digits))
