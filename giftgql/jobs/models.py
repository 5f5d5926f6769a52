from datetime import datetime
from enum import StrEnum

from sqlalchemy import Index, column
from sqlmodel import Field, SQLModel

from giftgql.columns import BigId, UtcDateTime, enum_type


class JobState(StrEnum):
    QUEUED = "QUEUED"
    DONE = "DONE"
    DEAD = "DEAD"
    CANCELLED = "CANCELLED"


_IS_OPEN = column("state") == JobState.QUEUED.value


class Job(SQLModel, table=True):
    """Work to be done: of a `kind`, on the record with the id `subject_id` (0: on none).

    Due from `run_at` on, unless `worker` has leased it until `leased_until`. `attempts` are the
    failures since a piece was last done; `error` names the last one. `recent_units` were done in
    `recent_seconds`, the last of them at `paced_at` (see `pace`).
    """

    __table_args__ = (
        Index(
            "uq_job_open",
            "kind",
            "subject_id",
            unique=True,
            sqlite_where=_IS_OPEN,
            postgresql_where=_IS_OPEN,
        ),
        Index("ix_job_due", "run_at", "id", sqlite_where=_IS_OPEN, postgresql_where=_IS_OPEN),
        {"sqlite_autoincrement": True},
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=BigId)
    kind: str = Field(max_length=40)
    subject_id: int = Field(default=0, sa_type=BigId)
    state: JobState = Field(default=JobState.QUEUED, sa_type=enum_type(JobState))
    run_at: datetime = Field(sa_type=UtcDateTime)
    worker: str | None = Field(default=None, max_length=40)
    leased_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    attempts: int = 0
    error: str | None = Field(default=None, max_length=200)
    recent_units: float = Field(default=0.0, sa_column_kwargs={"server_default": "0"})
    recent_seconds: float = Field(default=0.0, sa_column_kwargs={"server_default": "0"})
    paced_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    created_at: datetime = Field(sa_type=UtcDateTime)
    ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
