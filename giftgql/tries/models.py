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
