"""Drawing tasks, remembering how they went, and reading keys off a server."""

from __future__ import annotations

import json
import statistics
from itertools import pairwise

import pytest

from envserver.client import Gym
from envserver.errors import UnknownEnv, UnknownTask
from trainers.tasks import TaskPool, fetch_keys

KEYS = [f"k{number}" for number in range(10)]


def drawn(pool: TaskPool, *sizes: int) -> list[str]:
    return [task.key for size in sizes for task in pool.draw(size)]


def test_every_task_is_drawn_once_before_any_comes_again() -> None:
    found = drawn(TaskPool("e", KEYS, seed=3), 4, 4, 4, 4, 4)
    assert sorted(found[:10]) == KEYS
    assert sorted(found[10:]) == KEYS
    assert found[:10] != found[10:]


def test_no_draw_holds_a_task_twice_while_there_are_enough() -> None:
    pool = TaskPool("e", KEYS, seed=1)
    for size in (7, 7, 7, 7, 10, 9, 3, 10):
        found = drawn(pool, size)
        assert len(set(found)) == size


def test_more_than_there_are_repeats_as_little_as_it_must() -> None:
    found = drawn(TaskPool("e", KEYS[:3]), 8)
    assert sorted(found.count(key) for key in KEYS[:3]) == [2, 3, 3]


def test_the_seed_chooses_the_order() -> None:
    assert drawn(TaskPool("e", KEYS, seed=5), 10) == drawn(TaskPool("e", KEYS, seed=5), 10)
    assert drawn(TaskPool("e", KEYS, seed=5), 10) != drawn(TaskPool("e", KEYS, seed=6), 10)


def test_a_restored_pool_goes_on_as_the_unbroken_one() -> None:
    pool = TaskPool("e", KEYS, seed=2)
    for task in pool.draw(7):
        pool.observe(task, [0.0, 1.0])
    state = json.loads(json.dumps(pool.state_dict()))
    other = TaskPool("e", KEYS, seed=99)
    other.load_state_dict(state)
    assert drawn(other, 6, 6) == drawn(pool, 6, 6)
    assert [other.stats(other.task(key)) for key in KEYS] == [pool.stats(pool.task(key)) for key in KEYS]


def test_a_pool_of_other_tasks_is_refused() -> None:
    with pytest.raises(ValueError, match="10 tasks of 'e'"):
        TaskPool("e", KEYS[:9]).load_state_dict(TaskPool("e", KEYS).state_dict())


def test_statistics_are_those_of_all_returns() -> None:
    pool, returns = TaskPool("e", KEYS), [0.0, 1.0, 0.25, -2.0, 1.0]
    task = pool.task("k3")
    pool.observe(task, returns[:2])
    pool.observe(task, returns[2:])
    found = pool.stats(task)
    assert found.visits == 5
    assert found.mean == pytest.approx(statistics.fmean(returns))
    assert found.variance == pytest.approx(statistics.pvariance(returns))
    assert found.best == 1.0
    assert pool.stats(pool.task("k4")).visits == 0


def test_the_first_tasks_are_a_random_choice_that_drawing_does_not_disturb() -> None:
    pool = TaskPool("e", [f"{number:03d}" for number in range(100)], seed=4)
    before = [task.key for task in pool.first(20)]
    pool.draw(30)
    assert [task.key for task in pool.first(20)] == before
    assert [task.key for task in pool.first(30)][:20] == before
    assert len(set(before)) == 20
    assert any(int(b) != int(a) + 1 for a, b in pairwise(before))


def test_a_weighted_draw_holds_no_task_twice_and_none_without_weight() -> None:
    pool = TaskPool("e", KEYS, seed=3)
    weights = {"k1": 2.0, "k2": 1.0, "k3": 0.0}
    first = [tuple(task.key for task in pool.weighted(1, weights)) for _ in range(300)]
    assert first.count(("k1",)) / 300 == pytest.approx(2 / 3, abs=0.1)
    assert sorted(task.key for task in pool.weighted(5, weights)) == ["k1", "k2"]
    assert pool.weighted(2, {}) == []


def test_a_restored_pool_gives_out_the_same_draws() -> None:
    pool, other = TaskPool("e", KEYS, seed=2), TaskPool("e", KEYS, seed=99)
    pool.rng()
    other.load_state_dict(json.loads(json.dumps(pool.state_dict())))
    assert pool.rng().random() == other.rng().random() != pool.rng().random()


@pytest.mark.parametrize("keys", [[], ["a", "a"]])
def test_a_pool_needs_keys_that_differ(keys: list[str]) -> None:
    with pytest.raises(ValueError, match="key"):
        TaskPool("e", keys)


async def test_keys_come_in_pages_and_only_as_many_as_asked(gym_url: str) -> None:
    async with Gym(gym_url) as gym:
        assert await fetch_keys(gym, "keydoor", "train", limit=3) == [f"doors-3/train/{n:04d}" for n in range(3)]
        assert len(await fetch_keys(gym, "keydoor", "train", limit=2500)) == 2500
        assert await fetch_keys(gym, "keydoor", "test", limit=1, options={"doors": 5}) == ["doors-5/test/0000"]
        everything = await fetch_keys(gym, "keydoor", "train")
        assert len(set(everything)) == 10_000


async def test_an_unknown_split_or_environment_is_refused(gym_url: str) -> None:
    async with Gym(gym_url) as gym:
        with pytest.raises(UnknownTask):
            await fetch_keys(gym, "keydoor", "trian")
        with pytest.raises(UnknownEnv):
            await fetch_keys(gym, "keydor", "train")
