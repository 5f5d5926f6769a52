from datetime import datetime

from sqlmodel import Field, SQLModel

from giftgql.columns import UtcDateTime


class Tries(SQLModel, table=True):
    """Failures of a subject, a keyed hash of a code or a caller, within a scope.

    The next try is free from `free_at` on.
    """

    subject: bytes = Field(primary_key=True)
    scope: str = Field(primary_key=True, max_length=90)
    failures: int
    failed_at: datetime = Field(sa_type=UtcDateTime)
    free_at: datetime = Field(sa_type=UtcDateTime)


class LookedUp(SQLModel, table=True):
    """What a client looked up by code in an hour of the clock: how often it found a code, how
    often it failed, and how many different codes it named that there are not."""

    __tablename__ = "looked_up"

    subject: bytes = Field(primary_key=True)
    hour: datetime = Field(primary_key=True, sa_type=UtcDateTime)
    found: int
    failed: int
    unknown: int
