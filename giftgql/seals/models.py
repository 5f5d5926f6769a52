from datetime import datetime

from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel

from giftgql.columns import BigId, UtcDateTime


class Seal(SQLModel, table=True):
    """The seal on the next `events` events, up to `last_id`, and on the next `movements` rows of
    the journal, of transactions below `horizon` of an epoch. Never changed.

    `journal` is a digest of those rows; `digest` is keyed, over all of it and the seal before.
    """

    __tablename__ = "audit_seal"

    number: int = Field(primary_key=True, sa_type=BigId, sa_column_kwargs={"autoincrement": False})
    last_id: int = Field(sa_type=BigInteger)
    events: int
    epoch: str = Field(max_length=16)
    horizon: int = Field(sa_type=BigInteger)
    movements: int = Field(sa_type=BigInteger)
    journal: bytes
    digest: bytes
    key_id: int
    created_at: datetime = Field(sa_type=UtcDateTime)
