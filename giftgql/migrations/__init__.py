"""One lineage of Alembic migrations, for SQLite and PostgreSQL.

A migration runs inside the transaction and the lock of whoever starts it, whole or not at all.
"""

from datetime import UTC, tzinfo
from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

FOLDER = Path(__file__).parent


def upgrade(connection: Connection, zone: tzinfo = UTC, *, to: str = "head") -> None:
    """Bring the database to the newest form, within the connection's transaction. In the zone
    the last day of funds ends."""
    config = _config()
    config.attributes |= {"connection": connection, "zone": zone}
    command.upgrade(config, to)


def current(connection: Connection) -> str | None:
    """The form the database is in; None if it is empty."""
    return MigrationContext.configure(connection).get_current_revision()


@cache
def newest() -> str:
    """The form this version of giftgql works with."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None
    return head


@cache
def known() -> frozenset[str]:
    """All forms this version can start from."""
    return frozenset(
        script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()
    )


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
