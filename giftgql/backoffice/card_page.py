"""The page of one card: what it has, what was done with it, and what may be done now."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import Response

from giftgql.backoffice import (
    belonging,
    card_codes,
    card_money,
    card_standing,
    outbox_actions,
    people,
)
from giftgql.backoffice.actions import Action, Done, Reach, Task
from giftgql.backoffice.pages import Problem, Visit
from giftgql.cards import found, reveals
from giftgql.cards import service as cards
from giftgql.cards.criteria import Criteria
from giftgql.cards.views import CardView
from giftgql.errors import NotFound, TransactionNotFound
from giftgql.ledger.models import MovementType
from giftgql.members import service as members
from giftgql.money import Money
from giftgql.movements import criteria as movement_criteria
from giftgql.movements import service as movements
from giftgql.movements.criteria import TransStatus
from giftgql.movements.service import Trans
from giftgql.orders import service as orders
from giftgql.outbox import service as outbox
from giftgql.outbox.models import OutboxMessage
from giftgql.paging import Page
from giftgql.permissions import Permission
from giftgql.store import Reading
from giftgql.succession import service as succession
from giftgql.succession.models import Succession
from giftgql.values import ID, record_id

ACTIONS: Mapping[str, Task[Reach, CardView]] = {
    **{each.name: each for each in card_money.ACTIONS},
    **{each.name: each for each in (*card_standing.ACTIONS, *card_codes.ACTIONS)},
    **outbox_actions.ACTIONS,
}
MAIN = (card_money.REDEEM, card_money.FUND)
FURTHER = (
    *(card_money.ADJUST, card_money.TRANSFER),
    *(card_standing.UNBLOCK, card_standing.BLOCK, card_standing.EXTEND, card_standing.UNLOCK),
    card_standing.DISABLE,
)
HISTORY = 30
"""Transactions that are shown at a time."""

_UNDOABLE = frozenset(MovementType) - {
    *(MovementType.EXPIRE, MovementType.TRANSFER, MovementType.REFUND)
}
_TYPES = {
    MovementType.ADD: "Funds added",
    MovementType.USE: "Redeemed",
    MovementType.ADJUST: "Corrected",
    MovementType.EXTERNAL: "Other system",
    MovementType.IMPORT: "Taken over",
    MovementType.REFUND: "Refund",
    MovementType.TRANSFER: "Transfer",
    MovementType.EXPIRE: "Expired",
}


DoneToCard = Done[Reach, CardView]
"""What was done from this page just now, and the transaction that came of it."""


def done_before(visit: Visit) -> DoneToCard | None:
    """What the address says was done: it is shown without being done again."""
    action = ACTIONS.get(visit.asked("done") or "")
    return None if action is None else Done(action, record_id(ID(visit.asked("trans") or "")))


def address(card_id: int, done: DoneToCard) -> str:
    """Where what was done is shown without being done again."""
    about = "" if done.came_of_it is None else f"&trans={done.came_of_it}"
    return f"/office/cards/{card_id}?done={done.task.name}{about}"


@dataclass
class Around:
    """What is known around a card, as far as the visitor may see it."""

    history: Page[Trans] = field(default_factory=lambda: Page([], False))
    holds: Sequence[Trans] = ()
    of: Sequence[belonging.Belonging] = ()
    orders: Mapping[int, int] = field(default_factory=dict)
    successions: Mapping[int, Succession] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    replaces: int | None = None
    owner: str | None = None
    mails: Sequence[OutboxMessage] = ()


async def show(
    visit: Visit,
    reach: Reach,
    *,
    done: DoneToCard | None = None,
    problem: Problem | None = None,
    before: int | None = None,
) -> Response:
    """The page, with what was done or refused just now. Refuses `NOT_FOUND` and, as the API does
    for the same look-up, `PERMISSION_DENIED`."""
    view = await reveals.shown(visit.context, await _view(visit, reach))
    async with visit.read() as reading:
        around = await _around(visit, reading, view, before)
        notice = "" if done is None else await _notice(visit, reading, view, done)
    return visit.page(
        "card.html",
        200 if problem is None else problem.status,
        view=view,
        around=around,
        reach=reach,
        before=before,
        notice=notice,
        problem=problem,
        is_about_all=problem is not None and problem.of not in _form_ids(view, around),
        types=_TYPES,
        main=_offered(visit, view, MAIN),
        further=_offered(visit, view, FURTHER),
        codes=_offered(visit, view, tuple(card_codes.OF_KINDS.values())),
        actions=ACTIONS,
        offered_for=outbox_actions.offered,
        may=_may(visit),
        refundable=_refundable,
    )


async def _view(visit: Visit, reach: Reach) -> CardView:
    views: Sequence[CardView]
    if reach.code is None:
        visit.require(Permission.LIST_GIFT_CARDS)
        criteria = Criteria(card_id=reach.card_id)
        async with visit.read() as reading:
            page = await cards.page(reading, criteria, first=1, skip=0, with_history=True)
        views = page.rows
    else:
        visit.require(Permission.FIND_GIFT_CARD_BY_CODE)
        views = await found.by_code(
            visit.context.store, visit.caller, reach.code, reach.kind, with_history=True
        )
    for view in views:
        if view.account.id == reach.card_id:
            return view
    raise NotFound("id", "gift card")


async def _around(visit: Visit, reading: Reading, view: CardView, before: int | None) -> Around:
    card_id, around = view.account.id, Around()
    around.of = await belonging.of(visit, reading, view.card)
    around.replaces = (await succession.predecessors(reading, [card_id])).get(card_id)
    if view.card.member_id is not None and visit.may(Permission.VIEW_MEMBERS):
        owner = await members.find(reading, view.card.member_id)
        around.owner = None if owner is None else owner.name
    if visit.may(Permission.LIST_GIFT_CARD_TRANS):
        await _read_history(visit, reading, around, card_id, before)
    if visit.may(Permission.MANAGE_OUTBOX):
        around.mails = await outbox.mails_about(reading, card_id, first=HISTORY)
    return around


async def _read_history(
    visit: Visit, reading: Reading, around: Around, card_id: int, before: int | None
) -> None:
    around.history = await movements.latest(reading, card_id, first=HISTORY, before=before)
    open_ = movement_criteria.Criteria(card_ids={card_id}, status=TransStatus.AUTHORIZED)
    around.holds = (await movements.page(reading, open_, first=HISTORY, skip=0, since=None)).rows
    rows = around.history.rows
    ids = [each.id for each in rows]
    around.successions = await succession.by_ids(reading, ids)
    if visit.may(Permission.VIEW_ORDERS):
        made_for = {each.id: each.about_id or each.id for each in rows}
        known = await orders.of_movements(reading, sorted(set(made_for.values())))
        around.orders = {id_: known[of] for id_, of in made_for.items() if of in known}
    around.names = await people.named(reading, {each.caller for each in (*rows, *around.holds)})


async def _notice(visit: Visit, reading: Reading, view: CardView, done: DoneToCard) -> str:
    """What was done, with the amount that moved where that is known."""
    if done.came_of_it is None:
        return done.task.done
    try:
        recorded = await movements.find(reading, done.came_of_it)
    except TransactionNotFound:
        return done.task.done
    trans = movements.shown(recorded, reading.now)
    if trans.card_id != view.account.id:
        return done.task.done
    say = visit.wording
    amount = say.money(Money(abs(trans.amount), trans.currency))
    left = say.money(Money(view.balance, view.account.currency))
    return f"{done.task.done}: {amount}. {left} is available now."


def _offered(visit: Visit, view: CardView, actions: Sequence[Action]) -> list[Action]:
    return [each for each in actions if each.is_offered(visit, view)]


def _may(visit: Visit) -> Callable[[str], bool]:
    return lambda name: visit.may(*ACTIONS[name].requires)


def _refundable(trans: Trans) -> bool:
    is_done = trans.status is TransStatus.COMPLETED
    return is_done and trans.type in _UNDOABLE and trans.captured > trans.refunded


def _is_offered(name: str, mail: OutboxMessage) -> bool:
    return outbox_actions.offered(mail).name == name


def _form_ids(view: CardView, around: Around) -> set[str]:
    """The forms that the page may have: what is refused of another is said at its top."""
    rows: Mapping[str, Sequence[Any]] = {
        "refund": [each.id for each in around.history.rows if _refundable(each)],
        "capture": [each.id for each in around.holds],
        "release": [each.id for each in around.holds],
        "resend": [each.id for each in around.mails if _is_offered("resend", each)],
        "retry": [each.id for each in around.mails if _is_offered("retry", each)],
        "revoke": [each.kind.value for each in view.codes],
    }
    return {
        action.form_id(row) for action in ACTIONS.values() for row in rows.get(action.name, [""])
    }
