"""The schema's version: what a database has, what the code knows, and the way from one to the other.

Migrations run in one transaction under a lock, so two processes that open an old database at once do it once, and one
that is killed half-way leaves the old schema. Alembic is imported only where there is something to do.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from skills_db.errors import NotAStore, StoreError, StoreNewer

if TYPE_CHECKING:
    from alembic.config import Config

__all__ = ["BASE", "VERSION_TABLE", "current", "head", "is_ours", "migrate", "revisions"]

VERSION_TABLE = "skills_db_version"
"""Our own name for Alembic's table, so that a PostgreSQL database can be shared with another application."""

BASE = "base"
"""The revision of a database without our tables."""

_HOME = Path(__file__).parent / "migrations"
_LOCK = 0x7475726E  # "turn": the key of PostgreSQL's advisory lock


def revisions() -> list[str]:
    """Revisions the code knows, oldest first; a file is named after its own (`r0001_initial.py`)."""
    return sorted(path.stem[1:5] for path in (_HOME / "versions").glob("r[0-9][0-9][0-9][0-9]_*.py"))


def head() -> str:
    """The newest revision the code knows."""
    return revisions()[-1]


def current(connection: sa.Connection, where: str) -> str:
    """The database's revision. Raises NotAStore for somebody else's database, StoreNewer for an unknown revision."""
    tables = set(sa.inspect(connection).get_table_names())
    if VERSION_TABLE not in tables:
        from skills_db.models import Base

        taken = tables if connection.dialect.name == "sqlite" else tables & set(Base.metadata.tables)
        if taken:
            raise NotAStore(
                f"{where} already holds other tables ({', '.join(sorted(taken)[:3])}): name another database"
            )
        return BASE
    found = connection.execute(sa.text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()
    if found is None:
        return BASE
    if found not in revisions():
        raise StoreNewer(
            f"{where} has schema {found} and this version of turnhalle knows up to {head()}: install a newer turnhalle"
        )
    return str(found)


def migrate(connection: sa.Connection, where: str, to: str | None = None) -> tuple[str, str]:
    """Bring the database to revision `to` (None: the newest) and say (from, to).

    `connection` is in a write transaction, which the caller commits. Raises StoreError for an unknown revision.
    """
    target = head() if to is None else to
    if target != BASE and target not in revisions():
        raise StoreError(f"no schema revision is named '{target}'; there are: {BASE}, {', '.join(revisions())}")
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    before = current(connection, where)
    if before != target:
        from alembic import command

        order = [BASE, *revisions()]
        go = command.upgrade if order.index(target) > order.index(before) else command.downgrade
        go(_config(connection), target)
    return before, target


def is_ours(name: str | None, kind: str, parents: MutableMapping[Any, str | None]) -> bool:
    """Whether Alembic may compare this name: not what searches texts and vectors, which it cannot describe."""
    return not (name and (name.endswith("_fts") or "_fts_" in name or name.startswith("nearest_")))


def _config(connection: sa.Connection) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_HOME).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
