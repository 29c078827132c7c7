"""What lineage and forgetting ask of experiences and skills, and the index that finds the best of a cluster at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

COLUMNS: dict[str, dict[str, Any]] = {
    "experiences": {"merged_into": NUMBER, "retired_why": sa.Text()},
    "skills": {"current": sa.Integer()},
    "skill_versions": {"front": sa.JSON(), "files": sa.JSON(), "turn": sa.Integer()},
}

WORDS = "to_tsvector('simple', regexp_replace(situation || ' ' || advice, '[\\x01-/:-@[-`{-\\x7f]+', ' ', 'g'))"

BEST = "ix_experiences_best"


def upgrade() -> None:
    """Add the columns, all empty."""
    for table, columns in COLUMNS.items():
        for name, kind in columns.items():
            op.add_column(table, sa.Column(name, kind, nullable=True))
    in_use = sa.text("retired IS NULL")
    op.create_index(
        BEST, "experiences", ["cluster", "kind", "score", "id"], sqlite_where=in_use, postgresql_where=in_use
    )
    op.drop_index(op.f("ix_experiences_cluster_kind"), "experiences")
    op.create_index(op.f("ix_experiences_episode"), "experiences", ["episode"])
    if op.get_bind().dialect.name == "postgresql":
        # Kept, not computed: a row's words cost 80 microseconds, which the planner takes for nothing.
        op.execute("DROP INDEX experiences_fts")
        op.execute(f"ALTER TABLE experiences ADD COLUMN words_fts tsvector GENERATED ALWAYS AS ({WORDS}) STORED")
        op.execute("CREATE INDEX experiences_fts ON experiences USING gin (words_fts)")


def downgrade() -> None:
    """Drop them again."""
    op.create_index(op.f("ix_experiences_cluster_kind"), "experiences", ["cluster", "kind"])
    op.drop_index(BEST, "experiences")
    op.drop_index(op.f("ix_experiences_episode"), "experiences")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE experiences DROP COLUMN words_fts")
        op.execute(f"CREATE INDEX experiences_fts ON experiences USING gin (({WORDS}))")
    _drop_graphs()
    _pack_floats()
    for table, columns in COLUMNS.items():
        for name in columns:
            op.drop_column(table, name)


def _drop_graphs() -> None:
    """Drop the tables that PostgreSQL searches vectors by: they point to clusters, and no revision made them."""
    connection = op.get_bind()
    if connection.dialect.name == "postgresql":
        for name in sa.inspect(connection).get_table_names():
            if name.startswith("nearest_"):
                op.execute(f"DROP TABLE {name}")


def _pack_floats() -> None:
    """Write vectors as the first schema does: a tag byte 0 and float32, where they are 2 and float16."""
    connection = op.get_bind()
    for table in ("clusters", "experiences"):
        last = 0
        while True:
            read = sa.text(f"SELECT id, vector FROM {table} WHERE id > :last ORDER BY id LIMIT 1000")
            rows = connection.execute(read, {"last": last}).all()
            if not rows:
                break
            last = rows[-1].id
            halves = [row for row in rows if bytes(row.vector[:1]) == b"\x02"]
            if halves:
                connection.execute(
                    sa.text(f"UPDATE {table} SET vector = :vector WHERE id = :id"),
                    [
                        {
                            "id": row.id,
                            "vector": b"\x00" + np.frombuffer(row.vector, "<f2", offset=1).astype("<f4").tobytes(),
                        }
                        for row in halves
                    ],
                )
