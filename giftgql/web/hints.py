"""What a person can do about a refusal, one sentence for each that has a remedy: in the back
office and in the explorer."""

from giftgql.errors import ErrorCode, Refusal

HINTS = {
    ErrorCode.PERMISSION_DENIED: "Ask whoever runs the server for this right.",
    ErrorCode.NOT_FOUND: "Look it up again; it may have been removed.",
    ErrorCode.RATE_LIMITED: "Wait, then try once more.",
    ErrorCode.UNAVAILABLE: "Send it once more as it is: by its key it is done once only.",
    ErrorCode.IDEMPOTENCY_CONFLICT: "Look at the history first, then ask anew, under another key.",
    ErrorCode.AMBIGUOUS_CODE: "Choose the card, or the type of code, that is meant.",
    ErrorCode.CODE_TAKEN: "Take another code.",
    ErrorCode.CODE_EXPIRED: "Replace the code; the card's money is still there.",
    ErrorCode.CARD_NOT_ACTIVATED: "Add funds first.",
    ErrorCode.CARD_BLOCKED: "Unblock it first, if the reason for the block is gone.",
    ErrorCode.CARD_EXPIRED: "Extend its validity first.",
    ErrorCode.CARD_DISABLED: "This cannot be undone; issue another card.",
    ErrorCode.CARD_REPLACED: "Open the card that has taken its place.",
    ErrorCode.CARD_NOT_YET_VALID: "It can be used once its campaign has begun.",
    ErrorCode.INSUFFICIENT_FUNDS: "Take no more than is available.",
    ErrorCode.PARTIAL_REDEMPTION_NOT_SUPPORTED: "Take all that is available.",
    ErrorCode.REDEMPTION_LIMIT_REACHED: "Its holder keeps nothing that could be used.",
    ErrorCode.CVV_REQUIRED: "Ask the holder for the CVV on the card.",
    ErrorCode.PIN_REQUIRED: "Ask the holder for the PIN on the card.",
    ErrorCode.SECRET_INVALID: "Check the code and the digits with the holder.",
    ErrorCode.SECRET_LOCKED: "Wait, or unlock its secrets.",
    ErrorCode.MEMBER_REQUIRED: "Give the member whose card it is.",
    ErrorCode.MEMBER_NOT_FOUND: "Check the member's number.",
    ErrorCode.ALREADY_CAPTURED: "Nothing is left to be done; look it up again.",
    ErrorCode.ALREADY_CANCELLED: "Nothing is left to be done; look it up again.",
    ErrorCode.AUTHORIZATION_EXPIRED: "Its money is available again; take it as a new use.",
    ErrorCode.REFUND_EXCEEDS_CAPTURED: "Give back no more than is left of it.",
    ErrorCode.ORDER_PAID: "Refund it instead.",
    ErrorCode.ORDER_CANCELLED: "Nothing is left to be done; look it up again.",
    ErrorCode.PAST_EXPIRATION: "Choose today or a later day.",
    ErrorCode.CODE_SPACE_EXHAUSTED: "Make the pattern longer, or its characters more.",
    ErrorCode.STALE_REVISION: "Look it up again, then make your change once more.",
}


def for_refusal(refusal: Refusal) -> str:
    """What to do; empty where the sentence says it already."""
    return HINTS.get(refusal.code, "")
