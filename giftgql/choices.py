"""What settings choose between, and limits that are taken together."""

from enum import StrEnum
from typing import NamedTuple

from giftgql.errors import Described


class LogLevel(StrEnum):
    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"


class LogTo(StrEnum):
    FILE = "file"
    STDERR = "stderr"


class LogFormat(StrEnum):
    CONSOLE = "console"
    JSON = "json"


class RedemptionStrategy(Described):
    BALANCE = "BALANCE", "What a use leaves stays on the card; its code goes on."
    REPLACEMENT = (
        "REPLACEMENT",
        "What a use leaves goes to a new card with a new code, which is mailed to the owner.",
    )


class DocumentLimits(NamedTuple):
    """The limits on a GraphQL document, apart: what is remembered of one goes by them."""

    tokens: int
    depth: int
    fields: int
    aliases: int
    root_fields: int
    code_lookups: int
