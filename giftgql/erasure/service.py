from giftgql.cards import owners
from giftgql.errors import Conflict
from giftgql.ledger import service as ledger
from giftgql.members import service as members
from giftgql.members.models import Member
from giftgql.orders import service as orders
from giftgql.outbox import service as outbox
from giftgql.store import Transaction


async def erase(tx: Transaction, member_id: str) -> Member:
    """Erase a member; erased once more it stays so.

    Refuses `MEMBER_NOT_FOUND`, and `CONFLICT` where an order is pending, or a card that was bought
    is still to be sent to somebody else: that would never arrive.
    """
    await ledger.lock_all(tx, await owners.ids_of_member(tx, member_id))  # as all do, cards first
    member = await members.held(tx, member_id, is_to_be_named=False)
    if member.erased_at is not None:
        return member
    card_ids = await owners.ids_of_member(tx, member_id)
    await ledger.lock_all(tx, card_ids)
    of_member = await orders.of_member(tx, member_id)
    for order in of_member:
        if orders.is_open(tx, order):
            raise Conflict("id", f"The order {order.id} is pending; cancel it, or wait.")
    order_ids = [order.id for order in of_member if order.id is not None]
    placed = [order.id for order in of_member if order.member_id == member_id and order.id]
    await outbox.forget_people(tx, member.email, card_ids=card_ids, order_ids=placed)
    await owners.forget_words(tx, card_ids)
    await orders.forget_people(tx, of_member, member_id)
    await members.erase(tx, member, cards=len(card_ids), orders=len(order_ids))
    return member
