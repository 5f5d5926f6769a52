"""Each export is its head, and rows in pages; cells are safe in a spreadsheet."""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from datetime import date
from typing import Any

import orjson

from giftgql.audit import service as audit
from giftgql.audit.criteria import Criteria as AuditCriteria
from giftgql.audit.models import AuditEvent, Event
from giftgql.campaigns import service as campaigns
from giftgql.campaigns.models import Campaign
from giftgql.cards import service as cards
from giftgql.cards import stock
from giftgql.cards.criteria import Criteria as CardCriteria
from giftgql.cards.stock import PrintedCode
from giftgql.cards.views import CardView
from giftgql.codes import CodeType
from giftgql.errors import Conflict, Unavailable
from giftgql.exports.pages import in_snapshot
from giftgql.jobs import service as jobs
from giftgql.jobs.service import Lease, LeaseLost
from giftgql.money import Money
from giftgql.movements import service as movements
from giftgql.movements.criteria import Criteria as TransCriteria
from giftgql.movements.service import Trans
from giftgql.permissions import Caller, Permission
from giftgql.spreadsheets import Table, safe
from giftgql.store import Reading, Store

PAGE = 1_000

FIRST_DAY, LAST_DAY = date(1970, 1, 1), date(9999, 12, 30)
"""Nothing happens before or after; days beyond have no moment in every time zone."""

Pages = AsyncGenerator[Sequence[Sequence[object]], None]

CARDS = (
    *("CardId", "Status", "Currency", "Balance", "Held", "LifetimeTotal", "Redeemed"),
    *("FaceValue", "ExpiresOn", "MemberId", "ProductId", "PoolId", "CampaignId", "CreatedAt"),
    *("Physical", "Personal", "External", "Digital"),
)
TRANSACTIONS = (
    *("TransId", "CardId", "Type", "Status", "Amount", "Currency", "Balance", "Requested"),
    *("Captured", "Released", "Refunded", "Error", "SourceId", "RefNo", "Reason", "Caller"),
    *("RelatedId", "CreatedAt", "EndedAt"),
)
EVENTS = (
    *("EventId", "CreatedAt", "Event", "Subject", "Caller", "Address", "RequestId", "SourceId"),
    "Facts",
)
CODES = ("Code", "Value", "Currency", "StartsOn", "ExpiresOn", "CardId")

_PINS = "pins export"
"""The kind of the job that stands for PINs being given out: there is one at a time."""


async def campaign_codes(
    store: Store, caller: Caller, campaign_id: int, *, with_pins: bool
) -> Table:
    """The codes of a campaign's cards in clear. With PINs only once: `CONFLICT` where they were
    given out, or are just being given out."""
    caller.require(Permission.EXPORT_GIFT_CARD_CODES)
    lease = None
    async with store.write(caller) as tx:
        campaign = await campaigns.get(tx, campaign_id)
        if with_pins:
            lease = await _lease_of_pins(tx, campaign)
        facts: dict[str, Any] = {"export": "campaign", "pins": with_pins}
        await audit.record(tx, Event.CODES_EXPORTED, f"campaign:{campaign_id}", **facts)
    head = (CODES[0], "Pin", *CODES[1:]) if with_pins else CODES
    pages = _codes(store, caller, campaign, lease)
    return Table(f"campaign-{campaign_id}", head, pages, campaign.made)


async def card_list(store: Store, caller: Caller, criteria: CardCriteria) -> Table:
    """Cards by id with what is on them; their codes in clear as far as the caller may see them
    and has `ExportGiftCardCodes`, else masked."""
    caller.require(Permission.LIST_GIFT_CARDS)
    async with store.write(caller) as tx:
        await audit.record(tx, Event.CODES_EXPORTED, "cards", **_facts("cards", criteria))
    is_clear = caller.may(Permission.EXPORT_GIFT_CARD_CODES)
    pages = in_snapshot(store, caller, lambda reading: _cards(reading, criteria, is_clear=is_clear))
    return Table("cards", CARDS, pages)


async def transaction_list(
    store: Store,
    caller: Caller,
    criteria: TransCriteria,
    *,
    first: date | None = None,
    last: date | None = None,
) -> Table:
    """Transactions by id; those of the days from `first` to `last`, where they are given."""
    caller.require(Permission.LIST_GIFT_CARD_TRANS)
    async with store.write(caller) as tx:
        criteria = replace(criteria, **_days(tx, first, last))
        facts = _facts("transactions", criteria)
        await audit.record(tx, Event.CODES_EXPORTED, "transactions", **facts)
    pages = in_snapshot(store, caller, lambda reading: _transactions(reading, criteria))
    return Table("transactions", TRANSACTIONS, pages)


async def audit_trail(
    store: Store,
    caller: Caller,
    criteria: AuditCriteria,
    *,
    first: date | None = None,
    last: date | None = None,
) -> Table:
    """Events of the audit trail by id; those of the days from `first` to `last`, where they are
    given."""
    caller.require(Permission.VIEW_AUDIT)
    async with store.write(caller) as tx:
        criteria = replace(criteria, **_days(tx, first, last))
        await audit.record(tx, Event.CODES_EXPORTED, "audit", **_facts("audit", criteria))
    pages = in_snapshot(store, caller, lambda reading: _events(reading, criteria))
    return Table("audit", EVENTS, pages)


def _days(reading: Reading, first: date | None, last: date | None) -> dict[str, Any]:
    """When the days from `first` to `last` begin and end."""
    return {
        "begins": None if first is None else reading.start_of(max(first, FIRST_DAY)),
        "ends": None if last is None else reading.end_of(min(last, LAST_DAY)),
    }


async def _lease_of_pins(tx: Any, campaign: Campaign) -> Lease:
    assert campaign.id is not None
    if campaign.pin_length is None:
        raise Conflict("pins", "The campaign's cards have no PINs.")
    await jobs.add(tx, _PINS, campaign.id)
    lease = await jobs.claim_of(tx, _PINS, campaign.id, secrets.token_hex(8))
    if lease is None:
        raise Conflict("pins", "The campaign's PINs are just being given out.")
    # Under the lease: another may have given them out until now.
    if not await stock.has_pins_to_print(tx, campaign.id):
        raise Conflict("pins", "The campaign's PINs were given out; they are given out once.")
    return lease


async def _codes(store: Store, caller: Caller, campaign: Campaign, lease: Lease | None) -> Pages:
    """Broken off, PINs can be taken again at once."""
    if lease is None:
        async for page in _printed(store, caller, campaign, None):
            yield page
        return
    try:
        async with aclosing(_printed(store, caller, campaign, lease)) as pages:
            async for page in pages:
                yield page
    except BaseException:
        await asyncio.shield(_give_back(store, lease))
        raise


async def _printed(store: Store, caller: Caller, campaign: Campaign, lease: Lease | None) -> Pages:
    assert campaign.id is not None
    value = Money(campaign.value, campaign.currency)
    with_pins = lease is not None
    after = 0
    pages = in_snapshot(
        store, caller, lambda reading: _codes_to_print(reading, campaign, with_pins=with_pins)
    )
    async with aclosing(pages):
        async for page in pages:
            after = page[-1].card_id
            if lease is not None:
                await _go_on(store, lease)
            yield [
                (
                    safe(each.code.clear),
                    *((each.pin or "",) if with_pins else ()),
                    value,
                    campaign.currency,
                    _day(campaign.starts_on),
                    _day(each.expires_on),
                    each.card_id,
                )
                for each in page
            ]
    if lease is not None:
        async with store.write(caller) as tx:
            await stock.forget_printed_pins(tx, campaign.id, up_to=after)
            await jobs.finish(tx, lease)


async def _codes_to_print(
    reading: Reading, campaign: Campaign, *, with_pins: bool
) -> AsyncGenerator[list[PrintedCode], None]:
    assert campaign.id is not None
    after = 0
    while found := await stock.codes_to_print(
        reading, campaign.id, campaign.code_type, after=after, at_most=PAGE, with_pins=with_pins
    ):
        after = found[-1].card_id
        yield found


async def _give_back(store: Store, lease: Lease) -> None:
    with suppress(LeaseLost, Unavailable):  # it ends by itself
        async with store.write() as tx:
            await jobs.give_back(tx, lease)


async def _go_on(store: Store, lease: Lease) -> None:
    try:
        async with store.write() as tx:
            await jobs.hold(tx, lease)
    except LeaseLost:
        raise Conflict("pins", "The PINs are being given out to somebody else.") from None


async def _cards(reading: Reading, criteria: CardCriteria, *, is_clear: bool) -> Pages:
    after, has_more = 0, True
    while has_more:
        page = await cards.page(reading, replace(criteria, after_id=after), first=PAGE, skip=0)
        if page.rows:
            after = page.rows[-1].account.id
            yield [_card(view, is_clear=is_clear) for view in page.rows]
        has_more = page.has_more


async def _transactions(reading: Reading, criteria: TransCriteria) -> Pages:
    after, has_more = 0, True
    while has_more:
        wanted = replace(criteria, after_id=after)
        page = await movements.page(reading, wanted, first=PAGE, skip=0, since=None)
        if page.rows:
            after = page.rows[-1].id
            yield [_transaction(trans) for trans in page.rows]
        has_more = page.has_more


async def _events(reading: Reading, criteria: AuditCriteria) -> Pages:
    after, has_more = 0, True
    while has_more:
        page = await audit.page(reading, replace(criteria, after_id=after), first=PAGE)
        if page.rows:
            after = page.rows[-1].id or 0
            yield [_event(each) for each in page.rows]
        has_more = page.has_more


def _event(event: AuditEvent) -> Sequence[object]:
    facts = orjson.dumps(event.facts, option=orjson.OPT_SORT_KEYS).decode()
    return (
        *(event.id, event.created_at.isoformat(), event.event.value, safe(event.subject)),
        *(safe(event.caller), safe(event.address), safe(event.request_id), safe(event.source_id)),
        safe(facts),
    )


def _card(view: CardView, *, is_clear: bool) -> Sequence[object]:
    card, account = view.card, view.account
    seen = {code.kind: code for code in view.codes}

    def money(minor: int) -> Money:
        return Money(minor, account.currency)

    def shown(kind: CodeType) -> str:
        code = seen.get(kind)
        return "" if code is None else safe(code.text if is_clear else code.hidden)

    face = account.opens_with
    return (
        *(card.id, view.status, account.currency, money(view.balance), money(view.held)),
        *(money(account.lifetime), money(account.redeemed)),
        *("" if face is None else money(face), _day(view.expires_on), safe(card.member_id)),
        *(card.product_id or "", card.pool_id or "", card.campaign_id or ""),
        card.created_at.isoformat(),
        *(shown(kind) for kind in CodeType),
    )


def _transaction(trans: Trans) -> Sequence[object]:
    def money(minor: int) -> Money:
        return Money(minor, trans.currency)

    return (
        *(trans.id, trans.card_id, trans.type, trans.status, money(trans.amount)),
        *(trans.currency, money(trans.balance), money(trans.asked), money(trans.captured)),
        *(money(trans.released), money(trans.refunded), trans.error or ""),
        *(safe(trans.source_id), safe(trans.ref_no), safe(trans.reason), safe(trans.caller)),
        *(trans.about_id or "", trans.created_at.isoformat()),
        trans.ended_at.isoformat() if trans.ended_at else "",
    )


def _day(day: date | None) -> str:
    return day.isoformat() if day else ""


def _facts(name: str, criteria: CardCriteria | TransCriteria | AuditCriteria) -> Mapping[str, Any]:
    """What of the list was asked for, as the audit trail keeps it."""
    filters = {key: str(value) for key, value in vars(criteria).items() if value is not None}
    return {"export": name, "filter": filters}
