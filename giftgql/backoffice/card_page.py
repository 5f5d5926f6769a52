"""The page of one card: what it has, what was done with it, and what may be done now."""

from dataclasses import dataclass

from starlette.responses import Response

from giftgql import codes
from giftgql.backoffice.forms import Form
from giftgql.backoffice.pages import Problem, Visit
from giftgql.cards import service as cards
from giftgql.cards.criteria import Criteria
from giftgql.cards.views import CardView
from giftgql.codes import CodeText, CodeType
from giftgql.errors import InvalidInput, NotFound
from giftgql.permissions import Permission
from giftgql.store import Reading
from giftgql.values import ID, record_id


@dataclass(frozen=True)
class Reach:
    """How somebody has come to a card: by its id, or by a code, which each form then carries."""

    card_id: int
    code: CodeText | None = None
    kind: CodeType | None = None

    @classmethod
    def by_code(cls, card_id: int, form: Form) -> "Reach":
        """By the code in a form. Refuses `INVALID_INPUT`."""
        return cls(card_id, codes.given(form.needed("code"), "code"), cls.kind_in(form))

    @staticmethod
    def kind_in(form: Form) -> CodeType | None:
        kind = form.text("codeType")
        if kind is not None and kind not in CodeType.__members__:
            raise InvalidInput("codeType", "is no type of code")
        return None if kind is None else CodeType[kind]


@dataclass(frozen=True)
class Done:
    """What was done from this page just now, and the transaction that came of it."""

    action: str
    trans_id: int | None = None

    @classmethod
    def asked(cls, visit: Visit) -> "Done | None":
        action, trans_id = visit.asked("done"), visit.asked("trans")
        return None if action is None else cls(action, record_id(ID(trans_id or "")))


async def show(visit: Visit, reach: Reach, *, problem: Problem | None = None) -> Response:
    """The page, with what was done or refused just now. Refuses `NOT_FOUND` and, as the API does
    for the same look-up, `PERMISSION_DENIED`."""
    async with visit.read() as reading:
        view = await _view(reading, reach)
    status = 200 if problem is None else problem.status
    return visit.page("card.html", status, view=view, reach=reach, problem=problem)


async def _view(reading: Reading, reach: Reach) -> CardView:
    if reach.code is None:
        reading.caller.require(Permission.LIST_GIFT_CARDS)
        criteria = Criteria(card_id=reach.card_id)
        found = list((await cards.page(reading, criteria, first=1, skip=0, with_history=True)).rows)
    else:
        reading.caller.require(Permission.FIND_GIFT_CARD_BY_CODE)
        found = await cards.find(reading, reach.code, reach.kind, with_history=True)
    for view in found:
        if view.account.id == reach.card_id:
            return view
    raise NotFound("id", "gift card")
