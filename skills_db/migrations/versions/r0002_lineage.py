"""What lineage and forgetting ask of experiences and skills, and the index that finds the best of a cluster at once."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

COLUMNS: dict[str, dict[str, sa.types.TypeEngine[object]]] = {
    "experiences": {"merged_into": NUMBER, "retired_why": sa.Text()},
    "skills": {"current": sa.Integer()},
    "skill_versions": {"front": sa.JSON(), "files": sa.JSON(), "turn": sa.Integer()},
}

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


def downgrade() -> None:
    """Drop them again."""
    op.create_index(op.f("ix_experiences_cluster_kind"), "experiences", ["cluster", "kind"])
    op.drop_index(BEST, "experiences")
    for table, columns in COLUMNS.items():
        for name in columns:
            op.drop_column(table, name)
