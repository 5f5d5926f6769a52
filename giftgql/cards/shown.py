"""Cards and codes as the API shows them: types of its schema."""

import asyncio
from collections.abc import Coroutine
from datetime import date, datetime
from typing import cast

import strawberry

from giftgql import qr_codes
from giftgql.cards import reveals
from giftgql.cards.models import CardStatus, CodeEnding
from giftgql.cards.views import CardView
from giftgql.cards.visibility import SeenCode
from giftgql.choices import RedemptionStrategy
from giftgql.codes import CodeType
from giftgql.context import Info
from giftgql.fields import resolved, selected
from giftgql.members.api import Member, members_by_id
from giftgql.money import Money
from giftgql.permissions import Caller, Permission
from giftgql.values import JSONObject, register, silent

register("How a code ended.")(CodeEnding)
register("The state of a card; of several that hold, the first listed here is shown.")(CardStatus)

QR_CODE_ROWS = 100
"""What a QR code counts for: it takes as long as reading so many rows."""


@strawberry.type(description="A code through which a card's balance is reached.")
@silent
class Code:
    id: strawberry.ID = strawberry.field(description="The code's internal id.")
    code_type: CodeType = strawberry.field(description="What the code is for.")
    code: str = strawberry.field(
        description="The code as it was given or made; or, if `isMasked`, twelve asterisks and "
        "its last characters, at most four. A masked value finds nothing. What is in clear by "
        "`ViewUnmaskedGiftCardCodes` is in the audit trail, and masked beyond a number of cards "
        "an hour and a day."
    )
    is_masked: bool = strawberry.field(description="Whether `code` is hidden but for its end.")
    expires_on: date | None = strawberry.field(
        description="Last day of the code, in the server's time zone; the funds are not touched."
    )
    created_at: datetime = strawberry.field(description="When it was added, UTC.")
    ended_at: datetime | None = strawberry.field(description="When it was ended, UTC.")
    ending: CodeEnding | None = strawberry.field(description="How it was ended.")

    @resolved(
        description="The code as a QR code, an SVG drawing without a size of its own. Null if "
        "`isMasked` or ended. Counts as 100 rows of the request."
    )
    async def qr_code(self, info: Info) -> str | None:
        if self.is_masked or self.ended_at is not None:
            return None
        info.context.ask_rows(QR_CODE_ROWS)
        return await asyncio.to_thread(qr_codes.svg, self.code)

    @classmethod
    def of(cls, code: SeenCode) -> "Code":
        return cls(
            id=strawberry.ID(str(code.id)),
            code_type=code.kind,
            code=code.text,
            is_masked=code.is_masked,
            expires_on=code.expires_on,
            created_at=code.created_at,
            ended_at=code.ended_at,
            ending=code.ending,
        )


@strawberry.type(description="A balance in one currency that can be reached through codes.")
class GiftCard:
    id: strawberry.ID = strawberry.field(description="The internal id, for `giftcardEdit`.")
    member_id: strawberry.ID | None = strawberry.field(description="The owner's id.")
    currency: str = strawberry.field(description="ISO 4217 code of the balance's currency.")
    status: CardStatus = strawberry.field(description="The state of the card.")
    balance: Money = strawberry.field(
        description="What is available: posted, not held, and not expired."
    )
    held: Money = strawberry.field(description="What authorisations reserve, beside the balance.")
    lifetime_total: Money = strawberry.field(description="All that was ever added.")
    redeemed: Money = strawberry.field(description="What was used, less refunds of it.")
    subtracted: Money = strawberry.field(
        description="What else left the card: expired, transferred, corrected, taken back. "
        "`lifetimeTotal` - `redeemed` - `subtracted` is what is on the books."
    )
    redeemed_count: int = strawberry.field(
        description="How often it was used: open authorisations count, and what was wholly "
        "refunded does not."
    )
    redemption_limit: int | None = strawberry.field(
        description="How often it may be used; null if as often as it has funds."
    )
    face_value: Money | None = strawberry.field(
        description="What its first funds must be, or were; null if any amount."
    )
    valid_from: datetime | None = strawberry.field(
        description="It can be used from this moment on, UTC; null if at once."
    )
    expires_on: date | None = strawberry.field(
        description="Last day of the funds, in the server's time zone; null if they do not expire, "
        "or not yet: their validity may begin with the first of them."
    )
    note: str | None = strawberry.field(description="For staff; null for the member.")
    metadata: JSONObject | None = strawberry.field(
        description="The retailer's own facts; null for the member."
    )
    product_id: strawberry.ID | None = strawberry.field(
        description="The product it was sold as; null for the member."
    )
    pool_id: strawberry.ID | None = strawberry.field(
        description="The pool it belongs to; null for the member."
    )
    campaign_id: strawberry.ID | None = strawberry.field(
        description="The campaign it was made for; null for the member."
    )
    purchased_on: date | None = strawberry.field(
        description="The day on which it was sold, given away or published."
    )
    point_of_contact: str | None = strawberry.field(
        description="Where it was sold, as its import said; null for the member."
    )
    recipient: JSONObject | None = strawberry.field(
        description="Whom it is for who is no member: `name`, `email`. Null without `ViewMembers`."
    )
    strategy: RedemptionStrategy = strawberry.field(
        description="What becomes of what a use leaves on it."
    )
    successor_id: strawberry.Private[int | None]
    removed: bool = strawberry.field(
        description="Whether it was removed; such cards come in a synchronisation only."
    )
    created_at: datetime = strawberry.field(description="When the card was made, UTC.")
    modified_at: datetime = strawberry.field(description="When it last changed, UTC.")
    view: strawberry.Private[CardView]

    @resolved(
        description="The live codes that the caller may see, expired ones too; at most one a type."
    )
    def codes(self, info: Info) -> list[Code]:
        return cast("list[Code]", _codes(self.view, info, of_history=False))

    @resolved(
        description="The latest 100 ended codes that the caller may see, the last ended first."
    )
    def code_history(self, info: Info) -> list[Code]:
        return cast("list[Code]", _codes(self.view, info, of_history=True))

    @resolved(description="The owner. Null without `ViewMembers`, but for the member itself.")
    async def member(self, info: Info) -> Member | None:
        caller = info.context.caller
        if self.member_id is None:
            return None
        if caller.member_id != self.member_id and not caller.may(Permission.VIEW_MEMBERS):
            return None
        return await info.context.load(members_by_id, str(self.member_id))

    @classmethod
    def of(cls, view: CardView, caller: Caller) -> "GiftCard":
        card, account, is_staff = view.card, view.account, caller.member_id is None

        def money(minor: int) -> Money:
            return Money(minor, account.currency)

        details = card.details if is_staff else None
        knows_people = caller.may(Permission.VIEW_MEMBERS)
        return cls(
            id=strawberry.ID(str(card.id)),
            member_id=None if card.member_id is None else strawberry.ID(card.member_id),
            currency=card.currency,
            status=view.status,
            balance=money(view.balance),
            held=money(view.held),
            lifetime_total=money(account.lifetime),
            redeemed=money(account.redeemed),
            subtracted=money(account.lifetime - account.redeemed - account.posted),
            redeemed_count=view.uses,
            redemption_limit=account.most_uses,
            face_value=None if account.opens_with is None else money(account.opens_with),
            valid_from=account.valid_from,
            expires_on=view.expires_on,
            note=card.note if is_staff else None,
            metadata=None if details is None else JSONObject(details),
            product_id=_id(card.product_id) if is_staff else None,
            pool_id=_id(card.pool_id) if is_staff else None,
            campaign_id=_id(card.campaign_id) if is_staff else None,
            purchased_on=card.purchased_on,
            point_of_contact=card.point_of_contact if is_staff else None,
            recipient=JSONObject(card.recipient) if card.recipient and knows_people else None,
            strategy=RedemptionStrategy.REPLACEMENT
            if account.replaced_on_use
            else RedemptionStrategy.BALANCE,
            successor_id=account.replaced_by,
            removed=card.removed_at is not None,
            created_at=card.created_at,
            modified_at=account.modified_at,
            view=view,
        )


def _codes(
    view: CardView, info: Info, *, of_history: bool
) -> list[Code] | Coroutine[None, None, list[Code]]:
    """A card's codes; only those that are reveals, and asked for, are waited for: tills look cards
    up all the time."""
    if view.is_revealing and selected(info) & {"code", "qrCode", "isMasked"}:
        return _revealed_codes(view, info, of_history=of_history)
    return [Code.of(code) for code in (view.history if of_history else view.codes)]


async def _revealed_codes(view: CardView, info: Info, *, of_history: bool) -> list[Code]:
    """Masked where they are of too many cards."""
    if not await info.context.load(reveals.batch, view.account.id):
        view = view.masked()
    return [Code.of(code) for code in (view.history if of_history else view.codes)]


def _id(number: int | None) -> strawberry.ID | None:
    return None if number is None else strawberry.ID(str(number))
