"""Alembic's environment: runs the revisions on the connection it is handed, inside that connection's transaction."""

from __future__ import annotations

from alembic import context

from skills_db.migrate import VERSION_TABLE, is_ours
from skills_db.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    version_table=VERSION_TABLE,
    include_name=is_ours,
)
with context.begin_transaction():
    context.run_migrations()
