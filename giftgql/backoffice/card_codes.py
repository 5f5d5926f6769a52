"""A card's codes, ended and issued anew: what `giftcardEdit` does."""

from typing import Any

from giftgql.backoffice.actions import Action, Reach
from giftgql.backoffice.forms import Field, Form
from giftgql.backoffice.pages import Visit
from giftgql.cards import service as cards
from giftgql.cards.inputs import GiftcardEditInput
from giftgql.codes import CodeType
from giftgql.permissions import Permission
from giftgql.values import ID

_EDIT = (Permission.EDIT_GIFT_CARD,)
_ENDS_ANOTHER = "I know that the code before, if there is one, stops working for good"


async def _edit(visit: Visit, reach: Reach, form: Form, **changes: Any) -> None:
    """Change a card's codes. A PIN is hashed before the transaction, which takes a while."""
    giftcard = GiftcardEditInput(id=ID(str(reach.card_id)), idempotency_key=form.key, **changes)
    change = await giftcard.parsed(visit.store.vault)
    async with visit.context.write() as tx:
        await cards.edit(tx, change)


async def _revoke(visit: Visit, reach: Reach, form: Form) -> None:
    form.needed("codeKind")
    kind = Reach.kind_in(form, "codeKind")
    assert kind is not None
    await _edit(visit, reach, form, **{f"revoke_{kind.value.lower()}_code": True})


async def _set_printed(visit: Visit, reach: Reach, form: Form) -> None:
    await _edit(
        visit,
        reach,
        form,
        physical_code=form.needed("physicalCode"),
        physical_pin=form.text("physicalPin"),
        physical_cvv=form.text("physicalCvv"),
        physical_expires_on=form.day("physicalExpiresOn"),
    )


async def _set_external(visit: Visit, reach: Reach, form: Form) -> None:
    await _edit(
        visit,
        reach,
        form,
        external_code=form.needed("externalCode"),
        external_expires_on=form.day("externalExpiresOn"),
    )


async def _set_personal(visit: Visit, reach: Reach, form: Form) -> None:
    member = form.text("memberId")
    await _edit(
        visit,
        reach,
        form,
        add_personal_code=True,
        member_id=None if member is None else ID(member),
        personal_expires_on=form.day("personalExpiresOn"),
    )


REVOKE = Action(
    "revoke",
    "giftcardEdit",
    _EDIT,
    _revoke,
    title="Revoke",
    button="Revoke the code",
    done="The code is revoked: it stops working at once and is never used again.",
    warning="I know that this code stops working for good",
    row="codeKind",
)
PRINTED = Action(
    "printed-code",
    "giftcardEdit",
    _EDIT,
    _set_printed,
    title="New printed code",
    button="Set the code",
    done="The card has a new printed code; the one before has ended.",
    fields=(
        Field("physicalCode", "Code on the new card", longest=64),
        Field("physicalPin", "PIN", "secret", is_needed=False, longest=12),
        Field("physicalCvv", "CVV", "secret", is_needed=False, longest=8),
        Field("physicalExpiresOn", "Last day of the code", "day", is_needed=False),
    ),
    warning=_ENDS_ANOTHER,
)
PERSONAL = Action(
    "personal-code",
    "giftcardEdit",
    _EDIT,
    _set_personal,
    title="New personal code",
    button="Make a new code",
    done="The server has made a new personal code; the one before has ended. "
    "Its member finds it in the app.",
    fields=(
        Field(
            "memberId",
            "Member",
            is_needed=False,
            longest=64,
            help="Only if the card has no owner yet.",
        ),
        Field("personalExpiresOn", "Last day of the code", "day", is_needed=False),
    ),
    warning=_ENDS_ANOTHER,
)
EXTERNAL = Action(
    "external-code",
    "giftcardEdit",
    _EDIT,
    _set_external,
    title="New third-party code",
    button="Set the code",
    done="The card has a new third-party code; the one before has ended.",
    fields=(
        Field("externalCode", "The other system's code", longest=64),
        Field("externalExpiresOn", "Last day of the code", "day", is_needed=False),
    ),
    warning=_ENDS_ANOTHER,
)
ACTIONS = (REVOKE, PRINTED, PERSONAL, EXTERNAL)

OF_KINDS = {
    CodeType.PHYSICAL: PRINTED,
    CodeType.PERSONAL: PERSONAL,
    CodeType.EXTERNAL: EXTERNAL,
}
"""By which action a code of a type is issued anew; digital ones come with their card only."""
