"""Posteriors, what a task is expected to teach, and which tasks are chosen: worked out by hand."""

import json
from collections import Counter

import pytest
from by_hand import episode

from agents.types import Turn
from envserver.schema import Task
from trainers.algorithms.base import Group
from trainers.algorithms.vade import Vade
from trainers.tasks import TaskPool


def vade(tasks=4, **settings):
    return Vade(Vade.Config(**settings), TaskPool("keydoor", [f"k{number}" for number in range(tasks)], seed=3))


def group(key, *solved):
    episodes = [episode([0.0]) for _ in solved]
    for one, success in zip(episodes, solved, strict=True):
        turn = one.turns[0]
        won = turn.result.model_copy(update={"success": bool(success), "terminated": True})
        one.turns[0] = Turn(turn.prompt, turn.move, turn.reply, won)
    return Group(Task(env="keydoor", key=key), episodes, [one.rewards for one in episodes])


def test_success_and_not_return_moves_the_posterior_and_the_past_fades():
    algorithm = vade(keep=0.5)
    algorithm.observe(group("k0", 1, 0, 0, 0))
    assert algorithm.posterior("k0") == (2.0, 4.0)
    algorithm.observe(group("k0", 1, 1))
    assert algorithm.posterior("k0") == (1 + 0.5 + 2, 1 + 1.5)
    assert algorithm.posterior("k1") == (1.0, 1.0)


def test_each_step_moves_every_posterior_towards_the_prior():
    algorithm = vade(drift=0.5)
    algorithm.observe(group("k0", 1, 1, 0, 0))
    algorithm.choose(1)
    assert algorithm.posterior("k0") == (2.0, 2.0)
    algorithm.replace(1)  # in the same step
    assert algorithm.posterior("k0") == (2.0, 2.0)


def test_what_a_task_is_expected_to_teach():
    # Uniform: the integral of p (1 - p)^2 is 1/2 - 2/3 + 1/4 = 1/12. Beta(2, 3): 2 * 3 * 4 / (5 * 6 * 7) = 24/210.
    algorithm = vade()
    assert algorithm.utility("k0") == pytest.approx(1 / 12)
    algorithm.observe(group("k0", 1, 0, 0))
    assert algorithm.utility("k0") == pytest.approx(24 / 210)
    assert algorithm.report() == {}


def test_tasks_of_middling_difficulty_are_played_most():
    algorithm = vade(drift=1.0)
    for key, solved in (("k0", 60), ("k1", 20), ("k2", 0), ("k3", 40)):
        algorithm.observe(group(key, *[1] * solved, *[0] * (60 - solved)))
    # p near 1, 1/3, 0, 2/3: p (1 - p)^2 = 0, 0.148, 0, 0.074.
    chosen = Counter(task.key for _ in range(50) for task in algorithm.choose(1))
    assert chosen["k1"] >= 48
    assert {task.key for task in algorithm.choose(2)} == {"k1", "k3"}
    assert algorithm.report()["task/value"] == pytest.approx((0.148 + 0.074) / 2, abs=0.01)


def test_no_task_comes_twice_in_a_step_while_there_are_enough():
    assert len({task.key for task in vade().choose(4)}) == 4
    assert Counter(task.key for task in vade(2).choose(4)) == {"k0": 2, "k1": 2}


def test_a_resumed_one_chooses_as_the_unbroken_one():
    algorithm = vade(20)
    for task in algorithm.choose(5):
        algorithm.observe(group(task.key, 1, 0, 0))
    books = json.loads(json.dumps([algorithm.pool.state_dict(), algorithm.state_dict()]))
    other = vade(20)
    other.pool.load_state_dict(books[0])
    other.load_state_dict(books[1])
    assert [task.key for task in other.choose(8)] == [task.key for task in algorithm.choose(8)]
    assert [other.posterior(key) for key in other.pool.keys] == [algorithm.posterior(key) for key in other.pool.keys]
