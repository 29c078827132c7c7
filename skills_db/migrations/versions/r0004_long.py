"""Of a turn's texts PostgreSQL indexes the words of the first `LONGEST` characters.

It refuses the words of a text longer than a mebibyte, and with them the episode. FTS5 takes any length.
"""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"

LONGEST = 200_000


def upgrade() -> None:
    """Make the two indexes anew, over the beginning of each text."""
    _make(f"left({{}}, {LONGEST})")


def downgrade() -> None:
    """Over the whole of it again, which fails where a text is too long for that."""
    _make("{}")


def _make(text: str) -> None:
    if op.get_bind().dialect.name == "sqlite":
        return
    for column in ("observation", "action"):
        words = f"regexp_replace({text.format(column)}, '[\\x01-/:-@[-`{{-\\x7f]+', ' ', 'g')"
        op.execute(f"DROP INDEX turns_{column}_fts")
        op.execute(f"CREATE INDEX turns_{column}_fts ON turns USING gin (to_tsvector('simple', {words}))")
