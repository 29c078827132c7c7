"""What the expert shows beside play."""

from __future__ import annotations

import random
from pathlib import Path

from by_hand import algorithm, episode, group_of
from runs import config, rows

from trainers.algorithms.otr import Otr
from trainers.learn import learn_rows
from trainers.loop import train
from trainers.rows import rows as played_rows
from trainers.shown import shown_rows


def learned(learner, found, probed):
    return learn_rows(algorithm(Otr), learner, found, micro_tokens=64, rng=random.Random(0), probed=probed)


def test_what_is_shown_is_no_member_of_its_group_and_no_sampler_is_compared_with_it(tiny_learner):
    group = group_of(episode([0.0]), episode([1.0]))
    group.shown = [episode([0.0, 1.0], tokens=2)]
    [row] = shown_rows([group_of(episode([0.0])), group])
    assert (row.group, row.episode, row.shown) == (1, 3, True)
    assert row.segment.advantages == [0.0, 1.0, 1.0, 0.0, 1.0, 1.0]
    # What the expert said has no log-probability; were it probed, the sampler would seem to disagree.
    row.segment.logprobs[1] = -1e6
    played = played_rows([group], [[[0.0], [0.0]]])
    made, metrics = learned(tiny_learner, [*played, row], played)
    assert [batch.shown_B.tolist() for batch in made] == [[True]]
    assert metrics["policy/mismatch_max_nats"] < 1e3
    assert "otr/match_share" in metrics


async def test_a_task_that_no_episode_solved_is_shown_where_the_algorithm_grades_tasks(gym_url: str, tmp_path: Path):
    # A model of random weights solves nothing here, so what is shown is all there is to learn from.
    run = await train(config(tmp_path, gym_url, "algorithm={name = 'dypo'}", "steps=1", "eval.every=0"))
    [row] = [row for row in rows(run) if row["step"] == 1]
    assert row["reward/mean"] == 0.0
    assert row["shown/episodes"] == 2.0
    assert row["loss/imitation"] > 0
    assert row["learner/grad_norm"] > 0


async def test_a_run_is_shown_each_task_that_its_algorithm_asks_for(gym_url: str, tmp_path: Path):
    run = await train(config(tmp_path, gym_url, "algorithm={name = 'otr'}", "steps=2", "eval.every=0"))
    assert [row["shown/episodes"] for row in rows(run) if "shown/episodes" in row] == [2.0, 2.0]
    assert all(row["learner/grad_norm"] > 0 for row in rows(run) if row["step"] > 0)
