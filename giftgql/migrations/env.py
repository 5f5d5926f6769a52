from alembic import context
from sqlmodel import SQLModel

import giftgql.store  # noqa: F401  all models are known once the store is

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SQLModel.metadata,
    compare_type=True,
)
context.run_migrations()
