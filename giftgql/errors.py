"""Refusals: every way in which the server says no, each with a code a client can act on.

A refusal raised anywhere in a service becomes one GraphQL error with `extensions.code`, the
input `field` at fault where there is one, and facts. Anything else that is raised is a bug.
Sentences are for people: they state facts, blame nobody, and never repeat a code or a secret.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Self


class Described(StrEnum):
    """A text enum whose members say what they mean: the API reference is made from it."""

    description: str

    def __new__(cls, value: str, description: str) -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.description = description
        return member

    def __str__(self) -> str:
        return str(self.value)


class ErrorCode(Described):
    UNAUTHENTICATED = "UNAUTHENTICATED", "No credential, or one that is unknown, ended or expired."
    PERMISSION_DENIED = "PERMISSION_DENIED", "The caller lacks a permission this operation needs."
    RATE_LIMITED = "RATE_LIMITED", "Too many failed attempts; `retryAfter` seconds are to pass."
    INVALID_INPUT = "INVALID_INPUT", "A value is malformed, too long, or contradicts another one."
    NOT_FOUND = "NOT_FOUND", "No such record."
    AMBIGUOUS_CODE = "AMBIGUOUS_CODE", "The code exists in several types; `codeType` is needed."
    CODE_TAKEN = "CODE_TAKEN", "The code is or was in use; a code is never used again."
    CODE_EXPIRED = "CODE_EXPIRED", "The code's own expiry has passed; the card may be well."
    MEMBER_REQUIRED = (
        "MEMBER_REQUIRED",
        "A personal code belongs to a member: `memberId` is needed.",
    )
    MEMBER_NOT_FOUND = "MEMBER_NOT_FOUND", "No member has this id."
    MEMBER_MISMATCH = "MEMBER_MISMATCH", "The card belongs to another member."
    CARD_NOT_ACTIVATED = "CARD_NOT_ACTIVATED", "The card has never had funds."
    CARD_ALREADY_ACTIVATED = "CARD_ALREADY_ACTIVATED", "The card has been activated before."
    CARD_BLOCKED = "CARD_BLOCKED", "The card is blocked: nothing can be taken or added."
    CARD_EXPIRED = "CARD_EXPIRED", "The card's funds have expired."
    CARD_DISABLED = "CARD_DISABLED", "The card is disabled for good."
    CARD_REPLACED = "CARD_REPLACED", "The card was replaced by another one with a new code."
    CARD_NOT_YET_VALID = "CARD_NOT_YET_VALID", "The card's campaign has not begun."
    INSUFFICIENT_FUNDS = "INSUFFICIENT_FUNDS", "More was asked than is available."
    INVALID_AMOUNT = (
        "INVALID_AMOUNT",
        "Zero, of the wrong sign, too large, too precise or no number.",
    )
    CURRENCY_MISMATCH = "CURRENCY_MISMATCH", "The currency is not the card's."
    PARTIAL_REDEMPTION_NOT_SUPPORTED = (
        "PARTIAL_REDEMPTION_NOT_SUPPORTED",
        "The card can only be spent whole.",
    )
    REDEMPTION_LIMIT_REACHED = (
        "REDEMPTION_LIMIT_REACHED",
        "The card has been redeemed as often as it may be.",
    )
    PIN_REQUIRED = "PIN_REQUIRED", "The code can be used here only together with its PIN."
    CVV_REQUIRED = "CVV_REQUIRED", "The card can be used only together with its CVV."
    SECRET_INVALID = "SECRET_INVALID", "Code, PIN or CVV are not right together."
    SECRET_LOCKED = (
        "SECRET_LOCKED",
        "Too many wrong PINs or CVVs; `retryAfter` seconds are to pass.",
    )
    IDEMPOTENCY_CONFLICT = (
        "IDEMPOTENCY_CONFLICT",
        "The idempotency key was used for another request; nothing was done.",
    )
    TRANSACTION_NOT_FOUND = "TRANSACTION_NOT_FOUND", "No such transaction."
    ALREADY_CAPTURED = "ALREADY_CAPTURED", "The authorisation has been captured."
    ALREADY_CANCELLED = "ALREADY_CANCELLED", "The authorisation has been cancelled."
    REFUND_EXCEEDS_CAPTURED = "REFUND_EXCEEDS_CAPTURED", "Refunds exceed what was captured."
    AUTHORIZATION_EXPIRED = "AUTHORIZATION_EXPIRED", "The authorisation's time is up."
    STALE_REVISION = "STALE_REVISION", "The record has changed since it was read."
    NO_VARIANTS = "NO_VARIANTS", "A product needs at least one variant."
    INVALID_RANGE = "INVALID_RANGE", "The minimum is not below the maximum."
    PAST_EXPIRATION = "PAST_EXPIRATION", "An expiry lies in the past."
    POOL_FROZEN = "POOL_FROZEN", "A pool that holds cards can no longer be changed."
    POOL_NOT_EMPTY = "POOL_NOT_EMPTY", "Only an empty pool can be deleted."
    POOL_EXHAUSTED = "POOL_EXHAUSTED", "The pool has no free card left."
    CODE_SPACE_EXHAUSTED = "CODE_SPACE_EXHAUSTED", "The pattern has too few possible codes."
    HAS_TRANSACTIONS = "HAS_TRANSACTIONS", "A card with movements cannot be deleted."
    GIFT_CARD_CANNOT_PAY_FOR_GIFT_CARD = (
        "GIFT_CARD_CANNOT_PAY_FOR_GIFT_CARD",
        "The order contains a gift card, so no gift card can pay for it.",
    )
    PAYMENT_METHOD_NOT_ALLOWED = "PAYMENT_METHOD_NOT_ALLOWED", "Not a way to pay for this order."
    PRICE_CHANGED = "PRICE_CHANGED", "A price or value changed since the quote; nothing was taken."
    ORDER_NOT_FOUND = "ORDER_NOT_FOUND", "No such order."
    ORDER_CANCELLED = "ORDER_CANCELLED", "The order has been cancelled."
    ORDER_PAID = "ORDER_PAID", "The order has been paid."
    CONFLICT = "CONFLICT", "The record's present state does not allow this."
    UNAVAILABLE = "UNAVAILABLE", "The server is busy or cut off; repeat after `retryAfter` seconds."
    INTERNAL = "INTERNAL", "A fault of the server; `requestId` finds it in the log."
    GRAPHQL_PARSE_FAILED = "GRAPHQL_PARSE_FAILED", "The document is not GraphQL."
    GRAPHQL_VALIDATION_FAILED = (
        "GRAPHQL_VALIDATION_FAILED",
        "The document or its variables do not fit the schema.",
    )
    OPERATION_TOO_COMPLEX = "OPERATION_TOO_COMPLEX", "The document exceeds a limit on its size."
    BAD_REQUEST = "BAD_REQUEST", "The HTTP request is malformed."


class Refusal(Exception):
    """The server says no. Subclasses give `code`, usually `field`, and write the sentence."""

    code: ErrorCode
    field: str | None = None

    def __init__(self, sentence: str, **facts: object) -> None:
        super().__init__(sentence)
        self.facts: Mapping[str, object] = facts

    @property
    def extensions(self) -> dict[str, object]:
        field = {"field": self.field} if self.field else {}
        return {"code": self.code.value, **field, **self.facts}


class Unauthenticated(Refusal):
    code = ErrorCode.UNAUTHENTICATED
    sentence = "A valid bearer token, or a sign-in, is needed."

    def __init__(self) -> None:
        super().__init__(self.sentence)


class PermissionDenied(Refusal):
    code = ErrorCode.PERMISSION_DENIED

    def __init__(self, needed: str) -> None:
        super().__init__(f"This needs {needed}.", permission=needed)


class InvalidInput(Refusal):
    """`what` completes the sentence «<field> …», e.g. "has more than 64 characters"."""

    code = ErrorCode.INVALID_INPUT

    def __init__(self, field: str, what: str) -> None:
        super().__init__(f"{field} {what}.")
        self.field = field


class NotFound(Refusal):
    code = ErrorCode.NOT_FOUND

    def __init__(self, field: str, what: str) -> None:
        super().__init__(f"There is no such {what}.")
        self.field = field


class CodeTaken(Refusal):
    code = ErrorCode.CODE_TAKEN

    def __init__(self, field: str) -> None:
        super().__init__("This code is or was in use; a code is never used again.")
        self.field = field


class MemberRequired(Refusal):
    code, field = ErrorCode.MEMBER_REQUIRED, "memberId"

    def __init__(self) -> None:
        super().__init__("A personal code always belongs to a member; memberId is missing.")


class MemberNotFound(Refusal):
    code = ErrorCode.MEMBER_NOT_FOUND

    def __init__(self, field: str = "memberId") -> None:
        super().__init__("No member has this id.")
        self.field = field


class MemberMismatch(Refusal):
    code, field = ErrorCode.MEMBER_MISMATCH, "memberId"

    def __init__(self) -> None:
        super().__init__("The card belongs to another member; a card's owner never changes.")


class PastExpiration(Refusal):
    code = ErrorCode.PAST_EXPIRATION

    def __init__(self, field: str, what: str = "lies in the past") -> None:
        super().__init__(f"{field} {what}.")
        self.field = field


class CodeSpaceExhausted(Refusal):
    """`possible` codes, of which one in a million may be a card's: `most` cards in all."""

    code, field = ErrorCode.CODE_SPACE_EXHAUSTED, "codeConfig"

    def __init__(self, *, possible: int, most: int) -> None:
        super().__init__(
            f"Codes of this form: {possible:,} are possible, too few to be safe from guessing for "
            f"more than {most:,} cards.",
            possible=possible,
            most=most,
        )


class Conflict(Refusal):
    code = ErrorCode.CONFLICT

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field = field


class IdempotencyConflict(Refusal):
    code, field = ErrorCode.IDEMPOTENCY_CONFLICT, "idempotencyKey"

    def __init__(self) -> None:
        super().__init__("This idempotency key was used for another request; nothing was done.")


class OperationTooComplex(Refusal):
    code = ErrorCode.OPERATION_TOO_COMPLEX

    def __init__(self, what: str, limit: int) -> None:
        super().__init__(f"The document has more than {limit} {what}.", limit=limit)


class Unavailable(Refusal):
    """Nothing is known to have been done; the same request may be repeated with the same key."""

    code = ErrorCode.UNAVAILABLE

    def __init__(self, why: str = "The server is busy.", *, retry_after: int = 1) -> None:
        super().__init__(f"{why} Try again in {retry_after} s.", retryAfter=retry_after)


class SecretInvalid(Refusal):
    """The one answer for an unknown code and a wrong secret; it names no field for that reason."""

    code = ErrorCode.SECRET_INVALID

    def __init__(self) -> None:
        super().__init__("Code, PIN or CVV are not right together.")


class SecretLocked(Refusal):
    code = ErrorCode.SECRET_LOCKED

    def __init__(self, retry_after: int) -> None:
        super().__init__(
            f"Too many wrong PINs or CVVs. Try again in {retry_after} s.", retryAfter=retry_after
        )


class RateLimited(Refusal):
    code = ErrorCode.RATE_LIMITED

    def __init__(self, retry_after: int) -> None:
        super().__init__(
            f"Too many failed attempts. Try again in {retry_after} s.", retryAfter=retry_after
        )


class PinRequired(Refusal):
    code, field = ErrorCode.PIN_REQUIRED, "pin"

    def __init__(self) -> None:
        super().__init__("This code can be used here only together with its PIN.")


class CvvRequired(Refusal):
    code = ErrorCode.CVV_REQUIRED

    def __init__(self, field: str = "cvv") -> None:
        super().__init__("This card can be used only together with its CVV.")
        self.field = field


class AmbiguousCode(Refusal):
    code, field = ErrorCode.AMBIGUOUS_CODE, "codeType"

    def __init__(self) -> None:
        super().__init__("The code exists in several types; codeType is needed.")


class CodeExpired(Refusal):
    code, field = ErrorCode.CODE_EXPIRED, "code"

    def __init__(self) -> None:
        super().__init__("The code itself has expired.")


class InvalidAmount(Refusal):
    code = ErrorCode.INVALID_AMOUNT

    def __init__(self, what: str, field: str = "amount") -> None:
        super().__init__(f"{field} {what}.")
        self.field = field


class CurrencyMismatch(Refusal):
    code, field = ErrorCode.CURRENCY_MISMATCH, "currency"

    def __init__(self, currency: str) -> None:
        super().__init__(f"The card's currency is {currency}.")


class CardDisabled(Refusal):
    code, field = ErrorCode.CARD_DISABLED, "id"

    def __init__(self) -> None:
        super().__init__("The card is disabled for good.")


class CardReplaced(Refusal):
    code = ErrorCode.CARD_REPLACED

    def __init__(self, by: int | None = None, *, field: str = "id") -> None:
        facts = {} if by is None else {"replacedById": str(by)}
        super().__init__("The card was replaced by another one with a new code.", **facts)
        self.field = field


class TransactionNotFound(Refusal):
    code, field = ErrorCode.TRANSACTION_NOT_FOUND, "id"

    def __init__(self) -> None:
        super().__init__("No transaction has this id, or it is not the caller's to end or undo.")


class Declined(Refusal):
    """What the rules of money declined. It is on the books, and keeps its answer under its key."""

    def __init__(self, code: ErrorCode, field: str | None, sentence: str, **facts: object) -> None:
        super().__init__(sentence, **facts)
        self.code = code
        self.field = field


class AboveCeiling(InvalidAmount):
    def __init__(self, field: str) -> None:
        super().__init__("is beyond the largest balance", field)


class StaleRevision(Refusal):
    code, field = ErrorCode.STALE_REVISION, "revision"

    def __init__(self, revision: int) -> None:
        super().__init__("The record has changed since it was read.", revision=revision)


class NoVariants(Refusal):
    code, field = ErrorCode.NO_VARIANTS, "presets"

    def __init__(self) -> None:
        super().__init__("A product needs a preset or a range to choose from.")


class InvalidRange(Refusal):
    code = ErrorCode.INVALID_RANGE

    def __init__(self, field: str) -> None:
        super().__init__(f"{field}.minimum must be below {field}.maximum.")
        self.field = field


class PoolFrozen(Refusal):
    code, field = ErrorCode.POOL_FROZEN, "id"

    def __init__(self) -> None:
        super().__init__("The pool holds cards: of it only the name can be changed.")


class PoolNotEmpty(Refusal):
    code, field = ErrorCode.POOL_NOT_EMPTY, "id"

    def __init__(self, cards: int) -> None:
        super().__init__("The pool holds cards; only an empty one can be removed.", cards=cards)


class PoolExhausted(Refusal):
    code = ErrorCode.POOL_EXHAUSTED

    def __init__(self, field: str, what: str = "pool") -> None:
        super().__init__(f"The {what} has no free card that would do.")
        self.field = field


class HasTransactions(Refusal):
    code, field = ErrorCode.HAS_TRANSACTIONS, "id"

    def __init__(self) -> None:
        super().__init__("A card with movements cannot be removed; it can be disabled.")
