from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Index, column
from sqlmodel import Field, SQLModel

from giftgql.columns import BigId, UtcDateTime, enum_type
from giftgql.errors import Described


class ImportKind(Described):
    POOLS = "POOLS", "A file of pools."
    CARDS = "CARDS", "A file of cards."


class ImportStatus(Described):
    RECEIVING = "RECEIVING", "The file is still coming in."
    IN_PROGRESS = "IN_PROGRESS", "Its rows are being imported."
    DONE = "DONE", "All rows were imported, or are among the failures."
    FAILED = "FAILED", "The file cannot be imported any further: `error` says why."


_IS_IN_PROGRESS = column("status") == ImportStatus.IN_PROGRESS.value


class ImportFile(SQLModel, table=True):
    """A file that was sent to be imported, and how far that is.

    `position` is the offset of the first byte that is not imported yet, and `reader` what the
    reader of rows knows there. `fingerprint` is the same for the same content.
    """

    __tablename__ = "import_file"
    __table_args__ = (
        Index(
            "uq_import_file_in_progress",
            "kind",
            "fingerprint",
            unique=True,
            sqlite_where=_IS_IN_PROGRESS,
            postgresql_where=_IS_IN_PROGRESS,
        ),
        {"sqlite_autoincrement": True},
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=BigId)
    kind: ImportKind = Field(sa_type=enum_type(ImportKind))
    status: ImportStatus = Field(default=ImportStatus.RECEIVING, sa_type=enum_type(ImportStatus))
    fingerprint: bytes | None = None
    size: int = Field(default=0, sa_type=BigInteger)
    rows: int | None = None
    position: int = Field(default=0, sa_type=BigInteger)
    reader: dict[str, Any] | None = Field(default=None, sa_type=JSON)
    done: int = 0
    imported: int = 0
    unchanged: int = 0
    failed: int = 0
    error: str | None = Field(default=None, max_length=500)
    created_by: str = Field(max_length=80)
    created_at: datetime = Field(sa_type=UtcDateTime)
    modified_at: datetime = Field(sa_type=UtcDateTime)
    ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class ImportChunk(SQLModel, table=True):
    """A piece of a file, compressed and sealed, from the offset `start` on. Kept until the import
    has ended: it may hold PINs and CVVs."""

    __tablename__ = "import_chunk"
    __table_args__ = ({"sqlite_with_rowid": False},)

    import_id: int = Field(foreign_key="import_file.id", primary_key=True, sa_type=BigId)
    start: int = Field(primary_key=True, sa_type=BigInteger)
    size: int
    ciphertext: bytes = Field(repr=False)
    cipher_key: int


class ImportFailure(SQLModel, table=True):
    """A row that was not imported, and why. Its cells are kept sealed: one of them is a code."""

    __tablename__ = "import_failure"
    __table_args__ = ({"sqlite_with_rowid": False},)

    import_id: int = Field(foreign_key="import_file.id", primary_key=True, sa_type=BigId)
    line: int = Field(primary_key=True)
    column_name: str | None = Field(default=None, max_length=100)
    value: str | None = Field(default=None, max_length=1_000)
    reason: str = Field(max_length=500)
    ciphertext: bytes = Field(repr=False)
    cipher_key: int
