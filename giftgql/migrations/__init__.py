"""One lineage of Alembic migrations, for SQLite and PostgreSQL.

A migration runs inside the transaction and the lock of whoever starts it, whole or not at all.

While servers are brought up to date, one after the other, older ones go on over the newer
database. So a migration only adds: tables, columns that may be null or have a default, indexes
that refuse nothing. One that cannot, and takes away what an older version still uses, has a number
of the next thousand (`1000`): versions from before it then refuse the database.
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


def has_only_added(form: str) -> bool:
    """Whether a form that this version does not know is a newer one that it can work with."""
    is_number = len(form) == len(newest()) and form.isdecimal()
    return is_number and form > newest() and form[0] == newest()[0]


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
