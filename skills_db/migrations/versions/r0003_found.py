"""Full text of skills, links of clusters to experiences, and the generation of skills that a turn was played under.

The words of a skill are those of its version in use: name, description and body, beyond `LONGEST` characters cut, since
PostgreSQL refuses the words of a longer text. No row holds all three, so triggers write them: into an FTS5 table of its
own on SQLite, into a column of `skills` on PostgreSQL.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

LONGEST = 200_000

IN_USE = (
    "v.skill = s.id AND v.version = coalesce(s.current, (SELECT max(version) FROM skill_versions WHERE skill = s.id))"
)

FTS5 = "CREATE VIRTUAL TABLE skills_fts USING fts5(name, description, body, tokenize='unicode61 remove_diacritics 0')"

# Whole anew at each change: which of a skill's texts is in use follows from more than the row that changed.
FILL = (
    "INSERT INTO skills_fts(rowid, name, description, body) "
    f"SELECT s.id, s.name, s.description, substr(v.body, 1, {LONGEST}) FROM skills s JOIN skill_versions v ON {IN_USE}"
)

WORDS = (
    f"SELECT to_tsvector('simple', regexp_replace(s.name || ' ' || s.description || ' ' || left(v.body, {LONGEST}), "
    f"'[\\x01-/:-@[-`{{-\\x7f]+', ' ', 'g')) FROM skill_versions v WHERE {IN_USE}"
)

FUNCTION = f"""CREATE FUNCTION skills_fts_changed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    changed bigint;
BEGIN
    IF TG_TABLE_NAME = 'skills' THEN
        changed = NEW.id;
    ELSE
        changed = NEW.skill;
    END IF;
    UPDATE skills s SET words_fts = ({WORDS}) WHERE s.id = changed;
    RETURN NULL;
END
$$"""


def upgrade() -> None:
    """Add the column, the table and the index, and fill the index with the skills there are."""
    op.add_column("turns", sa.Column("generation", sa.Integer(), server_default="0", nullable=False))
    op.create_table(
        "links",
        sa.Column("cluster", NUMBER, nullable=False),
        sa.Column("experience", NUMBER, nullable=False),
        sa.Column("similarity", sa.Double(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["cluster"], ["clusters.id"], name=op.f("fk_links_cluster")),
        sa.ForeignKeyConstraint(["experience"], ["experiences.id"], name=op.f("fk_links_experience")),
        sa.PrimaryKeyConstraint("cluster", "experience", name=op.f("pk_links")),
    )
    op.create_index(op.f("ix_links_experience"), "links", ["experience"])
    if op.get_bind().dialect.name == "sqlite":
        _make_fts5()
    else:
        op.execute("ALTER TABLE skills ADD COLUMN words_fts tsvector")
        op.execute(f"UPDATE skills s SET words_fts = ({WORDS})")
        op.execute("CREATE INDEX skills_fts ON skills USING gin (words_fts)")
        op.execute(FUNCTION)
        for table, when in (
            ("skills", "UPDATE OF name, description, current"),
            ("skill_versions", "INSERT OR UPDATE OF body"),
        ):
            op.execute(
                f"CREATE TRIGGER {table}_fts_changed AFTER {when} ON {table} "
                "FOR EACH ROW EXECUTE FUNCTION skills_fts_changed()"
            )


def downgrade() -> None:
    """Drop them again."""
    if op.get_bind().dialect.name == "sqlite":
        for trigger in (
            "skills_fts_changed",
            "skills_fts_removed",
            "skill_versions_fts_added",
            "skill_versions_fts_changed",
        ):
            op.execute(f"DROP TRIGGER {trigger}")
        op.execute("DROP TABLE skills_fts")
    else:
        for table in ("skills", "skill_versions"):
            op.execute(f"DROP TRIGGER {table}_fts_changed ON {table}")
        op.execute("DROP FUNCTION skills_fts_changed")
        op.execute("ALTER TABLE skills DROP COLUMN words_fts")
    op.drop_table("links")
    op.drop_column("turns", "generation")


def _make_fts5() -> None:
    op.execute(FTS5)
    op.execute(FILL)
    for name, when, skill in (
        ("skills_fts_changed", "UPDATE OF name, description, current ON skills", "new.id"),
        ("skill_versions_fts_added", "INSERT ON skill_versions", "new.skill"),
        ("skill_versions_fts_changed", "UPDATE OF body ON skill_versions", "new.skill"),
    ):
        anew = f"DELETE FROM skills_fts WHERE rowid = {skill}; {FILL} WHERE s.id = {skill};"
        op.execute(f"CREATE TRIGGER {name} AFTER {when} BEGIN {anew} END")
    gone = "DELETE FROM skills_fts WHERE rowid = old.id;"
    op.execute(f"CREATE TRIGGER skills_fts_removed AFTER DELETE ON skills BEGIN {gone} END")
