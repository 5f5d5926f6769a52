from sqlmodel import Field, SQLModel

from giftgql.columns import BigId


class Installation(SQLModel, table=True):
    """One row: which database this is."""

    id: int = Field(default=1, primary_key=True)
    epoch: str = Field(max_length=16)
    cluster: str = Field(max_length=40)
    index_key: int


class KeyCheck(SQLModel, table=True):
    """A keyring key that rows were written with, known again by its canary."""

    __tablename__ = "key_check"

    key_id: int = Field(primary_key=True)
    canary: bytes


class ChangeCounter(SQLModel, table=True):
    """One row, counting SQLite's writing transactions; PostgreSQL numbers its own."""

    __tablename__ = "change_counter"

    id: int = Field(default=1, primary_key=True)
    value: int = Field(default=0, sa_type=BigId)
