"""What stops a card, lets it go on or last longer."""

from giftgql.backoffice.actions import REASON, Action, Reach, is_living
from giftgql.backoffice.forms import Field, Form
from giftgql.backoffice.pages import Visit
from giftgql.cards.views import CardView
from giftgql.permissions import Permission
from giftgql.standing import service as standing
from giftgql.standing.api import (
    GiftcardBlockInput,
    GiftcardDisableInput,
    GiftcardExtendInput,
    GiftcardSecretUnlockInput,
    GiftcardUnblockInput,
)
from giftgql.values import ID


async def _block(visit: Visit, reach: Reach, form: Form) -> None:
    asked = GiftcardBlockInput(id=_id(reach), reason=form.needed("reason")).parsed()
    async with visit.context.write() as tx:
        await standing.block(tx, *asked)


async def _unblock(visit: Visit, reach: Reach, form: Form) -> None:
    asked = GiftcardUnblockInput(id=_id(reach), reason=form.needed("reason")).parsed()
    async with visit.context.write() as tx:
        await standing.unblock(tx, *asked)


async def _extend(visit: Visit, reach: Reach, form: Form) -> None:
    giftcard = GiftcardExtendInput(
        id=_id(reach), reason=form.needed("reason"), expires_on=form.day("expiresOn")
    )
    asked, until = giftcard.parsed(), giftcard.until()
    async with visit.context.write() as tx:
        await standing.extend(tx, *asked, until)


async def _unlock(visit: Visit, reach: Reach, form: Form) -> None:
    asked = GiftcardSecretUnlockInput(id=_id(reach), reason=form.needed("reason")).parsed()
    async with visit.context.write() as tx:
        await standing.unlock_secrets(tx, *asked)


async def _disable(visit: Visit, reach: Reach, form: Form) -> None:
    asked = GiftcardDisableInput(id=_id(reach), reason=form.needed("reason")).parsed()
    async with visit.context.write() as tx:
        await standing.disable(tx, *asked)


def _id(reach: Reach) -> ID:
    return ID(str(reach.card_id))


def _is_open(view: CardView) -> bool:
    return is_living(view) and not view.account.blocked


def _is_blocked(view: CardView) -> bool:
    return is_living(view) and view.account.blocked


def _ends(view: CardView) -> bool:
    return is_living(view) and view.account.valid_until is not None


BLOCK = Action(
    "block",
    "giftcardBlock",
    (Permission.BLOCK_GIFT_CARD,),
    _block,
    title="Block",
    button="Block the card",
    done="The card is blocked: nothing can be taken or added.",
    fields=(REASON,),
    suits=_is_open,
)
UNBLOCK = Action(
    "unblock",
    "giftcardUnblock",
    (Permission.BLOCK_GIFT_CARD,),
    _unblock,
    title="Unblock",
    button="Unblock the card",
    done="The card can be used again.",
    fields=(REASON,),
    suits=_is_blocked,
)
EXTEND = Action(
    "extend",
    "giftcardExtend",
    (Permission.EXTEND_GIFT_CARD,),
    _extend,
    title="Extend the validity",
    button="Extend it",
    done="The card's funds are valid until the day shown. An earlier day changes nothing.",
    fields=(Field("expiresOn", "New last day", "day"), REASON),
    suits=_ends,
)
UNLOCK = Action(
    "unlock",
    "giftcardSecretUnlock",
    (Permission.UNLOCK_SECRETS,),
    _unlock,
    title="Unlock PIN and CVV",
    button="Unlock them",
    done="Wrong tries of PIN and CVV are forgotten.",
    fields=(REASON,),
)
DISABLE = Action(
    "disable",
    "giftcardDisable",
    (Permission.DISABLE_GIFT_CARD,),
    _disable,
    title="Disable for good",
    button="Disable the card",
    done="The card is disabled. Its authorisations are cancelled; the rest is off the books.",
    fields=(REASON,),
    warning="I know that the card ends for good and what is left on it is lost to its holder",
)
ACTIONS = (BLOCK, UNBLOCK, EXTEND, UNLOCK, DISABLE)
