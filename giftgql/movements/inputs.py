"""What callers send to move money, read once into what cannot be wrong."""

from dataclasses import dataclass
from datetime import timedelta

import strawberry

from giftgql import codes
from giftgql.codes import CodeText, CodeType
from giftgql.durations import duration
from giftgql.errors import InvalidInput
from giftgql.ledger.models import MovementType
from giftgql.money import Money, is_currency
from giftgql.movements.service import PERMISSIONS, NewTrans
from giftgql.pins import valid_cvv, valid_pin
from giftgql.requests.service import Once, once
from giftgql.settings import Settings
from giftgql.values import (
    facts_of,
    given,
    known_id,
    optional,
    register,
    secret_input,
    text,
)

register("What a movement of money is.")(MovementType)

_NOT_FINGERPRINTED = frozenset({"pin", "cvv", "idempotency_key"})
_KEY = (
    "1 to 128 printable ASCII characters. The same key with the same input moves money once and "
    "gives the first answer again, with `replayed: true` in the response's `extensions`, also "
    "where it was declined; with other input it is an `IDEMPOTENCY_CONFLICT`."
)


@dataclass(frozen=True)
class Wanted:
    """How a caller names a card, by a code and its secrets or by its id; and where it is asked."""

    code: CodeText | None
    kind: CodeType | None
    pin: str | None = None
    cvv: str | None = None
    card_id: int | None = None
    source_id: str | None = None

    def __repr__(self) -> str:
        return f"Wanted({self.kind}, card_id={self.card_id})"


@strawberry.input
class CodeInput:
    code_type: CodeType | None = optional(
        "What type `code` is of. Left out, a code that exists in two types that the caller may "
        "use is an `AMBIGUOUS_CODE`."
    )
    pin: str | None = optional(
        "The printed code's PIN, 4 to 12 digits. Clients on an `ONLINE` channel can take funds by "
        "a printed code only with it; if given, it must match."
    )
    cvv: str | None = optional("The code's CVV, 3 to 8 digits, where it has one.")

    def secrets(self) -> tuple[str | None, str | None]:
        pin, cvv = given(self.pin), given(self.cvv)
        if pin is not None:
            valid_pin(pin, "pin")
        if cvv is not None:
            valid_cvv(cvv, "cvv")
        return pin, cvv


@secret_input("A movement of money on a card, at once or authorised.")
class GiftcardTransAddInput(CodeInput):
    trans_type: MovementType = strawberry.field(
        description="What moves: `ADD`, `USE`, `ADJUST`, `EXTERNAL` or `IMPORT`, each with its "
        "own permission `GiftCardTrans…`. The other types have their own mutations."
    )
    amount: Money = strawberry.field(
        description="Signed: positive adds to the card, negative takes from it. `ADD` is "
        "positive, `USE` negative; zero and the other sign are an `INVALID_AMOUNT`."
    )
    code: str | None = optional("The code, in clear. Needed without `giftcardId`.")
    giftcard_id: strawberry.ID | None = optional(
        "The card's internal id in place of a code; needs `ListGiftCards`."
    )
    currency: str | None = optional(
        "ISO 4217 code that the amount is meant in; if it is not the card's, nothing is looked "
        "at any further: `CURRENCY_MISMATCH`."
    )
    authorize_only: bool = strawberry.field(
        default=False,
        description="Reserve the amount only, to be captured or cancelled later. What is taken "
        "is not available from now on; what is added is not before it is captured.",
    )
    authorize_for: str | None = optional(
        "How long, an ISO 8601 duration of days to seconds such as `PT15M` or `P2D`, from `PT1S` "
        "to what the settings allow. Needs `authorizeOnly`. Then it is cancelled by itself."
    )
    allow_partial: bool = strawberry.field(
        default=False,
        description="Take what is there if it is less; the answer's `amount` says how much. "
        "Where nothing is there it is `INSUFFICIENT_FUNDS`.",
    )
    source_id: str | None = optional("Where: the caller's till or site, up to 64 characters.")
    ref_no: str | None = optional(
        "The caller's own number, up to 64 characters. A repeated one is no duplicate."
    )
    reason: str | None = optional("Why, up to 500 characters; an `ADJUST` needs it.")
    idempotency_key: str | None = optional(_KEY)

    def parsed(self, settings: Settings) -> tuple[Wanted, NewTrans]:
        pin, cvv = self.secrets()
        source_id = optional_text(self.source_id, "sourceId", 64)
        named = _named(given(self.code), given(self.code_type))
        wanted = Wanted(*named, pin, cvv, self._card_id(), source_id)
        if (wanted.code is None) == (wanted.card_id is None):
            raise InvalidInput("code", "or giftcardId is needed, not both")
        if self.trans_type not in PERMISSIONS:
            raise InvalidInput("transType", "is not made by this mutation")
        reason = optional_text(self.reason, "reason", 500)
        if self.trans_type is MovementType.ADJUST and reason is None:
            raise InvalidInput("reason", "is needed for an ADJUST")
        currency = given(self.currency)
        if currency is not None and not is_currency(currency):
            raise InvalidInput("currency", "is no ISO 4217 currency")
        return wanted, NewTrans(
            type=self.trans_type,
            amount=str(self.amount),
            currency=currency,
            hold_for=self._hold_for(settings),
            allow_partial=self.allow_partial,
            source_id=source_id,
            ref_no=optional_text(self.ref_no, "refNo", 64),
            reason=reason,
            request=request_of(self, "giftcardTransAdd", self.idempotency_key),
        )

    def _card_id(self) -> int | None:
        wanted = given(self.giftcard_id)
        return None if wanted is None else known_id(wanted, "giftcardId", "gift card")

    def _hold_for(self, settings: Settings) -> timedelta | None:
        asked = given(self.authorize_for)
        if not self.authorize_only:
            if asked is not None:
                raise InvalidInput("authorizeFor", "needs authorizeOnly")
            return None
        if asked is None:
            return timedelta(seconds=settings.authorize_seconds)
        return hold_time(asked, "authorizeFor", timedelta(days=settings.max_authorize_days))


@secret_input("The end of an authorisation by taking all of it or a part.")
class GiftcardTransCaptureInput:
    id: strawberry.ID = strawberry.field(description="The authorised transaction.")
    amount: Money | None = optional(
        "How much, positive whatever the sign of the transaction; all by default. The rest is "
        "released."
    )
    idempotency_key: str | None = optional(_KEY)


@secret_input(
    "The end of an authorisation by releasing it, or the reversal of whatever one of the "
    "caller's own keys did. Either `id` or `ofKey`."
)
class GiftcardTransCancelInput:
    id: strawberry.ID | None = optional("The authorised transaction.")
    of_key: str | None = optional(
        "An idempotency key of the caller. What it authorised is cancelled, what it moved is "
        "refunded. If nothing came under it, the key is used up, so that a late request is "
        "refused with `IDEMPOTENCY_CONFLICT`; the answer is then null. May be repeated."
    )
    idempotency_key: str | None = optional(_KEY)


@secret_input("A refund of a transaction, all that is left of it or a part; may be repeated.")
class GiftcardTransRefundInput:
    id: strawberry.ID = strawberry.field(description="The completed transaction.")
    amount: Money | None = optional(
        "How much, positive whatever the sign of the transaction; by default all that is left."
    )
    source_id: str | None = optional("Where: the caller's till or site, up to 64 characters.")
    ref_no: str | None = optional("The caller's own number, up to 64 characters.")
    reason: str | None = optional("Why, up to 500 characters.")
    idempotency_key: str | None = optional(_KEY)


@secret_input("A move of funds from one card to another of the same currency.")
class GiftcardTransferInput:
    id: strawberry.ID = strawberry.field(
        description="The card to take from; it may be blocked, as a lost card is."
    )
    to_id: strawberry.ID = strawberry.field(description="The card to add to.")
    amount: Money | None = optional("How much, positive; by default all that is available.")
    source_id: str | None = optional("Where, up to 64 characters.")
    ref_no: str | None = optional("The caller's own number, up to 64 characters.")
    reason: str | None = optional("Why, up to 500 characters.")
    idempotency_key: str | None = optional(_KEY)


def holder(code: str, kind: CodeType | None, pin: str | None, cvv: str | None) -> Wanted:
    """A code and its secrets as a card's holder gives them."""
    secrets = CodeInput(code_type=kind, pin=pin, cvv=cvv).secrets()
    return Wanted(codes.given(code, "code"), kind, *secrets)


def request_of(input_: object, mutation: str, key: str | None) -> Once | None:
    return once(given(key), mutation, facts_of(input_, without=_NOT_FINGERPRINTED))


def optional_text(value: str | None, field: str, longest: int) -> str | None:
    wanted = given(value)
    return None if wanted is None else text(wanted, field, longest, lines=field == "reason")


def _named(code: str | None, kind: CodeType | None) -> tuple[CodeText | None, CodeType | None]:
    if code is None and kind is not None:
        raise InvalidInput("codeType", "needs code")
    return (None if code is None else codes.given(code, "code")), kind


def hold_time(written: str, field: str, longest: timedelta) -> timedelta:
    """A duration of days to seconds, from a second to the longest."""
    found = duration(written, field)
    if not isinstance(found, timedelta) or not timedelta(seconds=1) <= found <= longest:
        raise InvalidInput(field, f"must be days to seconds, PT1S to P{longest.days}D")
    return found
