"""Orders: lists, and the page of one, with who paid which part of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from giftgql.backoffice import order_actions, people
from giftgql.backoffice.actions import perform
from giftgql.backoffice.forms import NOTHING, Form
from giftgql.backoffice.navigation import SEES_ORDERS
from giftgql.backoffice.order_actions import ACTIONS
from giftgql.backoffice.pages import Problem, Visit, changes, go_to, shows
from giftgql.cards import mentions
from giftgql.errors import InvalidInput, NotFound, Refusal
from giftgql.members import service as members
from giftgql.members.api import read_member_id
from giftgql.orders import service as orders
from giftgql.orders.criteria import Criteria
from giftgql.orders.models import OrderPiece, OrderStatus
from giftgql.orders.views import OrderView
from giftgql.permissions import Permission
from giftgql.store import Reading
from giftgql.values import ID, record_id, text

ROWS = 50
PIECES = 100
"""Bought cards that are shown of an order."""

_FILTERS = ("id", "status", "member", "refNo")


@dataclass(frozen=True)
class Share:
    """A part of what an order comes to, with its place on a bar that is 100 long."""

    name: str
    kind: str
    amount: int
    start: float
    length: float


@dataclass
class Around:
    """What is known around an order, as far as the visitor may see it."""

    caller: str = ""
    customer: str = ""
    codes: Mapping[int, str] = field(default_factory=dict)


@shows(*SEES_ORDERS)
async def show_all(visit: Visit) -> Response:
    """`GET /office/orders`: the newest first; without `ViewOrders` one's own."""
    asked = {name: visit.asked(name) or "" for name in _FILTERS}
    known: dict[str, Any] = {"asked": asked, "statuses": list(OrderStatus)}
    try:
        criteria, before = _criteria(visit), record_id(ID(visit.asked("before") or ""))
    except Refusal as refusal:
        problem = Problem(refusal, NOTHING, of="filter")
        return visit.page(
            "orders.html", problem.status, problem=problem, rows=[], more=None, **known
        )
    async with visit.read() as reading:
        page = await orders.latest(reading, criteria, first=ROWS, before=before)
    more = urlencode({**asked, "before": page.rows[-1].order.id}) if page.has_more else None
    return visit.page("orders.html", rows=page.rows, more=more, **known)


@shows(*SEES_ORDERS)
async def show(visit: Visit) -> Response:
    """`GET /office/orders/{id}`."""
    done = ACTIONS.get(visit.asked("done") or "")
    return await _show(visit, visit.request.path_params["id"], "" if done is None else done.done)


@changes(*SEES_ORDERS, Permission.REFUND_ORDER)
async def act(visit: Visit, form: Form) -> Response:
    """`POST /office/orders/{id}/{action}`: done once, then the order as it is by now."""
    order_id = visit.request.path_params["id"]
    done = await perform(visit, ACTIONS, order_id, form)
    if isinstance(done, Problem):
        return await _show(visit, order_id, problem=done)
    return go_to(f"/office/orders/{order_id}?done={done.task.name}")


async def _show(
    visit: Visit, order_id: int, notice: str = "", problem: Problem | None = None
) -> Response:
    """Refuses `NOT_FOUND`, for another's order too where only one's own may be seen."""
    async with visit.read() as reading:
        view = (await orders.by_ids(reading, [order_id])).get(order_id)
        if view is None or not orders.is_for(reading, view.order):
            raise NotFound("id", "order")
        around = await _around(visit, reading, view)
    forms = _form_ids(view)
    return visit.page(
        "order.html",
        200 if problem is None else problem.status,
        view=view,
        around=around,
        pieces=_by_line(view.pieces[:PIECES]),
        unlisted=len(view.pieces[PIECES:]),
        shares=shares(view),
        notice=notice,
        problem=problem,
        is_about_all=problem is not None and problem.of not in forms,
        offered=[each for each in ACTIONS.values() if each.is_offered(visit, view)],
        refund_payment=order_actions.REFUND_PAYMENT,
        take_back=order_actions.TAKE_BACK,
        is_refundable=order_actions.is_refundable,
        is_returnable=order_actions.is_returnable,
    )


async def _around(visit: Visit, reading: Reading, view: OrderView) -> Around:
    order, around = view.order, Around()
    around.caller = (await people.named(reading, [order.caller]))[order.caller]
    used = sorted({each.code_id for each in view.payments if each.code_id is not None})
    around.codes = await mentions.codes_hidden(reading, used) if used else {}
    if visit.may(Permission.VIEW_MEMBERS):
        around.customer = await _customer(reading, view)
    return around


async def _customer(reading: Reading, view: OrderView) -> str:
    """The customer's name and address as they were given, else the member's name."""
    given, member_id = view.order.customer or {}, view.order.member_id
    name = given.get("name")
    if name is None and member_id is not None:
        member = await members.find(reading, member_id)
        name = None if member is None else member.name
    return " ".join(each for each in (name, given.get("email")) if each)


def shares(view: OrderView) -> list[Share]:
    """Who pays which part of the total: gift cards, other ways, and what is due yet."""
    parts = (
        ("Gift cards", "by-card", view.paid_by(is_card=True)),
        ("Other ways", "otherwise", view.paid_by(is_card=False)),
        ("Due", "due", view.due),
    )
    whole = sum(amount for _, _, amount in parts) or 1
    found, start = list[Share](), 0
    for name, kind, amount in parts:
        if amount:
            found.append(Share(name, kind, amount, 100 * start / whole, 100 * amount / whole))
            start += amount
    return found


def _by_line(pieces: Sequence[OrderPiece]) -> dict[int, list[OrderPiece]]:
    found: dict[int, list[OrderPiece]] = {}
    for piece in pieces:
        found.setdefault(piece.line, []).append(piece)
    return found


def _form_ids(view: OrderView) -> set[str]:
    """The forms that the page may have: what is refused of another is said at its top."""
    rows: dict[str, list[Any]] = {
        order_actions.REFUND_PAYMENT.name: [
            each.id for each in view.payments if order_actions.is_refundable(view, each)
        ],
        order_actions.TAKE_BACK.name: [
            each.card_id for each in view.pieces if order_actions.is_returnable(view, each)
        ],
    }
    return {
        action.form_id(row)
        for action in ACTIONS.values()
        if action.suits(view)
        for row in rows.get(action.name, [""])
    }


def _criteria(visit: Visit) -> Criteria:
    """What the address narrows the list to. Refuses `INVALID_INPUT`."""
    number, status, member, ref_no = (visit.asked(each) for each in _FILTERS)
    order_id = None if number is None else record_id(ID(number))
    if number is not None and order_id is None:
        raise InvalidInput("id", "is no number of an order")
    if status is not None and status not in OrderStatus.__members__:
        raise InvalidInput("status", "is none that an order can have")
    return Criteria(
        order_id=order_id,
        status=None if status is None else OrderStatus[status],
        member_id=None if member is None else read_member_id(ID(member), "member"),
        ref_no=None if ref_no is None else text(ref_no, "refNo", 64),
        caller=None if visit.may(Permission.VIEW_ORDERS) else visit.caller.name,
    )
