from datetime import date

from giftgql.audit import service as audit
from giftgql.audit.models import Event
from giftgql.cards import presented
from giftgql.cards import service as cards
from giftgql.cards.views import CardView
from giftgql.durations import Duration
from giftgql.errors import CardDisabled, CardReplaced, NotFound, PastExpiration
from giftgql.ledger import service as ledger
from giftgql.ledger.orders import By, Close, Extend, Funds
from giftgql.store import Transaction
from giftgql.tries import service as tries


async def block(tx: Transaction, card_id: int, reason: str) -> CardView:
    """Stop a card: nothing is taken or added, nothing expires. Blocked once more it stays so."""
    funds = await _locked(tx, card_id)
    if not funds.blocked:
        await ledger.block(tx, funds)
        await _record(tx, Event.CARD_BLOCKED, card_id, reason)
    return await cards.view(tx, card_id)


async def unblock(tx: Transaction, card_id: int, reason: str) -> CardView:
    """Let a card's money move again; what would have expired meanwhile expires now."""
    funds = await _locked(tx, card_id)
    if funds.blocked:
        await ledger.unblock(tx, funds)
        await _record(tx, Event.CARD_UNBLOCKED, card_id, reason)
    return await cards.view(tx, card_id)


async def disable(tx: Transaction, card_id: int, reason: str) -> CardView:
    """End a card for good: holds are cancelled, the rest goes off the books (adjustment)."""
    funds = await _there(tx, card_id)
    if not funds.closed:
        await ledger.close(tx, Close(account_id=card_id, by=By(tx.caller.name, reason=reason)))
        await _record(tx, Event.CARD_DISABLED, card_id, reason)
    return await cards.view(tx, card_id)


async def extend(tx: Transaction, card_id: int, reason: str, until: date | Duration) -> CardView:
    """Let a card's funds be valid until a day, or for a time from today; never until earlier.

    What has expired comes back. Funds without an end keep none. Refuses `PAST_EXPIRATION`.
    """
    if isinstance(until, date) and until < tx.today:
        raise PastExpiration("expiresOn")
    funds = await _locked(tx, card_id)
    last_day: date = until if isinstance(until, date) else tx.today + until
    valid_until = tx.end_of(last_day)
    assert valid_until is not None
    if funds.valid_until is not None and funds.valid_until < valid_until:
        by = By(tx.caller.name, reason=reason)
        await ledger.extend(tx, Extend(account_id=card_id, by=by, valid_until=valid_until))
        await _record(tx, Event.CARD_EXTENDED, card_id, reason)
    return await cards.view(tx, card_id)


async def unlock_secrets(tx: Transaction, card_id: int, reason: str) -> CardView:
    """Forget the wrong tries of a card's PIN and CVV."""
    await _locked(tx, card_id)
    await tries.unlock(tx, [code.comparable.encode() for code in await cards.texts(tx, card_id)])
    await _record(tx, Event.SECRET_UNLOCKED, card_id, reason)
    return await cards.view(tx, card_id)


async def _locked(tx: Transaction, card_id: int) -> Funds:
    funds = await _there(tx, card_id)
    if funds.closed:
        raise CardDisabled
    return funds


async def _there(tx: Transaction, card_id: int) -> Funds:
    funds = await ledger.lock(tx, card_id)
    if funds is None or not await presented.is_there(tx, card_id):
        raise NotFound("id", "gift card")
    if funds.replaced_by is not None:
        raise CardReplaced(funds.replaced_by)
    return funds


async def _record(tx: Transaction, event: Event, card_id: int, reason: str) -> None:
    await audit.record(tx, event, f"card:{card_id}", reason=reason)
