"""GymnasiumEnv: a world where a gymnasium.Env is expected."""

import warnings

import pytest

gymnasium = pytest.importorskip("gymnasium", reason="needs the extra [gymnasium]")

from gymnasium.utils.env_checker import check_env  # noqa: E402

from envserver.errors import BadRequest, UnknownEnv, UnknownTask  # noqa: E402
from envserver.gymnasium import AnyText, GymnasiumEnv  # noqa: E402


@pytest.fixture
def env(gym_url):
    env = GymnasiumEnv(gym_url, "keydoor", render_mode="ansi")
    yield env
    env.close()


def test_gymnasiums_own_checker_finds_nothing(gym_url):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = gymnasium.make("envserver.gymnasium:Turnhalle/World-v0", url=gym_url, env="keydoor", render_mode="ansi")
        check_env(made.unwrapped)


def test_a_seed_names_an_episode(env):
    seen = [env.reset(seed=seed) for seed in (1, 1, 2)]
    assert seen[0] == seen[1]
    assert seen[0] != seen[2]
    env.reset(seed=1)
    sequence = [env.reset()[0]["text"] for _ in range(5)]
    env.reset(seed=1)
    assert sequence == [env.reset()[0]["text"] for _ in range(5)]
    assert len(set(sequence)) > 1


def test_an_episode_is_played_by_its_choices(env):
    observation, info = env.reset(options={"key": "doors-3/train/0005", "seed": 3, "options": {"max_steps": 5}})
    assert info == {"is_success": False}
    assert observation in env.observation_space
    assert env.render() == observation["text"]
    ends = []
    while not any(ends[-1:]):
        observation, reward, terminated, truncated, info = env.step(observation["choices"][0])
        assert observation in env.observation_space
        assert (reward, info["is_success"]) == (0.0, False)
        ends.append(terminated or truncated)
    assert len(ends) == 5
    assert truncated


def test_every_text_is_an_action_and_samples_are_short():
    space = AnyText(50, seed=0)
    assert "开门 🚪\n" in space
    assert "" in space
    assert "x" * 51 not in space
    assert 3 not in space
    assert all(space.sample() in space and len(space.sample()) <= 40 for _ in range(50))


def test_misuse_is_told_in_a_sentence(env, gym_url):
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step("wait")
    with pytest.raises(BadRequest, match="kye"):
        env.reset(options={"kye": "x"})
    with pytest.raises(UnknownTask):
        env.reset(options={"key": "nowhere"})
    with pytest.raises(UnknownEnv):
        GymnasiumEnv(gym_url, "keydor")
    with pytest.raises(UnknownTask):
        GymnasiumEnv(gym_url, "keydoor", split="nowhere")
    with pytest.raises(BadRequest, match="render_mode"):
        GymnasiumEnv(gym_url, "keydoor", render_mode="human")
