"""Play that runs ahead of learning, on a served keydoor with a real database."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import runs
import torch
from far_away import far_away
from safetensors.torch import load_file
from tiny import spoken

from agents.policies.llm import Llm
from agents.types import Episode, History, Move, Prompt, Turn
from skills_db.types import EpisodeRow
from trainers import ahead, learn, loop
from trainers.ahead import Ahead, TooStale
from trainers.algorithms.base import Group
from trainers.algorithms.dapo import Dapo
from trainers.batch import Row, collate
from trainers.config import RunConfig
from trainers.display import Display
from trainers.learn import drawn_now
from trainers.loop import train
from trainers.parts import Parts, assembled
from trainers.plugged import BadConfig
from trainers.run import Run
from trainers.segments import segments
from trainers.tasks import TaskPool


def learning(monkeypatch: pytest.MonkeyPatch, before: Callable[[Parts], None]) -> None:
    """Have this done in the learner's thread before each update."""

    def patched(parts: Parts, groups: Any) -> Any:
        before(parts)
        return learn.learn(parts, groups)

    monkeypatch.setattr(loop, "learn", patched)


def played(config: RunConfig) -> dict[int, list[EpisodeRow]]:
    """What memory holds of the play for learning, by step."""
    found: dict[int, list[EpisodeRow]] = {}
    with runs.memory(config) as store:
        for row in store.episodes(split="train", limit=None, newest=False):
            assert row.step is not None
            found.setdefault(row.step, []).append(row)
    return found


def versions(config: RunConfig) -> dict[int, list[list[int]]]:
    """The versions that drew the turns of each episode, by step."""
    with runs.memory(config) as store:
        return {
            step: [[turn.version for turn in store.episode(row.id).turns] for row in rows]
            for step, rows in played(config).items()
        }


async def test_play_goes_on_while_the_learner_learns_and_no_sample_is_older_than_asked(
    gym_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = runs.config(tmp_path, gym_url, "steps=6", "eval.every=3", "sampling.staleness=2")
    learning(monkeypatch, lambda parts: time.sleep(0.15))
    run = await train(config)
    rows = runs.rows(run)[1:]
    assert [row["step"] for row in rows] == list(range(1, 7))
    oldest = [row["async/staleness_max"] for row in rows]
    assert max(oldest) == 2
    assert all(row["async/staleness_mean"] <= row["async/staleness_max"] for row in rows)
    assert max(row["async/queue"] for row in rows) > 0
    found = versions(config)
    assert [len(found[step]) for step in range(1, 7)] == [6] * 6
    for step, episodes in found.items():  # one update a step, so version v is that of the steps up to v
        drew = {version for turns in episodes for version in turns}
        assert step - 1 - min(drew) == oldest[step - 1]
        assert max(drew) <= step - 1
    # Where nothing is old, trainer and sampler agree; where something is, that is no alarm.
    assert all(row.get("policy/mismatch_max_nats", 0.0) < 1e-4 for row in rows)
    assert [row["policy/drift_nats"] > 1e-6 for row in rows] == [row["async/staleness_mean"] > 0 for row in rows]
    assert not any(row.get("alarm/mismatch") for row in rows)


async def test_a_full_queue_waits_for_the_learner(
    gym_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = runs.config(tmp_path, gym_url, "steps=5", "eval.every=0", "sampling.staleness=2")
    counts: list[list[int]] = []

    def wait(parts: Parts) -> None:
        if parts.step:
            return
        for _ in range(600):
            if {3: 6}.items() <= {step: len(rows) for step, rows in played(config).items()}.items():
                break
            time.sleep(0.05)
        time.sleep(0.5)
        counts.append(sorted(played(config)))

    learning(monkeypatch, wait)
    await train(config)
    assert counts == [[1, 2, 3]]
    assert sorted(played(config)) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("partial", ["continue", "drop"])
async def test_episodes_under_way_go_on_with_a_version_a_turn_or_begin_anew(
    gym_url: str, tmp_path: Path, partial: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Step 2 waits after a turn until step 1 has been learned from; then its first group has no room for more."""
    begun, waiting = itertools.count(1), set[int]()

    async def act(self: Llm, prompt: Prompt, last: Turn | None, history: History) -> Move:
        if not history.turns:
            self.number = next(begun)  # type: ignore[attr-defined]
        elif self.number > 6:  # type: ignore[attr-defined]
            waiting.add(self.number)  # type: ignore[attr-defined]
            while self.sampler.version == 0:  # type: ignore[attr-defined]  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        return await plain(self, prompt, last, history)

    def wait(parts: Parts) -> None:
        while len(waiting) < 6:
            time.sleep(0.01)

    plain = Llm.act
    monkeypatch.setattr(Llm, "act", act)
    learning(monkeypatch, wait)
    pairs = ["steps=2", "eval.every=0", "sampling.staleness=1", f"sampling.partial={partial}"]
    config = runs.config(tmp_path, gym_url, *pairs, "sampling.concurrency=6")
    run = await train(config)
    _, first, second = runs.rows(run)
    found = versions(config)
    assert found[1] == [[0, 0]] * 6
    assert (first["async/mixed_share"], first["async/dropped"]) == (0, 0)
    assert second["async/staleness_max"] == 1
    if partial == "continue":
        assert sorted(found[2]) == [[0]] * 3 + [[0, 1]] * 3
        assert (second["async/mixed_share"], second["async/dropped"]) == (0.5, 0)
    else:
        assert sorted(found[2]) == [[0]] * 3 + [[1, 1]] * 3
        assert (second["async/mixed_share"], second["async/dropped"]) == (0, 3)
        assert second["async/wasted_tokens"] >= 3


async def test_in_turn_is_playing_learning_and_loading_one_after_the_other_to_the_last_bit(
    gym_url: str, tmp_path: Path
) -> None:
    pairs = ["steps=3", "eval.every=0", "engine.deterministic=true", "learner.lr=1e-3"]
    run = await train(runs.config(tmp_path / "loop", gym_url, *pairs))
    by_hand = runs.config(tmp_path / "hand", gym_url, *pairs)
    async with assembled(by_hand, resume=False, display=Display(quiet=True)) as parts:
        for step in range(3):
            tasks = parts.algorithm.choose(2)
            parts.step = step
            seed = parts.rng("play", 0).getrandbits(63)
            played = await parts.player.collect(parts.gym, tasks, group_size=3, temperature=1.0, seed=seed)
            groups = [
                Group(task, episodes, [episode.rewards for episode in episodes])
                for task, episodes in zip(tasks, played, strict=True)
            ]
            await asyncio.to_thread(learn.learn, parts, groups)
            await parts.engine.load(parts.learner.weights(), parts.learner.version)
        weights = {name: tensor.clone() for name, tensor in parts.learner.weights().items()}
    saved = load_file(run.checkpoints()[-1].model / "model.safetensors")
    assert all(saved[name].equal(weights[name]) for name in saved)
    rows = runs.rows(run)[1:]
    assert [(row["async/staleness_max"], row["async/queue"], row["async/dropped"]) for row in rows] == [(0, 0, 0)] * 3


async def test_a_run_that_is_killed_plays_again_what_it_had_not_learned_from(gym_url: str, tmp_path: Path) -> None:
    pairs = ("steps=400", "eval.every=0", "checkpoint.every=2", "sampling.staleness=2", "env.tasks=23")
    config = runs.config(tmp_path, gym_url, *pairs)
    run = await runs.killed(config, 6)
    saved = run.checkpoints()[-1]
    done = saved.step
    books = saved.state()
    assert 2 <= done < 400
    # Two steps are under way whenever one is done; their tasks are drawn, and not heard of.
    assert sorted(books["drawn"]) == sorted([str(done + 1), str(done + 2)])
    assert sum(tally[0] for tally in books["pool"]["tallies"].values()) == 6 * done
    await train(config.model_copy(update={"steps": done + 4}), resume=True)
    assert [row["step"] for row in runs.rows(run)] == list(range(done + 5))
    found = played(config)
    assert [len(found[step]) for step in sorted(found)] == [6] * (done + 4)
    pool = TaskPool("keydoor", (await keys(config)), seed=config.seed)
    for step in sorted(found):
        assert {row.key for row in found[step]} == {task.key for task in pool.draw(2)}
    assert run.checkpoints()[-1].state()["drawn"] == {}
    state = run.checkpoints()[-1].state()["pool"]
    assert sum(tally[0] for tally in state["tallies"].values()) == 6 * (done + 4)


async def test_a_resumed_run_plays_the_replacements_that_were_drawn_ahead_before_it_draws_others(
    gym_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A group of step 2 is not admitted; step 1 is learned from when another is played, and step 2 cannot be."""
    pairs = (
        "steps=3",
        "eval.every=0",
        "sampling.staleness=1",
        "env.tasks=23",
        "checkpoint.every=1",
        "algorithm.name=dapo",
    )
    config = runs.config(tmp_path, gym_url, *pairs)
    order = [task.key for task in TaskPool("keydoor", await keys(config), seed=config.seed).draw(7)]
    monkeypatch.setattr(Dapo, "admit", lambda self, group: group.task.key != order[3])

    def wait(parts: Parts) -> None:
        if parts.step:
            raise RuntimeError("no step after the first")
        while len(played(config).get(2, [])) < 9:
            time.sleep(0.02)

    with monkeypatch.context() as patch:
        learning(patch, wait)
        with pytest.raises(RuntimeError, match="no step after the first"):
            await train(config)
    books = Run(config.directory).checkpoints()[-1].state()
    assert {step: [task["key"] for task in tasks] for step, tasks in books["drawn"].items()} == {"2": order[2:5]}
    run = await train(config, resume=True)
    found = {step: {row.key for row in rows} for step, rows in played(config).items()}
    assert found == {1: set(order[:2]), 2: set(order[2:5]), 3: set(order[5:])}
    assert [row["group/replaced"] for row in runs.rows(run)[1:]] == [0, 1, 0]


async def keys(config: RunConfig) -> list[str]:
    async with assembled(
        config.model_copy(update={"name": "other"}), resume=False, display=Display(quiet=True)
    ) as parts:
        return parts.pool.keys


@pytest.mark.slow  # as in turn, but for who waits
async def test_ctrl_c_saves_the_last_whole_step_and_a_run_may_go_on_in_turn(gym_url: str, tmp_path: Path) -> None:
    pairs = ("steps=400", "eval.every=0", "checkpoint.every=100", "sampling.staleness=3")
    config = runs.config(tmp_path, gym_url, *pairs)
    run = Run(config.directory)
    training = asyncio.create_task(train(config))
    await runs.steps(run, 4, going=lambda: not training.done())
    training.cancel()
    with pytest.raises(asyncio.CancelledError):
        await training
    done = run.checkpoints()[-1].step
    assert done == runs.rows(run)[-1]["step"] >= 3
    await train(config.model_copy(update={"steps": done + 2, "sampling": in_turn(config)}), resume=True)
    assert [row["step"] for row in runs.rows(run)] == list(range(done + 3))
    assert [len(rows) for _, rows in sorted(played(config).items())] == [6] * (done + 2)


def in_turn(config: RunConfig) -> Any:
    return config.sampling.model_copy(update={"staleness": 0})


@pytest.mark.slow  # and no statement about a busy machine: the difference is a third and more
async def test_where_worlds_are_far_away_play_ahead_takes_more_steps_a_minute(gym_url: str, tmp_path: Path) -> None:
    took_s = []
    async with far_away(gym_url, 0.06) as url:
        for k in (0, 2):
            pairs = ["steps=25", "eval.every=0", "checkpoint.every=100", "context={name='window', turns=1}"]
            pairs += [f"sampling.staleness={k}", "sampling.tasks_per_step=8", "sampling.concurrency=24"]
            run = await train(runs.config(tmp_path / str(k), url, *pairs))
            rows = runs.rows(run)[1:]
            took_s.append(sum(row["time/step_s"] for row in rows))
            print(f"k = {k}: {60 * len(rows) / took_s[-1]:.0f} steps a minute")
    assert took_s[1] < 0.9 * took_s[0]


async def test_a_step_that_cannot_be_played_ends_the_run_in_its_turn(
    gym_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def gather(self: Ahead, play: ahead.Play) -> None:
        if play.step == 3:
            raise RuntimeError("the world is no more")
        await whole(self, play)

    whole = Ahead._gather
    monkeypatch.setattr(Ahead, "_gather", gather)
    config = runs.config(tmp_path, gym_url, "steps=6", "eval.every=0", "sampling.staleness=2")
    with pytest.raises(RuntimeError, match="the world is no more"):
        await train(config)
    assert Run(config.directory).checkpoints()[-1].step == 2


@pytest.mark.parametrize(
    ("pairs", "says"),
    [
        (["sampling.staleness=-1"], r"sampling\.staleness = -1 is refused: input should be greater than or equal to 0"),
        (["sampling.partial=maybe"], r"sampling\.partial = 'maybe' is refused: input should be 'continue' or 'drop'"),
        (["engine.deterministic=true"], r"engine\.deterministic promises the same run twice, but the clock decides"),
        (["memory.every=1"], r"memory\.every changes notes between steps"),
        (["context.name=recall", "context.skills=2", "skills.every=1"], r"skills\.every changes skills between steps"),
    ],
)
def test_what_cannot_run_ahead_is_refused_with_the_config(tmp_path: Path, pairs: list[str], says: str) -> None:
    with pytest.raises(BadConfig, match=says):
        runs.config(tmp_path, None, "sampling.staleness=2", *pairs)


@pytest.mark.parametrize(
    ("pair", "says"),
    [
        ("algorithm=vspo", "'vspo' chooses tasks by what the last step left"),
        ("algorithm=vade", "'vade' chooses tasks by what the last step left"),
        ("algorithm=remix", "'remix' chooses tasks by what the last step left"),
        ("context=recall", "the context 'recall' shows what memory holds after the last step"),
    ],
)
async def test_what_depends_on_the_last_step_is_refused_before_anything_is_touched(
    tmp_path: Path, pair: str, says: str
) -> None:
    config = runs.config(tmp_path, None, "sampling.staleness=1", pair)
    with pytest.raises(BadConfig, match=says):
        await train(config)
    assert not config.directory.exists()


def aged(*drew: int) -> Episode:
    """An episode whose turns were drawn from these versions."""
    episode = spoken([([1], [5, 6]), ([1, 5, 6, 2], [7])])
    for turn, version in zip(episode.turns, drew, strict=True):
        object.__setattr__(turn.move.sample, "version", version)
    return episode


async def test_ages_are_in_updates_and_weighted_by_tokens(gym_url: str, tmp_path: Path) -> None:
    config = runs.config(tmp_path, gym_url, "sampling.staleness=2")
    async with assembled(config, resume=False, display=Display(quiet=True)) as parts:
        ahead = Ahead(parts)
        # Two optimizer steps a step: versions 0, 2, 4, 6.
        ahead._updates = {0: 0, 2: 1, 4: 2, 6: 3}
        parts.learner.version = 6
        group = Group(parts.pool.draw(1)[0], [aged(2, 6), aged(6, 6)], [[0.0, 0.0]] * 2)
        assert ahead.ages([group]) == {
            "async/staleness_mean": pytest.approx((2 * 2 + 0 + 0 + 0) / 6),
            "async/staleness_max": 2,
            "async/mixed_share": 0.5,
        }
        with pytest.raises(TooStale, match=r"a sample is 3 updates old, and sampling\.staleness is 2"):
            ahead.ages([Group(group.task, [aged(0, 6)], [[0.0, 0.0]])])


def test_only_what_the_present_weights_drew_tells_of_the_machinery() -> None:
    [segment] = segments(aged(3, 4), [1.0, 1.0])
    rows = [Row(segment, 0, 0, 0.0, versions=[3, 4]), Row(segment, 1, 0, 0.0)]
    batch = collate(rows)
    now_BL = drawn_now(rows, batch, 4) & batch.mask_BL
    assert now_BL.tolist() == [[False, False, False, False, True], [False, True, True, False, True]]
    assert torch.equal(
        drawn_now(rows, batch, 3) & batch.mask_BL,
        batch.mask_BL & (batch.turn_BL != 1) | (batch.episode_B[:, None] == 1) & batch.mask_BL,
    )
