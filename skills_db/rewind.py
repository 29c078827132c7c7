"""A run taken back to a step: what was played after it is gone, and so is all it counted for.

A run that is resumed plays again what came after its checkpoint. Episodes keep their task's statistics true by going
in one transaction with them; an experience that was credited in them is ranked by its other showings, and one that was
learned from them is retired. A skill that only they have taught, and that was shown in no other, is gone: whether it
is there decides what is taught next.
"""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa

from skills_db.tables import EPISODES, EXPERIENCES, PLAYED, SKILLS, STATS, TURNS, USES, VERSIONS

__all__ = ["rewind"]


def rewind(connection: sa.Connection, run: str, step: int) -> int:
    """Delete the run's episodes of later steps in the open transaction and say how many they were."""
    doomed = sa.and_(EPISODES.c.run == run, EPISODES.c.step > step)
    _uncredit(connection, doomed)
    _unlearn(connection, doomed)
    skills = _taught_alone(connection, doomed)
    count = connection.execute(EPISODES.delete().where(doomed)).rowcount  # turns and showings go with them
    if count:
        _count_again(connection, run)
    _drop_unshown(connection, skills)
    return int(count)


def _uncredit(connection: sa.Connection, doomed: sa.ColumnElement[bool]) -> None:
    """Take what was credited in the doomed episodes out of the experiences' means."""
    credited = (
        sa.select(USES.c.experience, sa.func.count().label("n"), sa.func.sum(USES.c.reward).label("total"))
        .join(TURNS, TURNS.c.id == USES.c.turn)
        .join(EPISODES, EPISODES.c.number == TURNS.c.episode)
        .where(doomed, USES.c.experience.is_not(None), USES.c.reward.is_not(None))
        .group_by(USES.c.experience)
        .order_by(USES.c.experience)  # always in one order, as in `credit`: two writers must not deadlock
    )
    for row in connection.execute(credited).all():
        left = EXPERIENCES.c.shown - row.n
        rest = (EXPERIENCES.c.score * EXPERIENCES.c.shown - row.total) / left
        connection.execute(
            sa.update(EXPERIENCES)
            .where(EXPERIENCES.c.id == row.experience)
            .values(shown=left, score=sa.case((left > 0, rest), else_=EXPERIENCES.c.first_score))
        )


def _unlearn(connection: sa.Connection, doomed: sa.ColumnElement[bool]) -> None:
    """Retire what was learned from the doomed episodes: it is taken up again when it is learned again."""
    taught = sa.select(EPISODES.c.id).where(doomed)
    change = sa.update(EXPERIENCES).where(EXPERIENCES.c.episode.in_(taught), EXPERIENCES.c.retired.is_(None))
    connection.execute(change.values(retired=datetime.now(UTC), retired_why="pruned"))


def _taught_alone(connection: sa.Connection, doomed: sa.ColumnElement[bool]) -> list[int]:
    """Skills of which every version was learned from the doomed episodes."""
    taught = sa.select(EPISODES.c.id).where(doomed)
    mine = VERSIONS.c.episode.in_(taught)
    other = sa.select(VERSIONS.c.skill).where(sa.or_(~mine, VERSIONS.c.episode.is_(None)))
    found = sa.select(VERSIONS.c.skill).where(mine, VERSIONS.c.skill.not_in(other)).distinct()
    return sorted(connection.execute(found).scalars())


def _drop_unshown(connection: sa.Connection, skills: list[int]) -> None:
    """Delete those that no showing is left of."""
    shown = sa.select(VERSIONS.c.skill).join(USES, USES.c.skill_version == VERSIONS.c.id)
    doomed = SKILLS.c.id.in_(skills)
    connection.execute(SKILLS.delete().where(doomed, SKILLS.c.id.not_in(shown)))  # versions go with them


def _count_again(connection: sa.Connection, run: str) -> None:
    """The run's statistics from the episodes that are left: `best` cannot be taken back, only found anew."""
    connection.execute(STATS.delete().where(STATS.c.run == run))
    valid = sa.and_(EPISODES.c.run == run, EPISODES.c.reward.is_not(None), PLAYED)
    task = (EPISODES.c.env, EPISODES.c.key)
    mean = sa.select(*task, sa.func.avg(EPISODES.c.reward).label("mean")).where(valid).group_by(*task).subquery()
    gap = EPISODES.c.reward - mean.c.mean
    found = (
        sa.select(
            EPISODES.c.run,
            *task,
            sa.func.count(),
            sa.func.min(mean.c.mean),
            sa.func.sum(gap * gap),
            sa.func.max(EPISODES.c.reward),
        )
        .join(mean, sa.and_(mean.c.env == EPISODES.c.env, mean.c.key == EPISODES.c.key))
        .where(valid)
        .group_by(EPISODES.c.run, *task)
    )
    connection.execute(STATS.insert().from_select(["run", "env", "key", "visits", "mean", "m2", "best"], found))
