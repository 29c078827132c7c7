"""Value of tasks, groups that are replaced by it, and advantages that are damped: worked out by hand."""

import json
from pathlib import Path

import pytest
import runs
from by_hand import episode

from envserver.schema import Task
from trainers.algorithms.base import Group
from trainers.algorithms.vspo import Vspo
from trainers.loop import train
from trainers.tasks import TaskPool


def vspo(tasks=6, **settings):
    return Vspo(Vspo.Config(**settings), TaskPool("keydoor", [f"k{number}" for number in range(tasks)]))


def group(key, *returns):
    episodes = [episode([value]) for value in returns]
    return Group(Task(env="keydoor", key=key), episodes, [one.rewards for one in episodes])


def value(algorithm, key):
    return algorithm.value(algorithm.pool.stats(algorithm.pool.task(key)))


def keys(tasks):
    return [task.key for task in tasks]


def test_value_is_what_is_missing_times_the_spread():
    # Returns 1, 0, 0, 0: mean 1/4, deviation sqrt(3)/4. V = 3/4 * 0.4330127.
    algorithm = vspo()
    algorithm.observe(group("k0", 1.0, 0.0, 0.0, 0.0))
    assert value(algorithm, "k0") == pytest.approx(0.3247595)
    assert value(vspo(), "k0") == 0.0
    squared = vspo(spread="variance")
    squared.observe(group("k0", 1.0, 0.0, 0.0, 0.0))
    assert value(squared, "k0") == pytest.approx(0.75 * 0.1875)


@pytest.mark.parametrize("returns", [(0.0, 0.0), (1.0, 1.0), (2.0, 1.0)])
def test_a_task_that_is_always_the_same_or_has_no_more_to_give_has_no_value(returns):
    algorithm = vspo()
    algorithm.observe(group("k0", *returns))
    assert value(algorithm, "k0") == 0.0


def test_what_is_long_ago_weighs_less():
    # 1, 0 at half weight, then 1, 1: weights 0.5 0.5 1 1. Mean 2.5/3; variance 2.5/3 - (2.5/3)^2 = 5/36.
    algorithm = vspo(keep=0.5)
    algorithm.observe(group("k0", 1.0, 0.0))
    algorithm.observe(group("k0", 1.0, 1.0))
    stat = algorithm.pool.stats(algorithm.pool.task("k0"))
    assert (stat.visits, stat.mean, stat.variance) == (4, pytest.approx(5 / 6), pytest.approx(5 / 36))
    forgetful = vspo(keep=0.0)
    forgetful.observe(group("k0", 1.0, 0.0))
    forgetful.observe(group("k0", 1.0, 1.0))
    assert value(forgetful, "k0") == 0.0


@pytest.mark.parametrize(("returns", "admitted"), [((0.0, 0.0), False), ((1.0,), False), ((1.0, 0.5), True)])
def test_only_groups_with_spread_are_trained_on(returns, admitted):
    assert vspo().admit(group("k0", *returns)) is admitted


def test_a_group_is_replaced_by_a_task_of_value_that_the_step_does_not_have():
    algorithm = vspo(6)
    here = keys(algorithm.choose(3))
    others = [key for key in algorithm.pool.keys if key not in here]
    algorithm.observe(group(here[0], 1.0, 0.0))  # of value, but played in this step
    algorithm.observe(group(others[0], 1.0, 0.0))
    algorithm.observe(group(others[1], 0.0, 0.0))
    assert keys(algorithm.replace(1)) == [others[0]]
    assert algorithm.report() == {"task/valued": 1, "task/open": 2, "task/value": 0.25, "task/damping": 1.0}


def test_tasks_are_drawn_as_often_as_their_value_says():
    # V = 1/2 * 1/2 and 3/4 * 0.433: shares 0.435 and 0.565.
    drawn = []
    for number in range(600):
        algorithm = Vspo(Vspo.Config(), TaskPool("keydoor", ["k0", "k1"], seed=number))
        algorithm.observe(group("k0", 1.0, 0.0))
        algorithm.observe(group("k1", 1.0, 0.0, 0.0, 0.0))
        drawn += keys(algorithm.replace(1))
    assert drawn.count("k1") / 600 == pytest.approx(0.565, abs=0.07)


def test_where_no_task_has_a_value_the_next_ones_in_turn_are_played():
    algorithm = vspo(6)
    assert sorted(keys([*algorithm.choose(4), *algorithm.replace(2)])) == algorithm.pool.keys
    assert algorithm.report() == {"task/valued": 0, "task/open": 0}


def test_the_advantages_of_a_task_that_is_drawn_again_and_again_decay():
    # A = +-0.7071068 / 0.7071078; on the third draw by value f = 0.8^2 = 0.64.
    algorithm = vspo(2, damping=0.8)
    algorithm.observe(group("k0", 1.0, 0.0))
    rows = []
    for _ in range(3):
        algorithm.choose(0)  # a step begins
        assert keys(algorithm.replace(1)) == ["k0"]
        rows.append(algorithm.advantages([group("k0", 1.0, 0.0)])[0][0][0])
    assert rows == pytest.approx([0.707106, 0.8 * 0.707106, 0.64 * 0.707106], abs=1e-6)
    untouched = algorithm.advantages([group("k1", 1.0, 0.0)])
    assert untouched[0][1] == pytest.approx([-0.707106], abs=1e-6)


def test_a_task_that_comes_in_its_turn_is_not_damped_and_draws_are_forgotten():
    algorithm = vspo(2, window_steps=2, damping=0.5)
    algorithm.observe(group("k0", 1.0, 0.0))
    algorithm.choose(0)
    algorithm.replace(1)
    assert algorithm.factor("k0") == 1.0
    algorithm.choose(0)
    assert algorithm.factor("k0") == 1.0  # not drawn by value in this step
    algorithm.replace(1)
    assert algorithm.factor("k0") == 0.5  # the second in two steps
    for _ in range(2):
        algorithm.choose(0)
    algorithm.replace(1)
    assert algorithm.factor("k0") == 1.0


def test_a_resumed_one_draws_and_damps_as_the_unbroken_one():
    algorithm = vspo(4)
    for key in ("k0", "k1", "k2", "k3"):
        algorithm.observe(group(key, 1.0, 0.0))
    for _ in range(3):
        algorithm.choose(2)
        algorithm.replace(1)
    books = json.loads(json.dumps([algorithm.pool.state_dict(), algorithm.state_dict()]))
    other = Vspo(Vspo.Config(), TaskPool("keydoor", algorithm.pool.keys, seed=9))
    other.pool.load_state_dict(books[0])
    other.load_state_dict(books[1])
    for one in (algorithm, other):
        one.choose(2)
    assert [keys(one.replace(2)) for one in (algorithm,)] == [keys(one.replace(2)) for one in (other,)]
    assert algorithm.report() == other.report()
    assert [algorithm.factor(key) for key in algorithm.pool.keys] == [other.factor(key) for key in other.pool.keys]


def test_the_constants_are_the_papers():
    config = Vspo.Config()
    assert (config.kl, config.clip_low, config.clip_high, config.max_draws) == (0.001, 0.2, 0.2, 2)


async def test_a_run_replaces_what_has_no_spread_and_keeps_its_books(gym_url: str, tmp_path: Path) -> None:
    # A model from nothing earns nothing: both groups are refused, both replacements too, and nothing is learned.
    config = runs.config(tmp_path, gym_url, "steps=1", "eval.every=0", "checkpoint.every=1", "algorithm=vspo")
    await train(config)
    run = await train(config.model_copy(update={"steps": 2}), resume=True)
    for row in runs.rows(run)[1:]:
        assert (row["group/replaced"], row["group/refused"], row["group/count"]) == (2, 4, 0)
        assert (row["task/valued"], row["task/open"]) == (0, 0)
    books = run.checkpoints()[-1].state()
    assert books["algorithm"] == {"step": 2, "drawn": {}}
    assert sum(tally[0] for tally in books["pool"]["tallies"].values()) == runs.rows(run)[-1]["episode/total"] == 24
