from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from giftgql.errors import CodeExpired, Conflict, CurrencyMismatch, ErrorCode, InvalidAmount, InvalidInput
from giftgql.installation import service as installation
from giftgql.ledger import service as ledger
from giftgql.ledger.models import MovementType
from giftgql.ledger.orders import By, Cancel, Capture, Move
from giftgql.ledger.service import Asked, Payable
from giftgql.members import service as members
from giftgql.money import minor, positive_minor
from giftgql.movements import service as movements
from giftgql.orders import calculation
from giftgql.orders.asked import CardPayment, NewOrder, NewPayment, part
from giftgql.orders.calculation import Paying, Sums
from giftgql.orders.models import (
    LineKind,
    Order,
    OrderLine,
    OrderPayment,
    OrderPiece,
    OrderStatus,
    PaymentStatus,
)
