"""SyncGym: the client for code that does not await."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from envserver import Action, Task
from envserver.errors import EpisodeOver, GymUnreachable, UnknownEnv, UnknownTask
from envserver.sync import SyncGym

TASK = Task(env="keydoor", key="doors-3/train/0003")


def test_an_expert_is_followed_to_the_end(gym_url):
    with SyncGym(gym_url) as gym, gym.open(TASK) as world:
        while not world.over:
            world.step(world.expert())
        assert world.result.success
        assert world.index == len(gym.state(world.session).actions)
        with pytest.raises(EpisodeOver):
            world.step("wait")


def test_a_fork_goes_its_own_way(gym_url):
    with SyncGym(gym_url) as gym, gym.open(TASK) as world:
        world.step(Action(text="wait"))
        with world.fork() as twin, world.fork(0) as early:
            assert (twin.index, early.index) == (1, 0)
            assert twin.session != world.session
            assert twin.result == world.result
            twin.step("wait")
            assert world.index == 1


def test_the_catalogue_can_be_read(gym_url):
    with SyncGym(gym_url) as gym:
        assert "keydoor" in {card.env for card in gym.envs()}
        assert gym.card("keydoor").splits["train"] == 10_000
        assert gym.tasks("keydoor", "test", offset=2, limit=2).keys == ["doors-3/test/0002", "doors-3/test/0003"]
        assert gym.health().status == "ok"
        assert gym.demonstration(TASK).success
        with gym.open(TASK) as world:
            assert world.session in {state.session for state in gym.sessions()}
            assert world.opened.instructions


def test_a_given_id_opens_the_same_session_twice(gym_url):
    with SyncGym(gym_url) as gym, gym.open(TASK, session="mine") as world:
        world.step("wait")
        assert gym.open(TASK, session="mine").session == world.session


def test_errors_are_the_gyms_own_classes(gym_url):
    with SyncGym(gym_url) as gym:
        with pytest.raises(UnknownEnv):
            gym.open(Task(env="keydor", key="a"))
        with pytest.raises(UnknownTask):
            gym.open(Task(env="keydoor", key="a"))


def test_many_threads_may_share_a_gym(gym_url):
    def play(number):
        with gym.open(Task(env="keydoor", key=f"doors-3/train/{number:04d}")) as world:
            while not world.over:
                world.step(world.expert())
            return world.result.success

    with SyncGym(gym_url) as gym, ThreadPoolExecutor(8) as threads:
        assert all(threads.map(play, range(40)))


def test_a_closed_gym_says_so_and_leaves_no_thread(gym_url):
    before = threading.active_count()
    gym = SyncGym(gym_url)
    gym.health()
    gym.close()
    gym.close()
    with pytest.raises(GymUnreachable, match="closed"):
        gym.health()
    assert threading.active_count() == before


def test_a_server_that_is_not_there_is_told_in_a_sentence():
    with SyncGym("http://127.0.0.1:9", timeout_s=0.3) as gym, pytest.raises(GymUnreachable, match="cannot be reached"):
        gym.open(TASK)
