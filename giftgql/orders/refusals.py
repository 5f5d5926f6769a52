"""How orders are refused."""

from giftgql.errors import ErrorCode, Refusal


class OrderNotFound(Refusal):
    code, field = ErrorCode.ORDER_NOT_FOUND, "id"

    def __init__(self) -> None:
        super().__init__("No order has this id, or it is not the caller's to see.")


class OrderCancelled(Refusal):
    code, field = ErrorCode.ORDER_CANCELLED, "id"

    def __init__(self) -> None:
        super().__init__("The order is cancelled, or its time was up before it was paid.")


class OrderPaid(Refusal):
    code, field = ErrorCode.ORDER_PAID, "id"

    def __init__(self) -> None:
        super().__init__("The order is paid; it can be refunded.")


class PriceChanged(Refusal):
    code = ErrorCode.PRICE_CHANGED

    def __init__(self, field: str = "quote") -> None:
        super().__init__("The order is not what was quoted: a price, a value or a line changed.")
        self.field = field


class GiftCardCannotPayForGiftCard(Refusal):
    code, field = ErrorCode.GIFT_CARD_CANNOT_PAY_FOR_GIFT_CARD, "giftcards"

    def __init__(self) -> None:
        super().__init__("The order contains a gift card, so no gift card can pay for it.")


class PaymentMethodNotAllowed(Refusal):
    code = ErrorCode.PAYMENT_METHOD_NOT_ALLOWED

    def __init__(self, why: str, field: str = "payments") -> None:
        super().__init__(why)
        self.field = field


class PresentedOtherwise(Exception):  # noqa: N818  it says what happened
    """A code has changed since it was looked up: nothing is done, and it is to be looked up anew."""
