"""The tables of memory.

Every table says in its docstring what a row is, every column in its `doc` what it holds; `docs/schema.md` is made from
them. Tables are changed by a migration only: a test compares these models with the migrated schema on both engines.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

__all__ = [
    "Base",
    "Cluster",
    "Episode",
    "Experience",
    "Link",
    "Run",
    "Skill",
    "SkillVersion",
    "TaskStats",
    "Turn",
    "Use",
]


class CleanText(sa.types.TypeDecorator[str]):
    """Text that both engines can hold: NUL becomes U+2400 and a lone surrogate U+FFFD, so no observation is refused."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:
        """The value as it is stored."""
        if value is None or (value.isascii() and "\x00" not in value):
            return value
        return value.replace("\x00", "\u2400").encode("utf-8", "surrogatepass").decode("utf-8", "replace")


class Moment(sa.types.TypeDecorator[datetime]):
    """A time in UTC, aware in Python on both engines."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """SQLite keeps no zone, so it is given UTC without one."""
        if value is None:
            return None
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """Aware, UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


Number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
"""A 64-bit row number; SQLite numbers rows itself only where the type is INTEGER."""


class Base(DeclarativeBase):
    """Root of the tables; names of constraints follow from it, so that a migration can name them."""

    metadata = sa.MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {str: CleanText, datetime: Moment, float: sa.Double, bytes: sa.LargeBinary}


class Run(Base):
    """One start of a trainer, an evaluation or an import; its episodes hang on it."""

    __tablename__ = "runs"

    id: Mapped[str] = mapped_column(primary_key=True, doc="Made when the run begins: UTC date, time, six hex digits.")
    name: Mapped[str] = mapped_column(doc="What people call it; need not be unique.")
    created: Mapped[datetime] = mapped_column(doc="When it began, UTC.")
    config: Mapped[dict[str, Any]] = mapped_column(sa.JSON, doc="The resolved configuration.")


class Episode(Base):
    """One task, played once."""

    __tablename__ = "episodes"
    __table_args__ = (
        sa.UniqueConstraint("id"),
        sa.Index(None, "run", "step"),
        sa.Index(None, "env", "key"),
        sa.CheckConstraint("turns >= 0", name="turns"),
    )

    number: Mapped[int] = mapped_column(Number, primary_key=True, doc="Row number, in the order of writing.")
    id: Mapped[str] = mapped_column(
        doc="The player's id: the session's on the server, too. Adding it twice is one row."
    )
    run: Mapped[str] = mapped_column(sa.ForeignKey("runs.id", ondelete="CASCADE"), doc="The run it belongs to.")
    env: Mapped[str] = mapped_column(doc="Environment.")
    key: Mapped[str] = mapped_column(doc="Task key.")
    seed: Mapped[int] = mapped_column(sa.BigInteger, doc="Task seed.")
    split: Mapped[str] = mapped_column(doc="Of the key; `demonstration`: an expert played it, in no statistic.")
    stop: Mapped[str] = mapped_column(doc="Why it stopped, a StopReason.")
    reward: Mapped[float | None] = mapped_column(doc="Sum of raw rewards; null: no valid outcome, in no statistic.")
    success: Mapped[bool] = mapped_column(doc="Whether a result said so.")
    error: Mapped[str | None] = mapped_column(doc="What broke, where something did.")
    wall_s: Mapped[float] = mapped_column(doc="Seconds from open to close.")
    opening: Mapped[str] = mapped_column(doc="The first observation.")
    closing: Mapped[str] = mapped_column(doc="The last observation, which no turn was played on.")
    step: Mapped[int] = mapped_column(doc="The trainer's step that played it.")
    turns: Mapped[int] = mapped_column(doc="How many rows of `turns` it has.")
    created: Mapped[datetime] = mapped_column(doc="When it was written, UTC.")


class Turn(Base):
    """One prompt, one answer and what came of it.

    Token arrays are blobs: a tag byte (0 raw, 1 deflate), then little-endian items; no items are no bytes.
    """

    __tablename__ = "turns"
    __table_args__ = (
        sa.UniqueConstraint("episode", "position"),
        sa.CheckConstraint("position >= 0", name="position"),
        sa.CheckConstraint("kind IN ('act', 'summary')", name="kind"),
        sa.CheckConstraint("prompt_shared >= 0", name="prompt_shared"),
    )

    id: Mapped[int] = mapped_column(Number, primary_key=True, doc="Row number; the full-text index points here.")
    episode: Mapped[int] = mapped_column(
        Number, sa.ForeignKey("episodes.number", ondelete="CASCADE"), doc="The episode's row number."
    )
    position: Mapped[int] = mapped_column(doc="0 for the first turn.")
    kind: Mapped[str] = mapped_column(doc="`act` or `summary`.")
    observation: Mapped[str] = mapped_column(doc="What the policy was shown since its last turn; full text.")
    text: Mapped[str] = mapped_column(doc="What the policy said.")
    action: Mapped[str] = mapped_column(doc="The action read in it, as one line; empty: unparsable. Full text.")
    tag: Mapped[str] = mapped_column(doc="The format's tag of the answer.")
    complaint: Mapped[str] = mapped_column(doc="What the policy was told where the answer could not be parsed.")
    reward: Mapped[float] = mapped_column(doc="Raw reward of this turn.")
    advantage: Mapped[float | None] = mapped_column(doc="What the algorithm made of it; null: not trained on.")
    version: Mapped[int] = mapped_column(doc="Optimizer steps behind the weights that answered.")
    generation: Mapped[int] = mapped_column(
        server_default="0", doc="Of the skills, when the prompt was made: how often they had evolved."
    )
    temperature: Mapped[float] = mapped_column(doc="Sampling temperature.")
    prompt_shared: Mapped[int] = mapped_column(
        doc="Leading prompt ids that equal the previous turn's prompt and sample, and are therefore not repeated."
    )
    prompt_tail: Mapped[bytes] = mapped_column(doc="The prompt's other ids, int32.")
    sample_ids: Mapped[bytes] = mapped_column(doc="Sampled ids, int32.")
    logprobs: Mapped[bytes] = mapped_column(doc="Their log-probabilities in nats, float32.")


class TaskStats(Base):
    """How one task has gone in one run; changed in the transaction that writes the episode."""

    __tablename__ = "task_stats"
    __table_args__ = (sa.CheckConstraint("visits > 0", name="visits"),)

    run: Mapped[str] = mapped_column(
        sa.ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True, doc="The run it is counted in."
    )
    env: Mapped[str] = mapped_column(primary_key=True, doc="Environment.")
    key: Mapped[str] = mapped_column(primary_key=True, doc="Task key.")
    visits: Mapped[int] = mapped_column(sa.BigInteger, doc="Valid episodes.")
    mean: Mapped[float] = mapped_column(doc="Mean return.")
    m2: Mapped[float] = mapped_column(
        doc="Sum of squared distances from the mean (Welford); over visits: the variance."
    )
    best: Mapped[float] = mapped_column(doc="Highest return.")


class Cluster(Base):
    """Situations that are alike, named by the first of them."""

    __tablename__ = "clusters"
    __table_args__ = (sa.Index(None, "env", "embedder"),)

    id: Mapped[int] = mapped_column(Number, primary_key=True, doc="Row number.")
    env: Mapped[str] = mapped_column(doc="Environment.")
    situation: Mapped[str] = mapped_column(doc="The representative: the observation that opened the cluster.")
    embedder: Mapped[str] = mapped_column(doc="Who made the vector; vectors of two embedders are never compared.")
    vector: Mapped[bytes] = mapped_column(doc="The representative's unit vector: a tag byte (2), then float16.")
    created: Mapped[datetime] = mapped_column(doc="When it was opened, UTC.")


class Experience(Base):
    """One piece of advice for one kind of situation. Never deleted, only retired, so that `uses` stays whole."""

    __tablename__ = "experiences"
    __table_args__ = (
        sa.UniqueConstraint("digest"),
        sa.Index(
            "ix_experiences_best",
            *("cluster", "kind", "score", "id"),
            sqlite_where=sa.text("retired IS NULL"),
            postgresql_where=sa.text("retired IS NULL"),
        ),
        sa.Index(None, "env", "kind", "retired"),
        sa.Index(None, "episode"),
        sa.CheckConstraint("kind IN ('skill', 'failure')", name="kind"),
        sa.CheckConstraint("shown >= 0", name="shown"),
    )

    id: Mapped[int] = mapped_column(Number, primary_key=True, doc="Row number; what `Prompt.used` holds.")
    digest: Mapped[str] = mapped_column(doc="SHA-256 of env, kind, situation and advice: the same twice is one row.")
    env: Mapped[str] = mapped_column(doc="Environment.")
    kind: Mapped[str] = mapped_column(doc="`skill` (do this) or `failure` (mind this).")
    situation: Mapped[str] = mapped_column(doc="The observation it is about; full text.")
    advice: Mapped[str] = mapped_column(doc="What is shown to the policy; full text.")
    level: Mapped[str] = mapped_column(doc="How general it is, in the distiller's words.")
    first_score: Mapped[float] = mapped_column(doc="The score it came with.")
    score: Mapped[float] = mapped_column(doc="What it is ranked by: first_score, then the mean reward when shown.")
    shown: Mapped[int] = mapped_column(doc="How often it was credited.")
    cluster: Mapped[int] = mapped_column(Number, sa.ForeignKey("clusters.id"), doc="Its situation's cluster.")
    embedder: Mapped[str] = mapped_column(doc="Who made the vector.")
    vector: Mapped[bytes] = mapped_column(doc="The situation's unit vector, packed alike.")
    episode: Mapped[str | None] = mapped_column(
        doc="Id of the episode it was learned from; no foreign key, since a library travels without its episodes."
    )
    turn: Mapped[int | None] = mapped_column(doc="Position of the turn it was learned from.")
    created: Mapped[datetime] = mapped_column(doc="When it was added, UTC.")
    retired: Mapped[datetime | None] = mapped_column(doc="When it was put away; null: it is searched.")
    retired_why: Mapped[str | None] = mapped_column(
        doc="Why it was retired: `score`, `merged`, `unused`, `harmful`, `pruned` or `hand`; null: in use."
    )
    merged_into: Mapped[int | None] = mapped_column(
        Number, doc="The experience it was merged into, whose advice says the same; null: none. No foreign key."
    )


class Link(Base):
    """An experience that a search of another cluster found by similarity: from then on it is that cluster's, too."""

    __tablename__ = "links"
    __table_args__ = (sa.Index(None, "experience"),)

    cluster: Mapped[int] = mapped_column(
        Number, sa.ForeignKey("clusters.id"), primary_key=True, autoincrement=False, doc="The cluster that had none."
    )
    experience: Mapped[int] = mapped_column(
        Number, sa.ForeignKey("experiences.id"), primary_key=True, autoincrement=False, doc="What was found."
    )
    similarity: Mapped[float] = mapped_column(doc="Cosine of the situation searched for and the experience's.")
    created: Mapped[datetime] = mapped_column(doc="When it was found, UTC.")


class Skill(Base):
    """A named skill; its text is in its versions."""

    __tablename__ = "skills"
    __table_args__ = (sa.UniqueConstraint("name"),)

    id: Mapped[int] = mapped_column(Number, primary_key=True, doc="Row number.")
    name: Mapped[str] = mapped_column(doc="Its name, as in a file name.")
    category: Mapped[str] = mapped_column(doc="Where it applies: an environment, a subject, or `general`.")
    description: Mapped[str] = mapped_column(doc="When to use it, one sentence.")
    created: Mapped[datetime] = mapped_column(doc="When it was first written, UTC.")
    retired: Mapped[datetime | None] = mapped_column(doc="When it was put away; null: in use.")
    current: Mapped[int | None] = mapped_column(doc="The version in use; null: the newest.")


class SkillVersion(Base):
    """One text of a skill. Versions are only added, each naming the one it was made from."""

    __tablename__ = "skill_versions"
    __table_args__ = (
        sa.UniqueConstraint("skill", "version"),
        sa.UniqueConstraint("skill", "digest"),
        sa.CheckConstraint("version >= 1", name="version"),
    )

    id: Mapped[int] = mapped_column(Number, primary_key=True, doc="Row number.")
    skill: Mapped[int] = mapped_column(Number, sa.ForeignKey("skills.id", ondelete="CASCADE"), doc="The skill.")
    version: Mapped[int] = mapped_column(doc="1 for the first text.")
    body: Mapped[str] = mapped_column(doc="The text, Markdown.")
    digest: Mapped[str] = mapped_column(doc="SHA-256 of all it says: the skill's name, front matter, text and files.")
    parent: Mapped[int | None] = mapped_column(
        Number, sa.ForeignKey("skill_versions.id"), doc="The version it was made from; null for the first."
    )
    episode: Mapped[str | None] = mapped_column(doc="Id of the episode whose failure asked for it; no foreign key.")
    turn: Mapped[int | None] = mapped_column(doc="Position of the turn that asked for it.")
    front: Mapped[dict[str, Any] | None] = mapped_column(
        sa.JSON(none_as_null=True),
        doc="Front matter of its SKILL.md beside the name; null: only the skill's own description.",
    )
    files: Mapped[dict[str, Any] | None] = mapped_column(
        sa.JSON(none_as_null=True), doc="Files beside its SKILL.md: path to base64; null: none."
    )
    created: Mapped[datetime] = mapped_column(doc="When it was written, UTC.")


class Use(Base):
    """One showing of an experience or of a skill's version, and what came of it."""

    __tablename__ = "uses"
    __table_args__ = (
        sa.Index(None, "experience"),
        sa.Index(None, "turn"),
        sa.Index(None, "skill_version"),
        sa.CheckConstraint("(experience IS NULL) <> (skill_version IS NULL)", name="one_thing"),
    )

    id: Mapped[int] = mapped_column(Number, primary_key=True, doc="Row number.")
    experience: Mapped[int | None] = mapped_column(
        Number, sa.ForeignKey("experiences.id"), doc="The experience shown; null: a skill was."
    )
    skill_version: Mapped[int | None] = mapped_column(
        Number, sa.ForeignKey("skill_versions.id"), doc="The skill's version shown; null: an experience was."
    )
    turn: Mapped[int | None] = mapped_column(
        Number, sa.ForeignKey("turns.id", ondelete="CASCADE"), doc="Row number of the turn; null: credited without one."
    )
    reward: Mapped[float | None] = mapped_column(doc="What was credited; null: shown, not yet credited.")
    created: Mapped[datetime] = mapped_column(doc="When it was shown or credited, UTC.")
