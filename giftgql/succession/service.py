from collections.abc import Sequence
from datetime import datetime

from giftgql.campaigns import service as campaigns
from giftgql.cards import mentions
from giftgql.cards import service as cards
from giftgql.cards.models import GiftCard
from giftgql.cards.service import NewCard, NewCode
from giftgql.choices import RedemptionStrategy
from giftgql.codes import CodeText, CodeType
from giftgql.errors import Refusal
from giftgql.ledger import service as ledger
from giftgql.ledger.orders import By, Funds, Replace
from giftgql.ledger.service import Asked, Result
from giftgql.members import service as members
from giftgql.outbox import service as outbox
from giftgql.outbox.mails import CardReplaced, Mail
from giftgql.store import Reading, Transaction
from giftgql.succession.models import Succession

KEPT = (
    *("note", "details", "product_id", "campaign_id", "purchased_on", "point_of_contact"),
    "recipient",
)
"""What of a card its successor has as well. A pool it has none: it is not one of the cards that
were made for that, and has no CVV."""


async def use(tx: Transaction, asked: Asked, by: By) -> Result:
    """Post a use, or capture one; what it leaves on a card that is replaced on use goes to a new
    one. `by` is who used which code, and where. Refuses `IDEMPOTENCY_CONFLICT`."""
    (result,) = await ledger.post(tx, [asked])
    if isinstance(result, Refusal):
        raise result
    assert result is not None
    outcome, account_id = result.outcome, asked.order.account_id
    if outcome.end is not None:
        end = outcome.end
        await succeed(tx, account_id, movement_id=end.hold_id, paid=end.captured, by=by)
    elif outcome.entry is not None and outcome.error is None:
        entry = outcome.entry
        await succeed(tx, account_id, movement_id=entry.id, paid=-entry.amount, by=by)
    return result


async def succeed(
    tx: Transaction,
    account_id: int,
    *,
    movement_id: int,
    paid: int,
    by: By,
    order_id: int | None = None,
    order_no: str | None = None,
) -> Succession | None:
    """Move what a use has left on a card to a new card with a new code, which is mailed to the
    owner, else to the recipient. This transaction has just posted the use, or captured it.

    None where there is nothing to do: the card is not replaced on use, nothing is left, or what is
    left can be used no more. Where there is nobody to mail to, the code keeps it: the succession
    has no successor.
    """
    funds = await ledger.lock(tx, account_id)
    assert funds is not None
    if not _is_to_be_replaced(funds, tx.now):
        return None
    card = (await cards.view(tx, account_id)).card
    name, address = await _holder(tx, card)
    successor_id = None
    if address is not None:
        successor_id = await _replace(tx, card, funds, by)
        content = CardReplaced(
            currency=funds.currency,
            recipient=name,
            order_no=order_no,
            paid=paid,
            left=funds.free,
            last_four=await mentions.last_four(tx, by.code_id),
            place=by.source_id,
        )
        mail = Mail(address=address, content=content, card_id=successor_id, order_id=order_id)
        await outbox.put(tx, mail)
    succession = Succession(movement_id=movement_id, successor_id=successor_id)
    await tx.successions.add(succession)
    return succession


async def by_ids(reading: Reading, movement_ids: Sequence[int]) -> dict[int, Succession]:
    """What uses have led to, by their movements."""
    return {each.movement_id: each for each in await reading.successions.by_ids(movement_ids)}


async def predecessors(reading: Reading, card_ids: Sequence[int]) -> dict[int, int]:
    """The cards that these have replaced."""
    return await reading.successions.predecessors(card_ids)


def _is_to_be_replaced(funds: Funds, now: datetime) -> bool:
    is_used_up = funds.most_uses is not None and funds.uses >= funds.most_uses
    return funds.replaced_on_use and funds.available(now) > 0 and not is_used_up


async def _holder(tx: Transaction, card: GiftCard) -> tuple[str | None, str | None]:
    """Name and e-mail address of whom the new code may be sent to."""
    owner = await members.find(tx, card.member_id) if card.member_id else None
    if owner is not None and owner.email is not None:
        return owner.name, owner.email
    recipient = card.recipient or {}
    return recipient.get("name"), recipient.get("email")


async def _replace(tx: Transaction, card: GiftCard, funds: Funds, by: By) -> int:
    """Make a card's successor and move all that is left there; returns its id."""
    left = None if funds.most_uses is None else funds.most_uses - funds.uses
    new = NewCard(
        codes=[NewCode(CodeType.DIGITAL, "code", await _code(tx, card))],
        currency=funds.currency,
        member_id=card.member_id,
        valid_until=funds.valid_until,
        whole_only=funds.whole_only,
        most_uses=left,
        strategy=RedemptionStrategy.REPLACEMENT,
        facts={name: getattr(card, name) for name in KEPT},
    )
    successor_id = await cards.make(tx, new)
    order = Replace(account_id=funds.id, to_id=successor_id, by=by._replace(reason="replacement"))
    outcome = await ledger.post_one(tx, order)
    assert outcome.entry is not None
    assert outcome.error is None
    await cards.end_replaced(tx, funds.id)
    return successor_id


async def _code(tx: Transaction, card: GiftCard) -> CodeText | None:
    """A code of the pattern that the card's campaign has, where it is safe to be used alone; None:
    one of the server's own form."""
    if card.campaign_id is None:
        return None
    config = campaigns.config(await campaigns.get(tx, card.campaign_id))
    if config.is_guessable(CodeType.DIGITAL):
        return None
    return CodeText(config.make(1, CodeType.DIGITAL)[0])
