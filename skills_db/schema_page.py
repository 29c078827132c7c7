"""The page `docs/schema.md`, made from the models: tables, columns, their types and what they hold."""

from __future__ import annotations

import inspect
from typing import cast

import sqlalchemy as sa

from skills_db import migrate
from skills_db.models import Base

__all__ = ["schema_columns", "schema_markdown"]

_HEAD = """# Schema

Made from `skills_db/models.py` by `make docs`; schema {head}. Types as SQLAlchemy names them; times are UTC.
Full text lies beside the tables: FTS5 tables `turns_fts`, `experiences_fts` and `skills_fts` on SQLite, GIN indexes
ending in `_fts` on PostgreSQL. That of skills holds the versions in use.
"""


def schema_markdown() -> str:
    """The whole page, Markdown."""
    parts = [_HEAD.format(head=migrate.head())]
    for mapper in sorted(Base.registry.mappers, key=lambda mapper: cast(sa.Table, mapper.local_table).name):
        table = cast(sa.Table, mapper.local_table)
        parts.append(f"\n## {table.name}\n\n{inspect.cleandoc(mapper.class_.__doc__ or '')}\n")
        parts.append("\n| column | type | holds |\n|---|---|---|\n")
        parts += [f"| `{column.name}` | {_type_of(column)} | {column.doc} |\n" for column in table.columns]
        rules = [_rule(item) for item in table.constraints] + [
            f"index ({', '.join(column.name for column in index.columns)})" for index in table.indexes
        ]
        if kept := sorted(rule for rule in rules if rule):
            parts.append("\nKeeps: " + "; ".join(kept) + ".\n")
    return "".join(parts)


def schema_columns() -> dict[str, dict[str, dict[str, str]]]:
    """Type and meaning of each column, by table."""
    return {
        table.name: {column.name: {"type": _type_of(column), "holds": str(column.doc)} for column in table.columns}
        for table in sorted(Base.metadata.tables.values(), key=lambda table: table.name)
    }


def _type_of(column: sa.Column[object]) -> str:
    kind = column.type.impl_instance if isinstance(column.type, sa.types.TypeDecorator) else column.type
    words = [type(kind).__name__]
    if column.primary_key:
        words.append("primary key")
    words += [f"→ `{key.target_fullname}`" for key in column.foreign_keys]
    if column.nullable:
        words.append("or null")
    return " ".join(words)


def _rule(item: sa.Constraint) -> str:
    if isinstance(item, sa.CheckConstraint):
        return f"`{item.sqltext}`"
    if isinstance(item, sa.UniqueConstraint):
        return f"unique ({', '.join(column.name for column in item.columns)})"
    return ""
