"""Episodes in and out of SQL.

One transaction writes an episode, its turns, what was shown in them and its task's statistics. Adding an id twice is
one row, so a retry after a lost answer is safe.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from skills_db import blobs
from skills_db.errors import BadRecord, UnknownRecord
from skills_db.models import Episode, Experience, Run, SkillVersion, Turn, Use
from skills_db.tables import EPISODES, STATS, TURNS, USES
from skills_db.types import DEMONSTRATION, EpisodeRow, NewEpisode, NewTurn, RunRow, TaskStat

__all__ = [
    "add_episodes",
    "check_episode",
    "insert_ignoring",
    "list_episodes",
    "list_runs",
    "read_episode",
    "read_task_stats",
    "set_advantages",
]


def check_episode(episode: NewEpisode) -> None:
    """Raises BadRecord where the episode could not be kept."""
    name = f"episode '{episode.id}'"
    if not episode.id:
        raise BadRecord("an episode needs an id: the player makes one when it opens the session")
    if not episode.id.isprintable():
        raise BadRecord(f"the episode id {episode.id!r} is no printable text")
    if episode.reward is not None and not math.isfinite(episode.reward):
        raise BadRecord(
            f"{name} has reward {episode.reward}: a reward is a finite number, or None for no valid outcome"
        )
    if not -(2**63) <= episode.seed < 2**63:
        raise BadRecord(f"{name} has seed {episode.seed}, which does not fit 64 bits")
    if not _fits(episode.step):
        raise BadRecord(f"{name} has step {episode.step}, which does not fit 32 bits")
    for position, turn in enumerate(episode.turns):
        if not math.isfinite(turn.reward) or not math.isfinite(turn.temperature):
            raise BadRecord(f"turn {position} of {name} has a reward or temperature that is not finite")
        if turn.kind not in ("act", "summary"):
            raise BadRecord(f"turn {position} of {name} is of kind '{turn.kind}': a turn is 'act' or 'summary'")
        if len(turn.logprobs) not in (0, len(turn.sample_ids)):
            raise BadRecord(
                f"turn {position} of {name} has {len(turn.sample_ids)} sampled ids and {len(turn.logprobs)} "
                "log-probabilities: there is one for each id, or none at all"
            )
        for ids in (turn.prompt_ids, turn.sample_ids, (turn.version, turn.generation)):
            if len(ids) and not (_fits(min(ids)) and _fits(max(ids))):
                raise BadRecord(
                    f"turn {position} of {name} has a token id, version or generation that does not fit 32 bits"
                )


def add_episodes(
    connection: sa.Connection, pairs: Iterable[tuple[str, NewEpisode]], created: datetime | None = None
) -> int:
    """Write (run, episode) pairs in the open transaction and say how many were not there before.

    Raises BadRecord for an unknown run or experience, and for an id that another run holds.
    """
    when = created or datetime.now(UTC)
    given: dict[str, tuple[str, NewEpisode]] = {}
    for run, episode in pairs:
        _check_holder(episode.id, given.setdefault(episode.id, (run, episode))[0], run)
    if not given:
        return 0
    _check_known(connection, given)
    insert = insert_ignoring(connection, EPISODES, ["id"]).returning(EPISODES.c.id, EPISODES.c.number)
    rows = [_episode_row(run, episode, when) for run, episode in given.values()]
    numbers = {row.id: row.number for row in connection.execute(insert, rows)}
    if len(numbers) < len(given):
        there = sa.select(Episode.id, Episode.run).where(Episode.id.in_(given.keys() - numbers.keys()))
        for row in connection.execute(there):
            _check_holder(row.id, row.run, given[row.id][0])
    fresh = [(numbers[id], run, episode) for id, (run, episode) in given.items() if id in numbers]
    turns = [row for number, _, episode in fresh for row in _turn_rows(number, episode.turns)]
    if turns:
        connection.execute(TURNS.insert(), turns)
    for number, _, episode in fresh:
        _insert_uses(connection, number, episode, when)
    visits = [
        {"run": run, "env": episode.env, "key": episode.key, "visits": 1, "mean": episode.reward, "m2": 0.0}
        for _, run, episode in fresh
        if episode.reward is not None and episode.split != DEMONSTRATION
    ]
    if visits:
        # Always in one order: two writers that meet in the same rows wait for each other instead of deadlocking.
        visits.sort(key=lambda row: (row["run"], row["env"], row["key"]))
        connection.execute(_count_visit(connection), [{**row, "best": row["mean"]} for row in visits])
    return len(fresh)


def set_advantages(connection: sa.Connection, episode: str, advantages: Sequence[float | None]) -> None:
    """Write (T,) advantages to an episode's turns. Raises UnknownRecord, and BadRecord where T differs."""
    found = connection.execute(sa.select(Episode.number, Episode.turns).where(Episode.id == episode)).one_or_none()
    if found is None:
        raise UnknownRecord(f"no episode has the id '{episode}'")
    if len(advantages) != found.turns:
        raise BadRecord(f"episode '{episode}' has {found.turns} turns and was given {len(advantages)} advantages")
    if not all(value is None or math.isfinite(value) for value in advantages):
        raise BadRecord(f"episode '{episode}' was given an advantage that is not finite")
    rows = [{"at": position, "value": value} for position, value in enumerate(advantages)]
    if rows:
        change = TURNS.update().where(TURNS.c.episode == found.number, TURNS.c.position == sa.bindparam("at"))
        connection.execute(change.values(advantage=sa.bindparam("value")), rows)


def list_episodes(
    connection: sa.Connection,
    *,
    run: str | None = None,
    env: str | None = None,
    split: str | None = None,
    step: int | None = None,
    success: bool | None = None,
    limit: int | None = 100,
    offset: int = 0,
    newest: bool = True,
) -> list[EpisodeRow]:
    """Episodes without their turns; in the order of writing, or the newest first."""
    order = Episode.number.desc() if newest else Episode.number.asc()
    columns = [column for column in EPISODES.c if column.name not in ("opening", "closing", "error")]
    query = sa.select(*columns).order_by(order).limit(limit).offset(offset)
    wanted = {"run": run, "env": env, "split": split, "step": step, "success": success}
    for column, value in wanted.items():
        if value is not None:
            query = query.where(EPISODES.c[column] == value)
    return [
        EpisodeRow(
            id=row.id,
            run=row.run,
            env=row.env,
            key=row.key,
            split=row.split,
            stop=row.stop,
            reward=row.reward,
            success=row.success,
            turns=row.turns,
            step=row.step,
            created=row.created.isoformat(),
        )
        for row in connection.execute(query)
    ]


def read_episode(connection: sa.Connection, id: str) -> NewEpisode:
    """One episode with its turns; token arrays are int32 and float32. Raises UnknownRecord."""
    row = connection.execute(sa.select(EPISODES).where(EPISODES.c.id == id)).one_or_none()
    if row is None:
        raise UnknownRecord(f"no episode has the id '{id}'")
    shown: dict[int, list[int]] = {}
    skills: dict[int, list[str]] = {}
    uses = (
        sa.select(Use.turn, Use.experience, SkillVersion.digest)
        .join(Turn, Turn.id == Use.turn)
        .outerjoin(SkillVersion, SkillVersion.id == Use.skill_version)
        .where(Turn.episode == row.number)
        .order_by(Use.id)
    )
    for turn, experience, digest in connection.execute(uses):
        if experience is None:
            skills.setdefault(turn, []).append(digest)
        else:
            shown.setdefault(turn, []).append(experience)
    turns: list[NewTurn] = []
    before = np.empty(0, np.int32)
    for kept in connection.execute(sa.select(TURNS).where(TURNS.c.episode == row.number).order_by(TURNS.c.position)):
        prompt = blobs.undelta(before, kept.prompt_shared, blobs.unpack_ints(kept.prompt_tail))
        sample = blobs.unpack_ints(kept.sample_ids)
        before = np.concatenate([prompt, sample])
        turns.append(
            NewTurn(
                observation=kept.observation,
                text=kept.text,
                action=kept.action,
                reward=kept.reward,
                tag=kept.tag,
                complaint=kept.complaint,
                kind=kept.kind,
                prompt_ids=prompt.tolist(),
                sample_ids=sample.tolist(),
                logprobs=blobs.unpack_floats(kept.logprobs).tolist(),
                advantage=kept.advantage,
                version=kept.version,
                generation=kept.generation,
                temperature=kept.temperature,
                used=tuple(shown.get(kept.id, ())),
                skills=tuple(skills.get(kept.id, ())),
            )
        )
    return NewEpisode(
        id=row.id,
        env=row.env,
        key=row.key,
        seed=row.seed,
        split=row.split,
        stop=row.stop,
        reward=row.reward,
        success=row.success,
        turns=turns,
        step=row.step,
        error=row.error,
        wall_s=row.wall_s,
        opening=row.opening,
        closing=row.closing,
    )


def list_runs(connection: sa.Connection, limit: int | None = None) -> list[RunRow]:
    """Runs, the newest first, with how many episodes each has."""
    counts = sa.select(Episode.run, sa.func.count().label("n")).group_by(Episode.run).subquery()
    query = (
        sa.select(Run.id, Run.name, Run.created, Run.config, sa.func.coalesce(counts.c.n, 0).label("n"))
        .outerjoin(counts, counts.c.run == Run.id)
        .order_by(Run.created.desc(), Run.id.desc())
        .limit(limit)
    )
    return [
        RunRow(id=row.id, name=row.name, created=row.created.isoformat(), config=row.config, episodes=row.n)
        for row in connection.execute(query)
    ]


def read_task_stats(connection: sa.Connection, run: str | None, env: str | None) -> list[TaskStat]:
    """Statistics of each task, of one run or over all of them, in the order of (env, key)."""
    query = sa.select(STATS).order_by(STATS.c.env, STATS.c.key)
    if run is not None:
        query = query.where(STATS.c.run == run)
    if env is not None:
        query = query.where(STATS.c.env == env)
    merged: dict[tuple[str, str], tuple[int, float, float, float]] = {}
    for row in connection.execute(query):
        n, mean, m2, best = merged.get((row.env, row.key), (0, 0.0, 0.0, -math.inf))
        gap, total = row.mean - mean, n + row.visits
        merged[row.env, row.key] = (
            total,
            mean + gap * row.visits / total,
            m2 + row.m2 + gap * gap * n * row.visits / total,
            max(best, row.best),
        )
    return [TaskStat(env, key, n, mean, m2 / n, best) for (env, key), (n, mean, m2, best) in merged.items()]


def insert_ignoring(connection: sa.Connection, table: sa.Table, key: Sequence[str]) -> Any:
    """An INSERT that leaves a row alone whose `key` columns are already there; returns nothing for it."""
    if connection.dialect.name == "sqlite":
        return sqlite.insert(table).on_conflict_do_nothing(index_elements=list(key))
    return postgresql.insert(table).on_conflict_do_nothing(index_elements=list(key))


def _fits(value: int) -> bool:
    return -(2**31) <= value < 2**31


def _check_holder(id: str, holder: str, run: str) -> None:
    if holder != run:
        raise BadRecord(f"episode '{id}' is already kept in run '{holder}': ids are made once, for one run")


def _check_known(connection: sa.Connection, given: dict[str, tuple[str, NewEpisode]]) -> None:
    """Say by name what a foreign key would refuse without one."""
    runs = {run for run, _ in given.values()}
    for run in runs - set(connection.execute(sa.select(Run.id).where(Run.id.in_(runs))).scalars()):
        raise BadRecord(f"no run has the id '{run}': begin one with add_run")
    shown = {used: episode.id for _, episode in given.values() for turn in episode.turns for used in turn.used}
    if shown:
        known = connection.execute(sa.select(Experience.id).where(Experience.id.in_(shown))).scalars()
        for used in shown.keys() - set(known):
            raise BadRecord(f"episode '{shown[used]}' was shown experience {used}, and there is none with this id")
    stamped = {digest: episode.id for _, episode in given.values() for turn in episode.turns for digest in turn.skills}
    if stamped:
        kept = connection.execute(sa.select(SkillVersion.digest).where(SkillVersion.digest.in_(stamped))).scalars()
        for digest in stamped.keys() - set(kept):
            raise BadRecord(
                f"episode '{stamped[digest]}' was shown a skill's version {digest!r}, and none has this content hash"
            )


def _episode_row(run: str, episode: NewEpisode, when: datetime) -> dict[str, Any]:
    return {
        "id": episode.id,
        "run": run,
        "env": episode.env,
        "key": episode.key,
        "seed": episode.seed,
        "split": episode.split,
        "stop": str(episode.stop),
        "reward": episode.reward,
        "success": bool(episode.success),
        "error": episode.error,
        "wall_s": episode.wall_s,
        "opening": episode.opening,
        "closing": episode.closing,
        "step": episode.step,
        "turns": len(episode.turns),
        "created": when,
    }


def _turn_rows(number: int, turns: Sequence[NewTurn]) -> list[dict[str, Any]]:
    rows = []
    before = np.empty(0, np.int32)
    for position, turn in enumerate(turns):
        prompt = np.asarray(turn.prompt_ids, np.int32)
        sample = np.asarray(turn.sample_ids, np.int32)
        shared, tail = blobs.delta(before, prompt)
        before = np.concatenate([prompt, sample])
        rows.append(
            {
                "episode": number,
                "position": position,
                "kind": turn.kind,
                "observation": turn.observation,
                "text": turn.text,
                "action": turn.action,
                "tag": turn.tag,
                "complaint": turn.complaint,
                "reward": turn.reward,
                "advantage": turn.advantage,
                "version": turn.version,
                "generation": turn.generation,
                "temperature": turn.temperature,
                "prompt_shared": shared,
                "prompt_tail": blobs.pack_ints(tail),
                "sample_ids": blobs.pack_ints(sample),
                "logprobs": blobs.pack_floats(turn.logprobs),
            }
        )
    return rows


def _insert_uses(connection: sa.Connection, number: int, episode: NewEpisode, when: datetime) -> None:
    if not any(len(turn.used) or len(turn.skills) for turn in episode.turns):
        return
    ids = {
        row.position: row.id
        for row in connection.execute(sa.select(Turn.position, Turn.id).where(Turn.episode == number))
    }
    digests = {digest for turn in episode.turns for digest in turn.skills}
    versions = sa.select(SkillVersion.digest, SkillVersion.id).where(SkillVersion.digest.in_(digests))
    version_of = dict(connection.execute(versions).tuples().all()) if digests else {}
    rows = [
        {"experience": experience, "skill_version": version, "turn": ids[position], "created": when}
        for position, turn in enumerate(episode.turns)
        for experience, version in (
            *((experience, None) for experience in turn.used),
            *((None, version_of[digest]) for digest in turn.skills),
        )
    ]
    connection.execute(USES.insert(), rows)


def _count_visit(connection: sa.Connection) -> Any:
    """Welford's step as an upsert; the inserted row's `mean` is the return of the one visit."""
    insert: Any = (sqlite if connection.dialect.name == "sqlite" else postgresql).insert(STATS)
    reward, visits = insert.excluded.mean, STATS.c.visits
    gap = reward - STATS.c.mean
    return insert.on_conflict_do_update(
        index_elements=["run", "env", "key"],
        set_={
            "visits": visits + 1,
            "mean": STATS.c.mean + gap / (visits + 1),
            "m2": STATS.c.m2 + gap * gap * visits / (visits + 1),
            "best": sa.case((reward > STATS.c.best, reward), else_=STATS.c.best),
        },
    )
