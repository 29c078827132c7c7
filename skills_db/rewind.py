"""A run taken back to a step: what was played after it is gone, and so is all it counted for.

A run that is resumed plays again what came after its checkpoint. Episodes keep their task's statistics true by going
in one transaction with them; an experience that was credited in them is ranked by its other showings, and one that was
learned from them is retired. A skill that only they have taught, and that was shown in no other, is gone: whether it
is there decides what is taught next.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import cast

import sqlalchemy as sa

from skills_db.models import Episode, Experience, Skill, SkillVersion, TaskStats, Turn, Use

__all__ = ["rewind"]

_EPISODES = cast(sa.Table, Episode.__table__)
_EXPERIENCES = cast(sa.Table, Experience.__table__)
_SKILLS = cast(sa.Table, Skill.__table__)
_STATS = cast(sa.Table, TaskStats.__table__)
_TURNS = cast(sa.Table, Turn.__table__)
_USES = cast(sa.Table, Use.__table__)
_VERSIONS = cast(sa.Table, SkillVersion.__table__)


def rewind(connection: sa.Connection, run: str, step: int) -> int:
    """Delete the run's episodes of later steps in the open transaction and say how many they were."""
    doomed = sa.and_(_EPISODES.c.run == run, _EPISODES.c.step > step)
    _uncredit(connection, doomed)
    _unlearn(connection, doomed)
    skills = _taught_alone(connection, doomed)
    count = connection.execute(_EPISODES.delete().where(doomed)).rowcount  # turns and showings go with them
    if count:
        _count_again(connection, run)
    _drop_unshown(connection, skills)
    return int(count)


def _uncredit(connection: sa.Connection, doomed: sa.ColumnElement[bool]) -> None:
    """Take what was credited in the doomed episodes out of the experiences' means."""
    credited = (
        sa.select(_USES.c.experience, sa.func.count().label("n"), sa.func.sum(_USES.c.reward).label("total"))
        .join(_TURNS, _TURNS.c.id == _USES.c.turn)
        .join(_EPISODES, _EPISODES.c.number == _TURNS.c.episode)
        .where(doomed, _USES.c.experience.is_not(None), _USES.c.reward.is_not(None))
        .group_by(_USES.c.experience)
        .order_by(_USES.c.experience)  # always in one order, as in `credit`: two writers must not deadlock
    )
    for row in connection.execute(credited).all():
        left = _EXPERIENCES.c.shown - row.n
        rest = (_EXPERIENCES.c.score * _EXPERIENCES.c.shown - row.total) / left
        connection.execute(
            sa.update(_EXPERIENCES)
            .where(_EXPERIENCES.c.id == row.experience)
            .values(shown=left, score=sa.case((left > 0, rest), else_=_EXPERIENCES.c.first_score))
        )


def _unlearn(connection: sa.Connection, doomed: sa.ColumnElement[bool]) -> None:
    """Retire what was learned from the doomed episodes: it is taken up again when it is learned again."""
    taught = sa.select(_EPISODES.c.id).where(doomed)
    change = sa.update(_EXPERIENCES).where(_EXPERIENCES.c.episode.in_(taught), _EXPERIENCES.c.retired.is_(None))
    connection.execute(change.values(retired=datetime.now(UTC), retired_why="pruned"))


def _taught_alone(connection: sa.Connection, doomed: sa.ColumnElement[bool]) -> list[int]:
    """Skills of which every version was learned from the doomed episodes."""
    taught = sa.select(_EPISODES.c.id).where(doomed)
    mine = _VERSIONS.c.episode.in_(taught)
    other = sa.select(_VERSIONS.c.skill).where(sa.or_(~mine, _VERSIONS.c.episode.is_(None)))
    found = sa.select(_VERSIONS.c.skill).where(mine, _VERSIONS.c.skill.not_in(other)).distinct()
    return sorted(connection.execute(found).scalars())


def _drop_unshown(connection: sa.Connection, skills: list[int]) -> None:
    """Delete those that no showing is left of."""
    shown = sa.select(_VERSIONS.c.skill).join(_USES, _USES.c.skill_version == _VERSIONS.c.id)
    doomed = _SKILLS.c.id.in_(skills)
    connection.execute(_SKILLS.delete().where(doomed, _SKILLS.c.id.not_in(shown)))  # versions go with them


def _count_again(connection: sa.Connection, run: str) -> None:
    """The run's statistics from the episodes that are left: `best` cannot be taken back, only found anew."""
    connection.execute(_STATS.delete().where(_STATS.c.run == run))
    valid = sa.and_(_EPISODES.c.run == run, _EPISODES.c.reward.is_not(None))
    task = (_EPISODES.c.env, _EPISODES.c.key)
    mean = sa.select(*task, sa.func.avg(_EPISODES.c.reward).label("mean")).where(valid).group_by(*task).subquery()
    gap = _EPISODES.c.reward - mean.c.mean
    found = (
        sa.select(
            _EPISODES.c.run,
            *task,
            sa.func.count(),
            sa.func.min(mean.c.mean),
            sa.func.sum(gap * gap),
            sa.func.max(_EPISODES.c.reward),
        )
        .join(mean, sa.and_(mean.c.env == _EPISODES.c.env, mean.c.key == _EPISODES.c.key))
        .where(valid)
        .group_by(_EPISODES.c.run, *task)
    )
    connection.execute(_STATS.insert().from_select(["run", "env", "key", "visits", "mean", "m2", "best"], found))
