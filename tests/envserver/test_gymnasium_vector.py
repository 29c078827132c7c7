"""GymnasiumVectorEnv: the same as a SyncVectorEnv of GymnasiumEnvs, in one frame a step."""

import numpy as np
import pytest

gymnasium = pytest.importorskip("gymnasium", reason="needs the extra [gymnasium]")

from gymnasium.vector import AutoresetMode, SyncVectorEnv  # noqa: E402

from envserver.errors import BadRequest, UnknownEnv, UnknownTask  # noqa: E402
from envserver.gymnasium import GymnasiumEnv  # noqa: E402
from envserver.gymnasium_vector import GymnasiumVectorEnv  # noqa: E402
from envserver.launch import launch  # noqa: E402

OPTIONS = {"max_steps": 6}


def _same(mine, theirs):
    """Whether two of gymnasium's answers are the same, arrays and all."""
    if isinstance(theirs, dict):
        assert mine.keys() == theirs.keys()
        for key in theirs:
            _same(mine[key], theirs[key])
    elif isinstance(theirs, np.ndarray):
        assert mine.dtype == theirs.dtype
        assert list(mine) == list(theirs)
    elif isinstance(theirs, tuple):
        assert len(mine) == len(theirs)
        for one, other in zip(mine, theirs, strict=True):
            _same(one, other)
    else:
        assert mine == theirs


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_it_plays_as_a_vector_of_single_environments(gym_url, mode):
    mine = GymnasiumVectorEnv(gym_url, "keydoor", 3, options=OPTIONS, autoreset_mode=mode)
    single = [lambda: GymnasiumEnv(gym_url, "keydoor", options=OPTIONS) for _ in range(3)]
    theirs = SyncVectorEnv(single, autoreset_mode=mode)
    try:
        assert mine.single_observation_space == theirs.single_observation_space
        assert mine.observation_space.keys() == theirs.observation_space.keys()
        assert mine.metadata["autoreset_mode"] == theirs.metadata["autoreset_mode"]
        for seed in (7, [3, None, 5]):
            first, other = mine.reset(seed=seed), theirs.reset(seed=seed)
            _same(first, other)
            assert first[0] in mine.observation_space
            for turn in range(16):
                actions = [shown[turn % len(shown)] if shown else "wait" for shown in first[0]["choices"]]
                first, other = mine.step(actions), theirs.step(actions)
                _same(first, other)
                assert first[0] in mine.observation_space
    finally:
        mine.close()
        theirs.close()


def test_make_vec_makes_one_and_some_are_reset_alone(gym_url):
    envs = gymnasium.make_vec(
        "envserver.gymnasium:Turnhalle/World-v0",
        num_envs=4,
        vectorization_mode="vector_entry_point",
        url=gym_url,
        env="keydoor",
        options=OPTIONS,
        autoreset_mode="Disabled",
    )
    try:
        assert isinstance(envs.unwrapped, GymnasiumVectorEnv)
        envs.action_space.seed(0)
        with pytest.raises(gymnasium.error.ResetNeeded):
            envs.step(envs.action_space.sample())
        before, _ = envs.reset(seed=1)
        for _ in range(6):
            *_, truncated, infos = envs.step(envs.action_space.sample())
        assert truncated.all()
        assert not infos["is_success"].any()
        with pytest.raises(gymnasium.error.ResetNeeded, match=r"\[0, 1, 2, 3\]"):
            envs.step(["wait"] * 4)
        mask = np.array([True, False, True, False])
        after, infos = envs.reset(seed=1, options={"reset_mask": mask})
        assert (after["text"][0], after["text"][2]) == (before["text"][0], before["text"][2])
        assert list(infos["_is_success"]) == list(mask)
        keyed, _ = envs.reset(options={"key": "doors-3/train/0005", "seed": 3})
        assert len(set(keyed["text"])) == 1
    finally:
        envs.close()
        envs.close()


def test_a_session_that_fails_is_truncated_and_the_others_go_on(tmp_path):
    with launch(["worlds:Wild"], workers=1, log=tmp_path / "log") as server:
        envs = GymnasiumVectorEnv(server.url, "wild", 3)
        envs.reset(seed=0)
        _, rewards, terminated, truncated, infos = envs.step(["1", "raise", "1"])
        assert list(np.isnan(rewards)) == [False, True, False]
        assert (list(terminated), list(truncated)) == ([False] * 3, [False, True, False])
        assert infos["error"][1].startswith("WorldFailed: ")
        assert list(infos["_error"]) == [False, True, False]
        _, rewards, _, truncated, _ = envs.step(["1", "1", "1"])
        assert not truncated.any()
        assert not np.isnan(rewards).any()
        assert len(envs._gym.sessions()) == 3
        envs.close()


def test_misuse_is_told_in_a_sentence_and_loses_no_episode(gym_url):
    with pytest.raises(UnknownEnv):
        GymnasiumVectorEnv(gym_url, "keydor", 2)
    with pytest.raises(BadRequest, match="num_envs is 0"):
        GymnasiumVectorEnv(gym_url, "keydoor", 0)
    envs = GymnasiumVectorEnv(gym_url, "keydoor", 2)
    envs.reset(seed=1)
    with pytest.raises(BadRequest, match="1 actions for 2 environments"):
        envs.step(["wait"])
    with pytest.raises(BadRequest, match="3 seeds for 2 environments"):
        envs.reset(seed=[1, 2, 3])
    with pytest.raises(BadRequest, match="reset_mask is an array of 2 booleans"):
        envs.reset(options={"reset_mask": [1, 0]})
    with pytest.raises(BadRequest, match="no option 'kye'"):
        envs.reset(options={"kye": "x"})
    with pytest.raises(UnknownTask):
        envs.reset(options={"key": "nowhere"})
    _, _, terminated, truncated, _ = envs.step(["wait", "wait"])
    assert not (terminated | truncated).any()
    envs.close()
