"""A run is taken back to a step: nothing of what came later counts, and what is played again counts once."""

from __future__ import annotations

import statistics
from dataclasses import replace

import pytest
import sqlalchemy as sa
from test_store import an_episode, growing_turns

from skills_db.store import Store
from skills_db.types import NewExperience, NewSkill, SkillEdit


def test_episodes_after_the_step_are_gone_with_their_turns_their_words_and_their_statistics(store: Store) -> None:
    run, other = store.add_run("r", {}), store.add_run("other", {})
    returns = {1: [0.0, 1.0, 0.25], 2: [0.5, 3.0], 3: [9.0]}
    for step, values in returns.items():
        for i, value in enumerate(values):
            store.add_episode(run, an_episode(f"{step}-{i}", step=step, reward=value))
    store.add_episode(run, an_episode("lost", step=3, key="only late", reward=1.0))
    store.add_episode(run, an_episode("broken", step=2, reward=None, turns=[]))
    store.add_episode(other, an_episode("theirs", step=7, reward=2.0))
    assert store.rewind(run, 1) == 5
    assert [row.id for row in store.episodes(newest=False)] == ["1-0", "1-1", "1-2", "theirs"]
    (stat,) = store.task_stats(run)
    assert (stat.visits, stat.best) == (3, 1.0)
    assert stat.mean == pytest.approx(statistics.fmean(returns[1]))
    assert stat.variance == pytest.approx(statistics.pvariance(returns[1]))
    assert store.task_stats(other)[0].best == 2.0
    found = store.stats()
    assert (found.rows["episodes"], found.rows["turns"], found.rows["task_stats"]) == (4, 12, 2)
    assert {hit.id for hit in store.find("locked drawer", limit=100)} == {"1-0", "1-1", "1-2", "theirs"}


def test_what_is_played_again_counts_once(store: Store) -> None:
    run = store.add_run("r", {})
    for attempt in ("first", "second"):
        store.rewind(run, 1)
        store.add_episodes([(run, an_episode(f"{attempt}-{step}", step=step)) for step in (2, 3)])
    assert {row.id for row in store.episodes()} == {"second-2", "second-3"}
    assert store.task_stats(run)[0].visits == 2
    assert store.rewind(run, 3) == 0
    assert store.task_stats(run)[0].visits == 2


def test_an_experience_is_ranked_by_the_showings_that_are_left(store: Store) -> None:
    run = store.add_run("r", {})
    both, late = store.add(
        [NewExperience("textworld", f"situation {i}", f"advice {i}", "skill", score=0.5) for i in range(2)]
    )
    for step, reward in ((1, 0.25), (2, 1.0)):
        used = (both,) if step == 1 else (both, late)
        turns = [replace(growing_turns(1)[0], used=used)]
        store.add_episode(run, an_episode(f"e{step}", step=step, turns=turns))
        store.credit(used, reward, episode=f"e{step}")
    store.credit([both], 0.75)
    store.rewind(run, 1)
    kept, never = store.experience(both), store.experience(late)
    assert (kept.shown, kept.score) == (2, pytest.approx(0.5))
    assert (never.shown, never.score) == (0, 0.5)
    assert store.stats().rows["uses"] == 2


def test_what_was_learned_from_a_dropped_episode_is_retired_until_it_is_learned_again(store: Store) -> None:
    run = store.add_run("r", {})
    lessons = [NewExperience("textworld", "a hall", f"advice {i}", "skill", 1.0, episode=f"e{i}") for i in (1, 2)]
    for step in (1, 2):
        store.add_episode(run, an_episode(f"e{step}", step=step))
    kept, dropped = store.add(lessons)
    store.rewind(run, 1)
    assert store.live("textworld")["skill"] == [kept]
    assert store.add([lessons[1]]) == [dropped]
    assert store.live("textworld")["skill"] == [kept, dropped]


def test_a_probe_leaves_nothing_and_says_what_is_wrong(store: Store) -> None:
    store.probe()
    assert store.stats().rows["runs"] == 0
    with store._database.reading() as connection:
        check = "PRAGMA integrity_check" if store.dialect == "sqlite" else "SELECT 'ok'"
        assert connection.execute(sa.text(check)).scalar() == "ok"


def test_a_skill_that_only_a_dropped_episode_taught_is_gone_unless_it_was_shown_elsewhere(store: Store) -> None:
    run, other = store.add_run("r", {}), store.add_run("other", {})
    for step in (1, 2):
        store.add_episode(run, an_episode(f"e{step}", step=step))
    for name, episode in (("early", "e1"), ("late", "e2"), ("borrowed", "e2"), ("mended", "e2"), ("by-hand", None)):
        store.add_skill(NewSkill(name, "When.", "Do.", episode=episode))
    store.edit_skill("mended", SkillEdit("Do it well."))
    turns = [replace(growing_turns(1)[0], skills=(store.skill("borrowed").version().digest,))]
    store.add_episode(other, an_episode("theirs", turns=turns))
    turns = [replace(growing_turns(1)[0], skills=(store.skill("late").version().digest,))]
    store.add_episode(run, an_episode("e3", step=3, turns=turns))
    store.rewind(run, 1)
    assert [skill.name for skill in store.skills(retired=True)] == ["borrowed", "by-hand", "early", "mended"]
    assert store.add_skill(NewSkill("late", "When.", "Do.", episode="again")).version == 1
