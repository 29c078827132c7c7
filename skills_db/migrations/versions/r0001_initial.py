"""The first schema: runs, episodes, turns, statistics, experiences, skills, uses, and full text over three columns.

SQLite searches by FTS5 tables that read their text from `turns` and `experiences` and are kept by triggers; PostgreSQL
by GIN indexes over an expression. Both take ASCII letters and digits and everything beyond ASCII as words, unstemmed.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

FTS5 = {"turns": ("observation", "action"), "experiences": ("situation", "advice")}

GIN = {
    "turns_observation": ("turns", "observation"),
    "turns_action": ("turns", "action"),
    "experiences": ("experiences", "situation || ' ' || advice"),
}


def upgrade() -> None:
    """Make every table, then the full-text indexes of the engine at hand."""
    op.create_table(
        "clusters",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("env", sa.Text(), nullable=False),
        sa.Column("situation", sa.Text(), nullable=False),
        sa.Column("embedder", sa.Text(), nullable=False),
        sa.Column("vector", sa.LargeBinary(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_clusters")),
    )
    op.create_index(op.f("ix_clusters_env_embedder"), "clusters", ["env", "embedder"], unique=False)
    op.create_table(
        "runs",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("config", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
    )
    op.create_table(
        "skills",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("retired", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_skills")),
        sa.UniqueConstraint("name", name=op.f("uq_skills_name")),
    )
    op.create_table(
        "episodes",
        sa.Column("number", NUMBER, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("run", sa.Text(), nullable=False),
        sa.Column("env", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("split", sa.Text(), nullable=False),
        sa.Column("stop", sa.Text(), nullable=False),
        sa.Column("reward", sa.Double(), nullable=True),
        sa.Column("success", sa.Boolean(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("wall_s", sa.Double(), nullable=False),
        sa.Column("opening", sa.Text(), nullable=False),
        sa.Column("closing", sa.Text(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("turns", sa.Integer(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("turns >= 0", name=op.f("ck_episodes_turns")),
        sa.ForeignKeyConstraint(["run"], ["runs.id"], name=op.f("fk_episodes_run"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_episodes")),
        sa.UniqueConstraint("id", name=op.f("uq_episodes_id")),
    )
    op.create_index(op.f("ix_episodes_env_key"), "episodes", ["env", "key"], unique=False)
    op.create_index(op.f("ix_episodes_run_step"), "episodes", ["run", "step"], unique=False)
    op.create_table(
        "experiences",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("env", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("situation", sa.Text(), nullable=False),
        sa.Column("advice", sa.Text(), nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("first_score", sa.Double(), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("shown", sa.Integer(), nullable=False),
        sa.Column("cluster", NUMBER, nullable=False),
        sa.Column("embedder", sa.Text(), nullable=False),
        sa.Column("vector", sa.LargeBinary(), nullable=False),
        sa.Column("episode", sa.Text(), nullable=True),
        sa.Column("turn", sa.Integer(), nullable=True),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("retired", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("kind IN ('skill', 'failure')", name=op.f("ck_experiences_kind")),
        sa.CheckConstraint("shown >= 0", name=op.f("ck_experiences_shown")),
        sa.ForeignKeyConstraint(["cluster"], ["clusters.id"], name=op.f("fk_experiences_cluster")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_experiences")),
        sa.UniqueConstraint("digest", name=op.f("uq_experiences_digest")),
    )
    op.create_index(op.f("ix_experiences_cluster_kind"), "experiences", ["cluster", "kind"], unique=False)
    op.create_index(op.f("ix_experiences_env_kind_retired"), "experiences", ["env", "kind", "retired"], unique=False)
    op.create_table(
        "skill_versions",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("skill", NUMBER, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("parent", NUMBER, nullable=True),
        sa.Column("episode", sa.Text(), nullable=True),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("version >= 1", name=op.f("ck_skill_versions_version")),
        sa.ForeignKeyConstraint(["parent"], ["skill_versions.id"], name=op.f("fk_skill_versions_parent")),
        sa.ForeignKeyConstraint(["skill"], ["skills.id"], name=op.f("fk_skill_versions_skill"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_skill_versions")),
        sa.UniqueConstraint("skill", "digest", name=op.f("uq_skill_versions_skill_digest")),
        sa.UniqueConstraint("skill", "version", name=op.f("uq_skill_versions_skill_version")),
    )
    op.create_table(
        "task_stats",
        sa.Column("run", sa.Text(), nullable=False),
        sa.Column("env", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("visits", sa.BigInteger(), nullable=False),
        sa.Column("mean", sa.Double(), nullable=False),
        sa.Column("m2", sa.Double(), nullable=False),
        sa.Column("best", sa.Double(), nullable=False),
        sa.CheckConstraint("visits > 0", name=op.f("ck_task_stats_visits")),
        sa.ForeignKeyConstraint(["run"], ["runs.id"], name=op.f("fk_task_stats_run"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run", "env", "key", name=op.f("pk_task_stats")),
    )
    op.create_table(
        "turns",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("episode", NUMBER, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("observation", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("tag", sa.Text(), nullable=False),
        sa.Column("complaint", sa.Text(), nullable=False),
        sa.Column("reward", sa.Double(), nullable=False),
        sa.Column("advantage", sa.Double(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("temperature", sa.Double(), nullable=False),
        sa.Column("prompt_shared", sa.Integer(), nullable=False),
        sa.Column("prompt_tail", sa.LargeBinary(), nullable=False),
        sa.Column("sample_ids", sa.LargeBinary(), nullable=False),
        sa.Column("logprobs", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("kind IN ('act', 'summary')", name=op.f("ck_turns_kind")),
        sa.CheckConstraint("position >= 0", name=op.f("ck_turns_position")),
        sa.CheckConstraint("prompt_shared >= 0", name=op.f("ck_turns_prompt_shared")),
        sa.ForeignKeyConstraint(["episode"], ["episodes.number"], name=op.f("fk_turns_episode"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_turns")),
        sa.UniqueConstraint("episode", "position", name=op.f("uq_turns_episode_position")),
    )
    op.create_table(
        "uses",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("experience", NUMBER, nullable=True),
        sa.Column("skill_version", NUMBER, nullable=True),
        sa.Column("turn", NUMBER, nullable=True),
        sa.Column("reward", sa.Double(), nullable=True),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("(experience IS NULL) <> (skill_version IS NULL)", name=op.f("ck_uses_one_thing")),
        sa.ForeignKeyConstraint(["experience"], ["experiences.id"], name=op.f("fk_uses_experience")),
        sa.ForeignKeyConstraint(["skill_version"], ["skill_versions.id"], name=op.f("fk_uses_skill_version")),
        sa.ForeignKeyConstraint(["turn"], ["turns.id"], name=op.f("fk_uses_turn"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_uses")),
    )
    op.create_index(op.f("ix_uses_experience"), "uses", ["experience"], unique=False)
    op.create_index(op.f("ix_uses_skill_version"), "uses", ["skill_version"], unique=False)
    op.create_index(op.f("ix_uses_turn"), "uses", ["turn"], unique=False)

    if op.get_bind().dialect.name == "sqlite":
        _make_fts5()
    else:
        for name, (table, text) in GIN.items():
            words = f"to_tsvector('simple', regexp_replace({text}, '[\\x01-/:-@[-`{{-\\x7f]+', ' ', 'g'))"
            op.execute(f"CREATE INDEX {name}_fts ON {table} USING gin (({words}))")


def downgrade() -> None:
    """Drop everything; tables that point come before those they point to."""
    if op.get_bind().dialect.name == "sqlite":
        for table in FTS5:
            op.execute(f"DROP TABLE {table}_fts")
    tables = ("uses", "turns", "task_stats", "skill_versions", "experiences", "episodes", "skills", "runs", "clusters")
    for table in tables:
        op.drop_table(table)


def _make_fts5() -> None:
    for table, columns in FTS5.items():
        listed = ", ".join(columns)
        fresh = ", ".join(f"new.{column}" for column in columns)
        stale = ", ".join(f"old.{column}" for column in columns)
        op.execute(
            f"CREATE VIRTUAL TABLE {table}_fts USING fts5({listed}, content='{table}', content_rowid='id', "
            "tokenize='unicode61 remove_diacritics 0')"
        )
        add = f"INSERT INTO {table}_fts(rowid, {listed}) VALUES (new.id, {fresh});"
        remove = f"INSERT INTO {table}_fts({table}_fts, rowid, {listed}) VALUES ('delete', old.id, {stale});"
        op.execute(f"CREATE TRIGGER {table}_fts_added AFTER INSERT ON {table} BEGIN {add} END")
        op.execute(f"CREATE TRIGGER {table}_fts_removed AFTER DELETE ON {table} BEGIN {remove} END")
        op.execute(f"CREATE TRIGGER {table}_fts_changed AFTER UPDATE OF {listed} ON {table} BEGIN {remove} {add} END")
