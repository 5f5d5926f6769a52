"""Types of columns, and the numbers of transactions: what models are made of."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeVar

from sqlalchemy import BigInteger, DateTime, Dialect, Enum, Integer, TypeDecorator
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlmodel import SQLModel

SQLModel.metadata.naming_convention = {
    "pk": "pk_%(table_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ix": "ix_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
}

E_ = TypeVar("E_", bound=StrEnum)

BigId = BigInteger().with_variant(Integer(), "sqlite")
"""Type of a generated id: SQLite only counts up in an INTEGER column."""


class UtcDateTime(TypeDecorator[datetime]):
    """A moment. Naive values are refused on the way in; what comes out is in UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment needs its time zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def enum_type(members: type[E_], length: int = 20) -> Enum:
    """Type of a column that holds a member of a text enum, stored by value."""
    return Enum(
        members,
        native_enum=False,
        create_constraint=False,
        length=length,
        values_callable=lambda found: [member.value for member in found],
    )


class this_transaction(FunctionElement[int]):  # noqa: N801  it reads as SQL
    """The number of the writing transaction; of two that touch one row the later one has more."""

    type = BigInteger()
    inherit_cache = True


class first_unfinished(FunctionElement[int]):  # noqa: N801  it reads as SQL
    """Every transaction with a smaller number has ended: what it wrote is all there is of it."""

    type = BigInteger()
    inherit_cache = True


@compiles(this_transaction, "postgresql")
def _this_xid(*_: Any, **__: Any) -> str:
    return "(pg_current_xact_id()::text::bigint)"


@compiles(first_unfinished, "postgresql")
def _snapshot_xmin(*_: Any, **__: Any) -> str:
    return "(pg_snapshot_xmin(pg_current_snapshot())::text::bigint)"


@compiles(this_transaction, "sqlite")
def _counter(*_: Any, **__: Any) -> str:
    return "(SELECT value FROM change_counter)"


@compiles(first_unfinished, "sqlite")
def _above_counter(*_: Any, **__: Any) -> str:
    return "(SELECT value + 1 FROM change_counter)"


CHANGED_IN: dict[str, Any] = {"default": this_transaction(), "onupdate": this_transaction()}
"""Column arguments of `changed_in`, the number of the transaction that changed a row last."""
