"""What moves a card's money: as the API's mutations do, with their inputs and commands."""

from typing import cast

from giftgql.backoffice.actions import PLACE, REASON, Action, Reach
from giftgql.backoffice.forms import Field, Form
from giftgql.backoffice.pages import Visit
from giftgql.cards.views import CardView
from giftgql.ledger.models import MovementType
from giftgql.ledger.service import Result
from giftgql.money import Money
from giftgql.movements import commands
from giftgql.movements.inputs import (
    GiftcardTransAddInput,
    GiftcardTransCancelInput,
    GiftcardTransCaptureInput,
    GiftcardTransferInput,
    GiftcardTransRefundInput,
)
from giftgql.movements.service import PERMISSIONS
from giftgql.permissions import Permission
from giftgql.values import ID

TRANS = "trans"

AMOUNT = Field("amount", "Amount", "amount")
PART = Field("amount", "Amount", "amount", is_needed=False, help="Leave it empty for all of it.")
NUMBER = Field("refNo", "Receipt or case number", is_needed=False, longest=64)
CVV = Field("cvv", "CVV", "secret", is_needed=False, longest=8, help="If the card has one.")
WHY = Field("reason", "Reason", "lines", is_needed=False, longest=500)
DIRECTION = Field(
    "direction", "Direction", "choice", choices=(("add", "Add to card"), ("take", "Take from card"))
)

ADD, TAKE = "", "-"


async def _redeem(visit: Visit, reach: Reach, form: Form) -> int:
    return await _move(visit, reach, form, MovementType.USE, TAKE)


async def _add(visit: Visit, reach: Reach, form: Form) -> int:
    return await _move(visit, reach, form, MovementType.ADD, ADD)


async def _adjust(visit: Visit, reach: Reach, form: Form) -> int:
    sign = TAKE if form.text("direction") == "take" else ADD
    return await _move(visit, reach, form, MovementType.ADJUST, sign)


async def _move(visit: Visit, reach: Reach, form: Form, type_: MovementType, sign: str) -> int:
    """Move an amount; by the code where somebody has come to the card by it."""
    code = reach.code
    trans = GiftcardTransAddInput(
        trans_type=type_,
        amount=_as_sent(sign + visit.wording.amount(form.needed("amount"))),
        code=None if code is None else code.clear,
        code_type=reach.kind,
        giftcard_id=ID(str(reach.card_id)) if code is None else None,
        cvv=form.text("cvv"),
        source_id=PLACE,
        ref_no=form.text("refNo"),
        reason=form.text("reason"),
        idempotency_key=form.key,
    )
    wanted, new = trans.parsed(visit.store.settings)
    return await _answered(visit, await commands.add(visit.context, wanted, new))


async def _transfer(visit: Visit, reach: Reach, form: Form) -> int:
    giftcard = GiftcardTransferInput(
        id=ID(str(reach.card_id)),
        to_id=ID(form.needed("toId")),
        amount=_part(visit, form),
        source_id=PLACE,
        ref_no=form.text("refNo"),
        reason=form.text("reason"),
        idempotency_key=form.key,
    )
    return await _answered(visit, await commands.transfer(visit.context, giftcard))


async def _capture(visit: Visit, _: Reach, form: Form) -> int:
    trans = GiftcardTransCaptureInput(
        id=ID(form.needed(TRANS)), amount=_part(visit, form), idempotency_key=form.key
    )
    return await _answered(visit, await commands.capture(visit.context, trans))


async def _release(visit: Visit, _: Reach, form: Form) -> int:
    trans = GiftcardTransCancelInput(id=ID(form.needed(TRANS)), idempotency_key=form.key)
    result = await commands.cancel(visit.context, trans)
    assert result is not None  # it is for what a key did that there may be none
    return await _answered(visit, result)


async def _refund(visit: Visit, _: Reach, form: Form) -> int:
    trans = GiftcardTransRefundInput(
        id=ID(form.needed(TRANS)),
        amount=_part(visit, form),
        source_id=PLACE,
        reason=form.text("reason"),
        idempotency_key=form.key,
    )
    return await _answered(visit, await commands.refund(visit.context, trans))


async def _answered(visit: Visit, result: Result) -> int:
    return (await commands.answered(visit.context, result)).id


def _part(visit: Visit, form: Form) -> Money | None:
    """An amount that may be left out, which means all of it."""
    typed = form.text("amount")
    return None if typed is None else _as_sent(visit.wording.amount(typed))


def _as_sent(amount: str) -> Money:
    """An amount as the API's inputs have it: text, until the card's currency is known."""
    return cast(Money, amount)


def _has_funds(view: CardView) -> bool:
    return view.balance > 0 and not view.account.closed


REDEEM = Action(
    "redeem",
    "giftcardTransAdd",
    (PERMISSIONS[MovementType.USE],),
    _redeem,
    title="Redeem",
    button="Take the amount",
    done="Taken from the card",
    fields=(AMOUNT, NUMBER, CVV),
)
FUND = Action(
    "add",
    "giftcardTransAdd",
    (PERMISSIONS[MovementType.ADD],),
    _add,
    title="Add funds",
    button="Add the amount",
    done="Added to the card",
    fields=(AMOUNT, NUMBER),
)
ADJUST = Action(
    "adjust",
    "giftcardTransAdd",
    (PERMISSIONS[MovementType.ADJUST],),
    _adjust,
    title="Correct the balance",
    button="Correct it",
    done="The balance was corrected",
    fields=(DIRECTION, AMOUNT, REASON),
)
TRANSFER = Action(
    "transfer",
    "giftcardTransfer",
    (Permission.GIFT_CARD_TRANSFER,),
    _transfer,
    title="Transfer to another card",
    button="Transfer",
    done="Transferred to the other card",
    fields=(Field("toId", "Id of the other card", longest=19), PART, WHY),
    suits=_has_funds,
)
CAPTURE = Action(
    "capture",
    "giftcardTransCapture",
    tuple(PERMISSIONS.values()),
    _capture,
    title="Capture",
    button="Capture",
    done="The authorisation was captured",
    fields=(PART,),
    row=TRANS,
)
RELEASE = Action(
    "release",
    "giftcardTransCancel",
    tuple(PERMISSIONS.values()),
    _release,
    title="Release",
    button="Release it",
    done="The authorisation was cancelled and its amount released",
    row=TRANS,
)
REFUND = Action(
    "refund",
    "giftcardTransRefund",
    (Permission.GIFT_CARD_TRANS_REFUND,),
    _refund,
    title="Refund",
    button="Give it back",
    done="Refunded",
    fields=(PART, WHY),
    row=TRANS,
)
ACTIONS = (REDEEM, FUND, ADJUST, TRANSFER, CAPTURE, RELEASE, REFUND)
