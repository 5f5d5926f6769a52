"""Cards: looking one up by its code, lists, and the page of one."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from giftgql import codes
from giftgql.backoffice import belonging, card_page
from giftgql.backoffice.actions import Reach, perform
from giftgql.backoffice.card_page import ACTIONS
from giftgql.backoffice.forms import NOTHING, Form
from giftgql.backoffice.navigation import FINDS_CARDS
from giftgql.backoffice.pages import Problem, Visit, changes, go_to, shows
from giftgql.cards import service as cards
from giftgql.cards.criteria import Criteria
from giftgql.cards.models import CardStatus
from giftgql.cards.views import CardView
from giftgql.cards.visibility import usable_by
from giftgql.codes import CodeType
from giftgql.errors import InvalidInput, NotFound, Refusal
from giftgql.members.api import read_member_id
from giftgql.permissions import Permission
from giftgql.tries import failures
from giftgql.values import ID, record_id, text

ROWS = 50

_TRY_AGAIN = "Check each character. A code that has ended finds nothing any more."
_OF = ("product", "pool", "campaign")
_NO_LIST: dict[str, Any] = {"rows": [], "more": None, "asked": None, "code": None, "of": []}
_NO_LIST["statuses"] = list(CardStatus)


@shows(*FINDS_CARDS)
async def show_all(visit: Visit) -> Response:
    """`GET /office/cards`: the box for codes, and a list for whoever may list cards."""
    if not visit.may(Permission.LIST_GIFT_CARDS):
        return visit.page("cards.html", **_NO_LIST)
    asked = {name: visit.asked(name) or "" for name in ("member", "status", "last", *_OF)}
    try:
        criteria = _criteria(visit)
    except Refusal as refusal:
        problem = Problem(refusal, NOTHING, of="filter")
        known = {**_NO_LIST, "asked": asked}
        return visit.page("cards.html", problem.status, problem=problem, **known)
    async with visit.read() as reading:
        page = await cards.page(reading, criteria, first=ROWS, skip=0)
        of = await belonging.of(visit, reading, criteria)
    more = None
    if page.has_more:
        more = urlencode(
            {
                **{name: each for name, each in asked.items() if each},
                "after": page.rows[-1].account.id,
            }
        )
    known = {**_NO_LIST, "rows": page.rows, "asked": asked, "more": more, "of": of}
    return visit.page("cards.html", **known)


@shows(Permission.LIST_GIFT_CARDS)
async def show(visit: Visit) -> Response:
    """`GET /office/cards/{id}`."""
    reach, before = (
        Reach(visit.request.path_params["id"]),
        record_id(ID(visit.asked("before") or "")),
    )
    return await card_page.show(visit, reach, done=card_page.done_before(visit), before=before)


@changes()
async def act(visit: Visit, form: Form) -> Response:
    """`POST /office/cards/{id}/{action}`: done once, then the card as it is by now."""
    card_id = visit.request.path_params["id"]
    reach = Reach.of(card_id, form)
    done = await perform(visit, ACTIONS, reach, form)
    if isinstance(done, Problem):
        return await card_page.show(visit, reach, problem=done)
    if visit.may(Permission.LIST_GIFT_CARDS):
        return go_to(card_page.address(card_id, done))
    try:
        return await card_page.show(visit, reach, done=done)
    except NotFound:  # by a code that has been ended just now
        return visit.page("done.html", notice=done.task.done)


@changes(*FINDS_CARDS)
async def find(visit: Visit, form: Form) -> Response:
    """`POST /office/cards/find`: the card of a code or id; a choice where both, or two types of
    codes, are meant. Who may not list cards sees it by its code, which goes along with forms."""
    try:
        typed, kind = form.needed("code"), Reach.kind_in(form)
        found = await _found(visit, typed, usable_by(visit.caller) if kind is None else [kind])
    except Refusal as refusal:
        problem = Problem(refusal, form, of="find", advice=_TRY_AGAIN)
        return visit.page("cards.html", problem.status, problem=problem, **_NO_LIST)
    is_listing = visit.may(Permission.LIST_GIFT_CARDS)
    if len(found) > 1:
        known = {**_NO_LIST, "rows": [view for view, _ in found]}
        if not is_listing:
            known |= {"code": typed, "kinds": {view.account.id: kind for view, kind in found}}
        return visit.page("cards.html", **known)
    ((view, kind),) = found
    if is_listing:
        return go_to(f"/office/cards/{view.account.id}")
    reach = Reach(view.account.id, codes.given(typed, "code"), kind)
    return await card_page.show(visit, reach)


async def _found(
    visit: Visit, typed: str, kinds: Sequence[CodeType]
) -> list[tuple[CardView, CodeType | None]]:
    """The cards that may be meant, and by which type of code. Refuses `NOT_FOUND`, and as the API
    does for the same look-up."""
    found: dict[int, tuple[CardView, CodeType | None]] = {}
    card_id = record_id(ID(typed)) if visit.may(Permission.LIST_GIFT_CARDS) else None
    if card_id is not None:
        async with visit.read() as reading:
            by_id = await cards.page(reading, Criteria(card_id=card_id), first=1, skip=0)
        found = {view.account.id: (view, None) for view in by_id.rows}
    if visit.may(Permission.FIND_GIFT_CARD_BY_CODE) and not (found and _is_no_code(typed)):
        code = codes.given(typed, "code")

        async def read() -> dict[int, tuple[CardView, CodeType | None]]:
            async with visit.read() as reading:
                for kind in kinds or [CodeType.PHYSICAL]:  # refused where none may be used
                    for view in await cards.find(reading, code, kind):
                        found.setdefault(view.account.id, (view, kind))
            return found

        await failures.look_up(visit.context.store, visit.caller, code, read)
    if not found:
        raise NotFound("code", "card")
    return list(found.values())


def _is_no_code(typed: str) -> bool:
    """Whether it is an id and can be no code as well."""
    return len(typed) < codes.SHORTEST


def _criteria(visit: Visit) -> Criteria:
    """What the address narrows the list to. Refuses `INVALID_INPUT`."""
    member, status, last = (visit.asked(each) for each in ("member", "status", "last"))
    after = visit.asked("after")
    product_id, pool_id, campaign_id = (_id_asked(visit, name) for name in _OF)
    if status is not None and status not in CardStatus.__members__:
        raise InvalidInput("status", "is none that a card can have")
    return Criteria(
        member_id=None if member is None else read_member_id(ID(member), "member"),
        status=None if status is None else CardStatus[status],
        last_four=None if last is None else text(last, "last", 4).upper(),
        kinds=usable_by(visit.caller),
        product_id=product_id,
        pool_id=pool_id,
        campaign_id=campaign_id,
        after_id=None if after is None else record_id(ID(after)),
    )


def _id_asked(visit: Visit, name: str) -> int | None:
    """The id that the address names; one that nothing can have for what is none."""
    asked = visit.asked(name)
    return None if asked is None else record_id(ID(asked)) or 0
