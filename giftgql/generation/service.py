import asyncio
import secrets
import string
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from functools import partial

from giftgql.campaigns import service as campaigns
from giftgql.campaigns.models import Campaign, CampaignStatus
from giftgql.cards import bulk, stock
from giftgql.cards.bulk import NewCard, Prepared
from giftgql.choices import RedemptionStrategy
from giftgql.codes import CodeText
from giftgql.jobs import service as jobs
from giftgql.jobs.ahead import one_ahead
from giftgql.jobs.service import Lease, LeaseLost
from giftgql.ledger.models import MovementType
from giftgql.ledger.orders import By, Funds, Move
from giftgql.store import Store, Transaction
from giftgql.vault import Vault

PIECE = 1_000
"""Cards of a piece: the work of about a tenth of a second."""

PIECES_RESERVED = 10
"""For how many pieces ids are reserved at once."""

PINS_PIECE = 64
"""PINs that are hardened in a piece: the work of one to two seconds of two threads."""

PINS = "pins"
"""The kind of the job that hardens PINs that came in bulk."""


class NotMade(Exception):
    """The rules of money decline what the campaign's cards are to begin with."""


async def make_cards(store: Store, lease: Lease) -> bool:
    """Make cards of a campaign, piece by piece, for a spell; the work of its job."""
    is_done = True
    async with aclosing(one_ahead(_pieces(store, lease.subject_id))) as pieces:
        async for ready in pieces:
            async with store.write() as tx:
                is_done = await _write(tx, lease, ready)
            if is_done:
                break
    return not is_done


async def _pieces(store: Store, campaign_id: int) -> AsyncGenerator[list[Prepared], None]:
    """Cards to be written, more of them than needed where a code is not new."""
    card_ids, code_ids = list[int](), list[int]()
    while True:
        if not card_ids:
            async with store.write() as tx:
                campaign = await campaigns.get(tx, campaign_id)
                wanted = min(campaign.count - campaign.made, PIECES_RESERVED * PIECE)
                if wanted <= 0 or campaign.status is not CampaignStatus.IN_PROGRESS:
                    return
                card_ids, code_ids = map(list, await bulk.reserve(tx, wanted))
                funds = _funds(tx, campaign)
        yield await asyncio.to_thread(
            _prepared, store.vault, campaign, funds, card_ids[:PIECE], code_ids[:PIECE]
        )
        del card_ids[:PIECE], code_ids[:PIECE]


async def _write(tx: Transaction, lease: Lease, ready: Sequence[Prepared]) -> bool:
    """Write cards that are wanted still; returns whether no more are. Raises LeaseLost where
    the campaign was stopped, NotMade."""
    # The campaign first, as whoever pauses or cancels it does: they cannot wait for each other.
    campaign = await campaigns.held(tx, lease.subject_id)
    await jobs.hold(tx, lease)
    if campaign.status is not CampaignStatus.IN_PROGRESS:
        raise LeaseLost
    fresh = (await bulk.unknown(tx, ready))[: campaign.count - campaign.made]
    declined = [error for error in await bulk.add(tx, fresh) if error]
    if declined:
        raise NotMade(declined[0])
    await campaigns.count(tx, campaign, len(fresh))
    await jobs.measure(tx, lease, len(fresh))
    if campaign.pin_length is not None:
        await jobs.add(tx, PINS)
    return campaign.made >= campaign.count


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


def _funds(tx: Transaction, campaign: Campaign) -> Callable[[], Funds]:
    """Makes the accounts of a campaign's cards."""
    starts_on = campaign.starts_on
    return partial(
        Funds,
        id=0,
        currency=campaign.currency,
        valid_from=tx.start_of(starts_on) if starts_on else None,
        valid_until=tx.end_of(campaign.expires_on),
        validity=campaign.expires_after,
        opens_with=campaign.value,
        most_uses=campaign.redemption_limit,
        replaced_on_use=tx.settings.strategy is RedemptionStrategy.REPLACEMENT,
    )


def _prepared(
    vault: Vault,
    campaign: Campaign,
    funds: Callable[[], Funds],
    card_ids: Sequence[int],
    code_ids: Sequence[int],
) -> list[Prepared]:
    kind, digits = campaign.code_type, campaign.pin_length
    by = By(campaign.created_by, reason=f"campaign {campaign.id}")
    needs_pin = campaigns.needs_pin(campaign)
    new = [
        NewCard(
            code=CodeText(text),
            kind=kind,
            funds=funds(),
            moves=[_given_away(campaign, by)] if campaign.is_activated else (),
            pin=None if digits is None else _pin(digits),
            prints_pin=digits is not None,
            needs_pin=needs_pin,
            is_free=True,
            campaign_id=campaign.id,
        )
        for text in campaigns.config(campaign).make(len(card_ids), kind)
    ]
    return bulk.prepared(vault, new, card_ids, code_ids)


def _given_away(campaign: Campaign, by: By) -> Move:
    return Move(account_id=0, type=MovementType.ADD, amount=campaign.value, price=0, by=by)


def _pin(digits: int) -> str:
    return "".join(secrets.choice(string.digits) for _ in range(digits))
